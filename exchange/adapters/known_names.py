"""Names that a row of a market file may use: codes of the catalogue, and accounts that are not the exchange's own."""

from exchange.adapters.rows import CellError, Cells, shown
from exchange.domain.commands import LoadCatalogue
from exchange.domain.instrument import LATENCY_CLASSES

# Accounts that the exchange opens by itself, and how the names of others of its own begin.
RESERVED_ACCOUNTS = ("outside", "exchange", "network", "fund")
RESERVED_STARTS = ("site:", "region:", "power:")


class Known:
    """The codes that a row may name; without a catalogue every well-written code may stand."""

    def __init__(self, catalogue: LoadCatalogue | None) -> None:
        self.chips = None if catalogue is None else {chip.code for chip in catalogue.chips}
        self.regions = None if catalogue is None else {region.code for region in catalogue.regions}
        self.hosts = None if catalogue is None else {r.code for r in catalogue.regions if r.kind != "access"}
        self.reached = None if catalogue is None else {(r.host_region, r.latency_class) for r in catalogue.reach}

    @staticmethod
    def check(code: str, known: set[str] | None, column: str, what: str) -> str:
        """The code; CellError(unknown_code) where there is a catalogue and it is not in it."""
        if known is not None and code and code not in known:
            raise CellError(
                column,
                "unknown_code",
                f"{code!r} is no {what} of the catalogue; known are {', '.join(sorted(known))}",
            )
        return code

    def check_reached(self, region: str, latency_class: str) -> None:
        """CellError(conflict) where nobody reaches a region in a class, so that the venue would not list it (CA1)."""
        if self.reached is None or (region, latency_class) in self.reached:
            return
        classes = ", ".join(name for name in LATENCY_CLASSES if (region, name) in self.reached) or "none"
        message = f"nobody reaches {region} in class {latency_class}; possible are {classes}"
        raise CellError("latency_class", "conflict", message)


def account_of(cells: Cells) -> str:
    """Who buys or sells: any code that the exchange does not use for an account of its own."""
    name = cells.code("account")
    if name in RESERVED_ACCOUNTS or name.startswith(RESERVED_STARTS):
        own = ", ".join((*RESERVED_ACCOUNTS, *(f"{start}…" for start in RESERVED_STARTS)))
        raise CellError("account", "reserved", f"{shown(name)} is a name of the exchange itself ({own}); take another")
    return name
