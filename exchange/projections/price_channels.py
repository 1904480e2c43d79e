"""The socket's channels `prices` and `curve`: what the board and the books say, looked at at most once a second.

Both tell instruments of one family: all of them in a snapshot, those that changed in a delta. What has nothing to tell any
more (its period is over, or its book is empty and it never traded) is told once with nulls.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from exchange.domain.instrument import book_id
from exchange.domain.units import div_half_even
from exchange.domain.venue import Venue
from exchange.projections.board import Board
from exchange.projections.curve import ALWAYS_NS, ASK, MID, NO_TOP, Point, Top, listed, point_of, top_of
from exchange.projections.indices import GFLOPS_PER_PFLOPS
from exchange.protocol import answers_prices as a
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures
from exchange.protocol.stream import CurveData, PricesData

MOST_VIEWS = 1024  # of each channel, for all sockets together
ALL = "*"
T = TypeVar("T")


class _FamilyWatch(ABC, Generic[T]):
    """Something of every period of a family, or of one, as it was last told."""

    period = None  # it stays: behind a gate there are still fixes, and trades of the emergency lane

    def __init__(self, v: Venue, m: Measures, board: Board, family: str, only: int | None = None) -> None:
        """only: of this period alone."""
        self._venue, self._measures, self._board, self._family, self._only = v, m, board, family, only
        self._number = v.family_numbers[family]
        self._told: dict[int, T] = {}
        self._seen: tuple[int, range] = (-1, range(0))
        self._books: frozenset[int] = frozenset()
        self._until_ns = 0
        self._look(set())

    def _look(self, touched: set[int]) -> list[int]:
        """The periods that changed since the last look."""
        v, periods = self._venue, listed(self._venue)
        seen = (self._board.version(self._family), periods)
        if seen == self._seen and v.now_ns < self._until_ns and touched.isdisjoint(self._books):
            return []
        if periods != self._seen[1]:
            self._books = frozenset(book_id(self._number, period) for period in periods)
        self._seen, self._until_ns = seen, ALWAYS_NS
        before, self._told = self._told, {}
        for period in periods:
            value = self._value(period, before.get(period)) if self._only in (None, period) else None
            if value is not None:
                self._told[period] = value
        return sorted(p for p in before.keys() | self._told.keys() if before.get(p) != self._told.get(p))

    @abstractmethod
    def _value(self, period: int, before: T | None) -> T | None:
        """What is to be told of a period now; None for nothing."""

    def _top(self, period: int) -> Top:
        if self._venue.periods.gate(period) > self._venue.now_ns:
            self._until_ns = min(self._until_ns, self._venue.periods.gate(period))
        return top_of(self._venue, self._number, period)

    def _named(self, period: int) -> dict[str, str]:
        grid = self._venue.periods
        return {
            "instrument": f"{self._family}/{grid.code(period)}",
            "period_start": self._measures.time_text(grid.start(period)),
        }


# --- the forward curve ---


class CurveWatch(_FamilyWatch[Point]):
    """The curve of one family."""

    def look(self, touched: set[int]) -> CurveData | None:
        """The points that changed; price null where there is none any more."""
        changed = self._look(touched)
        return CurveData(items=tuple(self._answer(period) for period in changed)) if changed else None

    def everything(self) -> CurveData:
        """All points as of the last look."""
        return CurveData(items=tuple(self._answer(period) for period in sorted(self._told)))

    def _value(self, period: int, before: Point | None) -> Point | None:
        """A quote that is still the same is as old as it was."""
        v = self._venue
        found = point_of(self._board.marks(self._family, v.periods.code(period)), self._top(period), v.now_ns)
        if found is None:
            return None
        self._until_ns = min(self._until_ns, found.until_ns)
        is_quote = found.source in (MID, ASK)
        if is_quote and before is not None and before[:3] == found[:3]:
            return before
        return found

    def _answer(self, period: int) -> a.CurvePoint:
        point, m = self._told.get(period), self._measures
        if point is None:
            return a.CurvePoint(**self._named(period), price=None, source="", grade="", as_of=None, per_pflops_hour=None)
        gflops = self._venue.state.catalogue.chips[self._venue.state.families[self._number - 1].chip].fp16_gflops
        per_pflops = div_half_even(point.price_micro * GFLOPS_PER_PFLOPS, gflops) if gflops else 0
        return a.CurvePoint(
            **self._named(period), price=m.yuan(point.price_micro), source=point.source, grade=point.grade,
            as_of=m.time_text(point.as_of_ns), per_pflops_hour=m.yuan(per_pflops) if per_pflops else None,
        )  # fmt: skip


# --- prices of instruments ---


class _Price(NamedTuple):
    """What there is of one instrument, in the order of answers_prices.InstrumentPrice; 0 and "" where there is none."""

    top: Top
    last_micro: int = 0
    last_lots: int = 0
    last_ns: int = 0
    vwap_micro: int = 0
    lots: int = 0
    trades: int = 0
    fix_micro: int = 0
    grade: str = ""


class PricesWatch(_FamilyWatch[_Price]):
    """Prices of one instrument, or of all those of a family."""

    def look(self, touched: set[int]) -> PricesData | None:
        """The instruments that changed."""
        changed = self._look(touched)
        return PricesData(items=tuple(self._answer(period) for period in changed)) if changed else None

    def everything(self) -> PricesData:
        """All instruments of which there is anything, as of the last look."""
        return PricesData(items=tuple(self._answer(period) for period in sorted(self._told)))

    def _value(self, period: int, before: _Price | None) -> _Price | None:
        marks, top = self._board.marks(self._family, self._venue.periods.code(period)), self._top(period)
        if marks is None:
            return _Price(top) if top != NO_TOP else None
        last = marks.last
        return _Price(
            top, last.price_micro if last else 0, last.lots if last else 0, last.ts_ns if last else 0, marks.vwap_micro,
            marks.lots, marks.trades, marks.fix_micro, marks.grade,
        )  # fmt: skip

    def _answer(self, period: int) -> a.InstrumentPrice:
        m, price = self._measures, self._told.get(period, _Price(NO_TOP))
        top = price.top

        def yuan(micro: int) -> str | None:
            return m.yuan(micro) if micro else None

        return a.InstrumentPrice(
            **self._named(period), bid=yuan(top.bid_micro), bid_cards=m.cards_text(top.bid_lots) if top.bid_lots else None,
            ask=yuan(top.ask_micro), ask_cards=m.cards_text(top.ask_lots) if top.ask_lots else None,
            mid=yuan(top.mid_micro), last=yuan(price.last_micro),
            last_cards=m.cards_text(price.last_lots) if price.trades else None,
            last_ts=m.time_text(price.last_ns) if price.trades else None, vwap=yuan(price.vwap_micro),
            card_hours=m.card_hours_text(price.lots), trades=price.trades, fix=yuan(price.fix_micro), grade=price.grade,
        )  # fmt: skip


# --- the channels ---


def _last_words(steps: Sequence[Any]) -> tuple[Any, ...]:
    return tuple({item.instrument: item for step in steps for item in step.items}.values())


def _merge_curve(steps: list[CurveData]) -> CurveData:
    """Several looks as one: the last word on each period."""
    return CurveData(items=_last_words(steps))


def _merge_prices(steps: list[PricesData]) -> PricesData:
    """Several looks as one: the last word on each instrument."""
    return PricesData(items=_last_words(steps))


class _PriceChannel:
    most = MOST_VIEWS

    def __init__(self, v: Venue, board: Board) -> None:
        """The board is fed elsewhere, with every command before it is looked at."""
        self._venue, self._board = v, board

    def on_command(self, command: Any, events: Sequence[Any]) -> None:
        """The board has taken it down already."""

    def _family(self, family: str) -> Measures:
        v = self._venue
        if v.state.settings is None:
            raise DoorError(DoorReason.NOT_FOUND, "the venue has no settings yet", hint="set_venue comes first")
        if family not in v.family_numbers:
            hint = "chip/region/class/power, as GET /v1/instruments lists them"
            raise DoorError(DoorReason.NOT_FOUND, f"family {family[:80]!r} is not listed", field="instrument", hint=hint)
        return Measures(v.settings)


class CurveChannel(_PriceChannel):
    """The curves that somebody follows; the topic is a family."""

    name = "curve"
    merge = staticmethod(_merge_curve)

    def open(self, topic: str) -> CurveWatch:
        """The curve of a family; DoorError NOT_FOUND."""
        return CurveWatch(self._venue, self._family(topic), self._board, topic)


class PricesChannel(_PriceChannel):
    """The prices that somebody follows; the topic is an instrument, or a family followed by /*."""

    name = "prices"
    merge = staticmethod(_merge_prices)

    def open(self, topic: str) -> PricesWatch:
        """The prices of an instrument or family; DoorError NOT_FOUND, also for a period that is over or not listed yet."""
        family, _, code = topic.rpartition("/")
        measures = self._family(family)
        if code == ALL:
            return PricesWatch(self._venue, measures, self._board, family)
        period = self._venue.periods.parse(code)
        if period is None or period not in listed(self._venue):
            told = f"period {code[:20]!r} is over or not listed yet"
            raise DoorError(DoorReason.NOT_FOUND, told, field="instrument", hint="or a family followed by /*")
        return PricesWatch(self._venue, measures, self._board, family, only=period)
