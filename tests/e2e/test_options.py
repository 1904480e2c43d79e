"""Options and files that cannot be: one line that says what would be right, the exit code, nothing written."""

import csv
import json
import shlex
import shutil

import pytest


@pytest.fixture
def files(examples, tmp_path):
    for name in ("tasks.csv", "offers.csv"):
        shutil.copy(examples / name, tmp_path / name)
    return tmp_path


def replay(quick, *more, out="out"):
    return quick("replay", "--tasks", "tasks.csv", "--offers", "offers.csv", "--out", out, *more)


def the_only_line(done, code):
    assert done.exit_code == code, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("cpx: ") and done.stdout == ""
    return line


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("--period-min", "17", "60, 30 or 15"),
        ("--deposit", "0", "above 0"), ("--deposit", "-5", "above 0"), ("--deposit", "much", "decimal"),
        ("--deposit", "99999999999", "at most 4,000,000,000"),
        ("--usd-rate", "0", "above 0"), ("--usd-rate", "1e3", "decimal"),
        ("--supply-ratio", "0", "above 0"), ("--supply-ratio", "-1.15", "above 0"),
        ("--epoch", "1969-12-31T00:00:00Z", "2020"), ("--epoch", "2101-01-01T00:00:00Z", "2100"),
        ("--epoch", "2026-01-05", "+08:00"), ("--epoch", "yesterday", "+08:00"),
        ("--out", "", "name a folder"),
    ],
)  # fmt: skip
def test_an_impossible_value_is_a_usage_error_of_one_line(quick, files, option, value, hint):
    line = the_only_line(replay(quick, option, value), 2)
    assert option in line and hint in line
    assert {path.name for path in files.iterdir()} == {"tasks.csv", "offers.csv"}


def test_resume_and_force_together_are_a_usage_error(quick, files):
    assert "one of them" in the_only_line(replay(quick, "--resume", "--force"), 2)
    assert "one of them" in the_only_line(quick("demo", "--resume", "--force"), 2)


def test_a_folder_as_tasks_and_a_file_as_catalogue_are_66_with_what_to_do(quick, files):
    line = the_only_line(quick("replay", "--tasks", ".", "--offers", "offers.csv", "--out", "out"), 66)
    assert "is a folder" in line and "name the file" in line
    assert "no folder" in the_only_line(replay(quick, "--catalogue", "tasks.csv"), 66)
    assert "does not exist" in the_only_line(replay(quick, "--sites", "none.csv"), 66)


def test_a_tasks_file_that_cannot_be_read_is_66(quick, files, monkeypatch):
    from pathlib import Path

    really_open = Path.open

    def refuse(path, *args, **kwargs):
        if path.name == "tasks.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return really_open(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    done = replay(quick)
    assert done.exit_code == 66 and "tasks.csv" in done.stderr and "permissions" in done.stderr


def test_header_faults_do_not_offer_to_skip_rows_and_one_bad_row_is_singular(quick, files):
    text = (files / "tasks.csv").read_text(encoding="utf-8")
    (files / "tasks.csv").write_text(text.replace("hours", "hour", 1), encoding="utf-8")
    done = replay(quick)
    assert done.exit_code == 65 and "lacks hours" in done.stderr and "skip-bad-rows" not in done.stderr
    (files / "tasks.csv").write_text(text.replace("2,1,,", "NaN,1,,", 1), encoding="utf-8")
    done = replay(quick)
    assert done.exit_code == 65 and "cpx: 1 bad row; mend it" in done.stderr and "skip-bad-rows" in done.stderr


def test_options_that_do_nothing_with_own_files_are_told_and_ignored(quick, files, summary_of):
    done = replay(quick, "--epoch", "2026-02-01T00:00:00Z", "--supply-ratio", "2")
    assert done.exit_code == 0, done.stderr
    assert "note: --epoch, --supply-ratio are for traces" in done.stderr
    assert "ignored" in summary_of(files / "out")["notes"][0]


def test_a_price_list_that_lacks_the_chips_is_named_and_not_called_a_bad_row(quick, files, summary_of):
    lists = "AcceleratorName,AcceleratorCount,Price\nT4,1,0.35\n"
    (files / "shop_list.csv").write_text(lists, encoding="utf-8")
    done = quick("replay", "--tasks", "tasks.csv", "--offers", "shop_list.csv", "--out", "none")
    assert done.exit_code == 65 and "shop_list.csv: has no price for " in done.stderr and "L40S" in done.stderr
    done = replay(quick, "--offers", "shop_list.csv")
    assert done.exit_code == 0, done.stderr
    assert any("shop_list.csv has no price for" in text for text in summary_of(files / "out")["notes"])


@pytest.mark.slow
def test_the_command_in_the_summary_repeats_the_run(quick, files, summary_of):
    (files / "tasks.csv").write_text((files / "tasks.csv").read_text("utf-8").replace("2,1,,", "NaN,1,,", 1), "utf-8")
    (files / "my offers.csv").write_bytes((files / "offers.csv").read_bytes())
    done = quick(
        "replay", "--tasks", "tasks.csv", "--offers", "my offers.csv", "--out", "out", "--period-min", "30", "--deposit", "900",
        "--shortfall-ppm", "400000", "--skip-bad-rows", "--seed", "7", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    summary = summary_of(files / "out")
    words = shlex.split(summary["command"])
    assert words[words.index("--out") + 1] == "out" and "--json" not in words
    assert [item["file"] for item in summary["inputs"]] == ["tasks.csv", "my offers.csv"]
    assert len(summary["inputs"][0]["sha256"]) == 64
    assert "1 bad row left out: see refused.csv" in summary["notes"]
    words[words.index("--out") + 1] = "again"
    assert quick(*words).exit_code == 0
    assert summary_of(files / "again")["state_hash"] == summary["state_hash"]


def test_the_rows_of_outcomes_add_up_to_the_waste_of_the_summary(quick, files, summary_of):
    text = (files / "tasks.csv").read_text("utf-8").replace("2,1,,", "0.3,1.75,,", 1).replace(",64,6,", ",64,5.5,", 1)
    (files / "tasks.csv").write_text(text, "utf-8")
    assert replay(quick).exit_code == 0
    with (files / "out" / "outcomes.csv").open(encoding="utf-8", newline="") as file:
        told = {row["task"]: (row["status"], row["rounding_card_hours"]) for row in csv.DictReader(file)}
    assert told["train-2"] == ("unfilled", "")  # nothing bought, nothing wasted
    assert told["ct-1"] == ("filled", "0.075") and told["train-1"] == ("filled", "32")
    assert summary_of(files / "out")["rounding_waste_card_hours"] == "32.075"


def test_the_guide_shows_the_example_files_as_they_are_and_they_run(quick, examples, summary_of, tmp_path):
    guide = (examples.parents[2] / "docs" / "guides" / "files.md").read_text(encoding="utf-8")
    for name in ("tasks.csv", "offers.csv"):
        assert f"```csv\n{(examples / name).read_text(encoding='utf-8')}```" in guide, name
    done = quick("replay", "--tasks", examples / "tasks.csv", "--offers", examples / "offers.csv", "--out", "out")
    assert done.exit_code == 0, done.stderr
    summary = summary_of(tmp_path / "out")
    assert (summary["tasks"], summary["filled"], summary["offers_refused_by_reason"]) == (4, 3, {})


def test_accounts_whose_deposits_the_venue_refuses_end_the_run_with_its_words(quick, files):
    text = (files / "tasks.csv").read_text("utf-8")
    lines = text.splitlines()
    rich = [lines[1].replace("ct-1", f"t{n}").replace("hospital", f"b{n}").replace(",2,1,,", ",100000,6,,") for n in range(900)]
    rich = [line.replace("9.00", "1000000") for line in rich]
    (files / "tasks.csv").write_text("\n".join([lines[0], *rich]) + "\n", "utf-8")
    done = replay(quick)
    assert done.exit_code == 65, done.output
    assert "the venue refused Deposit" in done.stderr and "Traceback" not in done.stderr


def test_figures_on_the_screen_are_rounded_half_up_and_have_commas():
    from exchange.cli.running import market_time, percent, yuan

    assert [percent(*pair) for pair in ((1, 200), (1, 201), (2, 3), (0, 5), (5, 5))] == [1, 0, 67, 0, 100]
    assert [yuan(text) for text in ("1234567.5", "-1234.00", "0.00", "999", "-0.5")] == [
        "1,234,567.5", "-1,234.00", "0.00", "999", "-0.5",
    ]  # fmt: skip
    assert market_time(1_795_449_600 * 10**9, "Asia/Shanghai") == "2026-11-24 00:00+08:00"


@pytest.mark.slow
def test_bench_day_fits_eighty_columns(quick, monkeypatch):
    done = quick("bench", "day", "--tasks", "20", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    monkeypatch.setenv("COLUMNS", "80")
    done = quick("bench", "day", "--tasks", "20")
    assert done.exit_code == 0 and "…" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    for words in ("tasks", "trades", "commands a second", "1/s"):
        assert words in done.stdout
    assert f"{figures['trades']:,}" in done.stdout
