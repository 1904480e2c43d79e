"""Tells by its first line what kind of market file somebody gave us."""

from pathlib import Path

from exchange.adapters.market_files import OFFER_COLUMNS, SITE_COLUMNS, TASK_COLUMNS
from exchange.adapters.rows import Problem, read_lines

# Kind -> the columns that tell it from the others. The readers check the rest.
KNOWN_HEADERS: dict[str, tuple[str, ...]] = {
    "tasks": TASK_COLUMNS.required,
    "offers": OFFER_COLUMNS.required,
    "sites": SITE_COLUMNS.required,
    "alibaba_pods": ("name", "num_gpu", "gpu_milli", "creation_time", "deletion_time"),
    "alibaba_nodes": ("sn", "cpu_milli", "gpu", "model"),
    "price_list_csv": ("AcceleratorName", "AcceleratorCount", "Price"),
}
PRICE_LIST_JSON = "price_list_json"
KINDS = (*KNOWN_HEADERS, PRICE_LIST_JSON)


def sniff(path: Path) -> str | Problem:
    """The kind of a file (one of KINDS) by its header; Problem(unknown_header) lists the known headers."""
    if _starts_like_json(path):
        return PRICE_LIST_JSON
    first = next(read_lines(path), None)
    if isinstance(first, Problem):
        return first
    if first is None:
        return Problem(path.name, 0, "", "empty_file", f"is empty; {_known()}")
    for kind, columns in KNOWN_HEADERS.items():
        if set(columns) <= set(first[1]):
            return kind
    return Problem(path.name, first[0], "", "unknown_header", f"the header is none that is known; {_known()}")


def _starts_like_json(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except (OSError, ValueError):
        return False  # read_lines says why


def _known() -> str:
    headers = "; ".join(f"{kind}: {','.join(columns)}" for kind, columns in KNOWN_HEADERS.items())
    return f"known are {headers}; {PRICE_LIST_JSON}: a JSON object with a list `data` of providers"
