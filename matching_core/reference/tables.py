"""What tasks are routed by, as the venue sets it: delivery periods, families, reach and links.

Rules kept here: K1, RT7, CA1 (what is not in these tables does not exist), RT4 (what a change may make possible is marked).
"""

from ..enums import Kind, Op, Power, RejectReason
from ..limits import (
    LATENCY_CLASSES,
    MAX_CHIP,
    MAX_DATA_MB,
    MAX_FAMILIES,
    MAX_MBIT_PER_S,
    MAX_PRICE_MICRO_PER_GB,
    MAX_REGION,
    MAX_RTT_US,
)
from ..records import Command
from . import waiting
from .market import Family, Grid, Link, family_of

_MAX_COUNT = 2**32 - 1
_MAX_ORIGIN_NS = _END_OF_GATES_NS = 2**62  # so that every start and gate of a period fits 64 bits
_MIN_PERIOD_NS, _MAX_PERIOD_NS = 10**9, 2**42


def handlers(engine) -> dict:
    """Op -> what applies it."""
    table = {
        Op.SET_GRID: (_why_grid_rejected, _set_grid),
        Op.LIST_FAMILY: (_why_family_rejected, _list_family),
        Op.SET_REACH: (_why_reach_rejected, _set_reach),
        Op.SET_LINK: (_why_link_rejected, _set_link),
    }
    return {op: (lambda c, why=why, then=then: _apply(engine, c, why, then)) for op, (why, then) in table.items()}


def _apply(engine, c: Command, why_rejected, then) -> None:
    if not engine.check_funds or c.reserved:
        engine.reject(c, RejectReason.INVALID_FIELD)
    elif reason := why_rejected(engine, c):
        engine.reject(c, reason)
    else:
        then(engine, c)


def _why_grid_rejected(engine, c: Command) -> int:
    if not _MIN_PERIOD_NS <= c.aux <= _MAX_PERIOD_NS or c.client_ref > _MAX_COUNT:
        return RejectReason.INVALID_FIELD
    if not 0 <= c.price <= _MAX_ORIGIN_NS:
        return RejectReason.INVALID_PRICE
    if not 0 <= c.qty <= _MAX_COUNT:
        return RejectReason.INVALID_QTY
    if not 0 <= c.expiry_ns < _END_OF_GATES_NS:
        return RejectReason.INVALID_EXPIRY
    return RejectReason.ALREADY_EXISTS if engine.market.grid else 0


def _set_grid(engine, c: Command) -> None:
    engine.market.grid = Grid(c.price, c.aux, c.expiry_ns, c.qty, c.client_ref)
    engine.emit(Kind.GRID_SET, contra_id=c.client_ref, price=c.price, qty=c.qty, leaves=c.aux,
                contra_leaves=c.expiry_ns)  # fmt: skip


def _why_family_rejected(engine, c: Command) -> int:
    is_known = 1 <= c.book <= MAX_FAMILIES and 1 <= c.account <= MAX_CHIP and 1 <= c.aux <= MAX_REGION
    if not is_known or not 0 <= c.price < LATENCY_CLASSES or c.side > Power.GREEN:
        return RejectReason.INVALID_FIELD
    is_in_use = any(family_of(book) == c.book for book in engine.open_books)
    return RejectReason.ALREADY_EXISTS if c.book in engine.market.families or is_in_use else 0


def _list_family(engine, c: Command) -> None:
    engine.market.families[c.book] = Family(c.book, c.account, c.aux, c.price, c.side)
    waiting.find_ends(engine)
    engine.emit(Kind.FAMILY_LISTED, side=c.side, book=c.book, order_id=c.account, contra_id=c.aux, price=c.price)


def _why_reach_rejected(engine, c: Command) -> int:
    if not (1 <= c.account <= MAX_REGION and 1 <= c.book <= MAX_REGION and 0 <= c.price < LATENCY_CLASSES):
        return RejectReason.INVALID_FIELD
    return 0 if 0 <= c.qty <= MAX_RTT_US else RejectReason.INVALID_QTY


def _set_reach(engine, c: Command) -> None:
    key = (c.account, c.book, c.price)
    engine.market.reach.pop(key, None)
    if c.qty:
        engine.market.reach[key] = c.qty
    _mark_families(engine, lambda family: (family.region, family.latency_class) == (c.book, c.price))
    waiting.find_ends(engine)
    engine.emit(Kind.REACH_SET, order_id=c.account, contra_id=c.book, price=c.price, qty=c.qty)


def _why_link_rejected(engine, c: Command) -> int:
    if not (1 <= c.account <= MAX_REGION and 1 <= c.book <= MAX_REGION and 0 <= c.aux <= MAX_DATA_MB):
        return RejectReason.INVALID_FIELD
    if not 0 <= c.price <= MAX_PRICE_MICRO_PER_GB:
        return RejectReason.INVALID_PRICE
    return 0 if 0 <= c.qty <= MAX_MBIT_PER_S else RejectReason.INVALID_QTY


def _set_link(engine, c: Command) -> None:
    """A link of 0 Mbit/s is none; what it has promised stays promised."""
    engine.market.links.pop((c.account, c.book), None)
    if c.qty:
        engine.market.links[c.account, c.book] = Link(c.price, c.qty, c.aux)
    _mark_families(engine, lambda family: family.region == c.book)
    waiting.find_ends(engine)
    engine.emit(Kind.LINK_SET, order_id=c.account, contra_id=c.book, price=c.price, qty=c.qty, leaves=c.aux)


def _mark_families(engine, is_meant) -> None:
    """RT4: every open book of these families."""
    market = engine.market
    if not market.tasks:
        return
    for book in engine.open_books:
        family = market.families.get(family_of(book))
        if family and is_meant(family):
            market.mark(book)


def drop_old_loads(engine) -> None:
    """RT7: what links have promised for periods that are over is forgotten."""
    market = engine.market
    if market.link_loads:
        now_period = market.grid.at(engine.now_ns)
        market.link_loads = {key: mb for key, mb in market.link_loads.items() if key[2] >= now_period}
