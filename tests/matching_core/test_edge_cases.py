"""Short sequences on one book that other engines got wrong, with the answers two independent engines agreed on."""

import json
from collections import Counter

import pytest

from matching_core.enums import Kind, Op, RejectReason, TimeInForce

MESSAGES = {"new": Op.NEW, "cancel": Op.CANCEL, "modify": Op.REPLACE}


@pytest.fixture(scope="module")
def cases(shared_data):
    return json.loads((shared_data / "acceptance" / "matching_edge_cases.json").read_text())["cases"]


def report(kind, event):
    """The name that the vectors give to an answer."""
    if event.kind == Kind.REJECTED:
        assert event.reason == RejectReason.UNKNOWN_ORDER
        return f"{kind.upper()}_REJECT"
    return {
        Kind.ACCEPTED: "ACK",
        Kind.CANCELED: "CANCEL_ACK",
        Kind.REPLACED: "MODIFY_ACK",
        Kind.TRADE: "TRADE",
    }[event.kind]


def test_every_edge_case_is_answered_as_agreed(engine_class, cases):
    for case in cases:
        engine = engine_class()
        trades, reports = [], Counter()
        for kind, side, ioc, qty, order_id, price in case["messages"]:
            events = engine.submit(
                MESSAGES[kind], side=side, tif=TimeInForce.IOC if ioc else TimeInForce.GTC, order_id=order_id,
                price=price, qty=qty, book=7,
            )  # fmt: skip
            reports.update(report(kind, event) for event in events)
            trades += [[e.order_id, e.contra_id, e.price, e.qty] for e in events if e.kind == Kind.TRADE]
            if len(case["messages"]) < 100:
                engine.check()
        expect = case["expect"]
        listed = expect["trades_taker_maker_price_qty"]  # None where the list would be too long
        assert listed is None or trades == listed, case["name"]
        assert (len(trades), sum(trade[3] for trade in trades)) == (expect["trades"], expect["quantity"])
        assert reports == expect["reports"], case["name"]
        engine.check()
