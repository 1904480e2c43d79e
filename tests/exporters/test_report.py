"""`cpx report`: from a run folder to tables, JSON, a statement and a chart; what it says when that cannot be."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_days import Day
from typer.testing import CliRunner, Result

from exchange.cli.report import TOP, command, grouped
from exchange.domain.units import format_micro, parse_micro


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def as_json(*words: object) -> dict:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_report_shows_fills_prices_reasons_settlement_and_statements(run_folder: Path) -> None:
    result = run(run_folder)
    assert result.exit_code == 0
    for words in (
        "Tasks by first chip", "50.0 %", "Prices by chip and region", "no site has so many cards in every hour",
        "damages to buyers", "44 delivered", "statements in", "note: [bold]a note",
    ):  # fmt: skip
        assert words in result.stdout, words
    assert "\x1b" not in result.stdout and result.stdout.isascii()


def test_the_report_says_the_same_as_the_venue(day: Day, run_folder: Path) -> None:
    content = as_json(run_folder)
    totals = day.projections.settlement_totals()
    settled = content["settlement"]
    assert settled["obligations"] == totals["obligations"]
    for name in ("paid", "fee", "moving", "refund", "damages"):
        assert settled[name] == format_micro(totals[name]), name
    (chip,) = content["fill_by_chip"]
    tasks = day.projections.tasks.totals()
    for status in ("filled", "partly", "unfilled"):
        assert chip[status] == tasks[status]
    assert sum(row["tasks"] for row in content["unfilled"]) == tasks["partly"] + tasks["unfilled"]
    assert [row["region"] for row in content["prices"]["by_chip_and_region"]] == ["g", "w"]
    assert content["statements"]["days"] == ["2026-11-23", "2026-11-24"]


def test_a_statement_of_a_day(run_folder: Path) -> None:
    content = as_json(run_folder, "--participant", "B1", "--day", "2026-11-23")["statement"]
    head = {row[0]: row[1] for row in content["head"]}
    assert head["statement of"] == "B1"
    assert sum(parse_micro(line["amount_yuan"]) for line in content["lines"]) == parse_micro(
        head["closing balance"]
    )
    shown = run(run_folder, "--participant", "B1").stdout
    assert "opening balance" in shown and "compute, to the host" in shown and "task t1" in shown


def test_without_a_day_the_last_one_is_shown_and_the_others_named(run_folder: Path) -> None:
    shown = run(run_folder, "--participant", "P2").stdout
    assert "2026-11-24" in shown and "Other days: 2026-11-23" in shown


def test_a_day_lists_its_accounts(run_folder: Path) -> None:
    rows = as_json(run_folder, "--day", "2026-11-24")["accounts"]
    assert [row["account"] for row in rows] == ["P2", "outside"]
    assert "P2" in run(run_folder, "--day", "2026-11-24").stdout


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--participant", "b2"), "b1"),
        (("--participant", "P2", "--day", "2027-01-01"), "2026-11-23, 2026-11-24"),
        (("--participant", "exchange"), "ledger.beancount"),
        (("--day", "2027-01-01"), "2026-11-23 to 2026-11-24"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(run_folder: Path, words: tuple[str, ...], hint: str) -> None:
    result = run(run_folder, *words)
    assert result.exit_code == 66 and hint in result.stderr and result.stdout == ""


def test_a_folder_that_is_no_run_says_how_to_make_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        result = run(folder)
        assert result.exit_code == 66 and "cpx demo" in result.stderr
    (tmp_path / "journal").mkdir()
    assert "the same command with --resume goes on where it stopped" in run(tmp_path).stderr


def test_a_file_instead_of_a_folder_is_told_with_its_folder(run_folder: Path, tmp_path: Path) -> None:
    result = run(run_folder / "statements" / "index.csv")
    assert result.exit_code == 66 and result.stderr.endswith(f"is a file; name the folder of the run: {run_folder}\n")
    (tmp_path / "x").write_text("")
    assert "is a file; name the folder of the run\n" in run(tmp_path / "x").stderr


def test_only_participants_with_a_statement_are_suggested(run_folder: Path) -> None:
    for name in ("nobody", "outsid", "network", "exchang", "fun", "Ω"):
        result = run(run_folder, "--participant", name)
        assert result.exit_code == 66
        if "; try " in result.stderr:
            hints = result.stderr.partition("; try ")[2].partition(", or see")[0].split(", ")
            assert hints and all(run(run_folder, "--participant", hint).exit_code == 0 for hint in hints), name
    assert "; try " in run(run_folder, "--participant", "nobody").stderr


@pytest.mark.parametrize("text", ["23.11.2026", "2026-13-01", "2026-11-31", "20261123", "2026-W48-1", "x"])
def test_a_day_is_written_like_a_day(run_folder: Path, text: str) -> None:
    result = run(run_folder, "--day", text)
    assert result.exit_code == 2 and "is no day" in result.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("outcomes.csv", "task\nx\n"),
        ("outcomes.csv", "a,b\nx\n"),
        ("settlement.csv", "status,paid\nshort,many\n"),
        ("prices.csv", "\udcff"),
    ],
)
def test_a_damaged_file_is_told_without_a_traceback(
    run_folder: Path, tmp_path: Path, name: str, text: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    (folder / name).write_bytes(text.encode(errors="surrogateescape"))
    result = run(folder)
    assert (
        result.exit_code == 65 and result.stderr.startswith("cpx report: ") and result.stderr.count("\n") == 1
    )


def test_a_file_that_is_missing_is_told(run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    (tmp_path / "run" / "prices.csv").unlink()
    result = run(tmp_path / "run")
    assert result.exit_code == 66 and "prices.csv" in result.stderr


def test_a_long_table_is_cut_and_says_so(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    with (folder / "prices.csv").open("a", encoding="utf-8") as file:
        for number in range(40):
            file.write(f"chip_region,H800,r{number},,,,,1.00,1.00,1.00,1.00,1.00,1.0,1,,\n")
    assert f"and {42 - TOP} more" in run(folder).stdout
    assert len(as_json(folder)["prices"]["by_chip_and_region"]) == 42


def test_text_from_outside_is_neither_markup_nor_terminal_control(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    path = folder / "outcomes.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",H800,", ",[red]\x1b[31mX,"), encoding="utf-8")
    shown = run(folder).stdout
    assert "[red]?[31mX" in shown and "\x1b" not in shown


@pytest.mark.slow
def test_a_chart_is_drawn(run_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra dev)")
    target = tmp_path / "day.png"
    result = run(run_folder, "--plot", target)
    assert result.exit_code == 0 and target.read_bytes().startswith(b"\x89PNG") and "Chart:" in result.stdout
    assert run(run_folder, "--plot", tmp_path / "no" / "day.png").exit_code == 73


@pytest.mark.slow
def test_a_chart_replaces_a_chart_and_nothing_else(run_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra dev)")
    target = tmp_path / "day.png"
    for content in (b"my notes", b""):
        target.write_bytes(content)
        result = run(run_folder, "--plot", target)
        assert result.exit_code == 73 and "name another file" in result.stderr and result.stdout == ""
        assert target.read_bytes() == content
    target.write_bytes(b"\x89PNG\r\n\x1a\nold")
    assert run(run_folder, "--plot", target).exit_code == 0 and len(target.read_bytes()) > 1000
    (tmp_path / "folder.png").mkdir()
    assert run(run_folder, "--plot", tmp_path / "folder.png").exit_code == 73


def test_a_chart_s_name_ends_in_png(run_folder: Path, tmp_path: Path) -> None:
    for name in ("day.pdf", "day", "png"):
        result = run(run_folder, "--plot", tmp_path / name)
        assert result.exit_code == 2 and ".png" in result.stderr and not (tmp_path / name).exists()


def test_without_matplotlib_the_chart_says_what_to_install(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run(run_folder, "--plot", tmp_path / "day.png")
    assert result.exit_code == 69 and "pip install matplotlib" in result.stderr


# --- where the output goes --------------------------------------------------------------------------------


def test_where_it_is_no_terminal_nothing_is_broken_in_two(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    path = folder / "statements" / "2026-11-23" / "B1.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("H800/g/", f"H800/{'long' * 40}/"), encoding="utf-8")
    shown = run(folder, "--participant", "B1", "--day", "2026-11-23").stdout
    lines = as_json(folder, "--participant", "B1", "--day", "2026-11-23")["statement"]["lines"]
    rows = shown.partition("Lines,")[2].splitlines()[2:]
    for row, line in zip(rows, lines, strict=False):
        wanted = ("what", "counterparty", "obligation", "reference", "instrument", "cards", "card_hours", "price")
        assert all(line[name] in row for name in wanted), row
    assert len(lines) > 20 and all(row == row.rstrip() for row in shown.splitlines())


@pytest.mark.parametrize("columns", [90, 200])
@pytest.mark.slow
def test_a_terminal_s_width_is_kept(run_folder: Path, columns: int) -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "exchange.cli", "report", str(run_folder), "--day", "2026-11-23"]
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "PYTHONUTF8": "1"}
    process = subprocess.Popen(words, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the way a terminal says that the other side has ended
        while more := os.read(ours, 65_536):
            shown += more
    os.close(ours)
    assert process.wait(60) == 0
    rows = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()
    assert max(map(len, rows)) <= columns
    assert any("─" in row for row in rows)


@pytest.mark.parametrize("more", [[], ["--json"], ["--participant", "B1"]])
@pytest.mark.slow
def test_a_reader_who_has_seen_enough_is_no_fault(run_folder: Path, more: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    words = [sys.executable, "-m", "exchange.cli", "report", str(run_folder), *more]
    done = subprocess.run(words, stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_numbers_are_read_in_threes_by_people_and_plain_by_programs(run_folder: Path) -> None:
    words = ("--participant", "B1", "--day", "2026-11-23")
    closing = dict(row[:2] for row in as_json(run_folder, *words)["statement"]["head"])["closing balance"]
    whole, _, rest = closing.partition(".")
    assert f" {int(whole):,}.{rest} " in run(run_folder, *words).stdout and len(whole) > 3
    assert f" {int(whole):,}.{rest} " in run(run_folder, "--day", "2026-11-23").stdout
    assert grouped("-1234567.50") == "-1,234,567.50" and grouped(1234567) == "1,234,567"
    assert [grouped(text) for text in ("2026-11-23", "", "12.5 %", "1e9", "0a12345")] == [
        "2026-11-23", "", "12.5 %", "1e9", "0a12345",
    ]  # fmt: skip


def test_every_figure_of_a_summary_has_words_and_a_unit(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    keys = {"source_tasks": 12345, "market_s": 1.5, "wall_s": 2.5, "notional": "98756.508", "state_hash": "1234567890123456"}
    (folder / "summary.json").write_text(json.dumps({"schema": 1, **keys}), encoding="utf-8")
    shown = run(folder).stdout
    for words in ("tasks in the input", "12,345", "this machine, seconds", "yuan", "98,756.508", "1234567890123456"):
        assert words in shown, words
    for unexplained in ("source tasks", "market s", "wall s", "notional"):
        assert unexplained not in shown, unexplained
