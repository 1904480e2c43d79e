"""A small market in a few words, and a buyer who asks it for a route and then takes it.

Periods are hours from 1970 on and the clock stands at 0, so period 0 runs and period 1 is the first that is open. A tick
and lot costs one micro-yuan. Fees are zero.
"""

from __future__ import annotations

from itertools import count

import pytest

from matching_core.enums import Kind, Op, Shape, TimeInForce
from matching_core.task_records import TaskTerms, pack_task

PPM = 1_000_000
SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
BUYER, FUNDS = 1, 3 * 10**18
REFUSALS = (Kind.REJECTED, Kind.DENIED)


def that_knows_tasks(engine_class):
    """The engine, or a skip where it is too old."""
    if engine_class.RULES_VERSION < 3:
        pytest.skip("this engine knows no tasks")
    return engine_class


class Desk:
    """One engine, its buyer, and the sites and books that were named so far."""

    def __init__(self, engine_class, gate_ns=0, buyer_firm=1):
        self.engine_class = engine_class
        self.engine = engine_class(check_funds=True, listed_only=True)
        self.ids = count(1)
        self.accounts: set[int] = set()
        self.listed: set[int] = set()
        self.do(Op.SET_GRID, price=0, aux=HOUR, expiry_ns=gate_ns, qty=200, client_ref=4096)
        self.site(BUYER, buyer_firm)
        self.do(Op.TRANSFER, account=0, book=BUYER, qty=FUNDS)

    def do(self, op, **fields):
        events = self.engine.submit(op, **fields)
        assert not any(event.kind in REFUSALS for event in events), (op, fields, events)
        return events

    # --- the market ---

    def family(self, number, chip=1, region=1, latency_class=0, power=0):
        self.do(Op.LIST_FAMILY, book=number, account=chip, aux=region, price=latency_class, side=power)

    def reach(self, access, host, rtt_us, latency_class=0):
        self.do(Op.SET_REACH, account=access, book=host, price=latency_class, qty=rtt_us)

    def link(self, source, to, price=0, mbit=8_000_000, capacity_mb=0):
        """8,000,000 Mbit/s move a megabyte in a microsecond."""
        self.do(Op.SET_LINK, account=source, book=to, price=price, qty=mbit, aux=capacity_mb)

    def site(self, account, firm=0):
        if account not in self.accounts:
            self.accounts.add(account)
            self.do(Op.OPEN_ACCOUNT, account=account, book=firm)
        return account

    def book(self, family, period, value=1, gate_ns=0):
        number = family << 20 | period
        if number not in self.listed:
            self.listed.add(number)
            self.do(Op.LIST_BOOK, book=number, price=value, expiry_ns=gate_ns)
        return number

    def ask(self, family, period, price, lots, site=11, order_id=0, **fields):
        number = order_id or next(self.ids)
        self.do(Op.NEW, side=1, book=self.book(family, period), account=self.site(site), order_id=number, price=price,
                qty=lots, **fields)  # fmt: skip
        return number

    def asks(self, family, prices, lots, site=11, first=1, **fields):
        """One ask an hour from the first one on; 0 = none."""
        for period, price in enumerate(prices, first):
            if price:
                self.ask(family, period, price, lots, site, **fields)

    def block(self, family, residues, site=11, least=(1, 1), notice_ns=0, flags=0, end=0):
        """A block offer of {period: (price, lots)} with (least lots, least periods); it has no more hours to come."""
        number = next(self.ids)
        first, last = min(residues), max(residues)
        self.do(Op.BLOCK_OPEN, account=self.site(site), order_id=number, book=family << 20 | first, qty=least[0],
                aux=least[1], expiry_ns=notice_ns, price=end or last + 1, flags=flags)  # fmt: skip
        for period, (price, lots) in sorted(residues.items()):
            self.do(Op.BLOCK_SET, account=site, order_id=number, book=self.book(family, period), price=price, qty=lots)
        return number

    def clock(self, now_ns):
        return self.do(Op.ADVANCE_TIME, aux=now_ns)

    # --- the buyer ---

    def terms(self, **wanted):
        """Ten lots of chip 1 for an hour before period 100, at any price and from anywhere, unless it is said otherwise."""
        defaults = {
            "order_id": 1 << 40, "account": BUYER, "lane": 0, "shape": Shape.BLOCK, "tif": TimeInForce.GTC, "max_class": 4,
            "flags": 0, "access_region": 0, "budget_micro": 10**9, "lots": 10, "periods": 1, "valid_until_ns": 0,
            "client_ref": 7, "data_region": 0, "max_rtt_us": 0, "min_run": 0, "first_period": 0, "end_period": 100,
            "data_mb": 0, "min_fill": 0, "max_grid": 0, "chips": ((1, PPM),),
        }  # fmt: skip
        return TaskTerms(**defaults | wanted)

    def find(self, limit_micro=None, **wanted):
        """The route that a task would take, None if there is none; and that a TASK takes just this one is checked."""
        terms = self.terms(**wanted)
        before = self.engine.state_hash()
        route = self.engine.find_task(pack_task(Op.TASK, terms), limit_micro)
        assert self.engine.state_hash() == before, "a question has changed the state"
        if limit_micro is None:
            check_that_it_is_taken(self.engine_class.restore(self.engine.snapshot()), terms, route)
        return route

    def buy(self, **wanted):
        """The events of a TASK."""
        wanted.setdefault("order_id", next(self.ids))
        return list(self.engine.process(pack_task(Op.TASK, self.terms(**wanted)), self.engine.next_seq, 0))


def check_that_it_is_taken(engine, terms, route):
    """The first fill of a TASK of these terms, event by event, is the route that was found."""
    events = list(engine.process(pack_task(Op.TASK, terms), engine.next_seq, 0))
    engine.check()
    assert not any(event.kind in REFUSALS for event in events), events
    filled = [place for place, event in enumerate(events) if event.kind == Kind.TASK_FILLED]
    if route is None:
        assert not filled, events
        return
    fill, events = events[filled[0]], events[: filled[0]]
    first_book = route.parts[0].family << 20 | route.first_period
    assert (fill.book, fill.price, fill.qty) == (first_book, route.compute_micro, route.lot_periods)
    assert sum(event.qty for event in events if event.kind == Kind.DATA_MOVED) == route.moving_micro
    trades = [event for event in events if event.kind == Kind.TRADE]
    bought: dict[tuple, int] = {}
    for event, posted in zip(trades, (event for event in events if event.kind == Kind.POSTED), strict=True):
        key = (posted.contra_leaves, event.book, event.contra_id if event.flags & 128 else 0)
        bought[key] = bought.get(key, 0) + event.qty
    assert bought == expected(terms, route)


def expected(terms, route):
    """(site, book, block offer) -> lots that a route buys."""
    if terms.shape == Shape.BULK:
        pairs = list(zip(route.parts, route.periods, strict=True))
    else:
        pairs = [(part, period) for part in route.parts for period in route.periods]
    lots: dict[tuple, int] = {}
    for part, period in pairs:
        key = (part.account, part.family << 20 | period, part.block_id)
        lots[key] = lots.get(key, 0) + part.lots
    return lots


def told(route):
    """What matters most of a route: its first period, its delivered cost, and who sells how many lots."""
    if route is None:
        return None
    return (route.first_period, route.compute_micro + route.moving_micro, *((part.account, part.lots) for part in route.parts))
