"""The operator's desk: what the clock calls for, decided from the venue and its trades and from nothing else.

Two things, each at a stop that the clock never jumps over:

* one second before the gate of a period, the fix (DI4) of every instrument of it that traded or is offered;
* at the end of a period, the settlement of every period whose dispute window has ended.

The same commands in, the same commands out: a run from files, a live venue and a resumed run all have the same log. What
was due before a crash and did not get into the log is due again after it, because it is read off the venue.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from exchange.domain.commands import AdvanceTime, SetFix, SettlePeriod, SetVenue
from exchange.domain.events import Traded
from exchange.domain.instrument import book_id, split_book
from exchange.domain.prices import GRADE_B_WINDOW_NS, Print, fix_ticks
from exchange.domain.units import NS_PER_MINUTE, NS_PER_SECOND
from exchange.domain.venue import Venue

NO_STOP = 1 << 63  # beyond any time that the venue takes
FIX_LEAD_NS = NS_PER_SECOND


class TradeLike(Protocol):
    """What the desk reads of a trade: the event Traded, or a row made from it."""

    @property
    def instrument(self) -> str:
        """Its code."""
        ...

    @property
    def price_micro(self) -> int:
        """Micro-yuan per card-hour."""
        ...

    @property
    def lots(self) -> int:
        """Size."""
        ...

    @property
    def buyer(self) -> str:
        """Participant."""
        ...

    @property
    def seller(self) -> str:
        """Participant."""
        ...


class Desk:
    """Decides for one venue; reads it between two commands and never changes it."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._prints: dict[int, list[Print]] = {}  # by book, kept until the fix is set
        self._stop_ns = self.next_stop(venue.now_ns)

    def ends_frame(self, command: Any) -> bool:
        """True where `due` must be asked before anything else is applied."""
        return type(command) is AdvanceTime and command.now_ns >= self._stop_ns or type(command) is SetVenue

    def next_stop(self, now_ns: int) -> int:
        """The first moment after now_ns at which something may be due; NO_STOP before the venue has its settings."""
        if self._venue.state.settings is None:
            return NO_STOP
        grid = self._venue.periods
        fix_ns = grid.start(grid.first_from(now_ns + grid.gate_ns + FIX_LEAD_NS + 1)) - grid.gate_ns - FIX_LEAD_NS
        return min(fix_ns, grid.start(grid.at(now_ns) + 1))

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any]) -> None:
        """Remembers the trades of an applied command."""
        for event in events:
            if type(event) is Traded:
                self._remember(ts_ns, event)

    def remember(self, trades: Iterable[tuple[int, TradeLike]]) -> None:
        """Trades from before the start as (time_ns, trade), in order; those of the last 24 hours are enough."""
        for time_ns, trade in trades:
            self._remember(time_ns, trade)

    def due(self, now_ns: int) -> list[SetFix | SettlePeriod]:
        """What is to be applied next, at this time of the venue."""
        if self._venue.state.settings is None:
            return []
        self._stop_ns = self.next_stop(now_ns)
        return [*self._fixes(now_ns), *self._settlements(now_ns)]

    def _remember(self, time_ns: int, trade: TradeLike) -> None:
        venue = self._venue
        firms = (venue.state.participants[trade.buyer].firm, venue.state.participants[trade.seller].firm)
        family, period = venue.instrument(trade.instrument)
        ticks = trade.price_micro // venue.settings.tick_micro
        self._prints.setdefault(book_id(family, period), []).append(Print(time_ns, ticks, trade.lots, *firms))

    def _settlements(self, now_ns: int) -> list[SettlePeriod]:
        """Every period whose dispute window had ended when the last period ended, in order.

        Where there is no window, a period waits for the end of the next one: a reading that comes with its end counts.
        """
        venue, grid = self._venue, self._venue.periods
        window_ns = max(1, venue.settings.dispute_min * NS_PER_MINUTE)
        ended_ns = grid.start(grid.at(now_ns))
        due = [p for p in venue.obligations_of_period if grid.start(p + 1) + window_ns <= ended_ns]
        return [SettlePeriod(grid.start(p)) for p in sorted(due) if p >= venue.state.settled_end]

    def _fixes(self, now_ns: int) -> list[SetFix]:
        """DI4 for the period at whose gate the clock is, and for what traded in a period that a jump has passed."""
        grid, state = self._venue.periods, self._venue.state
        opened = grid.first_open(now_ns)
        is_at_gate = grid.gate(opened) - FIX_LEAD_NS <= now_ns
        passed = {period for _, period in map(split_book, self._prints) if state.settled_end <= period < opened}
        periods = sorted(passed) + ([opened] if is_at_gate else [])
        fixes = [self._fix(family.number, period) for period in periods for family in state.families]
        first_kept = opened + is_at_gate
        self._prints = {book: prints for book, prints in self._prints.items() if split_book(book)[1] >= first_kept}
        return [fix for fix in fixes if fix is not None]

    def _fix(self, family: int, period: int) -> SetFix | None:
        """The fix of one instrument; None where nothing says anything, or it is set."""
        venue, book = self._venue, book_id(family, period)
        if book in venue.state.fixes:
            return None
        gate_ns = venue.periods.gate(period)
        prints = [p for p in self._prints.get(book, ()) if p.time_ns > gate_ns - GRADE_B_WINDOW_NS]
        best_ask = venue.core.top(book)[2]
        found = fix_ticks(prints, gate_ns, best_ask) if prints or best_ask else None
        if found is None:
            return None
        code = venue.instrument_code(family, period)
        digest = blake2b(repr((code, prints, best_ask)).encode(), digest_size=16).hexdigest()
        return SetFix(code, found[0] * venue.settings.tick_micro, found[1], digest)
