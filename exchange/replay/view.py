"""What the driver of a market day looks at in the venue: two questions a period, so that it can also ask from far away."""

from typing import NamedTuple, Protocol

from exchange.domain.venue import Venue


class Due(NamedTuple):
    """An obligation as its provider's meter sees it."""

    number: int
    seller: str
    buyer: str
    site: str
    lots: int


class OpenWork(NamedTuple):
    """Whether anything can still happen in the venue without a new command."""

    has_obligations: bool
    has_bids: bool
    has_tasks: bool
    has_offers: bool
    first_death_ns: int = 0  # of the waiting tasks, when the first one can no longer fill; 0 where none waits


class View(Protocol):
    """Reads a venue; each answer holds for all commands that were answered before the question."""

    def due_in(self, period_start_ns: int) -> list[Due]:
        """Every open obligation of the period that starts then, by number."""
        ...

    def open_work(self) -> OpenWork:
        """What is open now."""
        ...


class VenueView:
    """The venue in this process; a View."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def due_in(self, period_start_ns: int) -> list[Due]:
        """Every open obligation of the period that starts then, by number."""
        venue = self._venue
        numbers = sorted(venue.obligations_of_period.get(venue.periods.at(period_start_ns), ()))
        found = [venue.state.obligations[number] for number in numbers]
        return [Due(due.number, due.seller, due.buyer, due.site, due.lots) for due in found]

    def open_work(self) -> OpenWork:
        """What is open now."""
        state, core = self._venue.state, self._venue.core
        first_death_ns = min((core.task(number).dies_ns for number in state.tasks), default=0)
        return OpenWork(
            bool(state.obligations), bool(state.bids), bool(state.tasks), bool(state.offers), first_death_ns
        )  # fmt: skip
