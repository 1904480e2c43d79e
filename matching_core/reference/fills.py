"""A task buys: it looks for a route, and the whole route is booked at once, data first, then leg by leg.

Rules kept here: K2 (all legs in one command), K3 (never above the limit), MB2, RT7 (gigabytes are taken from the links),
HM1, HM3 (a purchase moves cost and fee HELD to ESCROW; what is over is freed with the last one), RT1, EM2.
"""

from collections.abc import Iterator

from ..enums import Bucket, Kind, Power, Shape, Side
from ..invariants import need
from ..limits import MAX_PRICE_TICKS
from ..views import Route, RoutePart
from . import blocks
from .asks import charge, twelfths, usable_asks, walk_asks
from .bits import BLOCK, TAKE
from .book import Book
from .market import Task, book_of, family_of, period_of
from .queue import after_fill, close_if_idle
from .routing import find_route
from .state import LiveOrder, fee_micro
from .waiting import tell
from .windows import ready_period


def try_task(engine, task: Task, families: set[int] | None = None) -> bool:
    """One try over some families (None = all that fit); a bulk task goes on while there is a plan. Whether it bought."""
    has_bought = False
    while not is_done(task):
        route = find_route(engine, task.terms, task.terms.account, task, task.limit_micro, families)
        if route is None:
            break
        _book(engine, task, route)
        has_bought = True
    return has_bought


def is_done(task: Task) -> bool:
    """Whether the task has all that it wants."""
    return task.filled == task.target


def _book(engine, task: Task, route: Route) -> None:
    """K2: the whole route, one event after the other."""
    is_bulk = task.terms.shape == Shape.BULK
    is_last = not is_bulk or task.filled + route.lot_periods == task.target
    _move_data(engine, task, route)
    compute_before = task.notional_micro
    for part, period in _legs(route, is_bulk):
        _buy_from_block(engine, task, part, period) if part.block_id else _buy_asks(engine, task, part, period)
    for block_id in dict.fromkeys(part.block_id for part in route.parts if part.block_id):
        offer = engine.market.blocks[block_id]
        if not blocks.close_if_over(engine, offer):
            engine.market.mark_residues(offer)
    if is_last:
        engine.market.leave(task)
    task.filled = task.target if is_last else task.filled + route.lot_periods
    compute = task.notional_micro - compute_before
    need(compute == route.compute_micro, f"K3: task {task.terms.order_id} paid {compute}, not {route.compute_micro}")
    need(task.spent_micro <= task.limit_micro, f"K3: task {task.terms.order_id} spends more than its limit")
    freed = task.held_micro if is_last else 0
    engine.ledger.resize_hold(task.terms.account, -freed)
    first, first_period = next(_legs(route, is_bulk))
    tell(engine, Kind.TASK_FILLED, task, book=book_of(first.family, first_period), price=compute, qty=route.lot_periods,
         leaves=task.target - task.filled, contra_leaves=freed)  # fmt: skip


def _legs(route: Route, is_bulk: bool) -> Iterator[tuple[RoutePart, int]]:
    """Source by source, each by period; a bulk plan as it stands."""
    if is_bulk:
        yield from zip(route.parts, route.periods, strict=True)
    else:
        yield from ((part, period) for part in route.parts for period in route.periods)


def _move_data(engine, task: Task, route: Route) -> None:
    """RT7: the gigabytes are promised and paid for, once for each region that does not have them."""
    market, terms = engine.market, task.terms
    moved_micro = 0
    regions = dict.fromkeys(market.families[part.family].region for part in route.parts)
    ready = {}  # when the data will be there, as it is before the links are taken
    for region in regions if terms.data_mb and terms.shape == Shape.BULK else ():
        if region not in task.moved:
            ready[region] = max(0, ready_period(engine, terms, region) or 0)
    for region in regions:
        if market.uses_link(terms, region, task.moved):
            link = market.links[terms.data_region, region]
            cost = link.cost_micro(terms.data_mb)
            for period, data_mb in market.promises(terms.data_region, region, terms.data_mb, engine.now_ns):
                key = (terms.data_region, region, period)
                market.link_loads[key] = market.link_loads.get(key, 0) + data_mb
            _pay(engine, task, cost)
            engine.emit(Kind.DATA_MOVED, book=region, order_id=terms.order_id, contra_id=terms.account, price=terms.data_mb,
                        qty=cost, leaves=link.delay_ns(terms.data_mb))  # fmt: skip
            moved_micro += cost
    task.moved |= ready
    need(moved_micro == route.moving_micro, f"K3: task {terms.order_id} moves for {moved_micro}, not {route.moving_micro}")


def _buy_asks(engine, task: Task, part: RoutePart, period: int) -> None:
    """One leg from the asks of one site in one book; a bulk leg names its ask."""
    book = engine.open_books[book_of(part.family, period)]
    if part.ask_id:
        fills = [(engine.live[part.ask_id], part.lots)]
    else:
        asks = usable_asks(engine, task.terms, task.terms.account, part.account, book)
        fills = walk_asks(asks, MAX_PRICE_TICKS, part.lots) or []
    for ask, lots in fills:
        _buy_ask(engine, task, ask, book, lots)


def _buy_ask(engine, task: Task, ask: LiveOrder, book: Book, lots: int) -> None:
    ask.leaves -= lots
    _settle(engine, task, book, ask.account, ask.order_id, ask.price, lots, ask.leaves, 0)
    after_fill(engine, ask, book, lots)
    close_if_idle(engine, book)


def _buy_from_block(engine, task: Task, part: RoutePart, period: int) -> None:
    """MB2: one leg from a block offer, at that period's price."""
    offer = engine.market.blocks[part.block_id]
    price = offer.residues[period][0]
    left = blocks.take(engine, offer, period, part.lots)
    book = engine.open_books[book_of(part.family, period)]
    _settle(engine, task, book, offer.account, offer.order_id, price, part.lots, left, BLOCK)


def _settle(
    engine, task: Task, book: Book, seller: int, source: int, price: int, lots: int, left: int, flags: int
) -> None:
    """The money and capacity of one fill, and its two events."""
    terms = task.terms
    k = 12 if flags & BLOCK else twelfths(engine, terms, period_of(book.book))  # block offers charge whole periods
    cost = charge(price, lots, book.value_micro, k)
    fee = fee_micro(task.fee_ppm, task.notional_micro + cost) - fee_micro(task.fee_ppm, task.notional_micro)
    task.notional_micro += cost
    if terms.shape == Shape.BULK and engine.market.families[family_of(book.book)].power == Power.GRID:
        task.grid_filled += lots
    _pay(engine, task, cost, fee)
    about = {"side": Side.BUY, "flags": TAKE | flags, "book": book.book, "order_id": terms.order_id}
    engine.emit(Kind.TRADE, contra_id=source, price=price, qty=lots, contra_leaves=left, **about)
    engine.emit(Kind.POSTED, contra_id=terms.account, price=fee, qty=cost, contra_leaves=seller, **about)
    engine.ledger.count_trade(terms.account, seller, book.book, book.group, lots)


def _pay(engine, task: Task, cost_micro: int, fee_micro: int = 0) -> None:
    """HM1: what a task buys moves from its hold into ESCROW."""
    task.spent_micro += cost_micro
    entry = engine.ledger.accounts[task.terms.account]
    entry.purses[Bucket.HELD] -= cost_micro + fee_micro
    entry.purses[Bucket.ESCROW] += cost_micro + fee_micro
    entry.order_holds -= cost_micro + fee_micro
