"""H1, H2 in full: which phase may follow which, and what each takes; docs/rules/matching.md has the same table."""

import re
from pathlib import Path

import pytest

from matching_core.enums import Bucket, Kind, Op, OrderFlag, Phase, RejectReason, Side

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules" / "matching.md"
WAY = {  # from OPEN to each phase
    Phase.PRE_OPEN: [Phase.PRE_OPEN], Phase.AUCTION: [Phase.AUCTION], Phase.OPEN: [], Phase.HALTED: [Phase.HALTED],
    Phase.CANCEL_ONLY: [Phase.CANCEL_ONLY], Phase.CLOSED: [Phase.CLOSED],
}  # fmt: skip


@pytest.fixture(scope="module")
def phase_class(engine_class):
    if getattr(engine_class, "RULES_VERSION", 1) < 2:
        pytest.skip("this engine has no phases yet")
    return engine_class


def table():
    """Phase -> the cells of its row."""
    rows = re.findall(r"^\| ([A-Z_]+) \|(.*)\|$", PAGE.read_text(encoding="utf-8"), flags=re.M)
    return {Phase[name]: [cell.strip() for cell in cells.split("|")] for name, cells in rows if name in Phase.__members__}


def engine_in(phase_class, phase):
    """A funded engine with one book in that phase, a bid and an ask of two accounts in it, and money to take with."""
    engine = phase_class(check_funds=True)
    for account in (1, 2):
        engine.submit(Op.OPEN_ACCOUNT, account=account, book=account)
        for bucket in (Bucket.CASH, Bucket.HELD):
            engine.submit(Op.TRANSFER, account=0, book=account, qty=1_000, order_type=bucket)
    engine.submit(Op.LIST_BOOK, price=1)
    engine.submit(Op.NEW, account=1, order_id=1, side=Side.BUY, price=9, qty=5)
    engine.submit(Op.NEW, account=2, order_id=2, side=Side.SELL, price=11, qty=5)
    for step in WAY[phase]:
        assert engine.submit(Op.SET_PHASE, aux=step)[0].kind == Kind.PHASE_SET
    return engine


def said(engine, op, **fields):
    """True if done, False if refused for the phase."""
    event = engine.submit(op, **fields)[0]
    engine.check()
    if event.kind == Kind.REJECTED:
        assert event.reason == RejectReason.PHASE
    return event.kind != Kind.REJECTED


def test_every_pair_of_phases_is_as_the_page_says(phase_class):
    rows = table()
    assert set(rows) == set(Phase)
    for phase, cells in rows.items():
        text = cells[-1].split(";")[0]
        named = {Phase[name] for name in re.findall(r"\b[A-Z_]{4,}\b", text)}
        allowed = set(Phase) - {phase} if text == "all others" else named
        for to in Phase:
            assert said(engine_in(phase_class, phase), Op.SET_PHASE, aux=to) == (to in allowed), (phase, to)


def test_only_a_call_ends_in_an_uncross(phase_class):
    for phase in Phase:
        for to in (Phase.OPEN, Phase.CLOSED):
            assert said(engine_in(phase_class, phase), Op.UNCROSS, aux=to) == (phase == Phase.AUCTION)


def test_every_phase_takes_what_the_page_says(phase_class):
    for phase, (new, amend, cancel, take, _) in table().items():
        order = {"account": 1, "order_id": 7, "price": 8, "qty": 1}
        asked = {
            (Op.NEW, new != "–"): order,
            (Op.AMEND, amend.startswith("yes")): order | {"order_id": 1},
            (Op.REPLACE, amend.startswith("yes")): order | {"order_id": 1},
            (Op.CANCEL, cancel.startswith("yes")): {"account": 1, "order_id": 1},
            (Op.REDUCE, cancel.startswith("yes")): {"account": 1, "order_id": 1, "qty": 2},
            (Op.TAKE, take == "yes"): {"account": 1, "order_id": 7, "aux": 2, "price": 11, "qty": 1},
        }
        for (op, is_taken), fields in asked.items():
            assert said(engine_in(phase_class, phase), op, **fields) == is_taken, (phase, op)
        call_order = order | {"flags": OrderFlag.AUCTION_ONLY}
        assert said(engine_in(phase_class, phase), Op.NEW, **call_order) == (phase == Phase.AUCTION)
