"""Promises about tasks for all inputs: all of a command or nothing of it, no order that does not count, no input that harms."""

from __future__ import annotations

from random import Random

import pytest
from fuzz import route
from fuzz_tasks import EDGES, TAIL, six, wrapped
from hypothesis import given, settings
from hypothesis import strategies as st
from task_market import Terms
from task_referee import Referee
from task_words import pack, read
from task_worlds import SWAP, World, command
from test_task_worlds import fresh, knowing, play

from matching_core.enums import DenyReason, Kind, Lane, Op, RejectReason, Shape, Side
from matching_core.records import COMMAND, Command, unpack_commands

SIZE = 64
SEEDS = st.integers(0, 2**32 - 1)
PPM = 10**6
HOUR = 3_600 * 10**9


@pytest.fixture(scope="module")
def tasks_class(engine_class):
    """Each engine that knows tasks."""
    return knowing(engine_class)


def a_world(engine_class, seed: int, steps: int) -> list[bytes]:
    """The commands of a world, without restarts."""
    world, referee = World(Random(seed)), Referee(fresh(engine_class, seed))
    world.model = referee.model
    found = []
    for batch in range(steps):
        for step in world.step() if batch else world.opening():
            if step != SWAP:
                found.append(step)
                play(referee, step)
    return found


# --- a kill at any point ---


@pytest.mark.slow
@settings(max_examples=25)
@given(seed=SEEDS, data=st.data())
def test_after_a_kill_at_any_record_a_task_is_there_whole_or_not_at_all(tasks_class, seed, data):
    """What a journal holds is a prefix of records; replaying it ends where the live engine was, with no half of a task."""
    commands = a_world(tasks_class, seed, 40)
    live, states, said = fresh(tasks_class, seed), [], b""
    for each in commands:
        states.append((len(said), live.snapshot()))
        said += bytes(live.process(each, first_seq=live.next_seq))
    journal = b"".join(commands)
    tasks = [i for i, each in enumerate(commands) if len(each) > SIZE] or [0]
    for at in data.draw(st.lists(st.sampled_from(tasks) | st.integers(0, len(commands) - 1), max_size=4)):
        whole = len(b"".join(commands[:at]))
        replayed = fresh(tasks_class, seed)
        events = bytes(replayed.process(journal[:whole]))
        assert events == said[: states[at][0]]
        assert replayed.snapshot() == states[at][1]
        for records in range(1, len(commands[at]) // SIZE):
            before = replayed.state_hash()
            part = commands[at][: records * SIZE]
            events = list(replayed.process(part, first_seq=1))
            assert [(each.kind, each.reason) for each in events] == [(Kind.REJECTED, RejectReason.INCOMPLETE)] * records
            assert replayed.state_hash() == before
        resumed = tasks_class.restore(states[at][1])
        assert bytes(resumed.process(journal[whole:], first_seq=1 + whole // SIZE)) == said[states[at][0] :]
        assert resumed.snapshot() == live.snapshot()


# --- what order does not count ---


@pytest.mark.slow
@settings(max_examples=40)
@given(seed=SEEDS, chance=st.randoms(use_true_random=False))
def test_the_order_of_tables_and_of_other_books_asks_changes_nothing(tasks_class, seed, chance):
    """Families, reach and links in any order; asks in any order but that within each book; offers in any but their own."""
    world = World(Random(seed))
    referee = Referee(fresh(tasks_class, seed))
    world.model = referee.model
    opening = [plenty(each) for each in world.opening()]
    for each in opening:
        play(referee, each)
    supply, demand = [], []
    for _ in range(14):
        supply += [*world._asks(), *world._block_offer()]
    for _ in range(12):
        demand.append(pack(Op.TASK, world.terms()))
    ends = []
    for way in (lambda rows: rows, lambda rows: shuffled(rows, chance)):
        engine = fresh(tasks_class, seed)
        engine.process(b"".join(way_of_tables(opening, way)))
        engine.process(b"".join(way(supply)))
        ends.append((bytes(engine.process(b"".join(demand), first_seq=10_000)), engine.state_hash()))
    assert ends[0] == ends[1]


def plenty(record: bytes) -> bytes:
    """Capacity for everything: RT1 denies whoever comes last."""
    c = unpack_commands(record)[0]
    return c._replace(qty=10**6).pack() if c.op == Op.SET_CAPACITY else record


def way_of_tables(opening: list[bytes], way) -> list[bytes]:
    """The opening with its tables in another order; families come before the books."""
    tables = (Op.LIST_FAMILY, Op.SET_REACH, Op.SET_LINK)
    rows = [each for each in opening if each[0] in tables]
    at = next((i for i, each in enumerate(opening) if each[0] in tables), 0)
    rest = [each for each in opening if each[0] not in tables]
    return [*rest[:at], *way(rows), *rest[at:]]


def shuffled(rows: list[bytes], chance) -> list[bytes]:
    """Another order, in which rows of one book, one offer or one key keep theirs."""
    order = list(range(len(rows)))
    chance.shuffle(order)
    places: dict = {}
    for i in order:
        places.setdefault(key_of(rows[i]), []).append(i)
    queues = {key: iter(sorted(there)) for key, there in places.items()}
    return [rows[next(queues[key_of(rows[i])])] for i in order]


def key_of(record: bytes):
    """What a row must keep its place among."""
    c = unpack_commands(record)[0]
    if c.op == Op.NEW:
        return "book", c.book
    if c.op in (Op.BLOCK_OPEN, Op.BLOCK_SET):
        return "offer", c.order_id
    return c.op, c.account, c.book, c.price if c.op == Op.SET_REACH else 0


# --- input that no buyer means ---

TASK = Terms(7, 2, Lane.STANDARD, Shape.BLOCK, 0, 4, 0, 1, 10**9, 2, 2, 0, 5, 0, 0, 0, 1, 8, 0, 0, 0, ((1, PPM),))
LATEST_NS = 6 * HOUR - HOUR // 12 - 60 * 10**9  # for a step: a minute before the last gate


def market(engine_class):
    """One family with asks in six hours at 8, a buyer with money, three hours past the origin of an hourly grid."""
    engine = engine_class(100, check_funds=True)
    commands = [command(Op.SET_GRID, aux=HOUR, expiry_ns=HOUR // 12, qty=3, client_ref=100)]
    commands += [command(Op.OPEN_ACCOUNT, account=account) for account in (1, 2)]
    commands += [command(Op.TRANSFER, book=2, qty=10**12), command(Op.LIST_FAMILY, book=1, account=1, aux=1)]
    commands += [command(Op.SET_REACH, account=1, book=1, qty=900)]
    commands += [command(Op.SET_LINK, account=2, book=1, price=10, qty=8_000)]  # a GB a second
    for period in range(1, 7):
        commands.append(command(Op.LIST_BOOK, book=1 << 20 | period, price=1000, aux=1))
    commands.append(command(Op.SET_CAPACITY, account=1, aux=1, qty=10**6))
    for period in range(1, 7):
        commands.append(command(Op.NEW, side=Side.SELL, book=1 << 20 | period, account=1, order_id=period, price=8, qty=5))
    engine.process(b"".join(commands))
    assert engine.n_orders == 6
    return engine


def test_the_market_of_these_tests_fills_a_plain_task(tasks_class):
    engine = market(tasks_class)
    events = list(engine.process(pack(Op.TASK, TASK)))
    assert [each.kind for each in events] == [Kind.ACCEPTED, *[Kind.TRADE, Kind.POSTED] * 2, Kind.TASK_FILLED]


WRONG = {
    "zero cards": ({"lots": 0}, "INVALID_QTY"),
    "cards below zero": ({"lots": -5}, "INVALID_QTY"),
    "more cards than numbers": ({"lots": 10**12 + 1}, "INVALID_QTY"),
    "the most lots on a slow chip": ({"lots": 10**12, "chips": ((1, 1_000),)}, "INVALID_QTY"),
    "zero hours": ({"periods": 0}, "INVALID_QTY"),
    "more hours than a walk": ({"periods": 1025, "end_period": 2000}, "INVALID_QTY"),
    "no budget": ({"budget_micro": 0}, "INVALID_PRICE"),
    "a budget below zero": ({"budget_micro": -(2**63)}, "INVALID_PRICE"),
    "a budget that overflows": ({"budget_micro": 2**63 - 1}, "INVALID_PRICE"),
    "a budget above a quarter of the money": ({"budget_micro": 10**18 + 1}, "INVALID_PRICE"),
    "a window that ends before it begins": ({"first_period": 6, "end_period": 5}, "INVALID_WINDOW"),
    "a window shorter than the task": ({"first_period": 3, "end_period": 4}, "INVALID_WINDOW"),
    "a window in the past": ({"first_period": 0, "end_period": 2}, "INVALID_WINDOW"),
    "a window below zero": ({"first_period": -1}, "INVALID_WINDOW"),
    "a window beyond the numbers": ({"end_period": 2**20}, "INVALID_WINDOW"),
    "a window beyond all numbers": ({"first_period": 2**63 - 2, "end_period": 2**63 - 1}, "INVALID_WINDOW"),
    "valid until yesterday": ({"valid_until_ns": -1}, "INVALID_EXPIRY"),
    "a chip twice": ({"chips": ((1, PPM), (1, 2 * PPM))}, "INVALID_FIELD"),
    "sixty-five chips": ({"chips": tuple((chip, PPM) for chip in range(1, 66))}, "INVALID_FIELD"),
    "ten thousand chips": ({"chips": tuple((chip, PPM) for chip in range(1, 10_001))}, "INCOMPLETE"),
    "a chip beyond the numbers": ({"chips": ((4096, PPM),)}, "INVALID_FIELD"),
    "a chip without a factor": ({"chips": ((1, 0),)}, "INVALID_FIELD"),
    "a chip a million times as fast": ({"chips": ((1, 10**9 + 1),)}, "INVALID_FIELD"),
    "a factor in bulk": ({"shape": Shape.BULK, "chips": ((1, PPM + 1),)}, "INVALID_FIELD"),
    "sixty-five regions": ({"regions": tuple(range(1, 66))}, "INVALID_FIELD"),
    "regions in disorder": ({"regions": (2, 1)}, "INVALID_FIELD"),
    "data from nowhere": ({"data_mb": 5}, "INVALID_FIELD"),
    "a data region without data": ({"data_region": 1}, "INVALID_FIELD"),
    "more data than numbers": ({"data_mb": 10**12 + 1, "data_region": 1}, "INVALID_QTY"),
    "a shape that is none": ({"shape": 4}, "INVALID_FIELD"),
    "a lane that is none": ({"lane": 4}, "INVALID_FIELD"),
    "a run longer than the task": ({"shape": Shape.SPLIT, "min_run": 3}, "INVALID_QTY"),
    "a run in a block": ({"min_run": 1}, "INVALID_FIELD"),
    "a first fill above the task": ({"shape": Shape.BULK, "min_fill": 5}, "INVALID_QTY"),
    "an emergency that waits": ({"lane": Lane.EMERGENCY}, "INVALID_FIELD"),
    "an emergency of three hours": ({"lane": Lane.EMERGENCY, "tif": 1, "periods": 3}, "INVALID_FIELD"),
    "steps outside the economy lane": ({"steps": ((0, 1), (5, 10**9))}, "INVALID_FIELD"),
    "steps that fall": ({"lane": 1, "steps": ((0, 9), (5, 8), (6, 10**9))}, "INVALID_PRICE"),
    "steps that end below the budget": ({"lane": 1, "steps": ((0, 9), (5, 10))}, "INVALID_PRICE"),
    "steps in disorder": ({"lane": 1, "steps": ((0, 9), (6, 10), (6, 10**9))}, "INVALID_EXPIRY"),
    "a step in the last minute": ({"lane": 1, "steps": ((0, 9), (LATEST_NS + 1, 10**9))}, "INVALID_EXPIRY"),
    "seventeen steps": ({"lane": 1, "steps": tuple((n, 10**9) for n in range(18))}, "INVALID_FIELD"),
    "an account that is not open": ({"account": 3}, "UNKNOWN_ACCOUNT"),
    "the world outside": ({"account": 0}, "UNKNOWN_ACCOUNT"),
    "no id": ({"order_id": 0}, "INVALID_FIELD"),
    "the id of an ask": ({"order_id": 3}, "DUPLICATE_ID"),
    "a chip faster than any class": ({"max_class": 5}, "INVALID_FIELD"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_task_that_makes_no_sense_is_refused_with_its_reason_and_changes_nothing(tasks_class, what):
    fields, reason = WRONG[what]
    engine = market(tasks_class)
    before = engine.state_hash()
    records = pack(Op.TASK, TASK._replace(**fields))
    events = list(engine.process(records))
    refused = {(Kind(each.kind).name, RejectReason(each.reason).name) for each in events}
    assert refused == {("REJECTED", reason)}
    assert len(events) == (len(records) // SIZE if reason == "INCOMPLETE" else 1)
    assert engine.state_hash() == before
    engine.check()
    if reason not in ("DUPLICATE_ID", "UNKNOWN_ACCOUNT"):
        assert route(engine, records) == reason


NEVER = {
    "a billion cards": {"lots": 10**9 * 10},
    "the most lots": {"lots": 10**12},
    "a chip that nobody sells": {"chips": ((4095, PPM),)},
    "no class fast enough": {"max_rtt_us": 899},
    "a region that nobody sells in": {"regions": (2,)},
    "an access region without reach": {"access_region": 9},
    "data that cannot come": {"data_mb": 10, "data_region": 3},
    "a budget of nearly nothing": {"budget_micro": 1},
}


@pytest.mark.parametrize("what", NEVER)
def test_a_task_that_cannot_be_filled_waits_and_pays_nothing(tasks_class, what):
    engine = market(tasks_class)
    terms = TASK._replace(**NEVER[what])
    records = pack(Op.TASK, terms)
    assert engine.find_task(records) is None
    events = list(engine.process(records))
    assert [each.kind for each in events] == [Kind.ACCEPTED, Kind.TASK_WAITING]
    view = engine.task(7)
    assert (view.spent_micro, view.held_micro) == (0, terms.budget_micro)
    assert engine.balance(2)[:3] == (10**12 - terms.budget_micro, terms.budget_micro, 0)
    events = list(engine.submit(Op.TASK_CANCEL, account=2, order_id=7))
    assert [(each.kind, each.contra_leaves) for each in events] == [(Kind.CANCELED, terms.budget_micro)]
    assert engine.balance(2) == (10**12, 0, 0, 0, 0)
    engine.check()


def test_a_deadline_before_the_data_arrives_ends_the_task_at_once(tasks_class):
    """Twelve hours of data for a window of eight: the hold is void to the last unit."""
    engine = market(tasks_class)
    events = list(engine.process(pack(Op.TASK, TASK._replace(data_mb=12 * 3_600 * 1_000, data_region=2))))
    assert [each.kind for each in events] == [Kind.ACCEPTED, Kind.EXPIRED]
    assert engine.balance(2) == (10**12, 0, 0, 0, 0)


def test_the_last_step_may_come_a_minute_before_the_last_gate(tasks_class):
    engine = market(tasks_class)
    steps = ((0, 9), (LATEST_NS, 10**9))
    events = list(engine.process(pack(Op.TASK, TASK._replace(lane=Lane.ECONOMY, steps=steps))))
    assert [each.kind for each in events] == [Kind.ACCEPTED, Kind.TASK_WAITING]


def test_a_buyer_without_the_money_is_denied(tasks_class):
    engine = market(tasks_class)
    before = engine.state_hash()
    (told,) = engine.process(pack(Op.TASK, TASK._replace(budget_micro=10**12 + 1)))
    assert (told.kind, told.reason) == (Kind.DENIED, DenyReason.INSUFFICIENT_FUNDS)
    assert engine.state_hash() == before


def test_a_firm_has_only_so_many_tasks_waiting(tasks_class):
    engine = market(tasks_class)
    for number in range(7, 10):
        engine.process(pack(Op.TASK, TASK._replace(order_id=number, budget_micro=1)))
    (told,) = engine.process(pack(Op.TASK, TASK._replace(order_id=10, budget_micro=1)))
    assert (told.kind, told.reason) == (Kind.REJECTED, RejectReason.TOO_MANY_WAITING)
    assert engine.tasks() == [7, 8, 9]
    at_once = list(engine.process(pack(Op.TASK, TASK._replace(order_id=10, tif=1))))
    assert at_once[-1].kind == Kind.TASK_FILLED  # what never waits is not counted


WORDS = st.sampled_from(EDGES) | st.integers(-(2**63), 2**64 - 1) | st.integers(0, 30)


@pytest.mark.slow
@settings(max_examples=300)
@given(changes=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Command._fields), WORDS), min_size=1, max_size=3))
def test_no_number_in_any_field_of_a_task_does_harm(tasks_class, changes):
    """Whatever the records say: refused whole and nothing changed, or a sound state; the question says the same."""
    engine = market(tasks_class)
    before = engine.state_hash()
    records = list(unpack_commands(with_all_kinds()))
    for at, name, value in changes:
        fields = records[at % len(records)]._asdict() | {name: value}
        records[at % len(records)] = Command._make(COMMAND.unpack(wrapped(fields)))
    buffer = b"".join(map(wrapped, (record._asdict() for record in records)))
    told = route(engine, buffer)
    assert engine.state_hash() == before
    events = list(engine.process(buffer))
    engine.check()
    is_of_tasks = all(record.op >= Op.TASK for record in records)
    if is_of_tasks and all(each.kind in (Kind.REJECTED, Kind.DENIED) for each in events):
        assert engine.state_hash() == before
    is_one = records[0].op == Op.TASK and records[0].reserved == len(records) - 1
    if is_one and isinstance(told, str) and events[0].kind == Kind.REJECTED:
        assert told == RejectReason(events[0].reason).name


def with_all_kinds() -> bytes:
    """A task with every kind of record."""
    terms = TASK._replace(lane=Lane.ECONOMY, data_mb=3, data_region=2, chips=((2, PPM), (1, PPM)), regions=(1, 2),
                          steps=((0, 10), (HOUR, 20_000), (2 * HOUR, 10**9)))  # fmt: skip
    records = pack(Op.TASK, terms)
    assert read(records) == terms
    return records


@settings(max_examples=60)
@given(order=st.permutations(TAIL), count=st.integers(0, 30))
def test_records_that_do_not_belong_together_are_refused_one_by_one(tasks_class, order, count):
    engine = market(tasks_class)
    head = unpack_commands(pack(Op.TASK, TASK))[0]._replace(reserved=count)
    tail = [six(op, [PPM << 32 | 1])[0] for op in order[: min(count, len(order))]]
    before = engine.state_hash()
    events = list(engine.process(b"".join([head.pack(), *tail])))
    if events[0].reason == RejectReason.INCOMPLETE:
        assert [(each.seq, each.reason) for each in events] == [
            (1 + i, RejectReason.INCOMPLETE) for i in range(len(tail) + 1)
        ]
    assert {each.kind for each in events} == {Kind.REJECTED}
    assert engine.state_hash() == before


def test_a_book_far_away_wakes_the_task_when_it_comes_into_sight(tasks_class):
    """A try sees 1,024 periods: the ask in the next one sells when the clock brings it near."""
    referee = Referee(tasks_class(100, check_funds=True))
    far = 1024
    for each in (
        command(Op.SET_GRID, aux=HOUR, expiry_ns=0, qty=3, client_ref=3),
        command(Op.OPEN_ACCOUNT, account=1), command(Op.OPEN_ACCOUNT, account=2), command(Op.TRANSFER, book=2, qty=10**6),
        command(Op.LIST_FAMILY, book=1, account=1, aux=1), command(Op.LIST_BOOK, book=1 << 20 | far, price=1),
        pack(Op.TASK, TASK._replace(budget_micro=100, periods=1, first_period=0, end_period=2_000, access_region=0)),
        command(Op.NEW, side=Side.SELL, book=1 << 20 | far, account=1, order_id=1, price=8, qty=5),
        command(Op.DRAIN), command(Op.ADVANCE_TIME, aux=HOUR - 1), command(Op.DRAIN),
    ):  # fmt: skip
        referee.play(each)
    assert referee.engine.tasks() == [7]
    assert referee.engine.dirty() == []
    referee.play(command(Op.ADVANCE_TIME, aux=HOUR))
    assert referee.engine.dirty() == [1 << 20 | far]
    assert [each.kind for each in referee.play(command(Op.DRAIN))] == [
        Kind.TRADE,
        Kind.POSTED,
        Kind.TASK_FILLED,
        Kind.DRAINED,
    ]


def test_a_drain_that_goes_on_tries_again_those_that_newer_asks_wake(tasks_class):
    """A drain of one fill leaves 300 woken; the next one tries them, and once more for the ask that came meanwhile."""
    engine, count = tasks_class(2_000, check_funds=True), 300
    setup = [command(Op.SET_GRID, aux=HOUR, qty=1_000, client_ref=1_000)]
    setup += [command(Op.OPEN_ACCOUNT, account=account) for account in (1, 2)] + [command(Op.TRANSFER, book=2, qty=10**9)]
    setup += [command(Op.LIST_FAMILY, book=1, account=1, aux=1)]
    task = TASK._replace(access_region=0, periods=1)
    setup += [pack(Op.TASK, task._replace(order_id=100 + n, budget_micro=1 if n else 10**6)) for n in range(count + 1)]
    engine.process(b"".join(setup))
    ask = command(Op.NEW, side=Side.SELL, book=1 << 20 | 5, account=1, order_id=1, price=8, qty=5)
    first = list(engine.process(ask + command(Op.DRAIN, qty=1)))
    assert (first[-2].kind, first[-2].order_id, first[-1].leaves) == (Kind.TASK_FILLED, 100, 1)
    engine.process(command(Op.NEW, side=Side.SELL, book=1 << 20 | 6, account=1, order_id=2, price=8, qty=5))
    (drained,) = engine.process(command(Op.DRAIN))
    assert (drained.kind, drained.qty, drained.leaves) == (Kind.DRAINED, 0, 0)
    assert engine.n_tasks == count
    assert {engine.task(number).woken for number in engine.tasks()} == {0}
    engine.check()
    assert tasks_class.restore(engine.snapshot()).state_hash() == engine.state_hash()
