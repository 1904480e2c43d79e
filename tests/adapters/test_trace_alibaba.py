"""The Alibaba 2023 GPU trace as tasks: what each column becomes, and the counts that the guide states."""

from pathlib import Path

import pytest

from exchange.adapters.market_files import TaskRow
from exchange.adapters.rows import parse_time_ns
from exchange.adapters.trace_alibaba import (
    DEFAULT_CARDS,
    DEFAULT_EPOCH_NS,
    KNOWN_CHIPS,
    TaskRows,
    import_trace,
    read_node_cards,
)
from exchange.domain.commands import SetVenue
from exchange.domain.units import NS_PER_HOUR, NS_PER_SECOND

HEADER = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time"
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "alibaba_trace.md"


def pod(name="p", cpu=4000, gpus=1, milli=1000, spec="", qos="LS", created=0, deleted=60) -> str:
    return f"{name},{cpu},1024,{gpus},{milli},{spec},{qos},Running,{created},{deleted},{created}"


def imported(tmp_path: Path, *lines: str, **options) -> TaskRows:
    path = tmp_path / "openb_pod_list_x.csv"
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    return import_trace(path, **options)


def only(trace: TaskRows):
    assert trace.problems == () and len(trace.rows) == 1
    return trace.rows[0].command.task


@pytest.fixture(scope="module")
def trace(shared_data) -> TaskRows:
    tasks = shared_data / "data" / "tasks"
    return import_trace(tasks / "openb_pod_list_gpuspec33.csv", tasks / "openb_node_list_gpu_node.csv")


def test_every_pod_of_the_trace_becomes_a_task_or_pieces_of_one(trace):
    assert trace.problems == ()
    assert (trace.pods, trace.cpu_pods, trace.long_pods) == (8_152, 1_088, 41)
    names = {row.command.task.client_order_id for row in trace.rows}
    assert len(names) == len(trace.rows) == 8_822
    assert len({name.partition(".")[0] for name in names}) == 8_152


def test_rounding_waste_of_the_trace_is_the_figure_in_the_guide(trace):
    assert (trace.paid_lot_minutes, trace.waste_lot_minutes) == (39_059_340, 4_041_478)
    text = GUIDE.read_text(encoding="utf-8")
    assert "39,059,340" in text and "4,041,478" in text


def test_busy_days_end_with_the_last_new_pod_not_with_the_last_piece_of_a_long_one(trace):
    first_pieces = [row for row in trace.rows if "." not in row.command.task.client_order_id]
    assert trace.demand.last_submit_ns == max(row.submit_ns for row in first_pieces)
    assert trace.demand.last_submit_ns < trace.rows[-1].submit_ns
    assert sum(row.submit_ns >= trace.demand.busy_start_ns for row in first_pieces) == 7_622
    assert "7,622" in GUIDE.read_text(encoding="utf-8")


def test_the_node_list_gives_the_order_of_chips_that_stands_in_the_guide(shared_data):
    problems = []
    cards = read_node_cards(shared_data / "data" / "tasks" / "openb_node_list_gpu_node.csv", problems)
    assert problems == [] and cards == DEFAULT_CARDS


def test_no_task_of_the_trace_outlasts_what_the_venue_lists(trace):
    for row in trace.rows:
        task = row.command.task
        assert 0 < task.periods * NS_PER_HOUR <= task.deadline_ns - row.submit_ns <= 168 * NS_PER_HOUR
        assert task.earliest_start_ns == row.submit_ns


def test_latency_sensitive_pods_get_tight_deadlines_and_others_time(trace):
    spare = {"tight": [], "loose": []}
    for row in trace.rows:
        task = row.command.task
        hours = (task.deadline_ns - row.submit_ns) // NS_PER_HOUR - task.periods
        spare["tight" if task.max_latency_us else "loose"].append(hours)
    assert max(spare["tight"]) <= 5
    assert sum(spare["loose"]) / len(spare["loose"]) > 12
    assert all(row.command.task.lane == "standard" for row in trace.rows if row.command.task.max_latency_us)


def test_the_same_seed_gives_the_same_tasks_and_another_seed_does_not(tmp_path):
    lines = [pod(f"p{n}", created=n * 100, deleted=n * 100 + 5_000) for n in range(30)]
    assert imported(tmp_path, *lines).rows == imported(tmp_path, *lines).rows
    assert imported(tmp_path, *lines, seed=2).rows != imported(tmp_path, *lines, seed=1).rows


def test_the_order_of_rows_changes_no_draw(tmp_path):
    lines = [pod(f"p{n}", qos=("LS", "BE")[n % 2], created=n * 100, deleted=n * 9_000) for n in range(40)]
    forwards, backwards = imported(tmp_path, *lines), imported(tmp_path, *reversed(lines))
    assert [row.command for row in forwards.rows] == [row.command for row in backwards.rows]
    assert forwards.demand == backwards.demand


def test_seconds_of_the_trace_fall_on_the_epoch(tmp_path):
    line = pod(created=90, deleted=100)
    row: TaskRow = imported(tmp_path, line).rows[0]
    assert parse_time_ns("2026-01-05T00:00:00+08:00") == DEFAULT_EPOCH_NS
    assert row.submit_ns == DEFAULT_EPOCH_NS + 90 * NS_PER_SECOND
    assert imported(tmp_path, line, epoch_ns=0).rows[0].submit_ns == 90 * NS_PER_SECOND


@pytest.mark.parametrize(
    ("milli", "lots"),
    [(50, 1), (100, 1), (101, 2), (470, 5), (500, 5), (810, 9), (900, 9), (999, 10), (1000, 10)],
)
def test_a_part_of_a_gpu_is_bought_in_tenths_rounded_up(tmp_path, milli, lots):
    assert only(imported(tmp_path, pod(milli=milli))).lots == lots


def test_whole_gpus_are_bought_whole(tmp_path):
    assert only(imported(tmp_path, pod(gpus=8))).lots == 80


@pytest.mark.parametrize(
    ("cpu", "lots"), [(8_000, 5), (12_500, 8), (16_000, 10), (16_001, 11), (32_000, 20), (1, 1)]
)
def test_pods_without_gpu_buy_sixteen_cores_a_card(tmp_path, cpu, lots):
    task = only(imported(tmp_path, pod(gpus=0, milli=0, cpu=cpu)))
    assert ([chip.chip for chip in task.chips], task.lots) == (["K920"], lots)


def test_accepted_chips_keep_their_order_without_doubles(tmp_path):
    task = only(imported(tmp_path, pod(spec="V100M16|V100-32|V100M32|T4")))
    assert [chip.chip for chip in task.chips] == ["V100M16", "V100M32", "T4"]


def test_a_pod_that_names_no_chip_takes_any_most_cards_first(tmp_path):
    task = only(imported(tmp_path, pod(spec="")))
    assert [chip.chip for chip in task.chips] == ["G2", "T4", "G3", "P100", "V100M32", "V100M16", "A10"]
    assert {chip.chip for chip in task.chips} == KNOWN_CHIPS


@pytest.mark.parametrize(("seconds", "periods"), [(0, 1), (1, 1), (3_600, 1), (3_601, 2), (168 * 3_600, 168)])
def test_duration_is_deletion_less_creation_in_whole_periods(tmp_path, seconds, periods):
    assert only(imported(tmp_path, pod(created=500, deleted=500 + seconds))).periods == periods


def test_rounding_waste_is_what_is_paid_beyond_use(tmp_path):
    trace = imported(tmp_path, pod(milli=810, deleted=1_800))
    assert (trace.paid_lot_minutes, trace.waste_lot_minutes) == (9 * 60, 9 * 60 - 243)


def test_a_pod_longer_than_the_horizon_is_bought_in_pieces_one_after_the_other(tmp_path):
    trace = imported(tmp_path, pod(deleted=169 * 3_600))
    assert trace.long_pods == 1
    tasks = [row.command.task for row in trace.rows]
    assert [(task.client_order_id, task.periods) for task in tasks] == [("p", 72), ("p.2", 72), ("p.3", 25)]
    for before, row in zip(tasks, trace.rows[1:], strict=False):
        assert row.submit_ns == row.command.task.earliest_start_ns == before.deadline_ns
    assert len({(task.participant, task.price_cap_micro, task.access_region) for task in tasks}) == 1
    hours = [
        task.periods
        for task in (
            row.command.task for row in imported(tmp_path, pod(deleted=169 * 3_600), piece_periods=100).rows
        )
    ]
    assert hours == [100, 69]


def test_shorter_periods_buy_less_waste(tmp_path):
    line = pod(deleted=20 * 60)
    hour, quarter = (
        imported(tmp_path, line),
        imported(tmp_path, line, venue=SetVenue(name="x", period_min=15)),
    )
    assert (hour.rows[0].command.task.periods, quarter.rows[0].command.task.periods) == (1, 2)
    assert quarter.waste_lot_minutes < hour.waste_lot_minutes


@pytest.mark.parametrize(
    ("line", "column", "code"),
    [
        (pod(spec="H900"), "gpu_spec", "unknown_code"),
        (pod(milli=0), "gpu_milli", "too_small"),
        (pod(milli=1001), "gpu_milli", "too_large"),
        (pod(created=10, deleted=9), "deletion_time", "time_order"),
        (pod(created=-1), "creation_time", "too_small"),
        (pod(qos="VIP"), "qos", "choice"),
        (pod(gpus=0, milli=0, cpu=0), "cpu_milli", "too_small"),
    ],
)
def test_a_pod_that_makes_no_sense_is_told(tmp_path, line, column, code):
    trace = imported(tmp_path, line)
    assert trace.rows == () and [(problem.column, problem.code) for problem in trace.problems] == [
        (column, code)
    ]


def test_a_pod_that_stands_twice_is_told(tmp_path):
    trace = imported(tmp_path, pod(), pod())
    assert (trace.pods, [problem.code for problem in trace.problems]) == (1, ["duplicate"])


def test_a_node_list_without_gpus_falls_back_and_says_so(tmp_path):
    path = tmp_path / "nodes.csv"
    path.write_text("sn,cpu_milli,memory_mib,gpu,model\n")
    problems = []
    assert read_node_cards(path, problems) == DEFAULT_CARDS
    assert [problem.code for problem in problems] == ["missing"]
