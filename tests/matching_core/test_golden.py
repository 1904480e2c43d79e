"""The four order flows that two independent engines agreed on, replayed to the last fill."""

import hashlib
import json
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

from matching_core import COMMAND_DTYPE, EVENT_DTYPE  # noqa: E402
from matching_core.enums import Kind  # noqa: E402

GOLDEN = json.loads((Path(__file__).parent.parent / "bench" / "golden.json").read_text())["flows"]
SMALL = [golden for golden in GOLDEN if golden["count"] <= 20_000]
SMALL_WITH_LONG_ONES_SLOW = [
    pytest.param(golden, marks=pytest.mark.slow if golden["profile"] in ("wide", "mixed") else ()) for golden in SMALL
]
LARGE = [golden for golden in GOLDEN if golden["count"] > 20_000]


def name(golden):
    return f"{golden['profile']}-{golden['count']}"


def make_commands(flow, golden):
    records = flow.generate(golden["profile"], golden["count"], golden["seed"])
    assert hashlib.sha256(records.tobytes()).hexdigest() == golden["flow_sha256"]
    commands = np.zeros(len(records), COMMAND_DTYPE)
    for field in ("op", "side", "tif", "book", "order_id", "price", "qty"):
        commands[field] = records[field]
    return commands


def answers(engine, commands, batch):
    """What golden.json says about a run, worked out from the events."""
    batches = [
        np.frombuffer(engine.process(commands[i : i + batch], first_seq=i + 1), EVENT_DTYPE)
        for i in range(0, len(commands), batch)
    ]
    events = np.concatenate(batches)
    trades = events[events["kind"] == Kind.TRADE]
    tape = np.zeros((len(trades), 4), "<u8")
    for column, field in enumerate(("order_id", "contra_id", "price", "qty")):
        tape[:, column] = trades[field]
    return {
        "fills": len(trades),
        "filled_quantity": int(trades["qty"].sum()),
        "notional": int((trades["price"] * trades["qty"]).sum()),
        "rejected": int((events["kind"] == Kind.REJECTED).sum()),
        "resting": engine.n_orders,
        "tape_sha256": hashlib.sha256(tape.tobytes()).hexdigest(),
    }


def expected(golden):
    return {key: golden[key] for key in
            ("fills", "filled_quantity", "notional", "rejected", "resting", "tape_sha256")}  # fmt: skip


@pytest.mark.parametrize("golden", SMALL_WITH_LONG_ONES_SLOW, ids=name)
def test_a_day_of_twenty_thousand_orders_prints_the_agreed_tape(engine_class, flow, golden):
    engine = engine_class()
    assert answers(engine, make_commands(flow, golden), batch=4096) == expected(golden)
    engine.check()


@pytest.mark.slow
@pytest.mark.parametrize("golden", LARGE, ids=name)
def test_a_day_of_two_million_orders_prints_the_agreed_tape(compiled_class, flow, golden):
    engine = compiled_class()
    assert answers(engine, make_commands(flow, golden), batch=4096) == expected(golden)


@pytest.mark.slow
@pytest.mark.parametrize("golden", SMALL, ids=name)
def test_both_engines_end_a_day_with_the_same_hash_and_snapshot(
    compiled_class, reference_class, flow, golden
):
    commands = make_commands(flow, golden)
    compiled, reference = compiled_class(), reference_class()
    assert bytes(compiled.process(commands)) == bytes(reference.process(commands))
    assert compiled.state_hash() == reference.state_hash()
    assert compiled.snapshot() == reference.snapshot()
