"""Report runs: the files of a finished run again, made beside a writer that holds the folder; and every way to go wrong."""

import io
import json
import time
import zipfile

import pytest

from exchange.adapters.journal_file import open_log
from exchange.adapters.report_runs import FOLDER, ReportRuns
from exchange.protocol.errors import DoorError, DoorReason
from exchange.replay.run import RunOptions, run_day
from exchange.replay.scenario import market_day

pytestmark = pytest.mark.slow  # a live exchange, or a market day


def finished(runs, report_id, within_s=60):
    deadline = time.monotonic() + within_s
    while (row := runs.find(report_id)).status == "running":
        assert time.monotonic() < deadline, "the report takes too long"
        for run in list(runs._running.values()):
            run.watcher.join(0.1)
    return row


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """A finished demo day of 40 tasks: folder and summary."""
    folder = tmp_path_factory.mktemp("reports") / "run"
    folder.mkdir()
    return folder, run_day(market_day(1, 40), RunOptions(folder, 1), lambda progress: None)


@pytest.fixture
def runs(day):
    made = ReportRuns(day[0])
    yield made
    made.close()


@pytest.mark.slow
def test_a_report_beside_a_live_writer_is_what_the_run_itself_wrote(day, runs):
    folder, summary = day
    log = open_log(folder)
    try:
        begun = runs.start(summary["commands"])
        assert (begun.status, begun.seq) == ("running", summary["commands"])
        row = finished(runs, begun.report_id)
    finally:
        log.close()
    assert (row.status, row.problem) == ("ready", "")
    assert {"trades.csv", "settlement.csv", "prices.csv", "ledger.beancount", "statements.zip"} <= set(
        row.files
    )
    for name in ("trades.csv", "settlement.csv", "prices.csv", "ledger.beancount"):
        assert runs.file(row.report_id, name).read_bytes() == (folder / name).read_bytes(), name
    with zipfile.ZipFile(io.BytesIO(runs.file(row.report_id, "statements.zip").read_bytes())) as packed:
        assert packed.read("index.csv") == (folder / "statements/index.csv").read_bytes()


def test_a_report_stops_at_its_seq(day, runs):
    _, summary = day
    row = finished(runs, runs.start(summary["commands"] // 2).report_id)
    half = runs.file(row.report_id, "trades.csv").read_text().splitlines()
    whole = (day[0] / "trades.csv").read_text().splitlines()
    assert row.status == "ready" and half == whole[: len(half)] and len(half) < len(whole)


@pytest.mark.slow
def test_two_at_once_and_no_more(day, runs):
    ids = [runs.start(day[1]["commands"]).report_id for _ in range(2)]
    with pytest.raises(DoorError) as refused:
        runs.start(5)
    assert refused.value.reason is DoorReason.TOO_MANY_REQUESTS and refused.value.retry_after_s > 0
    assert {finished(runs, each).status for each in ids} == {"ready"}
    assert finished(runs, runs.start(5).report_id).status == "ready"


def test_only_what_the_report_names_is_given_out(day, runs):
    row = finished(runs, runs.start(5).report_id)
    bad = (
        "",
        "..",
        "../report.json",
        "report.json",
        ".report.json",
        "trades.csv/",
        "/etc/passwd",
        "x\0",
        "statements",
    )
    assert row.files and [runs.file(row.report_id, name) for name in bad] == [None] * len(bad)
    assert runs.file("../journal", "trades.csv") is None
    assert runs.find("..") is None and runs.find("r" + "0" * 12) is None


def test_a_damaged_journal_fails_the_report_and_says_so(day, tmp_path):
    broken = tmp_path / "run"
    (broken / "journal").mkdir(parents=True)
    segment = next((day[0] / "journal").glob("*.wal"))
    data = bytearray(segment.read_bytes())
    data[9_000] ^= 1
    (broken / "journal" / segment.name).write_bytes(data)
    runs = ReportRuns(broken)
    row = finished(runs, runs.start(day[1]["commands"]).report_id)
    assert row.status == "failed" and row.files == () and "JournalError" in row.problem
    again = ReportRuns(broken).find(row.report_id)
    assert again == row, "told the same after a restart"


def test_a_run_that_was_cut_off_is_told_as_such(day):
    runs = ReportRuns(day[0])
    report_id = runs.start(day[1]["commands"]).report_id
    runs.close()
    assert runs.find(report_id).status == "failed"
    status = day[0] / FOLDER / report_id / "report.json"
    assert json.loads(status.read_text())["status"] == "failed"
    status.unlink()
    assert "ended before the report" in ReportRuns(day[0]).find(report_id).problem
    with pytest.raises(DoorError):
        runs.start(5)


@pytest.mark.slow
def test_old_reports_go(day, runs, monkeypatch):
    monkeypatch.setattr("exchange.adapters.report_runs.KEPT", 2)
    made = [finished(runs, runs.start(5).report_id).report_id for _ in range(4)]
    assert [runs.find(each) is not None for each in made] == [False, True, True, True]
