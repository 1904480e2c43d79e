"""What the compiled engine needs in memory, measured in a process of its own: `python memory_use.py WHAT SIZE` prints JSON.

Growth is that of the resident set, so what an engine has only reserved does not count.
"""

import gc
import json
import sys

from matching_core.engine import Engine
from matching_core.enums import Op, Side, TimeInForce
from matching_core.records import Command

PAGE = 4096
BATCH = 50_000
HOUR_NS = 3_600 * 10**9
WEEK_HOURS = 168


def resident():
    """Bytes of this process that are in memory."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE


def feed(engine, commands):
    """Apply an iterable of commands in batches."""
    batch = []
    for command in commands:
        batch.append(command.pack())
        if len(batch) == BATCH:
            engine.process(b"".join(batch))
            batch.clear()
    engine.process(b"".join(batch))


def warm(engine):
    """Let the process take what its first batches take: Python's own pools and the buffer of events."""
    feed(engine, (Command(Op.CANCEL, order_id=1) for _ in range(BATCH)))
    return resident()


def idle_books(size):
    """Books that are listed and have no order."""
    engine = Engine(1_000)
    before = warm(engine)
    feed(engine, (Command(Op.LIST_BOOK, book=book, price=1) for book in range(size)))
    assert len(engine.books()) == size
    return {"bytes_each": (resident() - before) / size}


def passing_books(size):
    """Books that nobody listed, and whose only order comes and goes."""
    engine = Engine(1_000)
    before = warm(engine)
    feed(engine, (
        Command(op, book=1 + book, order_id=1 + book, price=1_000, qty=1) for book in range(size) for op in (Op.NEW, Op.CANCEL)
    ))  # fmt: skip
    assert engine.books() == []
    return {"bytes_each": (resident() - before) / size}


def thin_books(size):
    """Books with one order on either side."""
    engine = Engine(2 * size)
    before = warm(engine)
    feed(engine, (
        Command(Op.NEW, book=book, side=side, order_id=2 * book + side + 1, price=1_000 + 64 * side, qty=1)
        for book in range(size) for side in Side
    ))  # fmt: skip
    assert engine.n_orders == 2 * size
    return {"bytes_each": (resident() - before) / size}


def resting_orders(size):
    """Orders in 64 dense books: neighbouring prices, many orders at each."""
    engine = Engine(size)
    before = warm(engine)
    feed(engine, (
        Command(Op.NEW, book=i % 64, side=i // 64 % 2, order_id=i + 1, price=1_000 + i // 128 % 50 + 50 * (i // 64 % 2), qty=1)
        for i in range(size)
    ))  # fmt: skip
    assert engine.n_orders == size
    return {"bytes_each": (resident() - before) / size}


def mass_expiry(size):
    """Orders that all expire at one moment."""
    engine = Engine(size)
    before = warm(engine)
    feed(engine, (
        Command(Op.NEW, book=i % 64, order_id=i + 1, price=1_000 + i // 64 % 50, qty=1, tif=TimeInForce.GTD, expiry_ns=5)
        for i in range(size)
    ))  # fmt: skip
    assert engine.n_orders == size
    full = resident()
    expired = len(engine.process(Command(Op.ADVANCE_TIME, aux=5).pack()))
    assert (expired, engine.n_orders) == (size, 0)
    feed(engine, [Command(Op.CANCEL, order_id=1)])
    return {"growth": full - before, "left": resident() - before}


def rolling_week(size):
    """Books with a gate a week ahead, listed by the hour, traded in and retired, on an engine that checks funds."""
    engine = Engine(100_000, check_funds=True)
    for account in (1, 2):
        engine.submit(Op.OPEN_ACCOUNT, account=account)
    engine.submit(Op.TRANSFER, account=0, book=1, qty=10**15)
    warm(engine)
    hourly = max(1, size // (20 * WEEK_HOURS))  # twenty weeks, of which the first fills the window
    marks, book = [], 0
    while book < size:
        hour = book // hourly
        feed(engine, hour_of_books(book, min(hourly, size - book), hour))
        book += hourly
        if book >= size // 2 and not marks:
            marks.append(resident())
    assert len(engine.books()) <= hourly * (WEEK_HOURS + 1)
    engine.check()
    return {"half": marks[0], "end": resident(), "books": len(engine.books())}


def hour_of_books(first, count, hour):
    """The commands of an hour: the time, and for each new book its listing, rules, capacity, a trade, and orders that rest."""
    yield Command(Op.ADVANCE_TIME, aux=hour * HOUR_NS)
    for book in range(first, first + count):
        group = book % 4_000_000 + 1
        yield Command(Op.LIST_BOOK, book=book, price=1, aux=group, expiry_ns=(hour + WEEK_HOURS) * HOUR_NS)
        yield Command(Op.SET_REFERENCE, book=book, price=100)
        yield Command(Op.SET_CAPACITY, account=2, aux=group, qty=10)
        yield Command(Op.NEW, book=book, account=2, side=Side.SELL, order_id=3 * book + 1, price=100, qty=5)
        yield Command(Op.NEW, book=book, account=1, order_id=3 * book + 2, price=100, qty=2)
        yield Command(Op.NEW, book=book, account=1, order_id=3 * book + 3, price=90, qty=2)


if __name__ == "__main__":
    measure = {each.__name__: each for each in (
        idle_books, passing_books, thin_books, resting_orders, mass_expiry, rolling_week
    )}  # fmt: skip
    print(json.dumps(measure[sys.argv[1]](int(sys.argv[2]))))
