"""The rivals of the exchange choose as they say, on the same rows, and the comparison adds up."""

import csv
from dataclasses import replace

import pytest

from exchange.domain.commands import (
    AddSite,
    Chip,
    Link,
    LoadCatalogue,
    PlaceOffer,
    Reach,
    Region,
    SetTariff,
    SetVenue,
    SubmitTask,
    Task,
    TaskChip,
)
from exchange.domain.units import MICRO, NS_PER_HOUR
from exchange.replay.market_day import MarketDay, TimedRow
from exchange.replay.rivals import Purchase, run_rivals
from exchange.replay.run import RunOptions, run_day
from exchange.replay.scenario import market_day

START_NS = 1_795_449_600 * 10**9
VENUE = SetVenue(name="two regions", lots_per_card=1)
CATALOGUE = LoadCatalogue(
    chips=(Chip("H800", "ai", 990_000, 80, 700), Chip("T4", "ai", 65_000, 16, 70)),
    regions=(Region("far", "Far", "", "cluster", 0, 0), Region("near", "Near", "", "edge", 0, 0)),
    reach=(Reach("near", "near", "L1", 900), Reach("near", "far", "L10", 9_000)),
    links=(Link("near", "far", 100_000, 8_000),),
)


def offer(name, site, prices, lots=4, chip="H800", latency_class="L10"):
    end_ns = START_NS + (2 + len(prices)) * NS_PER_HOUR
    return PlaceOffer("p", name, site, chip, latency_class, "grid", lots, START_NS + 2 * NS_PER_HOUR, end_ns, 0,
                      tuple(round(price * MICRO) for price in prices))  # fmt: skip


def task(name, cap, lots=2, periods=2, **changes):
    made = Task("b", name, "near", 0, (TaskChip("H800"),), lots, periods, START_NS, START_NS + 8 * NS_PER_HOUR, cap * MICRO)
    return replace(made, **changes)


def outcomes(*commands):
    rows = tuple(
        TimedRow(START_NS + place, SubmitTask(item) if isinstance(item, Task) else item) for place, item in enumerate(commands)
    )
    sites = (AddSite("hall", "p", "near"), AddSite("desert", "p", "far"))
    tariff = SetTariff(1, START_NS, 0, 0, 0, ())
    day = MarketDay(VENUE, CATALOGUE, tariff, (), sites, (), (), rows, (), START_NS, START_NS + 20 * NS_PER_HOUR)
    return run_rivals(day)


NEAR = offer("near", "hall", (9, 9, 9, 9), latency_class="L1")
FAR = offer("far", "desert", (7, 3, 8, 2))


def paid(found, way, name):
    return found[way].get(("b", name))


def test_the_nearest_region_is_taken_at_its_price_and_earliest_start():
    found = outcomes(NEAR, FAR, task("one", cap=10))
    assert paid(found, "nearest", "one") == Purchase(2 * 2 * 9 * MICRO, 0, 4)


def test_the_nearest_region_alone_counts_even_when_it_is_too_dear_or_full():
    found = outcomes(NEAR, FAR, task("dear", cap=8), task("all", cap=10, lots=4, periods=4), task("late", cap=10))
    assert paid(found, "nearest", "dear") is None
    assert paid(found, "nearest", "all") is not None
    assert paid(found, "nearest", "late") is None


def test_the_cheapest_hour_is_chosen_for_its_own_price_and_the_rest_is_paid():
    found = outcomes(NEAR, FAR, task("one", cap=10))
    assert paid(found, "cheapest_hour", "one") == Purchase(2 * (3 + 8) * MICRO, 0, 4)  # 8+2 would have been cheaper


def test_moving_data_is_paid_and_counts_against_the_budget():
    data = {"data_mb": 100_000, "data_region": "near"}  # 10 yuan, 100 s
    found = outcomes(NEAR, FAR, task("moves", cap=10, **data))
    assert paid(found, "cheapest_hour", "moves") == Purchase((2 * (3 + 8) + 10) * MICRO, 10 * MICRO, 4)
    found = outcomes(FAR, task("poor", cap=7, **data))
    assert paid(found, "cheapest_hour", "poor") is None
    assert paid(found, "nearest", "poor") is None


def test_what_one_task_took_the_next_does_not_get_and_a_new_offer_is_tried():
    found = outcomes(FAR, task("first", cap=10, lots=3), task("second", cap=10, lots=3), offer("more", "desert", (1, 1, 1, 1)))
    assert paid(found, "cheapest_hour", "first") == Purchase(3 * (3 + 8) * MICRO, 0, 6)
    assert paid(found, "cheapest_hour", "second") == Purchase(3 * 2 * MICRO, 0, 6)


def test_hard_filters_hold():
    found = outcomes(
        FAR, task("chip", cap=10, chips=(TaskChip("T4"),)), task("ms", cap=10, max_latency_us=5_000),
        task("green", cap=10, min_green_ppm=1), task("place", cap=10, allowed_regions=("near",)),
        task("whole", cap=10, checkpoint="none"),
    )  # fmt: skip
    assert all(not bought for bought in found.values())


@pytest.mark.slow
def test_the_comparison_tells_all_three_ways_on_the_same_tasks(tmp_path):
    day = market_day(1, 60)
    summary = run_day(day, RunOptions(tmp_path / "run", with_rivals=True), lambda _: None)
    ways = {row["way"]: row for row in summary["rivals"]}
    assert list(ways) == ["exchange", "nearest", "cheapest_hour"]
    assert ways["exchange"]["filled"] == summary["filled"] > 0
    with (tmp_path / "run" / "rivals.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    for way, told in ways.items():
        assert sum(bool(row[f"{way}_card_hours"]) for row in rows) == told["filled"]
    common = [row for row in rows if all(row[f"{way}_card_hours"] for way in ways)]
    assert len(common) == ways["nearest"]["common_tasks"] > 0
