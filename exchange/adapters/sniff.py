"""Tells by its first line what kind of market file somebody gave us."""

from pathlib import Path

from exchange.adapters.market_files import OFFER_COLUMNS, SITE_COLUMNS, TASK_COLUMNS
from exchange.adapters.rows import Columns, Problem, read_lines, shown

# Kind -> the columns that tell it from the others. The readers check the rest.
KNOWN_HEADERS: dict[str, tuple[str, ...]] = {
    "tasks": TASK_COLUMNS.required,
    "offers": OFFER_COLUMNS.required,
    "sites": SITE_COLUMNS.required,
    "alibaba_pods": ("name", "num_gpu", "gpu_milli", "creation_time", "deletion_time"),
    "alibaba_nodes": ("sn", "cpu_milli", "gpu", "model"),
    "price_list_csv": ("AcceleratorName", "AcceleratorCount", "Price"),
    "power_prices": ("hour", "price_per_kwh"),
    "power_prices_usd": ("Datetime (UTC)", "Price (USD/MWh)"),
}
# Kinds of our own, whose headers people write by hand.
OWN_COLUMNS: dict[str, Columns] = {"tasks": TASK_COLUMNS, "offers": OFFER_COLUMNS, "sites": SITE_COLUMNS}
SHOWN_UNKNOWN = 8
PRICE_LIST_JSON = "price_list_json"
KINDS = (*KNOWN_HEADERS, PRICE_LIST_JSON)


def sniff(path: Path) -> str | Problem:
    """The kind of a file (one of KINDS) by its header; a Problem says what a header lacks, or lists the known ones."""
    if _starts_like_json(path):
        return PRICE_LIST_JSON
    first = next(read_lines(path), None)
    if isinstance(first, Problem):
        return first
    if first is None:
        return Problem(path.name, 0, "", "empty_file", f"is empty; {_known()}")
    for kind, columns in KNOWN_HEADERS.items():
        is_whole = kind != "sites" or set(first[1]) <= set(columns)  # an offers file has all columns of a sites file
        if set(columns) <= set(first[1]) and is_whole:
            return kind
    return _nearly(path.name, *first) or Problem(
        path.name, first[0], "", "unknown_header", f"the header is none that is known; {_known()}"
    )


def _nearly(file: str, line: int, names: list[str]) -> Problem | None:
    """What a header lacks that has most columns of one of our own kinds, and what it has too many."""
    fits = {kind: len(set(columns.required) & set(names)) for kind, columns in OWN_COLUMNS.items()}
    kind = max(fits, key=lambda kind: (fits[kind], -len(OWN_COLUMNS[kind].required)))
    columns = OWN_COLUMNS[kind]
    if 2 * fits[kind] <= len(columns.required):
        return None
    missing = [column for column in columns.required if column not in names]
    unknown = [shown(name) for name in names if name not in (*columns.required, *columns.optional)]
    faults = [f"it lacks {', '.join(missing)}"] if missing else []
    faults += [f"such a file has no column {', '.join(unknown[:SHOWN_UNKNOWN])}"] if unknown else []
    code = "missing_column" if missing else "unknown_column"
    return Problem(file, line, "", code, f"looks like a {kind} file, but {'; '.join(faults)}")


def _starts_like_json(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except (OSError, ValueError):
        return False  # read_lines says why


def _known() -> str:
    headers = "; ".join(f"{kind}: {','.join(columns)}" for kind, columns in KNOWN_HEADERS.items())
    return f"known are {headers}; {PRICE_LIST_JSON}: a JSON object with a list `data` of providers"
