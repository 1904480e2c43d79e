"""Tasks, block offers and what they are routed by, as rows of a snapshot and back."""

from .. import image, loading_tasks
from ..limits import MAX_MONEY_MICRO
from .book import Book
from .market import BlockOffer, Family, Grid, Link, Task, book_of


def sections(market) -> dict[str, list[tuple]]:
    """The rows of `image.TASK_ROWS`."""
    tasks = list(market.tasks.values())
    return {
        "GRID": [tuple(market.grid)] if market.grid else [],
        "FAML": [(*family, 0) for _, family in sorted(market.families.items())],
        "RCHS": [(*key, rtt_us) for key, rtt_us in sorted(market.reach.items())],
        "LINK": [(*key, *link) for key, link in sorted(market.links.items())],
        "LNKU": [(*key, 0, data_mb) for key, data_mb in sorted(market.link_loads.items())],
        "BLKO": [
            tuple(getattr(offer, name) for name in image.BLOCK_FIELDS) for _, offer in sorted(market.blocks.items())
        ],
        "BLKR": [
            (key, period, 0, *residue)
            for key, offer in sorted(market.blocks.items()) for period, residue in sorted(offer.residues.items())
        ],
        "TASK": [_task_row(market, task) for task in tasks],
        "TSKC": [(task.terms.order_id, *chip) for task in tasks for chip in task.terms.chips],
        "TSKR": sorted((task.terms.order_id, region, 0) for task in tasks for region in task.terms.regions),
        "TSKS": sorted((task.terms.order_id, *step) for task in tasks for step in task.terms.steps),
        "TSKM": sorted((task.terms.order_id, *move) for task in tasks for move in task.moved.items()),
        "DIRT": [(book,) for book in sorted(market.dirty)],
        "DRNF": [(family,) for family in sorted(market.draining)],
    }  # fmt: skip


def _task_row(market, task: Task) -> tuple:
    own = {"zero": 0, "woken": market.woken.get(task.terms.order_id, 0)}
    own |= {name: getattr(task, name) for name in Task.__slots__ if name in image.TASK_FIELDS}
    values = task.terms._asdict() | own
    return tuple(values[name] for name in image.TASK_FIELDS)


def read(engine, rows: dict[str, list[tuple]]) -> None:
    """Put the rows of `loading` into an engine that has its accounts, books and orders."""
    market = engine.market
    for row in rows["GRID"]:
        market.grid = Grid(*row)
    for *family, _ in rows["FAML"]:
        market.families[family[0]] = Family(*family)
    market.reach = {(access, host, latency_class): rtt_us for access, host, latency_class, rtt_us in rows["RCHS"]}
    market.links = {(source, target): Link(*link) for source, target, *link in rows["LINK"]}
    market.link_loads = {(source, target, period): mb for source, target, period, _, mb in rows["LNKU"]}
    for row in rows["BLKO"]:
        market.blocks[row[0]] = BlockOffer(**dict(zip(image.BLOCK_FIELDS, row, strict=True)))
    for offer_id, period, _, price, lots in rows["BLKR"]:
        _read_residue(engine, market.blocks[offer_id], period, price, lots)
    own = ("fee_ppm", "limit_micro", "dies_ns", "filled", "grid_filled", "spent_micro", "notional_micro", "next_step")
    for fields, terms, moved in loading_tasks.tasks_of(rows):
        task = Task(terms, **{name: fields[name] for name in own}, moved=moved)
        market.wait(task)
        if fields["woken"]:
            market.woken[terms.order_id] = fields["woken"]
        engine.ledger.accounts[terms.account].order_holds += task.held_micro
    market.dirty = {book for (book,) in rows["DIRT"]}
    market.draining = {family for (family,) in rows["DRNF"]}


def _read_residue(engine, offer: BlockOffer, period: int, price: int, lots: int) -> None:
    book: Book = engine.open_books[book_of(offer.family, period)]
    is_fair = lots <= book.max_lots and price * lots * book.value_micro <= MAX_MONEY_MICRO
    is_covered = not book.group or engine.ledger.has_room(offer.account, book.group, lots)
    loading_tasks.need(is_fair and is_covered, f"has block offer {offer.order_id} without capacity")
    offer.residues[period] = (price, lots)
    engine.ledger.resize_open(offer.account, book.group, lots)
