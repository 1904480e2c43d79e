"""`cpx report DIR --live`: the report of a running exchange, fetched and shown like that of a run from files."""

import json

import pytest

pytestmark = pytest.mark.slow  # a live exchange

NEED = ("--chip", "A910B", "--hours", "2", "--deadline", "2026-11-24T08:00:00+08:00", "--access", "gansu-qingyang")


def test_what_was_bought_on_a_live_exchange_stands_in_its_report(cpx, tmp_path):
    assert cpx("anna", "buy", "8", *NEED, "--cap", "9", "--yes").exit_code == 0
    folder = tmp_path / "report"
    done = cpx("", "report", folder, "--live", "--json")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)["summary"]
    assert (summary["name"], summary["tasks"], summary["filled"], summary["trades"]) == ("live", 1, 1, 2)
    assert summary["ledger_sum"] == 0 and summary["offers"] == 1
    trades = (folder / "trades.csv").read_text(encoding="utf-8").splitlines()
    assert len(trades) == 3 and all("anna" in line for line in trades[1:])
    again = cpx("", "report", folder, "--participant", "anna")
    assert again.exit_code == 0 and "anna" in again.stdout, "the statements lie unpacked, as after a run"
    assert cpx("", "report", folder, "--live").exit_code == 0, "fetched again into the same folder"


def test_a_report_is_put_on_top_of_nothing_else(look, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep me")
    done = look("", "report", mine, "--live")
    assert done.exit_code == 73 and "name another folder" in done.stderr
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


def test_a_report_of_everybody_is_the_operator_s(look, tmp_path):
    done = look("anna", "report", tmp_path / "no", "--live")
    assert done.exit_code == 77 and not (tmp_path / "no").exists()


def test_an_address_without_live_is_a_mistake(look, tmp_path):
    assert look("", "report", tmp_path, "--url", "http://127.0.0.1:1").exit_code == 2
