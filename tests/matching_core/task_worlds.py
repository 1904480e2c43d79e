"""Small random worlds of tasks: a seed gives tables, sites, buyers and a stream of commands, each a buffer of records.

A world asks its referee's model what stands, so that most commands meet something. At most 3 chips, 4 regions, 2 sites
each, 3 classes and 12 hours, 40 offers and 30 tasks. A list of commands plays again without the world.
"""

from __future__ import annotations

from random import Random

from task_market import Terms
from task_words import pack

from matching_core.enums import (
    Bucket,
    FixGrade,
    Lane,
    MassFilter,
    Op,
    OrderFlag,
    Phase,
    Power,
    Shape,
    Side,
    TaskFlag,
    TimeInForce,
)
from matching_core.records import Command

SECOND = 10**9
MINUTE = 60 * SECOND
HOURS = 12
BUYERS = (101, 102, 103, 104)
PRICES = (7, 8, 8, 9, 9, 10)
PPM = 10**6
YUAN = 10**6

WEIGHTS = {
    "asks": 30, "block_offer": 14, "task": 28, "drain": 12, "time": 7, "change_ask": 7, "bid": 6, "change_block": 5,
    "change_task": 4, "phase": 3, "bands": 3, "table": 2, "kill": 1, "take": 1, "money": 1, "restart": 1,
}  # fmt: skip
SWAP = "swap"  # a step: go on from a snapshot


class World:
    """One world; `opening` and `step` give its commands, in lists that belong together."""

    def __init__(self, chance: Random):
        self.chance = chance
        self.model = None  # of the referee that plays
        self.next_id = 0
        self.period_ns = self.pick(60, 60, 30, 15) * MINUTE
        self.gate_ns = self.pick(0, 5, 5, 10) * MINUTE
        self.origin = self.pick(0, 0, 1_795_392_000 * SECOND)
        self.first = self.pick(1, 3, 1000) if self.origin else self.pick(0, 1, 5)
        self.start_ns = self.origin + self.first * self.period_ns + self.pick(0, 0, 7) * MINUTE
        self.is_crowded = self.is_(0.15)  # many small sites in the same few hours: pairs, and more than 16 to choose among
        self.chips = range(1, 2 if self.is_crowded else 1 + self.pick(1, 2, 2, 3))
        self.regions = range(1, 1 + self.pick(1, 2, 3, 4))
        self.classes = (0, 2, 4)[: self.pick(1, 2, 3)]
        numbers = iter(chance.sample(range(1, 40), 8))
        self.sites = {
            next(numbers): region for region in self.regions for _ in range(2 if self.is_crowded else self.pick(1, 2, 2))
        }
        self.value = self.pick(1, 1000, 10_000)
        self.hours = range(self.first, self.first + HOURS)
        self.families: dict[int, tuple[int, int, int, int]] = {}
        self.unlisted: list[int] = []
        self.tasks = 0
        self.offers = 0

    def pick(self, *values):
        """One of them."""
        return values[self.chance.randrange(len(values))]

    def is_(self, probability: float) -> bool:
        """True so often."""
        return self.chance.random() < probability

    # --- the opening ---

    def opening(self) -> list[bytes]:
        """Time, grid, accounts, money, fees, families, reach, links, books and capacity."""
        found = [command(Op.ADVANCE_TIME, aux=self.start_ns) if self.start_ns else command(Op.SET_FEE, price=0)]
        found.append(command(Op.SET_GRID, price=self.origin, aux=self.period_ns, expiry_ns=self.gate_ns,
                             qty=self.pick(2, 200, 200), client_ref=self.pick(3, 4096, 4096)))  # fmt: skip
        for account in (*self.sites, *BUYERS):
            found.append(command(Op.OPEN_ACCOUNT, account=account, book=self.pick(0, 0, 1, 2, 3, account)))
        for account in (*BUYERS, *self.sites):
            rich = self.value * self.pick(300, 10**6, 10**6, 10**6)
            if account in BUYERS or self.is_(0.5):
                found.append(command(Op.TRANSFER, book=account, qty=rich))
        rates = (5_000, 2_500, 10_000, 12_345) if self.is_(0.7) else (0, 0, 333_333, 1)
        found += [command(Op.SET_FEE, side=table, price=rate) for table, rate in enumerate(rates)]
        return found + self._tables() + self._books()

    def _tables(self) -> list[bytes]:
        places = [(c, r, k, p) for c in self.chips for r in self.regions for k in self.classes for p in Power]
        chosen = self.chance.sample(places, min(len(places), 8 if self.is_crowded else self.pick(1, 2, 3, 4, 6, 8)))
        numbers = self.chance.sample([1, 2, 3, 5, 8, 13, 100, 4094, 4095], len(chosen))
        late = self.is_(0.1)
        self.families = dict(zip(numbers, chosen, strict=True))
        found = [self._list_family(number) for number in numbers if not late]
        self.unlisted = numbers if late else []
        for access in self.regions:
            for host in self.regions:
                times = sorted(self.pick(1, 3, 4, 5, 8, 9, 20) * 1000 for _ in self.classes)
                for name, rtt in zip(self.classes, times, strict=True):
                    if self.is_(0.9):
                        found.append(command(Op.SET_REACH, account=access, book=host, price=name, qty=rtt))
                if self.is_(0.8):
                    found.append(self._set_link(access, host))
        return found

    def _list_family(self, number: int) -> bytes:
        chip, region, name, power = self.families[number]
        return command(Op.LIST_FAMILY, book=number, account=chip, aux=region, price=name, side=power)

    def _set_link(self, start: int, to: int) -> bytes:
        return command(Op.SET_LINK, account=start, book=to, price=self.pick(0, 50 * self.value, self.value),
                       qty=self.pick(20, 1000, 100_000, 100_000), aux=self.pick(0, 0, 500, 900, 20_000))  # fmt: skip

    def _books(self) -> list[bytes]:
        found = []
        is_emergency = self.is_(0.4)
        for number in self.families:
            for period in self.hours:
                book, gate_ns = number << 20 | period, self.gate(period)
                if gate_ns > self.start_ns and self.is_(0.95):
                    found.append(self._list_book(book, gate_ns))
                    if is_emergency and self.is_(0.8):
                        found.append(command(Op.SET_BOOK, book=book, expiry_ns=self.start(period) + self.period_ns))
        return found + self._capacity()

    def _list_book(self, book: int, gate_ns: int) -> bytes:
        return command(Op.LIST_BOOK, book=book, price=self.value, aux=book >> 20, expiry_ns=gate_ns)

    def _capacity(self) -> list[bytes]:
        found = []
        for number, (_, region, _, _) in self.families.items():
            for site, where in self.sites.items():
                if where == region:
                    found.append(
                        command(Op.SET_CAPACITY, account=site, aux=number, qty=self.pick(60, 1_000, 1_000, 10_000))
                    )
        return found

    def start(self, period: int) -> int:
        """When an hour begins."""
        return self.origin + period * self.period_ns

    def gate(self, period: int) -> int:
        """When its book closes."""
        return self.start(period) - self.gate_ns

    # --- what happens ---

    @property
    def now_ns(self) -> int:
        """Log time."""
        return self.model.market.now_ns

    def step(self) -> list:
        """Some commands that belong together."""
        weights = WEIGHTS | ({"asks": 90, "time": 1} if self.offers < 12 else {})
        what = self.chance.choices(list(weights), list(weights.values()))[0]
        return [each for each in getattr(self, f"_{what}")() if each]

    def _id(self) -> int:
        self.next_id += 1
        return self.next_id

    def _hour(self, low: int = 0, high: int = HOURS - 1) -> int:
        now = (self.now_ns - self.origin) // self.period_ns
        return max(now + self.chance.randint(low, high), 0)

    def _a_family(self) -> tuple[int, list[int]]:
        number = self.pick(*self.families)
        return number, [site for site, region in self.sites.items() if region == self.families[number][1]]

    def _price(self) -> int:
        return self.pick(*PRICES)

    def _asks(self) -> list[bytes]:
        """An offer without a minimum: sells in some hours of one family."""
        if self.offers >= 40:
            return []
        self.offers += 1
        number, sites = self._a_family()
        site, lots, price = self.pick(*sites), self.pick(1, 2, 2, 3, 5, 8), self._price()
        hours = range(self._hour(0, 4), min(self._hour(0, 4) + self.pick(1, 2, 4, 6, 8), self.hours[-1] + 2))
        if self.is_crowded:
            lots, hours = self.pick(1, 2, 3), range(self.first + 2, self.first + 2 + self.pick(1, 2, 2))
        kind = self.pick("plain", "plain", "plain", "plain", "iceberg", "minimum", "standby")
        rows = [(period, self._price() if self.is_(0.3) else price) for period in hours if self.is_(0.88)]
        found = [self._ask(number << 20 | period, site, ticks, lots, kind) for period, ticks in rows]
        other = self.pick(*sites)
        if other != site and self.is_(0.5):  # the same again next door: a tie
            found += [self._ask(number << 20 | period, other, ticks, lots, kind) for period, ticks in rows]
        return found

    def _ask(self, book: int, site: int, ticks: int, lots: int, kind: str) -> bytes:
        flags = OrderFlag.INDIVISIBLE if self.is_(0.9) == (site % 2 == 0) else 0
        aux = 0
        if kind == "iceberg":
            flags, aux = flags | OrderFlag.ICEBERG, self.pick(1, 2, lots)
        elif kind == "minimum":
            flags, aux = flags | OrderFlag.MIN_QTY, self.pick(1, lots, (lots + 1) // 2)
        state = self.model.look(book)[0]
        if kind == "standby" and state is not None and state.end_ns:
            flags |= OrderFlag.STANDBY
        return command(Op.NEW, side=Side.SELL, flags=flags, book=book, account=site, order_id=self._id(), price=ticks, qty=lots,
                       aux=min(aux, lots), client_ref=self.pick(0, 77))  # fmt: skip

    def _block_offer(self) -> list[bytes]:
        if self.offers >= 40:
            return []
        self.offers += 1
        number, sites = self._a_family()
        site, lots, price = self.pick(*sites), self.pick(2, 3, 5, 8, 9), self._price() - self.pick(0, 1)
        first, count, offer = self._hour(0, 4), self.pick(1, 2, 4, 6, 8), self._id()
        if self.is_crowded:
            first, count = self.first + 2, 2
        ahead = first + count + self.pick(0, 0, 0, 2)
        found = [command(Op.BLOCK_OPEN, account=site, order_id=offer, book=number << 20 | first, client_ref=self.pick(0, 5),
                         qty=self.chance.randint(1, lots), aux=self.pick(1, 1, 2, 3), flags=self.pick(0, 32, 32),
                         expiry_ns=self.pick(0, 0, 0, 25, 90) * MINUTE, price=ahead)]  # fmt: skip
        for period in range(first, first + count):
            ticks = self._price() if self.is_(0.3) else price
            found.append(command(Op.BLOCK_SET, account=site, order_id=offer, book=number << 20 | period, price=ticks,
                                 qty=self.pick(lots, lots, lots, lots, lots - 1, 0)))  # fmt: skip
        return found

    def _change_block(self) -> list[bytes]:
        blocks = list(self.model.market.blocks.values())
        if not blocks:
            return []
        block = self.pick(*blocks)
        if self.is_(0.15):
            return [command(Op.BLOCK_CLOSE, account=block.account, order_id=block.order_id)]
        found = []
        for period in self.chance.sample(range(block.first, block.end + 1), min(2, block.end - block.first)):
            found.append(command(Op.BLOCK_SET, account=block.account if self.is_(0.95) else self.pick(*self.sites),
                                 order_id=block.order_id, book=block.family << 20 | period, price=self._price(),
                                 qty=self.pick(0, 1, 2, 5, 9)))  # fmt: skip
        return found

    # --- tasks ---

    def _task(self) -> list[bytes]:
        if self.tasks >= 30:
            return [command(Op.DRAIN)]
        self.tasks += 1
        first = [command(Op.DRAIN, qty=self.pick(0, 0, 1))] if self.is_(0.8) else []
        return [*first, pack(Op.TASK, self.terms())]

    def terms(self) -> Terms:
        """What some buyer may ask for."""
        shape = self.pick(*[Shape.BLOCK] * 5, Shape.SPLIT, Shape.SPLIT, *[Shape.SPREAD] * 3, Shape.BULK, Shape.BULK)
        lane = self.pick(*[Lane.STANDARD] * 6, *[Lane.ECONOMY] * 4, Lane.REPAIR, Lane.EMERGENCY)
        lots, periods = self.pick(1, 2, 2, 3, 4, 5, 8), self.pick(1, 1, 2, 3, 4)
        tif = self.pick(*[TimeInForce.GTC] * 5, TimeInForce.IOC)
        if self.is_crowded:
            shape, periods = self.pick(Shape.SPREAD, Shape.SPREAD, Shape.SPREAD, shape), self.pick(1, 1, 2)
        if shape == Shape.SPREAD:
            lots = self.pick(2, 3, 4) if self.is_crowded else self.pick(3, 4, 6, 7, 9)
        if lane == Lane.EMERGENCY:
            shape, periods, tif = Shape.BLOCK, self.pick(1, 1, 2), TimeInForce.IOC
        first = (
            self.pick(0, self._hour(0, 4), self._hour(0, 4), self._hour(-1, 8))
            if lane != Lane.EMERGENCY
            else self._hour(0, 1)
        )
        end = max(first, self._hour(0, 0)) + periods + self.pick(0, 1, 2, 4, 8) + self.pick(0, 1)
        if self.is_(0.05):
            end = self._hour(-2, 2)
        chips = self.chance.sample(list(self.chips), self.chance.randint((len(self.chips) + 1) // 2, len(self.chips)))
        factors = (PPM,) if shape == Shape.BULK else (PPM, PPM, 1_500_000, 700_000)
        is_moving = self.is_(0.3)
        budget = self._budget(lots, periods)
        terms = Terms(
            self._id() if self.is_(0.97) else max(1, self.next_id - 3), self.pick(*(BUYERS * 6), *self.sites),
            lane, shape, tif, self.pick(4, 4, 4, 2, 0), self.pick(0, 0, 0, TaskFlag.GREEN, TaskFlag.INDIVISIBLE),
            self.pick(0, *self.regions, *self.regions), budget, lots, periods,
            self.pick(0, 0, 0, self.now_ns + 95 * MINUTE, self.now_ns + 5 * MINUTE), self.pick(0, 9, 2**64 - 1),
            self.pick(*self.regions) if is_moving else 0, self.pick(0, 0, 0, 4000, 5000, 9000),
            self.pick(0, 1, 2, periods) if shape == Shape.SPLIT else 0, max(first, 0), end,
            self.pick(1, 300, 700, 20_000) if is_moving else 0,
            self.pick(0, 0, 1, min(3, lots * periods)) if shape == Shape.BULK else 0,
            self.pick(0, 0, 1, lots * periods // 2) if shape == Shape.BULK else 0,
            tuple((chip, self.pick(*factors)) for chip in chips),
            self._some_regions(),
        )  # fmt: skip
        return self._valid(terms._replace(steps=self._steps(terms)) if lane == Lane.ECONOMY and self.is_(0.8) else terms)

    def _some_regions(self) -> tuple[int, ...]:
        if self.is_(0.8):
            return ()
        return tuple(sorted(self.chance.sample(list(self.regions), self.chance.randint(1, len(self.regions)))))

    def _valid(self, terms: Terms) -> Terms:
        if terms.shape == Shape.SPLIT:
            return terms._replace(min_run=min(terms.min_run, terms.periods))
        return terms

    def _budget(self, lots: int, periods: int) -> int:
        """Near what it costs."""
        whole = self._price() * lots * periods * self.value
        more = self.pick(-1, 0, 0, 1, self.value, self.value * lots, whole // 3, whole // 3, whole, whole)
        return max(1, whole + more)

    def _steps(self, terms: Terms) -> tuple[tuple[int, int], ...]:
        latest = self.gate(terms.end_period - terms.length) - MINUTE
        if latest <= self.now_ns:
            return ()
        most = latest - self.now_ns
        times = sorted(self.chance.sample(range(self.now_ns + 1, latest + 1), min(most, self.pick(1, 1, 2, 5))))
        if self.is_(0.2):
            times[-1] = latest + self.pick(0, 0, 1)
        low = max(1, terms.budget_micro // 2)
        rising = sorted(self.chance.randint(low, terms.budget_micro) for _ in times)
        return ((0, rising[0]), *zip(times, [*rising[1:], terms.budget_micro], strict=True))

    def _change_task(self) -> list[bytes]:
        tasks = [task.terms for task in self.model.tasks.values()]
        if not tasks:
            return []
        old = self.pick(*tasks)
        if self.is_(0.3):
            account = old.account if self.is_(0.95) else self.pick(*BUYERS)
            return [command(Op.TASK_CANCEL, account=account, order_id=old.order_id)]
        change = self.pick("budget", "more", "lots", "chips", "regions", "rtt", "class", "flags", "end", "all")
        new = {
            "budget": old._replace(budget_micro=max(1, old.budget_micro - self.pick(0, 1, self.value))),
            "more": old._replace(budget_micro=old.budget_micro + self.pick(1, 2 * self.value)),
            "lots": old._replace(lots=max(1, old.lots - self.pick(0, 1, -1))),
            "chips": old._replace(chips=old.chips[self.pick(0, len(old.chips) - 1) :]),
            "regions": old._replace(regions=old.regions[:1] or tuple(self.regions)[:1]),
            "rtt": old._replace(max_rtt_us=self.pick(4000, 9000)), "class": old._replace(max_class=self.pick(0, 2, 4)),
            "flags": old._replace(flags=self.pick(0, 1, 2, 3)),
            "end": old._replace(end_period=old.end_period + self.pick(-1, 1)),
            "all": self.terms()._replace(order_id=old.order_id, account=old.account),
        }[change]  # fmt: skip
        if new.shape == Shape.BULK:
            new = new._replace(min_fill=min(new.min_fill, new.target), max_grid=min(new.max_grid, new.target))
        if new.steps:
            new = new._replace(steps=self._steps(new))
        return [pack(Op.TASK_AMEND, new)]

    def _drain(self) -> list[bytes]:
        return [command(Op.DRAIN, qty=self.pick(0, 0, 1, 1, 2, 3))]

    # --- books ---

    def _sells(self) -> list:
        engine = self.model.engine
        return [order for book in engine.books() for order in engine.orders(book) if order.side == Side.SELL]

    def _change_ask(self) -> list[bytes]:
        sells = self._sells()
        if not sells:
            return []
        found = []
        for order in self.chance.sample(sells, min(len(sells), self.pick(1, 1, 3))):
            op = self.pick(Op.CANCEL, Op.AMEND, Op.AMEND, Op.AMEND, Op.REPLACE, Op.REDUCE)
            price = self.pick(order.price, order.price, self._price())
            qty = self.pick(order.qty, max(1, order.qty - 1), order.qty + 2) if op == Op.AMEND else self.pick(1, 2, 5)
            found.append(command(op, account=order.account, order_id=order.order_id, price=price, qty=qty))
        return found

    def _bid(self) -> list[bytes]:
        number, _ = self._a_family()
        tif = self.pick(TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY)
        return [command(Op.NEW, side=Side.BUY, tif=tif, book=number << 20 | self._hour(0, 6), account=self.pick(*BUYERS),
                        order_id=self._id(), price=self._price(), qty=self.pick(1, 2, 5))]  # fmt: skip

    def _take(self) -> list[bytes]:
        sells = self._sells()
        if not sells:
            return []
        ask, buyer = self.pick(*sells), self.pick(*BUYERS)
        cost = ask.price * ask.leaves * self.value * 2
        return [
            command(Op.TRANSFER, account=buyer, book=buyer, order_type=Bucket.HELD, qty=cost),
            command(Op.TAKE, account=buyer, aux=ask.account, book=ask.book, order_id=self._id(), price=ask.price,
                    qty=self.pick(1, ask.leaves)),
        ]  # fmt: skip

    def _books_now(self) -> list[int]:
        return self.model.engine.books()

    def _phase(self) -> list[bytes]:
        books = self._books_now()
        if not books:
            return []
        calls = [book for book in books if self.model.look(book)[0].phase != Phase.OPEN]
        book = self.pick(*calls) if calls and self.is_(0.7) else self.pick(*books)
        state = self.model.look(book)[0]
        if state.phase == Phase.AUCTION:
            return [command(Op.UNCROSS, book=book, aux=Phase.OPEN)]
        if state.phase == Phase.OPEN:
            return [command(Op.SET_PHASE, book=book, aux=self.pick(Phase.AUCTION, Phase.AUCTION, Phase.HALTED))]
        return [command(Op.SET_PHASE, book=book, aux=Phase.AUCTION)]

    def _bands(self) -> list[bytes]:
        books = self._books_now()
        if not books:
            return []
        book = self.pick(*books)
        return self.pick(
            [command(Op.SET_REFERENCE, book=book, price=self._price()),
             command(Op.SET_BANDS, book=book, price=self.pick(0, 130_000, 125_000), qty=self.pick(0, 0, 130_000))],
            [command(Op.SET_BANDS, book=book, qty=self.pick(0, 130_000, 300_000))],
            [command(Op.SET_FIX, book=book, price=self.pick(4, 4, 8), side=self.pick(*list(FixGrade)[1:]))],
            [command(Op.SET_REFERENCE, book=book, price=self.pick(0, 8))],
        )  # fmt: skip

    # --- the venue's own ---

    def _time(self) -> list[bytes]:
        past = self.pick(0, 0, SECOND, MINUTE, 20 * MINUTE, self.period_ns, self.period_ns, 3 * self.period_ns)
        waiting = self.model.tasks.values()
        soon = [task.dies_ns for task in waiting] + [at_ns for task in waiting for at_ns, _ in task.terms.steps[1:]]
        soon = [at_ns for at_ns in soon if at_ns > self.now_ns] or [self.now_ns]
        edge = self.pick(*soon) + self.pick(0, -1) - self.now_ns
        is_edge = 0 < edge < 5 * self.period_ns and self.is_(0.5)
        found = [command(Op.ADVANCE_TIME, aux=self.now_ns + (edge if is_edge else past))]
        return [*found, command(Op.DRAIN)] if self.is_(0.7) else found

    def _table(self) -> list[bytes]:
        if self.unlisted:
            return [self._list_family(self.unlisted.pop())]
        if self.is_(0.2):
            number, _ = self._a_family()
            period = self._hour(1, 11)
            return [self._list_book(number << 20 | period, self.gate(period)), *self._capacity()]
        if self.is_(0.2):
            return [command(Op.SET_FEE, side=self.pick(0, 1, 2, 3), price=self.pick(0, 5_000, 20_000))]
        if self.is_(0.5):
            link = self._set_link(self.pick(*self.regions), self.pick(*self.regions))
            removed = command(Op.SET_LINK, account=self.pick(*self.regions), book=self.pick(*self.regions))
            return [link if self.is_(0.8) else removed]
        return [command(Op.SET_REACH, account=self.pick(*self.regions), book=self.pick(*self.regions),
                        price=self.pick(*self.classes), qty=self.pick(0, 1000, 3000, 8000))]  # fmt: skip

    def _kill(self) -> list[bytes]:
        account, firm = self.pick(*BUYERS, *self.sites), self.pick(1, 2, 3)
        flags = self.pick(MassFilter.ACCOUNT, MassFilter.ACCOUNT, MassFilter.FIRM)
        lift = [command(Op.LIFT, flags=flags, account=account, aux=firm)] if self.is_(0.8) else []
        if self.is_(0.3):
            return [command(Op.MASS_CANCEL, flags=MassFilter.ACCOUNT, account=account)]
        return [command(Op.KILL, flags=flags, account=account, aux=firm), *lift]

    def _money(self) -> list[bytes]:
        buyer = self.pick(*BUYERS)
        return [command(Op.TRANSFER, book=buyer, qty=self.value * 1_000)]

    def _restart(self) -> list:
        return [SWAP]


def command(op: int, **fields) -> bytes:
    """The record of a command."""
    return Command(op, **{name: int(value) for name, value in fields.items()}).pack()
