"""The folder of a run: what --force takes away, what it leaves, who is refused, and how a run that stopped goes on."""

import os
import shutil
import time
from pathlib import Path

import pytest

from exchange.adapters.journal_file import Lock, read_commands
from exchange.cli.folders import RESULTS

TASKS = ("--tasks", 20)


@pytest.fixture(scope="module")
def finished(cpx, tmp_path_factory):
    """A finished demo of 20 tasks, to be copied."""
    folder = tmp_path_factory.mktemp("folders") / "run"
    done = cpx("demo", "--out", folder, *TASKS)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


def written(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_every_file_of_a_run_is_known_to_force(run, quick):
    from exchange.cli.folders import clear_run

    clear_run(run)
    assert set(written(run)) == {"journal/lock"}


@pytest.mark.slow
def test_force_replaces_the_run_and_keeps_files_of_the_user(run, quick, summary_of):
    own = {"notes.txt", "statements/2026-11-24/mine.csv", "statements/notes.md", "journal/read.me", "snapshots/old.zip"}
    for name in own:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    before = summary_of(run)["state_hash"]
    done = quick("demo", "--out", run, "--tasks", 25, "--force")
    assert done.exit_code == 0, done.stderr
    assert {name for name in own if (run / name).read_text() == "mine"} == own
    assert summary_of(run)["tasks"] == 25 and summary_of(run)["state_hash"] != before
    assert quick("verify", run).exit_code == 0


@pytest.mark.slow
def test_force_refuses_a_live_run_and_names_its_process(run, quick):
    before = written(run)
    lock = Lock(run / "journal")
    try:
        done = quick("demo", "--out", run, *TASKS, "--force")
    finally:
        lock.release()
    assert done.exit_code == 73 and f"process {os.getpid()}" in done.stderr
    after = written(run)
    assert {name: data for name, data in after.items() if name != "journal/lock"} == {
        name: data for name, data in before.items() if name != "journal/lock"
    }


def test_force_refuses_a_folder_that_holds_an_input(run, quick, examples):
    shutil.copy(examples / "tasks.csv", run / "tasks.csv")
    before = written(run)
    done = quick("replay", "--tasks", run / "tasks.csv", "--offers", examples / "offers.csv", "--out", run, "--force")
    assert done.exit_code == 73 and "tasks.csv is an input" in done.stderr
    assert written(run) == before


def test_force_does_not_touch_a_folder_that_is_no_run(quick, tmp_path):
    (tmp_path / "mine" / "journal").mkdir(parents=True)
    (tmp_path / "mine" / "journal" / "monday.md").write_text("dear diary")
    (tmp_path / "mine" / "trades.csv").write_text("mine")
    done = quick("demo", "--out", "mine", *TASKS, "--force")
    assert done.exit_code == 73 and "no run folder" in done.stderr
    assert set(written(tmp_path / "mine")) == {"journal/monday.md", "trades.csv"}


@pytest.mark.parametrize("kind", ["file", "under a file", "dangling link", "link in a ring", "too long"])
def test_an_out_that_cannot_be_made_is_73_in_one_line(quick, tmp_path, kind):
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "file" / "nowhere")
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    out = {
        "file": "file", "under a file": "file/out", "dangling link": "dangling", "link in a ring": "ring",
        "too long": "x" * 300,
    }[kind]  # fmt: skip
    done = quick("demo", "--out", out, *TASKS)
    assert done.exit_code == 73, done.output
    assert len(done.stderr.splitlines()) == 1 and "another --out" in done.stderr


@pytest.mark.slow
def test_resume_and_force_without_out_mean_the_default_folder(quick, tmp_path, finished, summary_of):
    assert quick("demo", "--resume").exit_code == 66
    names = ("cpx-demo", "cpx-demo-2", "cpx-demo-10")
    for name in names:
        shutil.copytree(finished, tmp_path / name)
    (tmp_path / "cpx-demo-notes").mkdir()
    done = quick("demo", *TASKS, "--resume", "--json")
    assert done.exit_code == 0, done.stderr
    assert [name for name in names if summary_of(tmp_path / name)["resumed_commands"]] == ["cpx-demo-10"]
    assert quick("demo", "--tasks", 10, "--force").exit_code == 0
    assert summary_of(tmp_path / "cpx-demo")["tasks"] == 10 and summary_of(tmp_path / "cpx-demo-2")["tasks"] == 20


def test_resume_with_other_options_or_files_names_what_differs(quick, examples, tmp_path):
    for name in ("tasks.csv", "offers.csv"):
        shutil.copy(examples / name, tmp_path / name)
    command = ("replay", "--tasks", "tasks.csv", "--offers", "offers.csv", "--out", "out")
    assert quick(*command).exit_code == 0
    before = written(tmp_path / "out")
    without_lock = {name: data for name, data in before.items() if name.endswith((".csv", ".json", ".wal"))}
    done = quick(*command, "--shortfall-ppm", 9, "--resume")
    assert done.exit_code == 65 and "--shortfall-ppm was 2000 and is 9" in done.stderr and "--tasks tasks.csv" in done.stderr
    with (tmp_path / "offers.csv").open("a") as file:
        file.write("\n")
    done = quick(*command, "--resume")
    assert done.exit_code == 65 and "offers.csv has changed" in done.stderr
    assert {name: data for name, data in written(tmp_path / "out").items() if name in without_lock} == without_lock


def test_resume_with_inputs_that_make_fewer_commands_is_refused(run):
    from exchange.app import OtherInputs, open_folder
    from exchange.domain.commands import AdvanceTime

    first = next(read_commands(run)).command
    assert isinstance(first, AdvanceTime)
    log = open_folder(run)
    try:
        log.submit([first])
        with pytest.raises(OtherInputs, match="make only 1"):
            log.finish()
    finally:
        log.close()


@pytest.mark.slow
def test_a_full_disk_while_results_are_written_is_75_and_resume_goes_on(quick, tmp_path, monkeypatch, summary_of):
    from exchange.replay import run as run_module

    def full(*_):
        raise OSError(28, "No space left on device", "out/trades.csv")

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "export_all", full)
        done = quick("demo", "--out", "out", *TASKS, "--json")
    assert done.exit_code == 75 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line and "--resume" in line
    assert quick("demo", "--out", "out", *TASKS, "--resume").exit_code == 0
    assert summary_of(tmp_path / "out")["resumed_commands"] > 0


@pytest.mark.slow
def test_ctrl_c_ends_with_one_line_and_130(quick, tmp_path, monkeypatch, summary_of):
    from exchange.replay.driver import Driver

    def interrupt(self, period):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Driver, "_next_busy_period", interrupt)
        done = quick("demo", "--out", "my out", *TASKS, "--json")
    assert done.exit_code == 130, done.output
    (line,) = done.stderr.splitlines()
    assert "./cpx demo --out 'my out' --tasks 20 --resume" in line
    assert quick("demo", "--out", "my out", *TASKS, "--resume").exit_code == 0


@pytest.mark.slow
def test_a_real_interrupt_of_a_real_process_is_130_and_resumes_to_the_same_trades(start_cpx, cpx, small_demo, tmp_path):
    process = start_cpx("demo", "--out", tmp_path / "out", "--tasks", 300)
    while not (tmp_path / "out" / "run.json").exists():
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(0.2)
    process.send_signal(2)
    words = process.communicate()[1].decode()
    assert process.returncode == 130 and "Traceback" not in words and words.splitlines()[-1].endswith("--resume")
    assert cpx("demo", "--out", tmp_path / "out", "--tasks", 300, "--resume").returncode == 0
    assert (tmp_path / "out" / "trades.csv").read_bytes() == (small_demo / "trades.csv").read_bytes()


def test_verify_of_a_folder_without_journal_names_it(quick, tmp_path):
    (tmp_path / "empty").mkdir()
    done = quick("verify", "empty")
    assert done.exit_code == 66 and "empty/journal" in done.stdout


def test_a_journal_that_holds_more_than_the_inputs_make_ends_with_65(run, quick, monkeypatch):
    from exchange.replay.driver import Driver

    (run / "run.json").unlink()  # then only the commands can tell
    monkeypatch.setattr(Driver, "_next_busy_period", lambda self, period: None)
    done = quick("demo", "--out", run, *TASKS, "--resume", "--json")
    assert done.exit_code == 65 and "the inputs now make only" in done.stderr


def test_the_results_are_those_that_exist(finished):
    named = {path.name for path in finished.iterdir() if path.is_file()}
    assert named <= set(RESULTS) and len(named) >= len(RESULTS) - 1  # refused.csv only where something was
