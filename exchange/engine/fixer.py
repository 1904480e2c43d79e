"""The fixes that are due (DI4): gathers what each is made from out of the venue and its trades, and has them made.

Trades are remembered here, from `since_ns` on; everything else is read off the venue, whose state holds curve and indices.
So two fixers that were told the same trades since then say the same, however long they have been running. In one period
those of grade A and B come first: they move the regions' indices, by which some of grade C are made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from exchange.domain.commands import SetFix
from exchange.domain.fix_memory import NEIGHBOURS, FixMemory
from exchange.domain.fix_text import inputs_hash
from exchange.domain.instrument import book_id, split_book
from exchange.domain.prices import GRADE_B_WINDOW_NS, FixInputs, Found, Hour, Print, by_trades, without_trades
from exchange.domain.venue import Venue

_NEARBY = [offset for offset in range(-NEIGHBOURS, NEIGHBOURS + 1) if offset]  # that may stand in, earliest first


class TradeLike(Protocol):
    """What is read of a trade: the event Traded, or a row made from it."""

    @property
    def obligation_id(self) -> int:
        """What the trade is found by."""
        ...

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


class Work(NamedTuple):
    """One fix with what it was made from."""

    command: SetFix
    inputs: FixInputs
    found: Found


class Fixer:
    """Makes fixes for one venue, which it reads and never changes."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._prints: dict[int, list[Print]] = {}  # by book, in the order of the log
        self._traded: dict[int, int] = {}  # period -> how many of these books are of it
        self._forgotten_ns = 0  # trades before that are gone

    def remember(self, time_ns: int, trade: TradeLike) -> None:
        """A trade; one in a running hour is of the emergency lane and tells no fix anything."""
        venue = self._venue
        family, period = venue.instrument(trade.instrument)
        if time_ns >= venue.periods.gate(period):
            return
        firms = (venue.state.participants[trade.buyer].firm, venue.state.participants[trade.seller].firm)
        ticks = trade.price_micro // venue.settings.tick_micro
        told = Print(time_ns, ticks, trade.lots, *firms, trade.obligation_id)
        book = book_id(family, period)
        if book not in self._prints:
            self._prints[book] = []
            self._traded[period] = self._traded.get(period, 0) + 1
        self._prints[book].append(told)

    def since_ns(self) -> int:
        """Trades from then on are needed: a day before the first gate whose fixes may still be set. It never goes back."""
        venue = self._venue
        return min(venue.now_ns, venue.periods.gate(venue.state.settled_end)) - GRADE_B_WINDOW_NS

    def due(self, now_ns: int, lead_ns: int) -> list[Work]:
        """For the period at whose gate the clock is, and for what is owed in a period that a jump has passed."""
        grid, state = self._venue.periods, self._venue.state
        opened = grid.first_open(now_ns)
        is_at_gate = grid.gate(opened) - lead_ns <= now_ns
        known = self._traded.keys() | self._venue.obligations_of_period.keys()
        passed = {period for period in known if state.settled_end <= period < opened}
        wanted = {period: sorted(self._families(period)) for period in sorted(passed) + ([opened] if is_at_gate else [])}
        made: list[Work] = []
        if any(wanted.values()):
            memory = state.fix_memory.copy()
            made = [work for period, families in wanted.items() for work in self._of_period(period, families, memory)]
        self._forget()
        return made

    def _forget(self) -> None:
        """Trades that no fix will look at any more."""
        since_ns = self.since_ns()
        if since_ns == self._forgotten_ns:
            return
        self._forgotten_ns = since_ns
        for book in [book for book, prints in self._prints.items() if prints[0].time_ns < since_ns]:
            kept = [p for p in self._prints[book] if p.time_ns >= since_ns]
            if kept:
                self._prints[book] = kept
                continue
            del self._prints[book]
            _, period = split_book(book)
            self._traded[period] -= 1
            if not self._traded[period]:
                del self._traded[period]

    def _of_period(self, period: int, families: list[int], memory: FixMemory) -> list[Work]:
        """The fixes of one period: by trades, then the rest; each is noted in `memory`, as the venue will."""
        venue, made, rest = self._venue, [], []
        for family in families:
            inputs = self._inputs(family, period, self._hours(family, period, (0,))[0])
            found = by_trades(inputs)
            if found is None:
                inputs = self._inputs(family, period, inputs.own, self._hours(family, period, _NEARBY))
                found = by_trades(inputs)
            if found is None:
                rest.append((family, inputs))
            else:
                made.append(self._work(family, period, inputs, found, memory))
        for family, inputs in rest:
            region = venue.state.families[family - 1].region
            previous_micro, level = memory.previous(family, region)
            inputs = replace(inputs, previous_micro=previous_micro, previous_level=level, level=memory.level(region))
            found = without_trades(inputs)
            if found is not None:
                made.append(self._work(family, period, inputs, found, memory))
        return made

    def _families(self, period: int) -> Iterator[int]:
        """Those without a fix of this period that trade, ask or owe in it."""
        venue = self._venue
        obligations = venue.state.obligations
        owing = {obligations[number].family for number in venue.obligations_of_period.get(period, ())}
        is_open = venue.periods.gate(period) > venue.now_ns
        after_ns = venue.periods.gate(period) - GRADE_B_WINDOW_NS
        for family in venue.state.families:
            book = book_id(family.number, period)
            has_traded = (prints := self._prints.get(book)) and prints[-1].time_ns > after_ns
            is_wanted = family.number in owing or has_traded or (is_open and venue.core.top(book)[2])
            if is_wanted and book not in venue.state.fixes:
                yield family.number

    def _inputs(self, family: int, period: int, own: Hour, nearby: tuple[Hour, ...] = ()) -> FixInputs:
        venue, settings = self._venue, self._venue.settings
        return FixInputs(
            venue.instrument_code(family, period), venue.periods.gate(period), settings.tick_micro, settings.fix_min_lots,
            settings.fix_half_spread_ppm, own, nearby,
        )  # fmt: skip

    def _hours(self, family: int, period: int, offsets: Sequence[int]) -> tuple[Hour, ...]:
        """Hours of a family about a period: of an open one the ask is read now, of a closed one as it was at its fix."""
        venue, prints = self._venue, self._prints
        first_open, fixes = venue.periods.first_open(venue.now_ns), venue.state.fix_memory.families.get(family)
        after_ns, found = venue.periods.gate(period) - GRADE_B_WINDOW_NS, []
        for offset in offsets:
            hour = period + offset
            book = book_id(family, hour)
            if hour >= first_open:
                ask_ticks = venue.core.top(book)[2]
            else:
                ask_ticks = fixes.asks.get(hour, 0) if fixes else 0
            found.append(Hour(offset, ask_ticks, tuple(self._corrected(book, after_ns)) if book in prints else ()))
        return tuple(found)

    def _corrected(self, book: int, after_ns: int) -> Iterator[Print]:
        """The trades of a book after a time, at the prices they have now; busted ones are none."""
        corrections = self._venue.state.fix_memory.corrections
        for told in self._prints.get(book, ()):
            if told.time_ns <= after_ns:
                continue
            correction = corrections.get(told.number)
            if correction is None:
                yield told
            elif correction.price_ticks:
                yield Print(told.time_ns, correction.price_ticks, told.lots, told.buyer_firm, told.seller_firm, told.number)

    def _work(self, family: int, period: int, inputs: FixInputs, found: Found, memory: FixMemory) -> Work:
        venue = self._venue
        price_micro = found.price_ticks * inputs.tick_micro
        memory.note(
            family, venue.state.families[family - 1].region, period, venue.now_ns, price_micro, found.grade,
            ask_ticks=inputs.own.ask_ticks, tick_micro=inputs.tick_micro,
        )  # fmt: skip
        command = SetFix(inputs.instrument, price_micro, found.grade, inputs_hash(inputs, found))
        return Work(command, inputs, found)
