"""The tape: every trade in order, what became of its obligations, the fixes and the tariffs that trades refer to."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from exchange.domain.commands import SetTariff
from exchange.domain.events import FixSet, MadeUp, Refused, Traded
from exchange.domain.events_settlement import BoughtIn, TradeAdjusted, TradeBusted


class InstrumentParts(NamedTuple):
    """`chip/region/class/power/period`, taken apart."""

    chip: str
    region: str
    latency_class: str
    power: str
    period: str


def instrument_parts(code: str) -> InstrumentParts:
    """The parts of an instrument code; never fails, even for a region with a slash in its name."""
    family, latency_class, power, period = code.rsplit("/", 3)
    chip, _, region = family.partition("/")
    return InstrumentParts(chip, region, latency_class, power, period)


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade: its id is (seq, index among the trades of that command)."""

    seq: int
    index: int
    time_ns: int
    fact: Traded


class Correction(NamedTuple):
    """A trade that was busted, or given another price; its obligation leads to it."""

    seq: int
    time_ns: int
    fact: TradeBusted | TradeAdjusted


class Tape:
    """Trades, fixes (the last one per instrument) and tariffs by version.

    `by_obligation` leads from any obligation, made-up ones included, to the trade that it goes back to.
    """

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.by_obligation: dict[int, Trade] = {}
        self.made_up: dict[int, MadeUp] = {}  # by the new obligation
        self.covers: dict[int, int] = {}  # obligation bought by a buy-in -> the one that failed
        self.corrections: list[Correction] = []
        self.busted: set[int] = set()  # obligations of trades that are none any more
        self._adjusted: dict[int, int] = {}  # obligation -> its price now
        self.fixes: dict[str, FixSet] = {}
        self.tariffs: dict[int, SetTariff] = {}
        self.notional_micro = 0

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Keeps the trades and fixes of a command; O(events)."""
        if type(command) is SetTariff and type(events[0]) is not Refused:
            self.tariffs[command.version] = command
        index = 0
        for event in events:
            kind = type(event)
            if kind is Traded:
                trade = Trade(seq, index, ts_ns, event)
                self.trades.append(trade)
                self.by_obligation[event.obligation_id] = trade
                self.notional_micro += event.cost_micro
                index += 1
            elif kind is MadeUp:
                self.made_up[event.obligation_id] = event
                self.by_obligation[event.obligation_id] = self.by_obligation[event.instead_of]
            elif kind is FixSet:
                self.fixes[event.instrument] = event
            elif kind is BoughtIn:
                self.covers.update(dict.fromkeys(event.covers, event.obligation_id))
            elif kind is TradeBusted or kind is TradeAdjusted:
                self.corrections.append(Correction(seq, ts_ns, event))
                if kind is TradeBusted:
                    self.busted.add(event.obligation_id)
                else:
                    self._adjusted[event.obligation_id] = event.price_micro

    def price_micro(self, obligation: int) -> int:
        """What an obligation was sold for, as it was corrected; of made-up lots that of the trade they go back to."""
        fact = self.by_obligation[obligation].fact
        return self._adjusted.get(fact.obligation_id, fact.price_micro)

    def instrument(self, obligation: int) -> str:
        """The instrument that an obligation delivers: its trade's, or that of the later period which makes it up."""
        made_up = self.made_up.get(obligation)
        return made_up.instrument if made_up else self.by_obligation[obligation].fact.instrument

    @property
    def count(self) -> int:
        """Trades so far."""
        return len(self.trades)
