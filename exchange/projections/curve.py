"""The forward curve: one price per delivery period of a family, each with the source it is from.

In this order: the fix where it is set; else the VWAP of the recent trades (`board`); else the middle of best bid and best
ask, rounded half to even; else the best ask. A period of which there is none of these has no point: nothing is made up
between two others. The curve reaches from the running period to the last listed one; behind its gate a period has only
fix and trades, since what stands in its book then is for the emergency lane.
"""

from typing import NamedTuple

from exchange.domain.instrument import book_id
from exchange.domain.units import div_half_even
from exchange.domain.venue import Venue
from exchange.projections.board import Board, Marks

FIX, TRADES, MID, ASK = "fix", "trades", "mid", "ask"
ALWAYS_NS = 1 << 63


class Top(NamedTuple):
    """Best prices in micro-yuan, 0 where a side is empty, and the lots that stand at them."""

    bid_micro: int = 0
    bid_lots: int = 0
    ask_micro: int = 0
    ask_lots: int = 0

    @property
    def mid_micro(self) -> int:
        """The middle; 0 where a side is empty."""
        return div_half_even(self.bid_micro + self.ask_micro, 2) if self.bid_micro and self.ask_micro else 0


NO_TOP = Top()


class Point(NamedTuple):
    """One period's price. as_of_ns: when the fix was set or the newest trade made, of a quote when it was looked at."""

    price_micro: int
    source: str
    grade: str  # of a fix
    as_of_ns: int
    until_ns: int = ALWAYS_NS  # until then it stays as it is, if nothing happens


def point_of(marks: Marks | None, top: Top, now_ns: int) -> Point | None:
    """The point of one period; None where nothing says anything."""
    if marks is not None and marks.grade:
        return Point(marks.fix_micro, FIX, marks.grade, marks.fixed_ns)
    average = marks.average(now_ns) if marks is not None else None
    if average is not None:
        return Point(average.price_micro, TRADES, "", average.newest_ns, average.until_ns)
    if top.mid_micro:
        return Point(top.mid_micro, MID, "", now_ns)
    return Point(top.ask_micro, ASK, "", now_ns) if top.ask_micro else None


def top_of(v: Venue, family: int, period: int) -> Top:
    """The best prices of a book whose gate is ahead; none of any other."""
    if v.periods.gate(period) <= v.now_ns:
        return NO_TOP
    bid, bid_lots, ask, ask_lots = v.core.top(book_id(family, period))
    tick = v.settings.tick_micro
    return Top(bid * tick, bid_lots, ask * tick, ask_lots)


def listed(v: Venue) -> range:
    """The periods of a curve: from the running one to the last listed one."""
    running = v.periods.at(v.now_ns)
    return range(running, running + v.settings.horizon_periods + 1)


def points(v: Venue, board: Board, family: str) -> dict[int, Point]:
    """The curve of a family as of the venue's time, by period; KeyError where it is not listed."""
    number = v.family_numbers[family]
    found = {
        period: point_of(board.marks(family, v.periods.code(period)), top_of(v, number, period), v.now_ns)
        for period in listed(v)
    }
    return {period: point for period, point in found.items() if point is not None}
