"""What became of lots that were not delivered: sums, causes and layers are those of the settlement."""

from __future__ import annotations

import csv
import json

import pytest

from exchange.domain.events import Moved, Settled
from exchange.domain.events_delivery import DeliveryFailed
from exchange.domain.events_settlement import BoughtIn, BuyInEnded
from exchange.projections.failures import Failures
from exchange.replay.run import RunOptions, run_day
from exchange.replay.scenario import market_day

BOOK = "H800/guizhou-guian/L10/grid/20261124T02"


def settled(number: int, status: str, lots: int = 10, **more: int) -> Settled:
    amounts = ("paid_micro", "fee_micro", "moving_micro", "refund_micro", "damages_micro", "damages_cut_micro")
    fields = {**dict.fromkeys(amounts, 0), "delivered_lots": 0, "lost_lots": 0, **more}
    return Settled(number, 0, "b", "s", BOOK, lots, status=status, **fields)


def told(*events) -> Failures:
    found = Failures()
    found.on_command(1, 0, None, events)
    return found


def test_a_delivered_obligation_is_no_failure():
    found = told(settled(1, "delivered", delivered_lots=10))
    assert found.failures == [] and found.settled_lots == 10


def test_a_declared_failure_that_is_covered_in_part():
    failed = DeliveryFailed(1, "b", "s", BOOK, 0, 10, "declared")
    bought = BoughtIn(1, (2,), "b", "s", 6, 12, 60, 1, 0, 50)
    ended = BuyInEnded(1, "b", "s", 6, 4, 11, 0, "gate")
    (item,) = told(failed, bought, ended, settled(1, "short", 4, lost_lots=4, refund_micro=40, damages_micro=9)).failures
    assert (item.known_by, item.failed_lots, item.bought_in_lots, item.lost_lots) == ("declared", 10, 6, 4)
    assert (item.margin_micro, item.refund_micro, item.damages_micro, item.is_made_whole) == (11, 40, 9, True)


def test_hours_that_end_with_their_block_are_told_apart():
    short, later = settled(1, "short", delivered_lots=3, lost_lots=7), settled(2, "void", lost_lots=10, damages_cut_micro=1)
    first, second = told(short, later).failures
    assert (first.known_by, second.known_by) == ("reading", "block") and not second.is_made_whole


def test_layers_of_the_waterfall():
    sources = (("s", "margin"), ("s", "cash"), ("s", "bond"), ("fund", "cash"))
    moves = [Moved(*source, "b", "cash", 10**place, "damages", "obligation:1") for place, source in enumerate(sources)]
    refund = Moved("b", "escrow", "b", "cash", 7, "refund", "obligation:1")
    assert told(*moves, refund).damages_by_layer == {"margin": 1, "pay": 10, "bond": 100, "fund": 1000}


@pytest.mark.slow
@pytest.mark.parametrize("shortfall_ppm", [0, 300_000])
def test_sums_of_a_day_are_those_of_its_settlement(tmp_path, shortfall_ppm):
    summary = run_day(market_day(1, 150), RunOptions(tmp_path / "day", shortfall_ppm=shortfall_ppm), lambda progress: None)
    failures = summary["failures"]
    rows = list(csv.DictReader((tmp_path / "day" / "failures.csv").open(encoding="utf-8")))
    assert len(rows) == failures["obligations"] == sum(failures["known_by"].values())
    assert failures["damages"] == summary["damages"] and failures["damages_cut"] == summary["damages_cut"]
    assert json.loads((tmp_path / "day" / "summary.json").read_text())["failures"] == failures
    if shortfall_ppm:
        assert failures["known_by"]["declared"] and failures["known_by"]["reading"]
        assert float(failures["card_hours_bought_in"]) and float(failures["card_hours_made_up"])
        total = sum(float(amount) for amount in failures["damages_by_layer"].values())
        assert total == pytest.approx(float(failures["damages"]))
        assert summary["ledger_sum"] == 0
        of_blocks = [row for row in rows if row["known_by"] == "block"]
        assert float(failures["card_hours_of_blocks"]) == pytest.approx(sum(int(row["lost"]) for row in of_blocks) / 10)
        assert of_blocks and not any(int(row["made_up"]) or int(row["bought_in"]) for row in of_blocks)
