"""What a task may buy from: the plain asks of one site in one family, or one block offer; and what a period costs there.

Rules kept here: RT6 (not the own firm, not outside the bands, only books that trade; hidden size counts), BB1, MQ2, EM2 and
EM4 (what an emergency book takes and charges), MB2, MB3 (how little may be bought from a block offer).
"""

from typing import Any, NamedTuple

from ..enums import FixGrade, Side, TaskFlag
from ..limits import MAX_PRICE_TICKS
from ..task_records import TaskTerms
from . import bands
from .asks import charge, sells_to, takeable_book, twelfths, walk_asks
from .bits import INDIVISIBLE
from .book import Book
from .market import BlockOffer
from .state import LiveOrder
from .windows import Eligible, Window

NONE = -1  # the cost of what cannot be bought

Shelf = list[list[LiveOrder]]  # by period: what one site asks there, best first; empty where it asks nothing


class Try(NamedTuple):
    """One search: for whom, for what, and how much it may cost."""

    engine: Any
    terms: TaskTerms
    account: int  # the buyer's
    limit_micro: int
    offers: dict[int, list[BlockOffer]]  # by family: the block offers that it may use


class Source(NamedTuple):
    """MB2: one site's plain asks in one family, or one block offer; never both."""

    eligible: Eligible
    account: int  # the site's
    offer: BlockOffer | None = None


class Stall(NamedTuple):
    """How one book sells to a task: the prices it may take, and what a tick and lot cost."""

    book: Book
    low: int
    high: int
    twelfths: int  # EM2: of the period that are left; 12 of one that has not begun

    def charge(self, price: int, lots: int) -> int:
        """EM2: what one fill costs."""
        return charge(price, lots, self.book.value_micro, self.twelfths)


# --- books ---


def stalls(t: Try, family: int, window: Window) -> list[Stall | None]:
    """How the books of a family sell, by period from the first of the window; None where one does not."""
    return [stall(t, family, period) for period in range(window.first, window.end)]


def stall(t: Try, family: int, period: int) -> Stall | None:
    """RT6, EM1, EM2: how one book sells to this task; None where it does not."""
    book = takeable_book(t.engine, t.terms.lane, family, period)
    if book is None:
        return None
    left = twelfths(t.engine, t.terms, period)
    return Stall(book, *price_edges(book), left) if left else None


def price_edges(book: Book) -> tuple[int, int]:
    """RT6, B1, EM4: the lowest and the highest price that a task takes here, both inside."""
    rules = book.rules
    low, high = 1, MAX_PRICE_TICKS
    for base, ppm in ((rules.reference, rules.static_ppm), (bands.dynamic_base(rules), rules.dynamic_ppm)):
        if base and ppm:
            low, high = max(low, bands.lower_edge(base, ppm)), min(high, bands.upper_edge(base, ppm))
    if rules.is_gated and rules.grade in (FixGrade.A, FixGrade.B):
        high = min(high, 2 * rules.fix)
    return low, high


# --- plain asks ---


def shelves(t: Try, family_stalls: list[Stall | None]) -> dict[int, Shelf]:
    """RT6, BB1: per site the asks in these books that this task may take; minima are not looked at. O(asks)."""
    needed = needed_flags(t.terms)
    found: dict[int, Shelf] = {}
    barred: set[int] = set()
    for place, here in enumerate(family_stalls):
        if here is None:
            continue
        levels = here.book.sides[Side.SELL]
        for price in levels:
            if price > here.high:
                break
            if price < here.low:
                continue
            for ask in levels[price].values():
                if ask.flags & needed != needed or ask.account in barred:
                    continue
                shelf = found.get(ask.account)
                if shelf is not None:
                    shelf[place].append(ask)
                elif sells_to(t.engine, ask.account, t.account):
                    found[ask.account] = [[] for _ in family_stalls]
                    found[ask.account][place].append(ask)
                else:
                    barred.add(ask.account)
    return found


def needed_flags(terms: TaskTerms) -> int:
    """BB1: a task without checkpoints buys only what is marked indivisible."""
    return INDIVISIBLE if terms.flags & TaskFlag.INDIVISIBLE else 0


def cost_of(asks: list[LiveOrder], here: Stall, lots: int) -> int:
    """Micro-yuan for so many lots of these asks; NONE where they offer less (MQ2)."""
    best = asks[0]
    if best.leaves >= lots >= best.minimum:  # mostly the first has enough
        return here.charge(best.price, lots)
    if len(asks) == 1:
        return NONE
    fills = walk_asks(asks, MAX_PRICE_TICKS, lots)
    return NONE if fills is None else sum(here.charge(ask.price, taken) for ask, taken in fills)


def ask_costs(shelf: Shelf, family_stalls: list[Stall | None], lots: int) -> list[int]:
    """By period: what so many lots of one site's asks cost; NONE where it does not offer them."""
    return [
        cost_of(asks, here, lots) if asks and here else NONE
        for asks, here in zip(shelf, family_stalls, strict=True)
    ]


# --- block offers ---


def offers_for(engine, terms: TaskTerms, account: int) -> dict[int, list[BlockOffer]]:
    """RT6, BB1: by family, the block offers that a task of this buyer may use."""
    found: dict[int, list[BlockOffer]] = {}
    needed = needed_flags(terms)
    for offer in engine.market.blocks.values():
        if offer.flags & needed == needed and sells_to(engine, offer.account, account):
            found.setdefault(offer.family, []).append(offer)
    return found


def offer_costs(offer: BlockOffer, family_stalls: list[Stall | None], first: int, lots: int) -> list[int]:
    """By period from first: what so many lots of a block offer cost; NONE where so much is not left."""
    costs = []
    for period, here in enumerate(family_stalls, first):
        price, there = offer.residues.get(period, (0, 0))
        costs.append(price * lots * here.book.value_micro if here and there >= lots else NONE)
    return costs


def is_fill_allowed(t: Try, offer: BlockOffer, run: range, lots: int) -> bool:
    """MB3 and the notice, for a run of which every period has so many lots left."""
    return is_noticed(t, offer, run[0]) and lots >= least_lots(offer, run) and is_long_enough(offer, run)


def is_noticed(t: Try, offer: BlockOffer, start: int) -> bool:
    """Whether a start leaves the notice that the offer asks for."""
    return t.engine.market.grid.start(start) - offer.notice_ns > t.engine.now_ns


def least_lots(offer: BlockOffer, run: range) -> int:
    """MB3: the fewest lots that a run may take: the minimum, or the whole residue of the period that has least."""
    return min(offer.min_lots, smallest_residue(offer, run))


def smallest_residue(offer: BlockOffer, run: range) -> int:
    """What the period with least has left; every period of the run has something."""
    return min(offer.residues[period][1] for period in run)


def is_long_enough(offer: BlockOffer, run: range) -> bool:
    """MB3: the minimum of periods, or all that is left there."""
    return len(run) >= offer.min_periods or not (offer.is_left(run[0] - 1) or offer.is_left(run[-1] + 1))
