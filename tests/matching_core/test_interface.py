"""The face that both engines share: buffers in and out, sequence numbers, numbers of any size, caps with a reason."""

import gc
import subprocess
import sys
import threading

import pytest

import matching_core
from matching_core.enums import Kind, Op, RejectReason, Side, TimeInForce
from matching_core.limits import MAX_MONEY_MICRO, MAX_PRICE_TICKS, MAX_QTY_LOTS, MAX_WALK_PERIODS
from matching_core.records import EVENT, Command, Event, unpack_events

BUY, SELL = Side.BUY, Side.SELL


def new(order_id, side, price, qty, **fields):
    return Command(Op.NEW, side=side, order_id=order_id, price=price, qty=qty, **fields)


CROSS = b"".join(command.pack() for command in (new(1, SELL, 10, 5), new(2, BUY, 10, 3), new(3, BUY, 9, 1)))


def test_events_are_a_buffer_and_a_sequence(engine_class):
    events = engine_class().process(CROSS, first_seq=7)
    assert len(events) == 4
    assert memoryview(events).nbytes == 4 * EVENT.size == len(bytes(events))
    assert memoryview(events).readonly
    assert list(events) == unpack_events(events) == [events[i] for i in range(4)]
    assert events[-1] == events[3] and events[1:3] == list(events)[1:3]
    assert [event.seq for event in events] == [7, 8, 8, 9]
    assert isinstance(events[0], Event)
    with pytest.raises(IndexError):
        events[4]
    assert bytes(events) == b"".join(event.pack() for event in events)


def test_events_are_numpy_records_without_a_copy(engine_class):
    np = pytest.importorskip("numpy")
    events = np.frombuffer(engine_class().process(CROSS), matching_core.EVENT_DTYPE)
    assert events["kind"].tolist() == [Kind.ACCEPTED, Kind.ACCEPTED, Kind.TRADE, Kind.ACCEPTED]
    assert events["qty"][2] == 3


def test_events_stay_as_they_are_while_the_engine_goes_on(engine_class):
    engine = engine_class()
    kept = [engine.process(new(i, BUY, 5, i).pack() * 1) for i in range(1, 50)]
    big = engine.process(b"".join(new(i, BUY, 5, 1).pack() for i in range(100, 1100)))
    copy = bytes(big)
    again = engine.process(b"".join(Command(Op.CANCEL, order_id=i).pack() for i in range(100, 1100)))
    del engine
    gc.collect()
    assert [events[0].order_id for events in kept] == list(range(1, 50))
    assert bytes(big) == copy
    assert {event.kind for event in again} == {Kind.CANCELED}


def test_any_contiguous_buffer_is_taken(engine_class):
    np = pytest.importorskip("numpy")
    array = np.frombuffer(CROSS, matching_core.COMMAND_DTYPE)
    expected = bytes(engine_class().process(CROSS))
    for buffer in (bytearray(CROSS), memoryview(CROSS), array, array.copy(), array.view("u1").reshape(3, 64)):
        assert bytes(engine_class().process(buffer)) == expected
    with pytest.raises((ValueError, BufferError)):
        engine_class().process(array[::2])
    with pytest.raises(TypeError):
        engine_class().process("text")


def test_half_a_record_is_refused_and_nothing_is_applied(engine_class):
    engine = engine_class()
    before = engine.state_hash()
    with pytest.raises(ValueError, match="not a multiple of 64"):
        engine.process(CROSS[:-1])
    assert engine.state_hash() == before
    assert len(engine.process(b"")) == 0


def test_several_commands_may_share_one_journal_number(engine_class):
    engine = engine_class()
    assert {event.seq for event in engine.process(CROSS, first_seq=5, seq_step=0)} == {5}
    assert engine.submit(Op.CANCEL, order_id=3)[0].seq == 6
    assert [event.seq for event in engine.process(CROSS, first_seq=10, seq_step=10)][-1] == 30
    assert engine.submit(Op.CANCEL, order_id=99, seq=40)[0].seq == 40
    for first, step in ((-1, 1), (2**63, 0), (2**63 - 2, 1), (0, -1)):
        with pytest.raises(ValueError, match="sequence"):
            engine.process(CROSS, first_seq=first, seq_step=step)
    with pytest.raises(ValueError, match="sequence"):
        engine.submit(Op.CANCEL, order_id=1, seq=2**63)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("op", 256, RejectReason.UNKNOWN_OP), ("op", -1, RejectReason.UNKNOWN_OP), ("op", 0, RejectReason.UNKNOWN_OP),
        ("book", 2**32, RejectReason.UNKNOWN_BOOK), ("book", -1, RejectReason.UNKNOWN_BOOK),
        ("account", 2**32, RejectReason.UNKNOWN_ACCOUNT), ("account", -5, RejectReason.UNKNOWN_ACCOUNT),
        ("side", 256, RejectReason.INVALID_FIELD), ("tif", 10**50, RejectReason.INVALID_FIELD),
        ("stp", -1, RejectReason.INVALID_FIELD), ("flags", 999, RejectReason.INVALID_FIELD),
        ("order_type", 300, RejectReason.INVALID_FIELD), ("order_id", 2**64, RejectReason.INVALID_FIELD),
        ("order_id", -1, RejectReason.INVALID_FIELD), ("client_ref", 2**64, RejectReason.INVALID_FIELD),
        ("aux", 2**63, RejectReason.INVALID_FIELD), ("price", 10**40, RejectReason.INVALID_PRICE),
        ("price", -(10**40), RejectReason.INVALID_PRICE), ("qty", 2**63, RejectReason.INVALID_QTY),
        ("qty", -(2**63) - 1, RejectReason.INVALID_QTY), ("expiry_ns", 2**80, RejectReason.INVALID_EXPIRY),
    ],
)  # fmt: skip
def test_a_number_that_fits_no_field_is_refused_with_its_reason(engine_class, field, value, reason):
    engine = engine_class()
    before = engine.state_hash()
    fields = {"op": Op.NEW, "order_id": 1, "price": 5, "qty": 5, "tif": TimeInForce.GTC, "client_ref": 8}
    (event,) = engine.submit(**(fields | {field: value}))
    assert (event.kind, event.reason) == (Kind.REJECTED, reason)
    assert event.pack()
    assert engine.state_hash() == before


def test_what_is_not_an_integer_is_a_programming_error(engine_class):
    for value in (1.5, "1", None):
        with pytest.raises(TypeError):
            engine_class().submit(Op.NEW, order_id=1, price=value, qty=1)
    with pytest.raises(TypeError):
        engine_class().submit(Op.NEW, order_id=1, price=10**40, qty=1.5)


def test_the_largest_prices_and_quantities_trade_exactly(engine_class):
    engine = engine_class()
    lots = MAX_MONEY_MICRO // MAX_PRICE_TICKS
    engine.submit(
        Op.NEW, side=SELL, order_id=2**63 - 1, price=MAX_PRICE_TICKS, qty=lots, client_ref=2**64 - 1
    )
    engine.submit(Op.NEW, side=SELL, order_id=1, price=1, qty=MAX_QTY_LOTS, book=2**32 - 1, account=2**32 - 1)
    events = engine.submit(Op.NEW, side=BUY, order_id=5, price=MAX_PRICE_TICKS, qty=lots)
    assert events[1].contra_id == 2**63 - 1 and events[1].qty == lots
    (rejected,) = engine.submit(Op.NEW, side=BUY, order_id=5, price=MAX_PRICE_TICKS, qty=lots + 1)
    assert rejected.reason == RejectReason.INVALID_NOTIONAL
    assert engine.top(2**32 - 1) == (0, 0, 1, MAX_QTY_LOTS)
    engine.check()


def test_a_full_engine_says_so_and_takes_orders_again_after_a_cancel(engine_class):
    engine = engine_class(3)
    for order_id in (1, 2, 3):
        engine.submit(Op.NEW, order_id=order_id, price=5, qty=1)
    assert engine.submit(Op.NEW, order_id=4, price=5, qty=1)[0].reason == RejectReason.BOOK_FULL
    engine.submit(Op.CANCEL, order_id=2)
    assert engine.submit(Op.NEW, order_id=4, price=5, qty=1)[0].kind == Kind.ACCEPTED
    for size in (0, -1, 10**9):
        with pytest.raises(ValueError, match="max_orders"):
            engine_class(size)


def test_questions_about_nothing_are_answered_with_nothing(engine_class):
    engine = engine_class(check_funds=True)
    assert engine.top(5) == (0, 0, 0, 0)
    assert engine.depth(5) == ([], [])
    assert engine.depth(5, 0) == ([], [])
    assert engine.orders(-1) == [] and engine.order(10**30) is None and engine.order(-3) is None
    assert engine.books() == []
    assert engine.balance(0) == (0, 0, 0, 0, 0) and engine.firm(0) == 0
    assert engine.balance(9) is None and engine.firm(2**40) is None
    assert engine.capacity(9, 9) == (0, 0, 0) and engine.position(9, 9) == (0, 0)
    assert engine.site_asks(9, 9) == []
    assert engine.site_walk(9, 2**32 - 1, 3, 10**40) == [-1, -1, -1]
    assert engine.site_walk(9, 0, MAX_WALK_PERIODS, 1) == [-1] * MAX_WALK_PERIODS
    for count in (-1, MAX_WALK_PERIODS + 1):
        with pytest.raises(ValueError, match="walk"):
            engine.site_walk(9, 0, count, 1)


def test_depth_shows_the_best_levels_first(engine_class):
    engine = engine_class()
    for order_id, (side, price) in enumerate([(BUY, 9), (BUY, 7), (BUY, 9), (SELL, 12), (SELL, 11)], start=1):
        engine.submit(Op.NEW, side=side, order_id=order_id, price=price, qty=order_id)
    assert engine.depth(0, 1) == ([(9, 4, 2)], [(11, 5, 1)])
    assert engine.depth(0) == ([(9, 4, 2), (7, 2, 1)], [(11, 5, 1), (12, 4, 1)])
    assert engine.top(0) == (9, 4, 11, 5)
    assert [order.order_id for order in engine.orders(0)] == [1, 3, 2, 5, 4]


def test_a_sweep_of_any_length_is_one_command(engine_class):
    engine = engine_class()
    engine.process(b"".join(new(i, SELL, 10 + i % 7, 1).pack() for i in range(1, 20_001)))
    events = engine.process(new(99_999, BUY, 100, 30_000).pack())
    assert len(events) == 20_001
    assert engine.n_orders == 1
    engine.check()


@pytest.mark.slow
def test_an_engine_goes_on_when_most_of_its_orders_have_ended_at_once(engine_class):
    """The compiled engine gives memory back then; ids, levels and extras of the others must not notice."""
    engine = engine_class()
    fleeting = [
        new(100 * i, i % 2, 1 + i % 2 * 40_000 + i, 5, tif=TimeInForce.GTD, expiry_ns=9)
        for i in range(1, 17_001)
    ]
    lasting = [new(50_000 * i + 7, BUY, 1 + i % 5, 4, flags=2, aux=3) for i in range(1, 41)]
    commands = fleeting[:12_000] + lasting[:20] + fleeting[12_000:] + lasting[20:]
    engine.process(b"".join(command.pack() for command in commands))
    assert engine.n_orders == 17_040
    assert len(engine.submit(Op.ADVANCE_TIME, aux=9)) == 17_000
    assert engine.n_orders == 40
    engine.check()
    events = engine.process(b"".join(new(i, SELL, 3 + i, 2, flags=2, aux=1).pack() for i in range(1, 5_001)))
    assert [event.contra_id for event in events if event.kind == Kind.TRADE][:2] == [200_007, 200_007]
    engine.check()
    twin = engine_class.restore(engine.snapshot())
    assert [twin.order(order.order_id) for order in engine.orders(0)] == engine.orders(0)


@pytest.mark.slow
def test_no_question_is_answered_in_the_middle_of_a_batch(compiled_class):
    engine = compiled_class()
    commands = b"".join(new(i, SELL, 1 + i % 1000, 1).pack() for i in range(1, 300_001))
    worker = threading.Thread(target=engine.process, args=(commands,))
    worker.start()
    refusals = 0
    while worker.is_alive():
        try:
            engine.top(0)
        except RuntimeError as busy:
            assert "in the middle of a batch" in str(busy)
            refusals += 1
    worker.join()
    assert engine.n_orders == 300_000


@pytest.mark.parametrize("wanted", ["reference", "compiled", "nonsense"])
def test_the_environment_may_insist_on_an_engine(wanted, compiled_class):
    code = "import matching_core as m; print(m.IMPLEMENTATION, m.Engine is m.ReferenceEngine)"
    environment = {"CPX_ENGINE": wanted, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    if wanted == "nonsense":
        assert "CPX_ENGINE must be reference or compiled" in done.stderr
    else:
        assert done.stdout.split() == [wanted, str(wanted == "reference")]


def test_nobody_listens_to_a_missing_compiled_engine(monkeypatch):
    monkeypatch.setitem(sys.modules, "matching_core.engine", None)
    with pytest.raises(ImportError, match="cpx build"):
        matching_core._choose_engine("compiled")
    assert matching_core._choose_engine("") == (matching_core.ReferenceEngine, "reference")


class Slow:
    """A number that is no int and acts when it is asked for."""

    def __init__(self, value, act):
        self.value, self.act = value, act

    def __index__(self):
        self.act()
        return self.value


def test_a_number_that_sends_a_command_itself_changes_no_number_of_the_outer_one(engine_class):
    engine = engine_class()
    sly = Slow(5, lambda: engine.submit(Op.NEW, order_id=2, price=9, qty=1, seq=500))
    (event,) = engine.submit(Op.NEW, order_id=1, price=sly, qty=1, seq=7)
    assert (event.seq, engine.n_orders) == (7, 2)
    engine.check()


def test_a_depth_whose_number_of_levels_empties_the_book_shows_what_is_left(engine_class):
    engine = engine_class()
    for order_id in range(1, 20):
        engine.submit(Op.NEW, order_id=order_id, price=1_000 * order_id, qty=1)
    bids, asks = engine.depth(0, Slow(5, lambda: engine.submit(Op.MASS_CANCEL)))
    assert (bids, asks) == ([], []) or len(bids) == 5


def test_a_finalizer_that_speaks_up_in_the_middle_of_an_answer_is_told_to_wait(compiled_class):
    engine = compiled_class()
    batch = b"".join(Command(op=Op.NEW, order_id=1_000 + i, price=5, qty=1).pack() for i in range(300))

    class Last:
        def __init__(self):
            self.itself = self

        def __del__(self):
            try:
                engine.process(batch)
            except RuntimeError:
                told.append("wait")

    told = []
    for order_id in range(1, 90):
        engine.submit(Op.NEW, order_id=order_id, price=7, qty=1)
    thresholds = gc.get_threshold()
    try:
        for i in range(40):
            Last()
            gc.set_threshold(1 + i % 5)
            events = engine.submit(Op.NEW, side=1, order_id=5_000 + i, price=7, qty=3, tif=1)
            gc.set_threshold(*thresholds)
            assert events[0].kind == Kind.ACCEPTED
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()
    engine.check()


def test_an_amend_by_the_smallest_number_is_refused_in_a_batch_as_alone(engine_class):
    engine = engine_class()
    batch = [
        Command(op=Op.NEW, order_id=1, price=10, qty=5), Command(op=Op.NEW, side=1, order_id=2, price=10, qty=2),
        Command(op=Op.AMEND, order_id=1, price=11, qty=-(2**63)),
        Command(op=Op.AMEND, order_id=1, price=-(2**63), qty=2**63 - 1),
    ]  # fmt: skip
    events = list(engine.process(b"".join(command.pack() for command in batch)))
    assert [event.kind for event in events[-2:]] == [Kind.REJECTED] * 2
    engine.check()
