"""The bundled demo day, and days made from files."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from exchange.adapters.market_files import OFFER_COLUMNS, TASK_COLUMNS
from exchange.domain.commands import (
    AddParticipant,
    AnnounceOutage,
    Deposit,
    PlaceOffer,
    PostBond,
    SetPowerPrices,
    SubmitTask,
)
from exchange.domain.money import task_budget
from exchange.domain.units import MICRO, NS_PER_HOUR
from exchange.replay.files import FileOptions, market_day_from_files
from exchange.replay.market_day import MarketDay, hold_micro
from exchange.replay.scenario import DEMO_START_NS, market_day

ROOT = Path(__file__).resolve().parents[2]
DAY = market_day()
TASKS = [row.command.task for row in DAY.rows if isinstance(row.command, SubmitTask)]
OFFERS = [row.command for row in DAY.rows if isinstance(row.command, PlaceOffer)]
FINGERPRINT = """
import hashlib
from exchange.replay.scenario import market_day
print(hashlib.sha256(repr(market_day(3, 400)).encode()).hexdigest())
"""


def deposits(day: MarketDay) -> dict[str, int]:
    return {item.participant: item.amount_micro for item in day.participants if isinstance(item, Deposit)}


def test_the_demo_is_a_day_of_a_few_hundred_participants_and_2500_tasks():
    assert len(TASKS) == 2_500
    assert 200 <= len(OFFERS) <= 350
    assert len({offer.participant for offer in OFFERS}) == 120
    assert 190 <= len({task.participant for task in TASKS}) <= 200
    assert DAY.start_ns == DEMO_START_NS
    assert all(DEMO_START_NS <= row.time_ns < DEMO_START_NS + 24 * NS_PER_HOUR for row in DAY.rows)


def test_the_demo_has_all_ten_clusters_edge_sites_and_hubs_with_thousands_of_cards():
    regions = {site.region for site in DAY.sites}
    assert len([region for region in regions if not region.startswith("hubei-")]) == 10
    assert "hubei-wuhan" in regions and len(regions) > 13
    assert max(word.lots for word in DAY.attestations) > 2_000 * 10
    assert min(offer.lots for offer in OFFERS) == 10


def test_the_demo_shows_every_kind_of_wish():
    assert {task.lane for task in TASKS} == {"standard", "economy", "emergency"}
    assert 0.07 < sum(task.shape == "bulk" for task in TASKS) / len(TASKS) < 0.15
    for wish in (
        lambda task: task.min_green_ppm, lambda task: task.data_mb, lambda task: task.allowed_regions,
        lambda task: task.checkpoint == "none", lambda task: task.on_break == "abandon", lambda task: task.min_fill,
        lambda task: task.max_latency_us == 0, lambda task: task.max_latency_us == 1_000,
        lambda task: len(task.chips) > 1, lambda task: task.lots >= 1_000, lambda task: task.lots < 10,
    ):  # fmt: skip
        assert any(wish(task) for task in TASKS)
    assert any(offer.min_lots > 1 and offer.min_periods > 1 for offer in OFFERS)
    assert {offer.power for offer in OFFERS} == {"grid", "green"}
    assert {offer.latency_class for offer in OFFERS} == {"L1", "L5", "L10", "BE"}


def test_lengths_follow_the_published_quantiles_of_the_trace():
    one_hour = sum(task.periods == 1 for task in TASKS) / len(TASKS)
    long = sum(task.periods > 4 for task in TASKS) / len(TASKS)
    assert 0.78 < one_hour < 0.88  # the trace: 83 % end within the hour
    assert 0.03 < long < 0.07  # the trace: about 5 %


def test_names_say_who_asks():
    kinds = Counter(task.participant.split("-")[1] for task in TASKS)
    assert set(kinds) == {"hospital", "film", "lab", "startup", "factory"}
    assert "buyer-hospital-003" in {task.participant for task in TASKS}


def test_most_buyers_can_pay_for_all_they_ask_but_not_all():
    need: Counter[str] = Counter()
    for task in TASKS:
        need[task.participant] += hold_micro(task, DAY.settings, DAY.tariff)
    money = deposits(DAY)
    short = [buyer for buyer in need if money[buyer] < need[buyer] // 2]
    assert 0 < len(short) < 0.2 * len(need)


def test_rows_come_in_order_of_time_offers_before_tasks():
    rank = {PlaceOffer: 0, SubmitTask: 1, AnnounceOutage: 2}
    keys = [(row.time_ns, rank[type(row.command)]) for row in DAY.rows]
    assert keys == sorted(keys)


def test_sites_break_some_announced_and_some_not():
    assert {bool(outage.announced_ns) for outage in DAY.outages} == {True, False}
    announced = {row.command.site: row for row in DAY.rows if isinstance(row.command, AnnounceOutage)}
    for outage in DAY.outages:
        assert outage.site in {site.site for site in DAY.sites}
        assert outage.start_ns < outage.end_ns
        if outage.announced_ns:
            assert announced.pop(outage.site).time_ns == outage.announced_ns < outage.start_ns
    assert not announced


def test_every_offer_has_its_family_site_capacity_and_owner():
    families = {(item.chip, item.region, item.latency_class, item.power) for item in DAY.families}
    sites = {site.site: site for site in DAY.sites}
    capacity = {(word.site, word.chip): word for word in DAY.attestations}
    known = {item.participant for item in DAY.participants if isinstance(item, AddParticipant)}
    for offer in OFFERS:
        site, word = sites[offer.site], capacity[offer.site, offer.chip]
        assert site.participant == offer.participant in known
        assert (offer.chip, site.region, offer.latency_class, offer.power) in families
        assert word.start_ns <= offer.start_ns and offer.end_ns <= word.end_ns and offer.lots <= word.lots
        assert offer.price_micro % DAY.settings.tick_micro == 0
    assert {task.participant for task in TASKS} <= known


def test_everything_is_over_by_the_end_of_the_day():
    assert max(task.deadline_ns for task in TASKS) + 60 * 60 * 10**9 < DAY.end_ns


def test_the_same_seed_gives_the_same_day_and_another_seed_does_not():
    assert market_day(1, 200) == market_day(1, 200)
    assert market_day(1, 200).rows != market_day(2, 200).rows


@pytest.mark.parametrize("seed", [2, 77])
def test_any_seed_gives_a_market_that_is_neither_empty_nor_flooded(seed):
    day = market_day(seed, 1_000)
    tasks = [row.command.task for row in day.rows if isinstance(row.command, SubmitTask)]
    offers = [row.command for row in day.rows if isinstance(row.command, PlaceOffer)]
    wanted = sum(task.lots * task.periods for task in tasks)
    offered = sum(offer.lots * ((offer.end_ns - offer.start_ns) // NS_PER_HOUR) for offer in offers)
    assert 1 < offered / wanted < 4


@pytest.mark.slow
def test_the_day_does_not_depend_on_the_hash_seed():
    seen = set()
    for hash_seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", FINGERPRINT], env=environment, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout)
    assert len(seen) == 1


def write(folder: Path, name: str, header: tuple[str, ...], *rows: dict[str, str]) -> Path:
    lines = [",".join(header)] + [",".join(row.get(column, "") for column in header) for row in rows]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


TASK = {
    "task_id": "t1", "submit_time": "2026-01-05T00:10:00Z", "account": "buyer-1", "access_region": "hubei-wuhan",
    "max_latency_ms": "10", "chips": "H800", "cards": "8", "hours": "2.5", "deadline": "2026-01-06T00:00:00Z",
    "price_cap": "8.50",
}  # fmt: skip
OFFER = {
    "offer_id": "o1", "submit_time": "2026-01-05T00:00:00Z", "account": "provider-1", "site": "s1", "chip": "H800",
    "region": "gansu-qingyang", "latency_class": "L10", "power": "grid", "cards": "16", "start": "2026-01-05T02:00:00Z",
    "end": "2026-01-05T12:00:00Z", "price": "8.00",
}  # fmt: skip


def test_a_day_from_files_brings_the_money_that_its_rows_need(tmp_path):
    tasks = write(
        tmp_path, "tasks.csv", TASK_COLUMNS.required, TASK, {**TASK, "task_id": "t2", "cards": "NaN"}
    )
    offers = write(tmp_path, "offers.csv", OFFER_COLUMNS.required, OFFER)
    day, problems = market_day_from_files(tasks, [offers])
    assert day is not None
    assert [str(problem).split(":")[:2] for problem in problems] == [["tasks.csv", "3"]]
    assert [type(row.command) for row in day.rows] == [PlaceOffer, SubmitTask]
    task = day.rows[1].command.task
    assert task_budget(task, day.settings) == 8 * 3 * 8_500_000
    money = deposits(day)
    assert money["buyer-1"] == 206 * MICRO  # 204 and a fee of 1.02, in whole yuan
    security = 16 * 10 * 8 * MICRO // 2
    assert money["provider-1"] == security + security // 10
    assert PostBond("provider-1", security // 10) in day.participants
    assert day.waste == (("buyer-1", "t1", 8 * 10 * 30),)
    assert [(word.site, word.lots) for word in day.attestations] == [("s1", 160)]


def test_a_stated_deposit_replaces_the_rule(tmp_path):
    tasks = write(tmp_path, "tasks.csv", TASK_COLUMNS.required, TASK)
    offers = write(tmp_path, "offers.csv", OFFER_COLUMNS.required, OFFER)
    day, _ = market_day_from_files(tasks, [offers], FileOptions(deposit_micro=7 * MICRO))
    assert day is not None and deposits(day)["buyer-1"] == 7 * MICRO


def test_nothing_to_run_is_no_day(tmp_path):
    tasks = write(tmp_path, "tasks.csv", TASK_COLUMNS.required)
    offers = write(tmp_path, "offers.csv", OFFER_COLUMNS.required, OFFER)
    assert market_day_from_files(tasks, [offers]) == (None, [])
    day, problems = market_day_from_files(offers, [tasks])
    assert day is None and {problem.code for problem in problems} == {"unknown_header"}


def test_offers_of_sites_that_the_sites_file_lacks_are_told(tmp_path):
    tasks = write(tmp_path, "tasks.csv", TASK_COLUMNS.required, TASK)
    offers = write(tmp_path, "offers.csv", OFFER_COLUMNS.required, OFFER)
    sites = write(
        tmp_path, "sites.csv", ("site", "account", "region", "chip", "cards"),
        {"site": "s2", "account": "provider-1", "region": "gansu-qingyang", "chip": "H800", "cards": "99"},
    )  # fmt: skip
    day, problems = market_day_from_files(tasks, [offers], FileOptions(sites_path=sites))
    assert day is not None and [(problem.file, problem.code) for problem in problems] == [
        ("sites.csv", "unknown_code")
    ]


def test_power_prices_of_a_file_are_told_day_by_day_and_emergency_buyers_are_allowed_their_lane(tmp_path):
    rush = TASK | {"task_id": "rush", "account": "buyer-2", "lane": "emergency"}
    tasks = write(tmp_path, "tasks.csv", TASK_COLUMNS.required, TASK, rush)
    offers = write(tmp_path, "offers.csv", OFFER_COLUMNS.required, OFFER)
    hours = ({"hour": f"2025-03-0{day}T{hour:02}:00:00Z", "price_per_kwh": "0.5"} for day in range(1, 7) for hour in range(24))
    power = write(tmp_path, "power.csv", ("hour", "price_per_kwh"), *hours)
    options = FileOptions(power_paths=(("gansu-qingyang", power), ("mars", power)))
    day, problems = market_day_from_files(tasks, [offers], options)
    assert [(problem.file, problem.code) for problem in problems] == [("power.csv", "unknown_code")]
    told = [row for row in day.rows if isinstance(row.command, SetPowerPrices)]
    assert told and {row.command.region for row in told} == {"gansu-qingyang"}
    assert told[0].command.start_ns == day.start_ns == told[0].time_ns
    assert sum(len(row.command.prices_micro_per_kwh) for row in told) == (day.end_ns - day.start_ns) // NS_PER_HOUR
    assert any("power prices of gansu-qingyang" in note and "moved by" in note for note in day.notes)
    allowed = {c.participant for c in day.participants if isinstance(c, AddParticipant) and c.may_use_emergency}
    assert allowed == {"buyer-2"}


@pytest.mark.slow
def test_the_trace_and_price_lists_make_a_day(shared_data):
    data = shared_data / "data"
    day, problems = market_day_from_files(
        data / "tasks" / "openb_pod_list_gpuspec33.csv", sorted((data / "catalog").iterdir())
    )
    assert day is not None and problems == []
    assert sum(isinstance(row.command, SubmitTask) for row in day.rows) == 8_822
    assert len(day.pieces) == 8_822 - 8_152
    assert any("8152 pods" in note for note in day.notes)
