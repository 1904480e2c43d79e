"""The operator's desk: what the clock calls for, decided from the venue and its trades and from nothing else.

Four things. At stops that the clock never jumps over:

* one second before the gate of a period, the fix (DI4) of every instrument of it that traded, is offered or is owed;
* at the end of a period, the settlement of every period whose dispute window has ended;
* at the end of a dead man's timer, which the venue itself acts on as soon as the clock is there;

and directly behind what may have made it known, an outage, a declared failure or the moment a meter is silent too long:

* the buy-in (BI1) of every obligation that fails.

The same commands in, the same commands out: a run from files, a live venue and a resumed run all have the same log. What
was due before a crash and did not get into the log is due again after it, because it is read off the venue.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from exchange.domain.buy_in import is_curable
from exchange.domain.commands import (
    AdvanceTime,
    AnnounceOutage,
    BuyIn,
    DeclareFailure,
    SetFix,
    SettlePeriod,
    SetVenue,
)
from exchange.domain.dead_man import next_end_ns
from exchange.domain.events import Traded
from exchange.domain.units import NS_PER_MINUTE, NS_PER_SECOND
from exchange.domain.venue import Venue
from exchange.engine.fixer import Fixer, TradeLike, Work

NO_STOP = 1 << 63  # beyond any time that the venue takes
FIX_LEAD_NS = NS_PER_SECOND
_BREAKS = (SetVenue, AnnounceOutage, DeclareFailure)  # behind these something may be due at any time


class Desk:
    """Decides for one venue; reads it between two commands and never changes it."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._fixer = Fixer(venue)
        self._is_begun = False  # what was due before the start is asked for once
        self._stop_ns = self._stop_after(venue.now_ns)

    def ends_frame(self, command: Any) -> bool:
        """True where `due` must be asked before anything else is applied."""
        if type(command) is AdvanceTime:
            return command.now_ns >= self._stop_ns or command.now_ns >= self._silent_ns()
        return type(command) in _BREAKS

    def next_stop(self, now_ns: int) -> int:
        """The first moment after now_ns at which something may be due; NO_STOP before the venue has its settings."""
        silent_ns = self._silent_ns()
        timer_ns = next_end_ns(self._venue, now_ns) if self._venue.state.cancel_at_ns else None
        return min(self._stop_after(now_ns), silent_ns if silent_ns > now_ns else NO_STOP, timer_ns or NO_STOP)

    def _silent_ns(self) -> int:
        """From when on the next meter may have been silent too long."""
        return self._venue.watched[0][0] + 1 if self._venue.watched else NO_STOP

    def _stop_after(self, now_ns: int) -> int:
        """The next moment for fixes or settlements."""
        if self._venue.state.settings is None:
            return NO_STOP
        grid = self._venue.periods
        fix_ns = grid.start(grid.first_from(now_ns + grid.gate_ns + FIX_LEAD_NS + 1)) - grid.gate_ns - FIX_LEAD_NS
        return min(fix_ns, grid.start(grid.at(now_ns) + 1))

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any]) -> None:
        """Remembers the trades of an applied command."""
        for event in events:
            if type(event) is Traded:
                self._fixer.remember(ts_ns, event)

    def since_ns(self) -> int:
        """Trades from then on are needed by a desk that starts now; before the settings there are none."""
        return self._fixer.since_ns() if self._venue.state.settings is not None else 0

    def remember(self, trades: Iterable[tuple[int, TradeLike]]) -> None:
        """Trades from before the start as (time_ns, trade), in order; those since `since_ns` are enough."""
        for time_ns, trade in trades:
            self._fixer.remember(time_ns, trade)

    def due(self, now_ns: int) -> list[SetFix | BuyIn | SettlePeriod]:
        """What is to be applied next, at this time of the venue."""
        if self._venue.state.settings is None:
            return []
        return [*(work.command for work in self.fixes_due(now_ns)), *self._buy_ins(), *self._settlements(now_ns)]

    def fixes_due(self, now_ns: int) -> list[Work]:
        """The fixes among it, each with what it is made from; nothing before the venue has its settings, or between stops."""
        if self._venue.state.settings is None or self._is_begun and now_ns < self._stop_ns:
            return []
        self._is_begun, self._stop_ns = True, self._stop_after(now_ns)
        return self.fixes_at_start(now_ns)

    def fixes_at_start(self, now_ns: int) -> list[Work]:
        """What a desk that starts now has left to fix, wherever the clock is."""
        return self._fixer.due(now_ns, FIX_LEAD_NS)

    def _buy_ins(self) -> list[BuyIn]:
        """Every obligation that fails and can be cured, by number; each once, as the venue knows."""
        return [BuyIn(number) for number in sorted(self._venue.state.failing) if is_curable(self._venue, number)]

    def _settlements(self, now_ns: int) -> list[SettlePeriod]:
        """Every period whose dispute window had ended when the last period ended, in order.

        Where there is no window, a period waits for the end of the next one: a reading that comes with its end counts.
        """
        venue, grid = self._venue, self._venue.periods
        window_ns = max(1, venue.settings.dispute_min * NS_PER_MINUTE)
        ended_ns = grid.start(grid.at(now_ns))
        due = [p for p in venue.obligations_of_period if grid.start(p + 1) + window_ns <= ended_ns]
        return [SettlePeriod(grid.start(p)) for p in sorted(due) if p >= venue.state.settled_end]
