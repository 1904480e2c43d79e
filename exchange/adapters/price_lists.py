"""Public price lists (cloud_gpu.json, SkyPilot's vms.csv in compact forms) as prices per provider and chip.

A list price is US dollars per card-hour here, in micro-dollars. What has no price, no chip of the catalogue
or another memory size is skipped and counted, never guessed; docs/guides/alibaba_trace.md says how names are
mapped.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from exchange.adapters.rows import CellError, Cells, Columns, Problem, read_records
from exchange.adapters.sniff import PRICE_LIST_JSON, sniff
from exchange.domain.units import MICRO, UnitError, parse_micro

MAX_JSON_BYTES = 16 * 1024 * 1024
MAX_PRICE_MICRO_USD = 100_000 * MICRO
MAX_COUNT = 1_024
MEMORY_TOLERANCE_PERCENT = 10

# Name in a list -> chips it may be, with memory in GB; the memory column decides, without one the first is
# taken.
LIST_NAMES: dict[str, tuple[tuple[str, int], ...]] = {
    "T4": (("T4", 16),),
    "P100": (("P100", 16),),
    "V100": (("V100M16", 16), ("V100M32", 32)),
    "V100-32GB": (("V100M32", 32),),
    "A10": (("A10", 24),),
    "A100": (("A100-SXM-80", 80),),
    "A100-80GB": (("A100-SXM-80", 80),),
    "H100": (("H100-SXM-80", 80),),
    "L40S": (("L40S", 48),),
    "RTX4090": (("RTX4090", 24),),
    "MI300X": (("MI300X", 192),),
}
# SkyPilot calls the 40 GB card plain A100: without a memory column that name says nothing about an 80 GB
# card.
NEEDS_MEMORY = frozenset({"A100"})
# cloud_gpu.json names a chip in its key.
JSON_NAMES = {
    "costt4": "T4",
    "costp100": "P100",
    "costv100": "V100",
    "costa10": "A10",
    "costa100_80": "A100-80GB",
    "costh100": "H100",
    "costl40s": "L40S",
    "cost4090": "RTX4090",
    "costmi300x": "MI300X",
}
PRICE_LIST_KINDS = (PRICE_LIST_JSON, "price_list_csv")
SKIP_REASONS = ("no_price", "unknown_chip", "other_memory")

_CSV_COLUMNS = Columns(required=("AcceleratorName", "AcceleratorCount", "Price"), is_closed=False)


@dataclass(frozen=True, slots=True)
class Quote:
    """What a provider lists a chip at: the lower median of its prices, micro-dollars per card-hour."""

    provider: str
    chip: str
    price_micro_usd: int


@dataclass(frozen=True, slots=True)
class PriceLists:
    """Quotes in order of provider and chip; `skipped` counts entries by SKIP_REASONS."""

    quotes: tuple[Quote, ...]
    problems: tuple[Problem, ...]
    skipped: tuple[tuple[str, int], ...]


class _Skip(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason


def read_price_lists(paths: Iterable[Path]) -> PriceLists:
    """Reads every list; one provider written differently in two lists is one (its first word decides)."""
    prices: dict[tuple[str, str], list[int]] = {}
    problems: list[Problem] = []
    skipped: Counter[str] = Counter()
    for path in paths:
        kind = sniff(path)
        if isinstance(kind, Problem):
            problems.append(kind)
            continue
        if kind not in PRICE_LIST_KINDS:
            problems.append(
                Problem(path.name, 1, "", "unknown_header", f"is a {kind} file; give a price list")
            )
            continue
        for found in _json_prices(path) if kind == PRICE_LIST_JSON else _csv_prices(path):
            if isinstance(found, Problem):
                problems.append(found)
            elif isinstance(found, str):
                skipped[found] += 1
            else:
                prices.setdefault((found.provider, found.chip), []).append(found.price_micro_usd)
    quotes = [
        Quote(provider, chip, sorted(listed)[(len(listed) - 1) // 2])
        for (provider, chip), listed in sorted(_merge(prices).items())
    ]
    return PriceLists(
        tuple(quotes), tuple(problems), tuple((reason, skipped[reason]) for reason in SKIP_REASONS)
    )


def provider_code(name: str) -> str:
    """A list's provider name as a code: provider-lambda-cloud."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"provider-{slug}"[:36].rstrip("-")


def chip_of(name: str, memory_mib: int) -> str:
    """The catalogue's code for a list's name and memory per card (0 = not said); raises _Skip where there is none."""
    candidates = LIST_NAMES.get(name)
    if candidates is None:
        raise _Skip("unknown_chip")
    if not memory_mib:
        if name in NEEDS_MEMORY:
            raise _Skip("other_memory")
        return candidates[0][0]
    for chip, memory_gb in candidates:
        whole = memory_gb * 1024
        if abs(memory_mib - whole) * 100 <= whole * MEMORY_TOLERANCE_PERCENT:
            return chip
    raise _Skip("other_memory")


def _merge(prices: dict[tuple[str, str], list[int]]) -> dict[tuple[str, str], list[int]]:
    """provider-lambda of one list and provider-lambda-cloud of another are one provider, under the longer name."""
    names = sorted({provider for provider, _ in prices})
    longer = {name: next((other for other in names if other.startswith(f"{name}-")), name) for name in names}
    merged: dict[tuple[str, str], list[int]] = {}
    for (provider, chip), listed in prices.items():
        merged.setdefault((longer[provider], chip), []).extend(listed)
    return merged


def _csv_prices(path: Path) -> Iterator[Quote | str | Problem]:
    for found in read_records(path, _CSV_COLUMNS, lambda cells: _csv_price(cells, path)):
        yield found if isinstance(found, Problem) else found.value


def _csv_price(cells: Cells, path: Path) -> Quote | str:
    name = cells.required("AcceleratorName")
    count = cells.scaled("AcceleratorCount", 1, 1, MAX_COUNT)
    memory_mib = cells.scaled_or("GpuMemoryMiBEach", 1, 0, 10**9, 0)
    memory_mib = memory_mib or cells.scaled_or("TotalGpuMemoryInMiB", 1, 0, 10**9, 0) // count
    price = cells.scaled_or("Price", MICRO, 0, MAX_PRICE_MICRO_USD, 0)
    try:
        if not price:
            raise _Skip("no_price")
        chip = chip_of(name, memory_mib)
    except _Skip as skip:
        return skip.reason
    # Without a Cloud column the file is one provider's, and its name says whose: vast_v8_vms_compact.csv.
    provider = cells.text("Cloud") or path.stem.split("_")[0]
    return Quote(provider_code(provider), chip, price // count)


def _json_prices(path: Path) -> Iterator[Quote | str | Problem]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_JSON_BYTES + 1)
        if len(raw) > MAX_JSON_BYTES:
            yield Problem(path.name, 0, "", "too_large", f"is larger than {MAX_JSON_BYTES} bytes")
            return
        # Numbers stay text: a price is read as a decimal, never as a float.
        whole = json.loads(raw, parse_float=str, parse_int=str, parse_constant=str)
    except (OSError, ValueError, RecursionError) as error:
        yield Problem(path.name, 0, "", "json", f"is not JSON that can be read ({str(error)[:80]})")
        return
    providers = whole.get("data") if isinstance(whole, dict) else None
    if not isinstance(providers, list):
        yield Problem(path.name, 0, "data", "json", "has no list `data` of providers")
        return
    for place, entry in enumerate(providers):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not re.search("[A-Za-z0-9]", name):
            yield Problem(path.name, 0, f"data[{place}].name", "missing", "a provider needs a name")
            continue
        for key, value in entry.items():
            if key.startswith("cost"):
                yield _json_price(path.name, place, provider_code(name), key, value)


def _json_price(file: str, place: int, provider: str, key: str, value: object) -> Quote | str | Problem:
    text = value.strip().removeprefix("$") if isinstance(value, str) else ""
    if text in ("", "-"):
        return "no_price"
    column = f"data[{place}].{key}"
    try:
        price = parse_micro(text, "price")
        if not 0 <= price <= MAX_PRICE_MICRO_USD:
            raise CellError(column, "too_large", f"price {text[:40]!r} must lie between 0 and 100000")
        chip = chip_of(JSON_NAMES.get(key, ""), 0)
    except UnitError as error:
        return Problem(file, 0, column, "number", str(error))
    except CellError as error:
        return Problem(file, 0, error.column, error.code, error.message)
    except _Skip as skip:
        return skip.reason
    return Quote(provider, chip, price) if price else "no_price"
