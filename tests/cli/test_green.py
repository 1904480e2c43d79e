"""`cpx green`: supply from files, wind and sun, issued on an exchange, held and told as shares."""

import json
import sys

import pytest

pytestmark = pytest.mark.slow  # a live exchange, or a market day

LATER = "2026-11-23T19:00:00Z"  # two and a half hours after the exchange of these tests begins


def said(result, code):
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("cpx: ")]
    return line


def test_supply_from_a_file_is_shown_written_and_read_again(look, tmp_path):
    (tmp_path / "plant.csv").write_text("hour,kwh\n2026-11-24T00:00:00Z,1.5\n2026-11-24T01:00:00Z,2000\n")
    base = ("green", "supply", "--series", "plant.csv", "--hours", "2")
    found = json.loads(look("", *base, "--json").stdout)
    assert (found["wh"], found["total_wh"], found["supply"]) == ([1_500, 2_000_000], 2_001_500, "metered")
    assert json.loads(look("", *base, "--modelled", "--json").stdout)["supply"] == "modelled"
    table = look("", *base)
    assert "2,000" in table.stdout and "2 hours from 2026-11-24T00:00:00Z: 2,001.5 kWh (metered)" in table.stdout
    assert look("", *base, "-o", "again.csv").exit_code == 0
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "plant.csv").read_text()
    assert "2 of the 3 hours" in said(look("", *base[:-1], "3"), 2)


def test_wind_and_its_picture(look, tmp_path):
    pytest.importorskip("matplotlib")
    drawn = look("", "green", "supply", "--wind", "--kw", "1000", "--hours", "400", "--plot", "wind.png")
    assert drawn.exit_code == 0 and (tmp_path / "wind.png").read_bytes().startswith(b"\x89PNG")
    assert look("", "green", "supply", "--wind", "--kw", "1000", "--hours", "9", "--plot", "wind.png").exit_code == 0
    (tmp_path / "mine.png").write_text("my notes")
    wind = ("green", "supply", "--wind", "--kw", "1000", "--hours", "9", "--plot")
    assert "is kept" in said(look("", *wind, "mine.png"), 73)
    assert ".png" in said(look("", *wind, "wind.gif"), 2)


def test_options_that_make_no_plant(look, tmp_path):
    (tmp_path / "wind.csv").write_text("hour,wind_m_s\n2026-11-24T00:00:00Z,12\n")
    for words, wanted in (
        ((), "one of"), (("--wind", "--zhongwei"), "one of"), (("--wind",), "--kw is needed"),
        (("--wind", "--kw", "-5"), "--kw -5 is no size"), (("--wind", "--kw", "nan"), "is no size"),
        (("--solar", "37.5", "--kw", "1"), "no place"),
        (("--solar", "37.5,105.2", "--kw", "1"), "--ghi"), (("--series", "wind.csv"), "--wind"),
        (("--wind", "--kw", "1", "--start", "2026-11-24T00:30:00Z"), "start of an hour"),
        (("--wind", "--kw", "1", "--start", "soon"), "--start"), (("--series", "none.csv"), "none.csv"),
        (("--wind", "--kw", "1", "--issue", "x"), "--participant and --region"),
    ):  # fmt: skip
        assert wanted in said(look("", "green", "supply", *words), 2), words
    words = ("--series", "wind.csv", "--wind", "--kw", "1", "--hours", "1", "--json")
    given = json.loads(look("", "green", "supply", *words).stdout)
    assert given["wh"] == [880]


def test_the_sun_needs_its_library_and_says_how_to_get_it(look, monkeypatch):
    monkeypatch.setitem(sys.modules, "pvlib", None)
    assert "pip install pvlib" in said(look("", "green", "supply", "--zhongwei", "--start", "2031-01-01T00:00:00Z"), 69)


def test_certificates_are_issued_once_and_held(cpx):
    issue = ("green", "supply", "--wind", "--kw", "1000", "--seed", "3", "--start", LATER, "--hours", "30", "--issue", "farm-1")
    whose = ("--participant", "zhang", "--region", "gansu-qingyang")
    assert said(cpx("anna", *issue, *whose), 77)
    done = cpx("", *issue, *whose)
    assert done.exit_code == 0 and "issued" in done.stderr, done.output
    assert "DUPLICATE_ID" in said(cpx("", *issue, *whose), 65)
    held = json.loads(cpx("zhang", "green", "held", "--json").stdout)["items"]
    assert held and all(row["participant"] == "zhang" and row["free_wh"] == row["issued_wh"] > 0 for row in held)
    assert json.loads(cpx("anna", "green", "held", "--json").stdout)["items"] == []
    shown = cpx("zhang", "green", "held").stdout
    assert "gansu-qingyang" in shown and "(in " in shown and held[0]["period_start"] not in shown, "the venue's zone, not UTC"
    total = json.loads(cpx("", *issue[:-2], "--json").stdout)["total_wh"]
    assert sum(row["issued_wh"] for row in held) == total


def test_a_day_without_settled_deliveries_has_no_share(look):
    result = look("anna", "green", "share", "2026-11-24")
    assert result.exit_code == 0 and "settled" in result.stderr
    assert json.loads(look("anna", "green", "share", "today", "--json").stdout)["items"] == []
    assert said(look("anna", "green", "share", "someday"), 2)


def test_hours_without_power_are_not_said_to_be_issued(cpx, tmp_path):
    (tmp_path / "night.csv").write_text("hour,kwh\n2026-11-23T19:00:00Z,0\n")
    night = ("green", "supply", "--series", "night.csv", "--start", LATER, "--hours", "1", "--issue", "night-1")
    assert "nothing is issued" in said(cpx("", *night, "--participant", "zhang", "--region", "gansu-qingyang"), 2)
    none = cpx("", "green", "held", "--participant", "zhang")
    assert none.exit_code == 0 and "no certificates" in none.stderr
