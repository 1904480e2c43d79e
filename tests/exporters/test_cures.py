"""Files of a day on which hours were bought in, trades corrected, sites curtailed: every line leads back, sums are exact."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from small_days import Day, cured_day

from exchange.adapters.exporters import export_all
from exchange.domain.events import Settled, Traded
from exchange.domain.events_settlement import BoughtIn, BuyInEnded
from exchange.domain.units import parse_micro
from exchange.projections.statements import statements


@pytest.fixture(scope="module")
def cured() -> Day:
    return cured_day()


@pytest.fixture(scope="module")
def folder(cured: Day, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cured")
    export_all(cured.projections, path, cured.balances())
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def told(day: Day, kind: type) -> list:
    return [event for *_, events in day.history for event in events if type(event) is kind]


def test_settlement_csv_tells_covers_from_what_they_stand_in_for(cured: Day, folder: Path) -> None:
    rows = {int(row["obligation"]): row for row in read(folder / "settlement.csv")}
    assert Counter(row["status"] for row in rows.values()) == {"delivered": 5, "covered": 2, "short": 3}
    bought = told(cured, BoughtIn)
    assert len(bought) == 3 and sum(len(event.covers) for event in bought) == 3
    for event in bought:
        for number in event.covers:
            assert rows[number]["instead_of"] == str(event.obligation_id)
            assert rows[number]["trade_id"] != rows[event.obligation_id]["trade_id"]
    trades = {row["obligation"]: row for row in read(folder / "trades.csv")}
    assert {str(number) for number in rows} < set(trades)  # all but the busted one lead to their trades


def test_what_a_purchase_cost_is_what_its_obligations_came_to(cured: Day) -> None:
    settled = {event.obligation_id: event for event in told(cured, Settled)}
    ends = {event.obligation_id: event for event in told(cured, BuyInEnded)}
    traded = {event.obligation_id: event for event in told(cured, Traded)}
    for bought in told(cured, BoughtIn):
        old, end = traded[bought.obligation_id], ends[bought.obligation_id]
        spent = bought.cost_micro + bought.fee_micro + bought.moving_micro
        assert spent + end.refund_micro == bought.escrow_micro + end.margin_micro
        line = settled[bought.obligation_id]
        left = line.paid_micro + line.fee_micro + line.refund_micro
        assert left + bought.escrow_micro == old.cost_micro + old.fee_micro


def test_corrections_csv_has_every_bust_and_adjustment(folder: Path) -> None:
    rows = read(folder / "corrections.csv")
    assert [(row["what"], row["before"], row["price"], row["reason"]) for row in rows] == [
        ("busted", "8.00", "", "fat finger"), ("adjusted", "8.00", "7.00", "fat finger"),
    ]  # fmt: skip
    paid = {row["obligation"]: row for row in read(folder / "settlement.csv")}
    assert rows[0]["obligation"] not in paid
    adjusted = paid[rows[1]["obligation"]]
    assert (adjusted["price"], parse_micro(adjusted["paid"])) == ("7.00", parse_micro(rows[1]["cost"]))


def test_every_line_of_a_statement_leads_to_a_trade_or_names_its_reference(cured: Day) -> None:
    parts = cured.projections
    seen = Counter()
    for statement in statements(parts.ledger, parts.tape, parts.deliveries):
        for line in statement.lines:
            seen[line.what] += 1
            assert line.obligation in parts.tape.by_obligation or line.what in ("deposit", "deposit by a participant"), line
    for words in ("security for a buy-in of the failed hour", "security that the buy-in did not need, given back"):
        assert seen[words], seen
    assert parts.ledger.differences(cured.balances()) == []
