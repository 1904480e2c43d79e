"""Programs in C see what Python sees: the example of the guide, random commands, and arguments that cannot be."""

import json
import random
import re
import struct
from pathlib import Path

import c_programs
import pytest

from matching_core import views
from matching_core.enums import Kind, Op, Side
from matching_core.records import COMMAND, Command, unpack_events

pytestmark = pytest.mark.slow  # C programs are compiled

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GUIDE = (ROOT / "docs" / "guides" / "c.md").read_text(encoding="utf-8")
HEADER = (ROOT / "matching_core" / "include" / "matching_core.h").read_text(encoding="utf-8")
BOOK = 7


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.S)
    return found


def as_commands(rows):
    """A flow of tests/bench/flow.py as 64-byte commands."""
    ops = {1: Op.NEW, 2: Op.CANCEL, 3: Op.REPLACE}
    return b"".join(
        COMMAND.pack(ops[op], side, 0, tif, 0, 0, 0, book, 0, order_id, price, qty, 0, 0, 0)
        for op, side, tif, book, order_id, price, qty in rows.tolist()
    )


@pytest.fixture(scope="module")
def driver(compiled_class, tmp_path_factory):
    return c_programs.build(HERE / "c_driver.c", tmp_path_factory.mktemp("driver") / "driver")


# --- the example of the guide ---


def told_by_python(engine):
    """What the example prints, from a Python engine."""

    def order(order_id, side, price, qty):
        return Command(Op.NEW, side=side, book=BOOK, order_id=order_id, price=price, qty=qty)

    commands = [
        Command(Op.LIST_BOOK, book=BOOK, price=1), order(1, Side.SELL, 105, 30), order(2, Side.SELL, 104, 20),
        order(3, Side.BUY, 101, 50), order(4, Side.BUY, 105, 35), Command(Op.CANCEL, order_id=2),
    ]  # fmt: skip
    for event in engine.process(b"".join(command.pack() for command in commands)):
        if event.kind == Kind.TRADE:
            yield f"command {event.seq}: order {event.order_id} takes {event.qty} at {event.price} from order {event.contra_id}"
        if event.kind in (Kind.REJECTED, Kind.DENIED):
            yield f"command {event.seq}: refused, reason {event.reason}"
    bid_price, bid_qty, ask_price, ask_qty = engine.top(BOOK)
    yield f"top: {bid_qty} at {bid_price} | {ask_qty} at {ask_price}"
    for name, levels in zip(("bid", "ask"), engine.depth(BOOK), strict=True):
        for price, qty, orders in levels:
            yield f"{name} {qty} at {price}, orders: {orders}"
    yield f"live orders: {engine.n_orders}"


@pytest.mark.parametrize("build", [c_programs.build_program, c_programs.build_library])
def test_the_example_of_the_guide_prints_what_the_python_engine_says(compiled_class, reference_class, tmp_path, build):
    source = tmp_path / "meet.c"
    source.write_text(block("c"))
    command = build(source, tmp_path / "meet")
    if command is None:
        pytest.skip("this Python is no library that a program can be linked with")
    done = c_programs.run(command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == block("text")
    for engine_class in (compiled_class, reference_class):
        assert done.stdout.splitlines() == list(told_by_python(engine_class(1000, listed_only=True)))


def test_the_guide_tells_of_every_function_and_of_no_other():
    functions = re.findall(r"\(\*(\w+)\)\(", HEADER)
    assert len(functions) == 10
    assert re.findall(r"^\| `(\w+)\(", GUIDE, re.M) == functions


# --- the same commands, the same bytes ---


def random_batch(stream, seed, engine, count):
    """Commands that meet each other, as bytes, and the events that the engine has for them."""
    chance = random.Random(seed)
    commands, events, live = [], [], {}
    for fields in stream.opening():
        commands.append(Command(**fields).pack())
    while len(commands) < count:
        fields = stream.command(chance, engine.now_ns, live, rules=2)
        try:
            packed = Command(**fields).pack()
        except struct.error:  # a number that no record can carry
            continue
        commands.append(packed)
    for number, packed in enumerate(commands, start=1):
        events.append(bytes(engine.process(packed, number)))
    return b"".join(commands), b"".join(events)


def assert_same_events(found, wanted):
    if found != wanted:
        pairs = zip(unpack_events(found), unpack_events(wanted), strict=False)
        assert next((pair for pair in pairs if pair[0] != pair[1]), None) is None
        assert len(found) == len(wanted)


def answers(engine):
    """What the driver prints, from a Python engine."""
    for book in range(5):
        yield " ".join(map(str, ("top", book, int(book in engine.books()), *engine.top(book))))
        for side, levels in enumerate(engine.depth(book, 4)):
            for level in levels:
                yield " ".join(map(str, ("depth", book, side, *level)))
    for order in filter(None, map(engine.order, range(64))):
        yield " ".join(map(str, map(int, order))).join(("order ", ""))
    for account in range(5):
        if (purses := engine.balance(account)) is not None:
            yield " ".join(map(str, ("balance", account, *purses)))
    yield f"orders {engine.n_orders} now {engine.now_ns}"


@pytest.mark.parametrize("seed", range(8))
def test_random_commands_give_the_same_events_and_answers_from_c(driver, reference_class, stream, tmp_path, seed):
    check_funds, listed_only = stream.FLAVOURS[seed % 4]
    engine = reference_class(30, check_funds=check_funds, listed_only=listed_only)
    commands, events = random_batch(stream, seed, engine, 1500)
    (tmp_path / "flow").write_bytes(commands)
    done = c_programs.run(
        driver, tmp_path / "flow", 30, int(check_funds), int(listed_only), 1 + seed * 40, tmp_path / "events"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_events((tmp_path / "events").read_bytes(), events)
    assert done.stdout.splitlines() == list(answers(engine))


def test_a_flow_of_orders_gives_the_bytes_of_one_process_call(driver, compiled_class, flow, tmp_path):
    commands = as_commands(flow.generate("mixed", 20_000, 5))
    engine = compiled_class(100_000)
    events = bytes(engine.process(commands))
    (tmp_path / "flow").write_bytes(commands)
    done = c_programs.run(driver, tmp_path / "flow", 100_000, 0, 0, 20_000, tmp_path / "events")
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_events((tmp_path / "events").read_bytes(), events)
    assert done.stdout.splitlines() == list(answers(engine))


def test_the_latency_program_measures_every_command(compiled_class, flow, tmp_path):
    commands = as_commands(flow.generate("mixed", 3000, 5))
    (tmp_path / "flow").write_bytes(commands)
    command = c_programs.build(ROOT / "tests" / "bench" / "latency.c", tmp_path / "latency")
    done = c_programs.run(command, tmp_path / "flow", 10_000)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["commands"] == 3000
    assert told["events"] == len(compiled_class(10_000).process(commands))
    assert 0 < told["p50_ns"] <= told["p99_ns"] <= told["p99_9_ns"] <= told["max_ns"]
    assert 0 < told["timer_overhead_ns"] < told["max_ns"] and told["p50_ns"] / 100 < told["mean_ns"] < told["max_ns"]
    (tmp_path / "flow").write_bytes(commands[:-1])
    assert c_programs.run(command, tmp_path / "flow", 10_000).returncode == 2
    assert c_programs.run(command, tmp_path / "none", 10_000).returncode == 2


# --- what cannot be ---


def test_arguments_that_cannot_be_are_answered(compiled_class, tmp_path):
    command = c_programs.build(HERE / "c_bad_arguments.c", tmp_path / "bad")
    done = c_programs.run(command)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_program_for_another_version_of_the_table_is_told_so(compiled_class, tmp_path):
    source = tmp_path / "later.c"
    source.write_text(
        '#include "matching_core.h"\n#undef CPX_API_VERSION\n#define CPX_API_VERSION 99\n'
        '#include "matching_core_api.h"\nint main(void) { return cpx_import() == NULL ? 5 : 0; }\n'
    )
    done = c_programs.run(c_programs.build(source, tmp_path / "later"))
    assert done.returncode == 5
    assert "the engine has C API version 1" in done.stderr and "this program needs 99" in done.stderr


def test_a_program_without_the_engine_is_told_why(compiled_class, tmp_path):
    source = tmp_path / "lost.c"
    source.write_text('#include "matching_core_api.h"\nint main(void) { return cpx_import() == NULL ? 5 : 0; }\n')
    done = c_programs.run(c_programs.build(source, tmp_path / "lost"), CPX_ENGINE="nonsense")
    assert done.returncode == 5
    assert "CPX_ENGINE must be reference or compiled" in done.stderr


def test_the_header_has_the_caps_of_the_views():
    assert f"#define CPX_MAX_ORDERS UINT32_C({views.MAX_ORDERS})" in HEADER
    assert f"#define CPX_MAX_SEQ INT64_C({views.MAX_SEQ})" in HEADER
