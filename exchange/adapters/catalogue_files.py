"""The catalogue's CSV folder as commands: chips, regions, reach, links; tariff and fees.

Files, one record a line: chips.csv, regions.csv, reach.csv, links.csv, tariff.csv, fees.csv; their columns
stand in docs/guides/catalogue.md. A folder is taken whole or not at all: DataError lists every fault with its
file, line and what would be right.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from exchange.adapters.rows import CellError, Cells, Columns, DataError, Placed, Problem, read_records
from exchange.domain.commands import Chip, Link, LoadCatalogue, Reach, Region, SetTariff, Share
from exchange.domain.instrument import LATENCY_CLASSES
from exchange.domain.units import MICRO, PPM, format_scaled

T = TypeVar("T")

BUNDLED = Path(__file__).resolve().parent.parent / "data" / "catalogue"

# Latency classes from fastest to slowest with the time each promises; BE promises none.
CLASS_LIMIT_US = {"L1": 1_000, "L5": 5_000, "L7": 7_000, "L10": 10_000, "BE": 1_000_000}
FAMILIES = ("ai", "general", "super")
REGION_KINDS = ("cluster", "edge", "access")
SHARE_BASES = ("compute", "green", "moving")
LANES = ("standard", "economy", "emergency")

# Names that other people's files use for a chip of the catalogue; importers look here second.
CHIP_ALIASES = {
    "V100-16": "V100M16",
    "V100-16GB": "V100M16",
    "V100-32": "V100M32",
    "V100-32GB": "V100M32",
    "A100-80": "A100-SXM-80",
    "A100-80GB": "A100-SXM-80",
    "H100": "H100-SXM-80",
    "H100-80": "H100-SXM-80",
    "H100-80GB": "H100-SXM-80",
    "H100-SXM": "H100-SXM-80",
    "910B": "A910B",
    "Ascend-910B": "A910B",
    "Ascend910B": "A910B",
    "RTX-4090": "RTX4090",
}

MAX_FP16_GFLOPS = 10**12
MAX_MEMORY_GB = 10**6
MAX_WATTS = 10**6
MAX_LINK_PRICE_MICRO = 1_000 * MICRO
MAX_MBIT_PER_S = 10**9
MAX_MB_PER_HOUR = 10**12


def load_catalogue(folder: Path = BUNDLED) -> LoadCatalogue:
    """The catalogue of a folder (the bundled one by default); DataError names every faulty line of four files."""
    problems: list[Problem] = []
    chips = _read(folder / "chips.csv", _CHIP_COLUMNS, _chip, problems)
    regions = _read(folder / "regions.csv", _REGION_COLUMNS, _region, problems)
    kinds = {placed.value.code: placed.value.kind for placed in regions}
    reach = _read(folder / "reach.csv", _REACH_COLUMNS, lambda cells: _reach(cells, kinds), problems)
    links = _read(folder / "links.csv", _LINK_COLUMNS, lambda cells: _link(cells, kinds), problems)
    problems += _twice(chips, lambda chip: (chip.code,), "code")
    problems += _twice(regions, lambda region: (region.code,), "code")
    problems += _twice(
        reach, lambda row: (row.access_region, row.host_region, row.latency_class), "latency_class"
    )
    problems += _twice(links, lambda link: (link.from_region, link.to_region), "to_region")
    problems += _not_monotone(reach)
    if problems:
        raise DataError(tuple(problems))
    return LoadCatalogue(_values(chips), _values(regions), _values(reach), _values(links))


def load_tariff(folder: Path = BUNDLED, version: int = 1, effective_ns: int = 0) -> SetTariff:
    """Fees and shares of a folder (ppm); DataError where a lane lacks its fee or a base gives away over 100 %."""
    problems: list[Problem] = []
    shares = _read(folder / "tariff.csv", _SHARE_COLUMNS, _share, problems)
    fees = _read(folder / "fees.csv", _FEE_COLUMNS, _fee, problems)
    problems += _twice(shares, lambda share: (share.base, share.recipient), "recipient")
    problems += _twice(fees, lambda fee: (fee[0],), "lane")
    ppm_of_lane = dict(_values(fees))
    for lane in LANES:
        if lane not in ppm_of_lane:
            problems.append(
                Problem("fees.csv", 0, "lane", "missing", f"lane {lane} has no fee; add a line {lane},<ppm>")
            )
    for base in SHARE_BASES:
        given = sum(share.ppm for share in _values(shares) if share.base == base)
        if given > PPM:
            message = f"the shares of {base} add up to {given} ppm; at most {PPM}"
            problems.append(Problem("tariff.csv", 0, "ppm", "too_large", message))
    if problems:
        raise DataError(tuple(problems))
    return SetTariff(
        version,
        effective_ns,
        fee_standard_ppm=ppm_of_lane["standard"],
        fee_economy_ppm=ppm_of_lane["economy"],
        fee_emergency_ppm=ppm_of_lane["emergency"],
        shares=_values(shares),
    )


def chip_code(name: str, known: frozenset[str]) -> str:
    """The catalogue's code for a chip name of somebody's file, "" where there is none."""
    code = name if name in known else CHIP_ALIASES.get(name, "")
    return code if code in known else ""


_CHIP_COLUMNS = Columns(("code", "family", "fp16_pflops", "memory_gb", "watts", "note"))
_REGION_COLUMNS = Columns(("code", "name", "hub", "kind", "longitude", "latitude"))
_REACH_COLUMNS = Columns(("access_region", "host_region", "latency_class", "rtt_ms"))
_LINK_COLUMNS = Columns(("from_region", "to_region", "price_per_gb", "mbit_per_s"), ("gb_per_hour",))
_SHARE_COLUMNS = Columns(("base", "recipient", "ppm"))
_FEE_COLUMNS = Columns(("lane", "ppm"))


def _chip(cells: Cells) -> Chip:
    return Chip(
        code=cells.code("code"),
        family=cells.choice("family", FAMILIES),
        fp16_gflops=cells.scaled("fp16_pflops", MICRO, 1, MAX_FP16_GFLOPS),
        memory_gb=cells.scaled("memory_gb", 1, 1, MAX_MEMORY_GB),
        watts=cells.scaled("watts", 1, 1, MAX_WATTS),
        note=cells.text("note"),
    )


def _region(cells: Cells) -> Region:
    kind, hub = cells.choice("kind", REGION_KINDS), cells.code_or_empty("hub")
    if (kind == "cluster") != bool(hub):
        raise CellError(
            "hub", "conflict", "a cluster names its hub, an edge site or an access city leaves it empty"
        )
    return Region(
        code=cells.code("code"),
        name=cells.required("name"),
        hub=hub,
        kind=kind,
        longitude_mdeg=cells.scaled("longitude", 1_000, -180_000, 180_000),
        latitude_mdeg=cells.scaled("latitude", 1_000, -90_000, 90_000),
    )


def _known_region(cells: Cells, column: str, kinds: dict[str, str]) -> str:
    code = cells.code(column)
    if code not in kinds:
        raise CellError(
            column, "unknown_code", f"{code!r} is not in regions.csv; add it there or correct the code"
        )
    return code


def _reach(cells: Cells, kinds: dict[str, str]) -> Reach:
    access = _known_region(cells, "access_region", kinds)
    host = _known_region(cells, "host_region", kinds)
    if kinds[host] == "access":
        raise CellError(
            "host_region", "conflict", f"{host!r} only uses computing; a host is a cluster or an edge site"
        )
    latency_class = cells.choice("latency_class", LATENCY_CLASSES)
    limit_us = CLASS_LIMIT_US[latency_class]
    rtt_us = cells.scaled("rtt_ms", 1_000, 1, CLASS_LIMIT_US["BE"])
    if rtt_us > limit_us:
        limit = f"class {latency_class} promises; at most {limit_us // 1000} ms"
        message = f"{cells.text('rtt_ms')} ms is slower than {limit}"
        raise CellError("rtt_ms", "too_large", message)
    return Reach(access, host, latency_class, rtt_us)


def _link(cells: Cells, kinds: dict[str, str]) -> Link:
    return Link(
        from_region=_known_region(cells, "from_region", kinds),
        to_region=_known_region(cells, "to_region", kinds),
        price_micro_per_gb=cells.scaled("price_per_gb", MICRO, 0, MAX_LINK_PRICE_MICRO),
        mbit_per_s=cells.scaled("mbit_per_s", 1, 1, MAX_MBIT_PER_S),
        mb_per_hour=cells.scaled_or("gb_per_hour", 1_000, 0, MAX_MB_PER_HOUR, 0),
    )


def _share(cells: Cells) -> Share:
    recipient = cells.required("recipient")
    if recipient.replace("{host}", "h").count("{") or len(recipient) > 36 or not recipient.isascii():
        raise CellError(
            "recipient",
            "code",
            f"{recipient[:40]!r} is no participant; {{host}} may stand for the host region",
        )
    return Share(cells.choice("base", SHARE_BASES), recipient, cells.scaled("ppm", 1, 1, PPM))


def _fee(cells: Cells) -> tuple[str, int]:
    return cells.choice("lane", LANES), cells.scaled("ppm", 1, 0, PPM)


def _read(
    path: Path, columns: Columns, build: Callable[[Cells], T], problems: list[Problem]
) -> list[Placed[T]]:
    rows: list[Placed[T]] = []
    for found in read_records(path, columns, build):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            rows.append(found)
    return rows


def _values(rows: Iterable[Placed[T]]) -> tuple[T, ...]:
    return tuple(placed.value for placed in rows)


def _twice(rows: list[Placed[T]], key: Callable[[T], tuple[str, ...]], column: str) -> list[Problem]:
    first_line: dict[tuple[str, ...], int] = {}
    problems = []
    for placed in rows:
        first = first_line.setdefault(key(placed.value), placed.line)
        if first != placed.line:
            message = f"{' '.join(key(placed.value))} stands already in line {first}; keep one"
            problems.append(Problem(placed.file, placed.line, column, "duplicate", message))
    return problems


def _not_monotone(reach: list[Placed[Reach]]) -> list[Problem]:
    """CA1: along one pair of regions a slower class is never promised faster than a quicker one."""
    by_pair: dict[tuple[str, str], list[Placed[Reach]]] = {}
    for placed in reach:
        by_pair.setdefault((placed.value.access_region, placed.value.host_region), []).append(placed)
    problems = []
    for rows in by_pair.values():
        rows.sort(key=lambda placed: LATENCY_CLASSES.index(placed.value.latency_class))
        for quick, slow in zip(rows, rows[1:], strict=False):
            if slow.value.rtt_us < quick.value.rtt_us:
                message = (
                    f"{slow.value.latency_class} is promised faster than {quick.value.latency_class} of line"
                    f" {quick.line}; at least {format_scaled(quick.value.rtt_us, 1_000, 0)} ms"
                )
                problems.append(Problem(slow.file, slow.line, "rtt_ms", "not_monotone", message))
    return problems
