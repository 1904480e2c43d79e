"""What waiting tasks, block offers, links and the dirty set must satisfy after every command."""

from collections.abc import Iterator
from itertools import pairwise

from ..enums import Lane, Shape, TimeInForce
from ..invariants import need
from .blocks import BlockOffer
from .market import Market, Task, book_of, family_of


def residues(market: Market) -> Iterator[tuple[int, int, int]]:
    """(account, book, lots) of everything that block offers have left."""
    for offer in market.blocks.values():
        for period, (_, lots) in offer.residues.items():
            yield offer.account, book_of(offer.family, period), lots


def check(engine) -> None:
    """Raise AssertionError naming the first broken invariant; O(state)."""
    market = engine.market
    is_used = market.grid or market.families or market.reach or market.links or market.blocks or market.tasks
    need(engine.check_funds or not is_used, "K4: tasks where funds are not checked")
    ids = [*engine.live, *market.tasks, *market.blocks]
    need(len(ids) == len(set(ids)), "C4: an order, a task or a block offer has the id of another")
    for order_id, offer in market.blocks.items():
        need(order_id == offer.order_id, f"C4: block offer {order_id} is kept under another id")
        _check_offer(engine, offer)
    for order_id, task in market.tasks.items():
        need(order_id == task.terms.order_id, f"C4: task {order_id} is kept under another id")
        _check_task(engine, task)
    spreads = {key for key, task in market.tasks.items() if task.terms.shape == Shape.SPREAD}
    need(spreads == market.spreads, "RT4: the list of waiting spread tasks is wrong")
    stamps = [task.stamp for task in market.tasks.values()]
    need(all(a < b for a, b in pairwise(stamps)), "C10: the stamps of waiting tasks do not increase")
    _check_drain(engine)
    for (source, target, period), data_mb in market.link_loads.items():
        is_now = market.grid is not None and period >= market.grid.at(engine.now_ns)
        need(data_mb > 0 and is_now, f"RT7: link {source}-{target} keeps {data_mb} MB of period {period}")


def _check_offer(engine, offer: BlockOffer) -> None:
    name = f"block offer {offer.order_id}"
    need(offer.family in engine.market.families, f"MB1: {name} is of no listed family")
    need(not offer.is_over, f"MB3: {name} is kept though nothing is left")
    need(not engine.ledger.is_blocked(offer.account), f"X3: {name} is of a killed account")
    need(offer.first_period <= offer.next_period <= offer.end_period, f"MB1: {name} has set more than its window")
    for period, (price, lots) in offer.residues.items():
        book = engine.open_books.get(book_of(offer.family, period))
        is_here = book is not None and book.listed and not book.rules.is_gated
        need(is_here, f"MB4: {name} has a residue in period {period}, whose book is not open")
        is_set = offer.first_period <= period < offer.next_period
        need(is_set and price > 0 and lots > 0, f"MB3: {name} has {lots} lots at {price} in period {period}")


def _check_task(engine, task: Task) -> None:
    terms, name = task.terms, f"task {task.terms.order_id}"
    need(terms.tif == TimeInForce.GTC and terms.lane != Lane.EMERGENCY, f"EM3: {name} waits though it may not")
    need(task.dies_ns > engine.now_ns, f"T1: {name} has outlived its end")
    need(not engine.ledger.is_blocked(terms.account), f"X3: {name} is of a killed account")
    need(task.notional_micro <= task.spent_micro <= task.limit_micro <= terms.budget_micro, f"K3: {name} spends too much")
    is_partly = terms.shape == Shape.BULK and 0 < task.filled < task.target
    is_fresh = not (task.filled or task.spent_micro or task.notional_micro or task.grid_filled or task.moved)
    need(is_partly or is_fresh, f"K2: {name} has {task.filled} of {task.target} lot-periods")
    is_grid_fair = task.grid_filled <= (min(task.filled, terms.max_grid) if terms.max_grid else task.filled)
    need(is_grid_fair, f"K1: {name} has bought {task.grid_filled} lot-periods of grid power")
    if terms.steps:
        is_step = 1 <= task.next_step <= len(terms.steps) and task.limit_micro == terms.steps[task.next_step - 1][1]
        is_next = task.next_step == len(terms.steps) or terms.steps[task.next_step][0] > engine.now_ns
        need(is_step and is_next, f"RT9: {name} is not at the step that time has come to")
    else:
        need(task.next_step == 0 and task.limit_micro == terms.budget_micro, f"RT9: {name} has a step too many")


def _check_drain(engine) -> None:
    market = engine.market
    need(set(market.woken) <= set(market.tasks), "RT5: a task is woken that does not wait")
    need(bool(market.woken) or not market.draining, "RT5: a drain goes on with nobody to try")
    need(market.draining <= set(market.families), "RT5: a family is drained that is not listed")
    for book in market.dirty:
        is_here = book in engine.open_books and family_of(book) in market.families
        need(is_here, f"RT4: book {book} is dirty but not open")
