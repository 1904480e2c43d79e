"""A task as records: what is packed is read again, lists have no gaps, and a head goes with its own records only."""

import pytest

from matching_core.enums import Kind, Op, RejectReason
from matching_core.records import Command, unpack_commands
from matching_core.task_records import TaskTerms, pack_task, read_task

HOUR = 3600 * 10**9
PLAIN = TaskTerms(
    order_id=9, account=1, lane=0, shape=0, tif=0, max_class=4, flags=0, access_region=0, budget_micro=100, lots=1, periods=1,
    valid_until_ns=0, client_ref=77, data_region=0, max_rtt_us=0, min_run=0, first_period=0, end_period=9, data_mb=0,
    min_fill=0, max_grid=0, chips=((7, 10**6),),
)  # fmt: skip
RICH = PLAIN._replace(
    order_id=2**63 - 1, account=2**32 - 1, lane=1, shape=3, max_class=2, flags=3, access_region=4095, client_ref=2**64 - 1,
    budget_micro=10**18, valid_until_ns=2**62, data_region=17, data_mb=10**12, max_rtt_us=10**9, min_fill=5, max_grid=6,
    chips=tuple((chip, 1000 + chip) for chip in range(64, 0, -1)), regions=tuple(range(1, 65)),
    steps=((0, 1), *((at, at) for at in range(1, 17))),
)  # fmt: skip


@pytest.fixture
def tasks_class(engine_class):
    """An engine that knows tasks."""
    if engine_class.RULES_VERSION < 3:
        pytest.skip("needs an engine with rules version 3")
    return engine_class


@pytest.fixture
def engine(tasks_class):
    engine = tasks_class(100, check_funds=True)
    engine.submit(Op.OPEN_ACCOUNT, account=1)
    engine.submit(Op.TRANSFER, account=0, book=1, qty=10**6)
    engine.submit(Op.SET_GRID, aux=HOUR, qty=200, client_ref=4096)
    return engine


def records_of(terms, op=Op.TASK):
    return unpack_commands(pack_task(op, terms))


def join(records):
    return b"".join(record.pack() for record in records)


def refused(engine, records):
    """The reasons of the refusals of these records; nothing else may happen, and nothing may change."""
    before = engine.state_hash()
    events = list(engine.process(join(records), 100, 0))
    assert {event.kind for event in events} == {Kind.REJECTED}
    assert engine.state_hash() == before
    return [RejectReason(event.reason).name for event in events]


@pytest.mark.parametrize(
    "terms", [PLAIN, RICH, RICH._replace(chips=RICH.chips[:6], regions=(1, 2, 3), steps=())], ids=["plain", "rich", "some"]
)
def test_what_is_packed_is_read_again(terms):
    packed = pack_task(Op.TASK_AMEND, terms)
    assert read_task(packed) == terms
    head, *tail = unpack_commands(packed)
    assert (head.op, head.reserved) == (Op.TASK_AMEND, len(tail))
    assert len(tail) <= 24


def test_the_largest_task_has_twenty_four_records():
    assert len(records_of(RICH)) == 1 + 24


def test_a_task_in_a_batch_is_one_command_and_its_records_count(engine):
    batch = [Command(Op.OPEN_ACCOUNT, account=5), *records_of(PLAIN), Command(Op.OPEN_ACCOUNT, account=6)]
    events = list(engine.process(join(batch), 10, 3))
    assert [(event.seq, event.kind) for event in events] == [
        (10, Kind.ACCOUNT_OPENED), (13, Kind.ACCEPTED), (13, Kind.TASK_WAITING), (22, Kind.ACCOUNT_OPENED),
    ]  # fmt: skip
    assert engine.submit(Op.OPEN_ACCOUNT, account=7)[0].seq == 23


def test_after_a_task_the_next_seq_is_behind_its_last_record(engine):
    engine.process(pack_task(Op.TASK, PLAIN), 50, 1)
    assert engine.submit(Op.OPEN_ACCOUNT, account=7)[0].seq == 53
    engine.process(pack_task(Op.TASK_AMEND, PLAIN), 60, 0)
    assert engine.submit(Op.OPEN_ACCOUNT, account=8)[0].seq == 61


def test_records_that_do_not_follow_as_announced_are_refused_one_by_one(engine):
    head, terms, chips = records_of(PLAIN)
    regions = Command(Op.TASK_REGIONS, order_id=3)
    steps = Command(Op.TASK_STEPS, price=5, qty=HOUR, aux=100)
    for wrong in (
        [head._replace(reserved=0)], [head], [head._replace(reserved=1), terms], [head, chips, terms], [head, terms, terms],
        [head._replace(reserved=3), terms, chips], [head._replace(reserved=3), terms, regions, chips],
        [head._replace(reserved=4), terms, chips, steps, regions], [head._replace(reserved=25), terms, *[chips] * 24],
        [head, terms, head._replace(reserved=0)], [terms], [chips], [regions], [steps],
    ):  # fmt: skip
        assert refused(engine, wrong) == ["INCOMPLETE"] * len(wrong), wrong
    (event, *_) = engine.process(join([head._replace(reserved=1), terms, chips]), 70, 1)
    assert (event.seq, event.book, event.order_id, event.contra_id, event.price, event.qty) == (70, 0, 9, 77, 100, 1)


def test_a_head_is_refused_alone_and_what_stands_behind_it_may_be_a_task(engine):
    head, terms, chips = records_of(PLAIN)
    events = engine.process(join([head, head, terms, chips]), 5, 1)
    assert [(event.seq, event.kind) for event in events] == [(5, Kind.REJECTED), (6, Kind.ACCEPTED), (6, Kind.TASK_WAITING)]


def test_submit_carries_no_records(engine):
    for op in (Op.TASK, Op.TASK_AMEND, Op.TASK_TERMS, Op.TASK_CHIPS, Op.TASK_REGIONS, Op.TASK_STEPS):
        for fields in ({}, {"price": 2**70}, {"book": -1, "side": 999}):
            (event,) = engine.submit(op, account=1, order_id=9, **fields)
            assert (event.kind, event.reason) == (Kind.REJECTED, RejectReason.INCOMPLETE)


GAPS = {
    "an empty record of chips": lambda h, t, c: [h._replace(reserved=3), t, c, Command(Op.TASK_CHIPS)],
    "an empty record in front": lambda h, t, c: [h._replace(reserved=3), t, Command(Op.TASK_CHIPS), c],
    "no chip at all": lambda h, t, c: [h, t, Command(Op.TASK_CHIPS)],
    "a gap between chips": lambda h, t, c: [h, t, c._replace(qty=8 | 10**6 << 32)],
    "an empty record of regions": lambda h, t, c: [h._replace(reserved=3), t, c, Command(Op.TASK_REGIONS)],
    "a gap between regions": lambda h, t, c: [h._replace(reserved=3), t, c, Command(Op.TASK_REGIONS, order_id=3, qty=4)],
    "no low region": lambda h, t, c: [h._replace(reserved=3), t, c, Command(Op.TASK_REGIONS, order_id=3 << 32)],
    "half a pair inside": lambda h, t, c: [h._replace(reserved=3), t, c, Command(Op.TASK_REGIONS, order_id=3, price=5)],
    "an empty record of steps": lambda h, t, c: [h._replace(reserved=3), t, c, Command(Op.TASK_STEPS)],
    "one step only": lambda h, t, c: [h._replace(reserved=3), t, c, Command(Op.TASK_STEPS, price=100)],
    "a record that announces others": lambda h, t, c: [h, t._replace(reserved=1), c],
    "sixty-five chips": lambda h, t, c: records_of(PLAIN._replace(chips=tuple((n, 10**6) for n in range(1, 66)))),
    "sixty-five regions": lambda h, t, c: records_of(PLAIN._replace(regions=tuple(range(1, 66)))),
    "seventeen steps": lambda h, t, c: records_of(
        PLAIN._replace(lane=1, steps=((0, 1), *((at, 100) for at in range(1, 18))))
    ),
}


@pytest.mark.parametrize("gap", GAPS)
def test_a_list_with_a_gap_or_too_long_is_refused(engine, gap):
    assert refused(engine, GAPS[gap](*records_of(PLAIN))) == ["INVALID_FIELD"]


def test_an_unknown_account_is_told_before_a_gap(engine):
    head, terms, _ = records_of(PLAIN._replace(account=2))
    assert refused(engine, [head, terms, Command(Op.TASK_CHIPS)]) == ["UNKNOWN_ACCOUNT"]


def test_an_engine_without_funds_has_no_tasks(tasks_class):
    engine = tasks_class(10)
    for op in (Op.SET_GRID, Op.LIST_FAMILY, Op.SET_REACH, Op.SET_LINK, Op.BLOCK_CLOSE, Op.TASK_CANCEL, Op.DRAIN):
        (event,) = engine.submit(op, account=1, book=1, order_id=1, price=1, qty=1, aux=10**9)
        assert (event.kind, event.reason) == (Kind.REJECTED, RejectReason.INVALID_FIELD)
    assert refused(engine, records_of(PLAIN)) == ["INVALID_FIELD"]
    assert refused(engine, [Command(Op.BLOCK_OPEN, account=1, book=1 << 20)]) == ["UNKNOWN_BOOK"]


def test_find_task_says_why_not_and_changes_nothing(engine):
    before = engine.state_hash()
    for terms, reason in (
        (PLAIN._replace(account=2), "UNKNOWN_ACCOUNT"), (PLAIN._replace(lane=4), "INVALID_FIELD"),
        (PLAIN._replace(budget_micro=0), "INVALID_PRICE"), (PLAIN._replace(end_period=0), "INVALID_WINDOW"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{reason}$"):
            engine.find_task(pack_task(Op.TASK, terms))
    for wrong in (b"", pack_task(Op.TASK, PLAIN)[:-64], pack_task(Op.TASK, PLAIN) + bytes(64)):
        with pytest.raises(ValueError, match="INCOMPLETE"):
            engine.find_task(wrong)
    assert engine.find_task(pack_task(Op.TASK, PLAIN._replace(budget_micro=10**18))) is None
    assert engine.state_hash() == before
