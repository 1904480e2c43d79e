"""`cpx replay` on files of our own format: what a stranger with a spreadsheet would try."""

import csv
import json

import pytest

COLUMNS = "task_id,submit_time,account,access_region,max_latency_ms,chips,cards,hours,earliest_start,deadline,"
TASKS = COLUMNS + """price_cap,data_gb,data_region,lane,shape,min_green
ct-1,2026-11-24T00:10:00Z,hospital,hubei-wuhan,5,L40S,2,1,2026-11-24T00:10:00Z,2026-11-24T06:00:00Z,9.00,0,,standard,block,0
train-1,2026-11-24T00:20:00Z,startup,hubei-wuhan,10,A910B|H800,64,6,2026-11-24T01:00:00Z,2026-11-24T12:00:00Z,8.50,2000,hubei-wuhan,standard,block,0
train-2,2026-11-24T00:30:00Z,startup,hubei-wuhan,10,A910B,64,6,2026-11-24T01:00:00Z,2026-11-24T12:00:00Z,2.00,0,,standard,block,0
film-1,2026-11-24T00:40:00Z,studio,hubei-wuhan,0,L40S,4,10,2026-11-24T01:00:00Z,2026-11-25T00:00:00Z,7.00,0,,economy,bulk,0
"""
OFFERS = """offer_id,submit_time,account,site,chip,region,latency_class,power,cards,start,end,price,min_cards,min_hours
edge-1,2026-11-24T00:00:00Z,wuhan-edge,we-1,L40S,hubei-wuhan,L5,grid,8,2026-11-24T01:00:00Z,2026-11-25T01:00:00Z,6.20,,
hub-1,2026-11-24T00:00:00Z,qingyang,qy-1,A910B,gansu-qingyang,L10,grid,256,2026-11-24T01:00:00Z,2026-11-25T01:00:00Z,6.50,,
hub-2,2026-11-24T00:05:00Z,qingyang,qy-1,A910B,gansu-qingyang,L10,grid,64,2026-11-24T01:00:00Z,2026-11-25T01:00:00Z,5.90,32,4
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "tasks.csv").write_text(TASKS, encoding="utf-8")
    (tmp_path / "offers.csv").write_text(OFFERS, encoding="utf-8")
    return tmp_path


def replay(cpx, folder, *more, out="out"):
    return cpx(
        "replay", "--tasks", folder / "tasks.csv", "--offers", folder / "offers.csv", "--out", folder / out,
        "--shortfall-ppm", 0, *more,
    )  # fmt: skip


@pytest.mark.slow
def test_four_tasks_and_three_offers_make_a_market(cpx, files, summary_of):
    done = replay(cpx, files)
    assert done.returncode == 0, done.stderr
    summary = summary_of(files / "out")
    assert (summary["offers"], summary["tasks"], summary["filled"]) == (3, 4, 3)
    with (files / "out" / "unfilled.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["task"] == "train-2"
    with (files / "out" / "trades.csv").open(encoding="utf-8", newline="") as file:
        trades = list(csv.DictReader(file))
    assert {row["offer"] for row in trades if row["task"] == "train-1"} == {"hub-2"}  # the cheaper block offer
    assert cpx("verify", files / "out").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [30, 15])
def test_shorter_periods_cost_the_same_card_hours(cpx, files, summary_of, minutes):
    done = replay(cpx, files, "--period-min", minutes)
    assert done.returncode == 0, done.stderr
    assert replay(cpx, files, out="hourly").returncode == 0
    short, hourly = summary_of(files / "out"), summary_of(files / "hourly")
    assert short["filled"] == hourly["filled"] and short["ledger_sum"] == 0
    assert short["notional"] == hourly["notional"]


BAD_CELLS = [
    ("2,1,2026-11-24T00:10:00Z", "0,1,2026-11-24T00:10:00Z"),  # no cards
    ("2,1,2026-11-24T00:10:00Z", "-2,1,2026-11-24T00:10:00Z"),
    ("2,1,2026-11-24T00:10:00Z", "NaN,1,2026-11-24T00:10:00Z"),
    ("2,1,2026-11-24T00:10:00Z", "10000000000000000000,1,2026-11-24T00:10:00Z"),
    ("9.00,0,,standard", "1e999,0,,standard"),
    ("9.00,0,,standard", "-9.00,0,,standard"),
    ("2026-11-24T06:00:00Z", "2020-01-01T00:00:00Z"),  # the deadline has passed
    ("L40S,2,1", "GTX9000,2,1"),
    ("hubei-wuhan,5", "atlantis,5"),
    ("standard,block,0\ntrain-1", "standard,block\ntrain-1"),  # a cell is missing
    ("ct-1,", '"ct-1,'),  # a quote that never closes
]


QUICK = [pytest.param(*case, marks=() if place == 2 else pytest.mark.slow) for place, case in enumerate(BAD_CELLS)]


@pytest.mark.parametrize(("good", "bad"), QUICK)
def test_a_bad_task_row_is_named_and_nothing_runs(cpx, files, good, bad):
    assert good in TASKS
    (files / "tasks.csv").write_text(TASKS.replace(good, bad, 1), encoding="utf-8")
    done = replay(cpx, files)
    assert done.returncode == 65, done.stderr
    assert "tasks.csv:2" in done.stderr and "Traceback" not in done.stderr
    assert not (files / "out").exists()


@pytest.mark.slow
def test_bad_rows_can_be_left_out_and_are_listed(cpx, files, summary_of):
    (files / "tasks.csv").write_text(TASKS.replace("2,1,2026", "NaN,1,2026", 1), encoding="utf-8")
    done = replay(cpx, files, "--skip-bad-rows")
    assert done.returncode == 0, done.stderr
    assert summary_of(files / "out")["tasks"] == 3
    with (files / "out" / "refused.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["row"], row["column"]) == ("2", "cards")


@pytest.mark.slow
def test_an_off_tick_offer_is_named_with_its_row(cpx, files):
    (files / "offers.csv").write_text(OFFERS.replace("6.20", "6.205"), encoding="utf-8")
    done = replay(cpx, files)
    assert done.returncode == 65 and "offers.csv:2" in done.stderr


@pytest.mark.slow
def test_offering_more_than_attested_is_refused_by_the_venue_and_told(cpx, files, summary_of):
    sites = "site,account,region,chip,cards\nwe-1,wuhan-edge,hubei-wuhan,L40S,8\nqy-1,qingyang,gansu-qingyang,A910B,100\n"
    (files / "sites.csv").write_text(sites, encoding="utf-8")
    done = replay(cpx, files, "--sites", files / "sites.csv")
    assert done.returncode == 0, done.stderr
    assert summary_of(files / "out")["offers_refused_by_reason"] == {"CAPACITY": 1}  # hub-1: 256 of 100


@pytest.mark.slow
def test_a_buyer_without_money_is_refused_and_told(cpx, files, summary_of):
    done = replay(cpx, files, "--deposit", "10")
    assert done.returncode == 0, done.stderr
    assert summary_of(files / "out")["unfilled_by_reason"]["INSUFFICIENT_FUNDS"] >= 3


@pytest.mark.slow
def test_missing_files_and_unknown_headers_say_what_to_do(cpx, files):
    done = cpx("replay", "--tasks", files / "none.csv", "--offers", files / "offers.csv", "--out", files / "out")
    assert done.returncode == 66 and "none.csv" in done.stderr
    (files / "odd.csv").write_text("a,b,c\n1,2,3\n", encoding="utf-8")
    done = cpx("replay", "--tasks", files / "odd.csv", "--offers", files / "offers.csv", "--out", files / "out")
    assert done.returncode == 65 and "task_id" in done.stderr


@pytest.mark.slow
def test_json_of_a_replay_is_one_object(cpx, files):
    done = replay(cpx, files, "--json")
    assert json.loads(done.stdout)["tasks"] == 4
