"""tasks.csv, offers.csv and sites.csv: what a good row becomes, and what is said about a bad one."""

from pathlib import Path

import pytest

from exchange.adapters.catalogue_files import load_catalogue
from exchange.adapters.market_files import (
    OFFER_COLUMNS,
    SITE_COLUMNS,
    TASK_COLUMNS,
    read_offers,
    read_sites,
    read_tasks,
    sites_from_file,
    sites_from_offers,
)
from exchange.adapters.rows import parse_time_ns
from exchange.adapters.sniff import sniff
from exchange.domain.commands import (
    AddSite,
    AttestCapacity,
    PlaceOffer,
    SetVenue,
    SubmitTask,
    Task,
    TaskChip,
    TaskStep,
)
from exchange.domain.units import NS_PER_HOUR

TASK_HEADER = ",".join((*TASK_COLUMNS.required, *TASK_COLUMNS.optional))
OFFER_HEADER = ",".join((*OFFER_COLUMNS.required, *OFFER_COLUMNS.optional))
T0 = parse_time_ns("2026-01-05T00:00:00Z")


def write(tmp_path: Path, name: str, *lines: str) -> Path:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def task_line(**changes: str) -> str:
    cells = dict.fromkeys(TASK_HEADER.split(","), "") | {
        "task_id": "t1", "submit_time": "2026-01-05T00:00:00Z", "account": "buyer-1", "access_region": "hubei-wuhan",
        "chips": "H800", "cards": "8", "hours": "2", "deadline": "2026-01-06T00:00:00Z", "price_cap": "8.50",
    } | changes  # fmt: skip
    return ",".join(cells.values())


def offer_line(**changes: str) -> str:
    cells = dict.fromkeys(OFFER_HEADER.split(","), "") | {
        "offer_id": "o1", "submit_time": "2026-01-05T00:00:00Z", "account": "provider-1", "site": "s1", "chip": "H800",
        "region": "hubei-wuhan", "latency_class": "L5", "power": "grid", "cards": "16",
        "start": "2026-01-05T02:00:00Z", "end": "2026-01-05T04:00:00Z", "price": "8.00",
    } | changes  # fmt: skip
    return ",".join(cells.values())


def test_a_full_task_row_becomes_the_command_its_buyer_would_send(tmp_path):
    line = task_line(
        submit_time="2026-01-05T08:00:00+08:00", max_latency_ms="7.5", chips="H100-SXM-80|H800*0.8", cards="64",
        hours="5.5", earliest_start="2026-01-05T01:00:00Z", data_gb="120.5", data_region="hubei-wuhan", lane="economy",
        shape="bulk", min_green="0.25", min_fill="32", allowed_regions="hubei-wuhan|gansu-qingyang",
        valid_until="2026-01-05T12:00:00Z",
    )  # fmt: skip
    rows, problems = read_tasks(write(tmp_path, "tasks.csv", TASK_HEADER, line), catalogue=load_catalogue())
    assert problems == []
    assert rows[0].submit_ns == T0 and (rows[0].file, rows[0].line) == ("tasks.csv", 2)
    assert rows[0].command == SubmitTask(Task(
        participant="buyer-1", client_order_id="t1", access_region="hubei-wuhan", max_latency_us=7_500,
        chips=(TaskChip("H100-SXM-80"), TaskChip("H800", 800_000)), lots=640, periods=6,
        earliest_start_ns=T0 + NS_PER_HOUR, deadline_ns=T0 + 24 * NS_PER_HOUR, price_cap_micro=8_500_000,
        data_mb=120_500, data_region="hubei-wuhan", lane="economy", shape="bulk",
        allowed_regions=("hubei-wuhan", "gansu-qingyang"), min_green_ppm=250_000,
        valid_until_ns=T0 + 12 * NS_PER_HOUR, min_fill=320,
    ))  # fmt: skip


def test_empty_optional_cells_mean_the_stated_defaults(tmp_path):
    rows, problems = read_tasks(write(tmp_path, "tasks.csv", TASK_HEADER, task_line()))
    task = rows[0].command.task
    assert problems == []
    assert (task.lane, task.shape, task.checkpoint, task.on_break) == (
        "standard",
        "block",
        "hourly",
        "continue",
    )
    assert (task.max_latency_us, task.earliest_start_ns, task.valid_until_ns) == (0, T0, 0)


def test_hours_are_rounded_up_to_periods_and_the_waste_is_told(tmp_path):
    path = write(tmp_path, "tasks.csv", TASK_HEADER, task_line(cards="0.3", hours="1.75"))
    assert [(r.command.task.periods, r.waste_lot_minutes) for r in read_tasks(path)[0]] == [(2, 45)]
    quarter = SetVenue(name="x", period_min=15)
    assert [(r.command.task.periods, r.waste_lot_minutes) for r in read_tasks(path, quarter)[0]] == [(7, 0)]


def test_a_budget_stands_instead_of_a_cap(tmp_path):
    line = task_line(price_cap="", budget="1234.5")
    task = read_tasks(write(tmp_path, "tasks.csv", TASK_HEADER, line))[0][0].command.task
    assert (task.price_cap_micro, task.budget_micro) == (0, 1_234_500_000)


def test_a_bad_row_is_told_and_the_others_are_kept(tmp_path):
    lines = [task_line(task_id=f"t{n}") for n in range(5)]
    lines[2] = task_line(task_id="t2", cards="-1")
    rows, problems = read_tasks(write(tmp_path, "tasks.csv", TASK_HEADER, *lines))
    assert [row.command.task.client_order_id for row in rows] == ["t0", "t1", "t3", "t4"]
    assert [(problem.line, problem.column, problem.code) for problem in problems] == [
        (4, "cards", "too_small")
    ]


@pytest.mark.parametrize(
    ("changes", "column", "code"),
    [
        ({"cards": "0"}, "cards", "too_small"),
        ({"cards": "1e999"}, "cards", "number"),
        ({"cards": "inf"}, "cards", "number"),
        ({"cards": "10000000000000000000"}, "cards", "number"),
        ({"cards": "99999999"}, "cards", "too_large"),
        ({"cards": "٣"}, "cards", "number"),
        ({"hours": "-2"}, "hours", "too_small"),
        ({"price_cap": "8,5"}, "", "cell_count"),
        ({"price_cap": ""}, "price_cap", "missing"),
        ({"price_cap": "-8.50"}, "price_cap", "too_small"),
        ({"chips": ""}, "chips", "missing"),
        ({"chips": "H800||T4"}, "chips", "code"),
        ({"chips": "H800*0"}, "chips", "too_small"),
        ({"chips": "H800*x"}, "chips", "number"),
        ({"chips": "|".join(f"C{n}" for n in range(65))}, "chips", "too_large"),
        ({"max_latency_ms": "-1"}, "max_latency_ms", "too_small"),
        ({"data_gb": "5"}, "data_region", "missing"),
        ({"min_green": "1.5"}, "min_green", "too_large"),
        ({"min_fill": "1"}, "min_fill", "conflict"),
        ({"shape": "bulk", "min_fill": "17"}, "min_fill", "too_large"),
        ({"shape": "circle"}, "shape", "choice"),
        ({"min_run": "2"}, "min_run", "conflict"),
        ({"shape": "split", "min_run": "3"}, "min_run", "too_large"),
        ({"pflops_hours": "5"}, "pflops_hours", "conflict"),
        ({"cards": "", "pflops_hours": "5"}, "price_cap", "conflict"),
        ({"cards": "", "pflops_hours": "5", "price_cap": ""}, "budget", "missing"),
        ({"cards": "", "pflops_hours": "0", "price_cap": "", "budget": "9"}, "pflops_hours", "too_small"),
        ({"cards": "", "pflops_hours": "5", "price_cap": "", "budget": "9", "shape": "bulk"}, "shape", "conflict"),
        ({"steps": "8.00|8.50@2026-01-05T03:00:00Z"}, "steps", "conflict"),
        ({"lane": "economy", "steps": "8.50"}, "steps", "too_large"),
        ({"lane": "economy", "steps": "8.00|8.50"}, "steps", "time"),
        ({"lane": "economy", "steps": "8.00@2026-01-05T03:00:00Z|8.50@2026-01-05T04:00:00Z"}, "steps", "time"),
        ({"lane": "economy", "steps": "8.00|8.50@2026-01-05"}, "steps", "time"),
        ({"lane": "economy", "steps": "8.00|8.50@2026-01-05T00:00:00Z"}, "steps", "time_order"),
        ({"lane": "economy", "steps": "8.00|8.40@2026-01-05T03:00:00Z"}, "steps", "conflict"),
        ({"lane": "economy", "steps": "8.50|8.00@2026-01-05T03:00:00Z"}, "steps", "conflict"),
        ({"lane": "economy", "steps": "-1|8.50@2026-01-05T03:00:00Z"}, "steps", "too_small"),
        ({"allowed_regions": "a|a"}, "allowed_regions", "duplicate"),
        ({"valid_until": "2026-01-04T00:00:00Z"}, "valid_until", "time_order"),
        ({"earliest_start": "2026-01-07T00:00:00Z"}, "deadline", "time_order"),
        ({"task_id": "x" * 37}, "task_id", "code"),
    ],
)
def test_what_is_wrong_with_a_task_is_named(tmp_path, changes, column, code):
    rows, problems = read_tasks(write(tmp_path, "tasks.csv", TASK_HEADER, task_line(**changes)))
    assert rows == []
    assert [(problem.column, problem.code) for problem in problems] == [(column, code)]


def test_the_same_task_id_twice_is_refused_for_one_account_only(tmp_path):
    lines = [task_line(), task_line(), task_line(account="buyer-2")]
    rows, problems = read_tasks(write(tmp_path, "tasks.csv", TASK_HEADER, *lines))
    assert [row.line for row in rows] == [2, 4]
    assert [(problem.line, problem.code) for problem in problems] == [(3, "duplicate")]
    assert "line 2" in problems[0].message


def test_a_full_offer_row_becomes_the_command_its_provider_would_send(tmp_path):
    line = offer_line(
        min_cards="4",
        min_hours="1.5",
        indivisible_ok="yes",
        notice_min="30",
        hour_prices="8.00|7.50",
        power="green",
    )
    rows, problems = read_offers(
        write(tmp_path, "offers.csv", OFFER_HEADER, line), catalogue=load_catalogue()
    )
    assert problems == []
    assert (rows[0].submit_ns, rows[0].region) == (T0, "hubei-wuhan")
    assert rows[0].command == PlaceOffer(
        participant="provider-1", offer_id="o1", site="s1", chip="H800", latency_class="L5", power="green", lots=160,
        start_ns=T0 + 2 * NS_PER_HOUR, end_ns=T0 + 4 * NS_PER_HOUR, price_micro=8_000_000,
        period_prices_micro=(8_000_000, 7_500_000), min_lots=40, min_periods=2, indivisible_ok=True, notice_min=30,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "column", "code"),
    [
        ({"price": "8.001"}, "price", "off_tick"),
        ({"price": "0"}, "price", "too_small"),
        ({"price": "-1"}, "price", "too_small"),
        ({"hour_prices": "8.00"}, "hour_prices", "conflict"),
        ({"hour_prices": "8.00|7.505"}, "hour_prices", "off_tick"),
        ({"hour_prices": "8.00|"}, "hour_prices", "missing"),
        ({"end": "2026-01-05T02:00:00Z"}, "end", "time_order"),
        ({"end": "2028-01-05T02:00:00Z"}, "end", "too_large"),
        ({"start": "2026-01-05T02:00:00.5Z"}, "start", "not_whole_periods"),
        ({"min_cards": "17"}, "min_cards", "conflict"),
        ({"min_hours": "3"}, "min_hours", "conflict"),
        ({"latency_class": "L3"}, "latency_class", "choice"),
        ({"power": "coal"}, "power", "choice"),
        ({"standby": "yes", "notice_min": "5"}, "standby", "conflict"),
        ({"kw_per_card": "0.4"}, "price", "conflict"),
        ({"kw_per_card": "0.4", "price": "", "hour_prices": "8.00|8.00"}, "hour_prices", "conflict"),
        ({"price_base": "1.00", "price": ""}, "kw_per_card", "missing"),
        ({"kw_per_card": "0", "price": ""}, "kw_per_card", "too_small"),
        ({"price": ""}, "price", "missing"),
        ({"hour_prices": "8.00|0"}, "hour_prices", "too_small"),
        ({"end": "", "hour_prices": "8.00|8.00"}, "hour_prices", "conflict"),
        ({"end": "", "hour_prices": "|".join(["0"] * 24)}, "hour_prices", "conflict"),
        ({"region": "beijing"}, "region", "unknown_code"),
        ({"indivisible_ok": "perhaps"}, "indivisible_ok", "choice"),
    ],
)
def test_what_is_wrong_with_an_offer_is_named(tmp_path, changes, column, code):
    path = write(tmp_path, "offers.csv", OFFER_HEADER, offer_line(**changes))
    rows, problems = read_offers(path, catalogue=load_catalogue())
    assert rows == []
    assert [(problem.column, problem.code) for problem in problems] == [(column, code)]


def test_work_is_one_line_for_the_runner(tmp_path):
    lines = (task_line(task_id="a", work="python train.py --steps 10"), task_line(task_id="b"))
    rows, problems = read_tasks(write(tmp_path, "tasks.csv", TASK_HEADER, *lines))
    assert problems == [] and [row.command.task.work for row in rows] == ["python train.py --steps 10", ""]
    bad = (task_line(work="x" * 4001), task_line(task_id="t2", work="a\tb"))
    _, problems = read_tasks(write(tmp_path, "bad.csv", TASK_HEADER, *bad))
    assert [(problem.column, problem.code) for problem in problems] == [("work", "too_large"), ("work", "code")]


def test_steps_split_and_pflops_hours_become_fields_of_the_task(tmp_path):
    lines = [
        task_line(task_id="a", shape="split", min_run="1.5", lane="economy",
                  steps="7.00|7.50@2026-01-05T03:00:00Z|8.50@2026-01-05T12:00:00+08:00"),
        task_line(task_id="b", shape="spread", chips="", cards="", price_cap="", budget="900", pflops_hours="12.345"),
    ]  # fmt: skip
    rows, problems = read_tasks(write(tmp_path, "tasks.csv", TASK_HEADER, *lines), catalogue=load_catalogue())
    assert problems == []
    split, spread = (row.command.task for row in rows)
    assert (split.shape, split.min_run, split.steps) == ("split", 2, (
        TaskStep(0, 7_000_000), TaskStep(T0 + 3 * NS_PER_HOUR, 7_500_000), TaskStep(T0 + 4 * NS_PER_HOUR, 8_500_000),
    ))  # fmt: skip
    assert (spread.shape, spread.chips, spread.lots, spread.pflops_milli_hours, spread.budget_micro) == (
        "spread", (), 0, 12_345, 900_000_000,
    )  # fmt: skip


def test_offers_that_stand_follow_power_or_wait_for_emergencies(tmp_path):
    day = "|".join(["0"] * 8 + ["7.50"] * 16)
    lines = [
        offer_line(offer_id="a", end="", hour_prices=day, standby="yes"),
        offer_line(offer_id="b", price="", price_base="2.005", kw_per_card="0.7"),
        offer_line(offer_id="c", end="", price="", kw_per_card="0.7"),
    ]
    rows, problems = read_offers(write(tmp_path, "offers.csv", OFFER_HEADER, *lines), catalogue=load_catalogue())
    assert problems == []
    stands, follows, both = (row.command for row in rows)
    assert (stands.end_ns, stands.standby, stands.period_prices_micro) == (0, True, (0,) * 8 + (7_500_000,) * 16)
    assert (follows.price_micro, follows.price_base_micro, follows.watts_per_card) == (0, 2_005_000, 700)
    assert (both.end_ns, both.price_base_micro, both.watts_per_card) == (0, 0, 700)
    (attested,) = sites_from_offers(rows[:1])[1]
    assert (attested.start_ns, attested.end_ns) == (T0 + 2 * NS_PER_HOUR, T0 + 2 * NS_PER_HOUR + 400 * 24 * NS_PER_HOUR)


def test_a_site_cannot_change_its_owner_or_place_within_a_file(tmp_path):
    lines = [
        offer_line(),
        offer_line(account="provider-2"),
        offer_line(offer_id="o2", region="hubei-yichang"),
    ]
    rows, problems = read_offers(write(tmp_path, "offers.csv", OFFER_HEADER, *lines))
    assert len(rows) == 1
    assert [(problem.line, problem.column, problem.code) for problem in problems] == [
        (3, "site", "conflict"), (4, "site", "conflict"),
    ]  # fmt: skip


def test_attested_capacity_is_what_offers_of_a_site_need_at_any_one_time(tmp_path):
    lines = [
        offer_line(offer_id="a"),
        offer_line(offer_id="b", start="2026-01-05T03:00:00Z", end="2026-01-05T05:00:00Z", cards="4"),
        offer_line(offer_id="c", start="2026-01-05T05:00:00Z", end="2026-01-05T06:00:00Z", cards="19.9"),
        offer_line(offer_id="d", chip="T4", cards="1"),
    ]
    rows, _ = read_offers(write(tmp_path, "offers.csv", OFFER_HEADER, *lines))
    sites, attestations = sites_from_offers(rows)
    assert sites == (AddSite("s1", "provider-1", "hubei-wuhan"),)
    assert attestations == (
        AttestCapacity("s1", "H800", 200, T0 + 2 * NS_PER_HOUR, T0 + 6 * NS_PER_HOUR),
        AttestCapacity("s1", "T4", 10, T0 + 2 * NS_PER_HOUR, T0 + 4 * NS_PER_HOUR),
    )


def test_a_sites_file_states_capacity_for_the_whole_window(tmp_path):
    header = ",".join(SITE_COLUMNS.required)
    lines = (
        "s1,p1,hubei-wuhan,H800,100",
        "s1,p1,hubei-wuhan,T4,2.5",
        "s1,p2,hubei-wuhan,A10,1",
        "s1,p1,hubei-wuhan,T4,1",
    )
    rows, problems = read_sites(write(tmp_path, "sites.csv", header, *lines))
    assert problems == []
    sites, attestations, conflicts = sites_from_file(rows, 1, 2)
    assert sites == (AddSite("s1", "p1", "hubei-wuhan"),)
    assert attestations == (AttestCapacity("s1", "H800", 1000, 1, 2), AttestCapacity("s1", "T4", 25, 1, 2))
    assert [(problem.line, problem.code) for problem in conflicts] == [(4, "conflict"), (5, "duplicate")]


def test_headers_tell_the_kinds_of_files_apart(tmp_path, shared_data):
    assert sniff(write(tmp_path, "a", TASK_HEADER)) == "tasks"
    assert sniff(write(tmp_path, "b", OFFER_HEADER)) == "offers"
    assert sniff(write(tmp_path, "c", ",".join(SITE_COLUMNS.required))) == "sites"
    data = shared_data / "data"
    assert sniff(data / "tasks" / "openb_pod_list_gpuspec33.csv") == "alibaba_pods"
    assert sniff(data / "tasks" / "openb_node_list_gpu_node.csv") == "alibaba_nodes"
    assert sniff(data / "catalog" / "cloud_gpu.json") == "price_list_json"
    assert sniff(data / "catalog" / "vast_v8_vms_compact.csv") == "price_list_csv"
    found = sniff(data / "network" / "gcp_transmission_cost_matrix.csv")
    assert not isinstance(found, str) and "tasks: task_id,submit_time" in found.message
