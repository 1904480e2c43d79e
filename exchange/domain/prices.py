"""The fix of one instrument from its trades (DI4): a volume-weighted median that no single pair can carry."""

from collections import Counter
from dataclasses import dataclass

from exchange.domain.units import NS_PER_HOUR, div_half_even

GRADE_A_WINDOW_NS = 3 * NS_PER_HOUR
GRADE_B_WINDOW_NS = 24 * NS_PER_HOUR
MIN_FIRMS = 3
MIN_LOTS = 30
HALF_SPREAD_PPM = 10_000  # grade C: best ask less 1 %


@dataclass(frozen=True, slots=True)
class Print:
    """One trade as the fix sees it: price in ticks, firms by number."""

    time_ns: int
    price_ticks: int
    lots: int
    buyer_firm: int
    seller_firm: int


def fix_ticks(prints: list[Print], gate_ns: int, best_ask_ticks: int) -> tuple[int, str] | None:
    """(price in ticks, grade) at the gate, None where nothing says anything.

    A: enough firms and lots in the last 3 hours. B: the same over 24 hours. C: the best ask less a half-spread, else the
    median of what there was.
    """
    for window_ns, grade in ((GRADE_A_WINDOW_NS, "A"), (GRADE_B_WINDOW_NS, "B")):
        chosen = [p for p in prints if p.time_ns > gate_ns - window_ns and p.buyer_firm != p.seller_firm]
        if _is_broad(chosen):
            return weighted_median(chosen), grade
    if best_ask_ticks:
        return max(1, best_ask_ticks - div_half_even(best_ask_ticks * HALF_SPREAD_PPM, 1_000_000)), "C"
    rest = [p for p in prints if p.buyer_firm != p.seller_firm]
    return (weighted_median(rest), "C") if rest else None


def _is_broad(prints: list[Print]) -> bool:
    buyers, sellers = {p.buyer_firm for p in prints}, {p.seller_firm for p in prints}
    return len(buyers) >= MIN_FIRMS and len(sellers) >= MIN_FIRMS and sum(p.lots for p in prints) >= MIN_LOTS


def weighted_median(prints: list[Print]) -> int:
    """Lower weighted median of the prices; the weight of one buyer-seller pair is at most a third of all lots."""
    pair_lots: Counter = Counter()
    for p in prints:
        pair_lots[p.buyer_firm, p.seller_firm] += p.lots
    total = sum(pair_lots.values())
    weights: Counter = Counter()
    for p in prints:
        lots_of_pair = pair_lots[p.buyer_firm, p.seller_firm]
        weights[p.price_ticks] += p.lots * min(3 * lots_of_pair, total) * 1_000_000 // lots_of_pair
    half, run = sum(weights.values()), 0
    for ticks in sorted(weights):
        run += weights[ticks]
        if 2 * run >= half:
            return ticks
    raise AssertionError("no prints")
