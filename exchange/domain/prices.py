"""The fix of one instrument (DI4), as pure integer functions: who counts, with what weight, at which price.

The weight of one pair of firms is at most a third of all weights after the cap. With pairs of w1 >= w2 >= w3 ... lots, the
cap is the largest number c for which c <= (min(w1, c) + min(w2, c) + ...) / 3:

* w1, where 3 w1 <= w1 + w2 + ...;
* else (w2 + w3 + ...) / 2, where that is w2 or more;
* else w3 + w4 + ...

So it never binds more than two pairs (with three, all become equal), and it exists from three pairs on. A pair is two
firms, whichever of them buys. All weights are whole numbers over one denominator: nothing is rounded before the median.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from exchange.domain.fix_memory import moved_micro, shift_ppm, shifted
from exchange.domain.units import NS_PER_HOUR, PPM, div_half_even

GRADE_A_WINDOW_NS = 3 * NS_PER_HOUR
GRADE_B_WINDOW_NS = 24 * NS_PER_HOUR
MIN_FIRMS = 3  # on each side, for grades A and B
MIN_PAIRS = 3  # with fewer the cap of a third cannot be kept

TRADES, DAY, NEARBY, ASK, INDEX, THIN = "trades", "day", "neighbours", "ask", "index", "thin"
GRADE_OF = {TRADES: "A", DAY: "B", NEARBY: "B", ASK: "C", INDEX: "C", THIN: "C"}


@dataclass(frozen=True, slots=True)
class Print:
    """One trade as the fix sees it: price in ticks, firms by number, and the obligation that it made."""

    time_ns: int
    price_ticks: int
    lots: int
    buyer_firm: int
    seller_firm: int
    number: int = 0

    @property
    def pair(self) -> tuple[int, int]:
        """The two firms, whichever of them buys."""
        return min(self.buyer_firm, self.seller_firm), max(self.buyer_firm, self.seller_firm)


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the family: how far from the fixed one, its best ask (0 = none), its trades of the last 24 hours."""

    offset: int
    ask_ticks: int
    prints: tuple[Print, ...]


@dataclass(frozen=True, slots=True)
class FixInputs:
    """All that a fix is made from; the index's part is read for grade C alone."""

    instrument: str
    gate_ns: int
    tick_micro: int
    min_lots: int
    half_spread_ppm: int
    own: Hour
    nearby: tuple[Hour, ...] = ()
    previous_micro: int = 0  # of the family; 0 = there is none
    previous_level: int = 0  # of the region's index then
    level: int = 0  # of the region's index now


@dataclass(frozen=True, slots=True)
class Found:
    """A fix and how it was found: `used` are the prints at the prices they stood in with, each with its weight."""

    price_ticks: int
    method: str
    used: tuple[tuple[Print, int], ...] = ()
    weight_of_lot: int = 0  # of one that no cap has cut

    @property
    def grade(self) -> str:
        """A, B or C."""
        return GRADE_OF[self.method]


def by_trades(inputs: FixInputs) -> Found | None:
    """Grade A or B, None where trades do not suffice. O(prints log prints)."""
    if len(inputs.own.prints) + sum([len(hour.prints) for hour in inputs.nearby]) < MIN_FIRMS:
        return None  # not enough for so many firms a side
    for window_ns, method in ((GRADE_A_WINDOW_NS, TRADES), (GRADE_B_WINDOW_NS, DAY)):
        chosen = within(inputs.own.prints, inputs.gate_ns, window_ns)
        if is_broad(chosen, inputs.min_lots):
            return _median(chosen, method)
    hours = [(hour, within(hour.prints, inputs.gate_ns, GRADE_B_WINDOW_NS)) for hour in (inputs.own, *inputs.nearby)]
    if not is_broad([p for _, prints in hours for p in prints], inputs.min_lots):
        return None
    return _median([moved for hour, prints in hours for moved in _shifted(inputs, hour, prints)], NEARBY)


def without_trades(inputs: FixInputs) -> Found | None:
    """Grade C: the ask, else the index, else what little was traded; None where nothing says anything."""
    if inputs.own.ask_ticks:
        return Found(ask_less_half_spread(inputs.own.ask_ticks, inputs.half_spread_ppm), ASK)
    if inputs.previous_micro:
        moved = moved_micro(inputs.previous_micro, inputs.previous_level, inputs.level, inputs.tick_micro)
        return Found(moved // inputs.tick_micro, INDEX)
    chosen = within(inputs.own.prints, inputs.gate_ns, GRADE_B_WINDOW_NS)
    return _median(chosen, THIN) if chosen else None


def ask_less_half_spread(ask_ticks: int, half_spread_ppm: int) -> int:
    """In whole ticks, at least one."""
    return max(1, ask_ticks - div_half_even(ask_ticks * half_spread_ppm, PPM))


def within(prints: Sequence[Print], gate_ns: int, window_ns: int) -> list[Print]:
    """The trades between two firms in the window before a gate."""
    return [p for p in prints if gate_ns - window_ns < p.time_ns and p.buyer_firm != p.seller_firm]


def _shifted(inputs: FixInputs, hour: Hour, prints: Sequence[Print]) -> list[Print]:
    """Prints of an hour at the prices to which the curve moves them."""
    by_ppm = shift_ppm(inputs.own.ask_ticks, hour.ask_ticks) if hour.offset else PPM
    return [replace(p, price_ticks=shifted(p.price_ticks, by_ppm)) for p in prints]


def is_broad(prints: Sequence[Print], min_lots: int) -> bool:
    """Enough firms on both sides, pairs, and lots after the cap."""
    if len(prints) < MIN_FIRMS:
        return False
    buyers, sellers = {p.buyer_firm for p in prints}, {p.seller_firm for p in prints}
    if min(len(buyers), len(sellers)) < MIN_FIRMS:
        return False
    pairs = lots_of_pairs(prints)
    if len(pairs) < MIN_PAIRS:
        return False
    cap = twice_cap(list(pairs.values()))
    return sum(min(2 * lots, cap) for lots in pairs.values()) >= 2 * min_lots


def lots_of_pairs(prints: Sequence[Print]) -> Counter[tuple[int, int]]:
    """Lots traded between each two firms."""
    found: Counter[tuple[int, int]] = Counter()
    for p in prints:
        found[p.pair] += p.lots
    return found


def twice_cap(lots: Sequence[int]) -> int:
    """Twice the most lots that one pair counts with (the cap may be a half); of one or two pairs, those of the smaller."""
    sizes = sorted(lots, reverse=True)
    total = sum(sizes)
    if len(sizes) < MIN_PAIRS:
        return 2 * sizes[-1]
    if 3 * sizes[0] <= total:
        return 2 * sizes[0]
    if total - sizes[0] >= 2 * sizes[1]:
        return total - sizes[0]
    return 2 * (total - sizes[0] - sizes[1])


def weights(prints: Sequence[Print]) -> tuple[list[int], int]:
    """One whole number per print, and that of an uncut lot: lots, those of a pair above the cap cut in proportion."""
    pairs = lots_of_pairs(prints)
    cap = twice_cap(list(pairs.values()))
    denominator = 1
    for lots in pairs.values():
        if 2 * lots > cap:
            denominator *= lots
    of_lot = {pair: min(2 * lots, cap) * denominator // lots for pair, lots in pairs.items()}  # exact: see above
    return [p.lots * of_lot[p.pair] for p in prints], 2 * denominator


def _median(prints: list[Print], method: str) -> Found:
    given, of_lot = weights(prints)
    used = tuple(sorted(zip(prints, given, strict=True), key=lambda item: (item[0].price_ticks, item[0].number)))
    return Found(lower_median([(p.price_ticks, weight) for p, weight in used]), method, used, of_lot)


def lower_median(weighted: Sequence[tuple[int, int]]) -> int:
    """The least price at or below which at least half of all weight lies."""
    total, run = sum(weight for _, weight in weighted), 0
    for ticks, weight in sorted(weighted):
        run += weight
        if 2 * run >= total:
            return ticks
    raise AssertionError("no prints")
