"""`cpx market-report`: the days of a journal as files and as JSON; what cannot be done ends with its code and a way on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from street import T0, Street
from typer.testing import CliRunner

from exchange.app import open_folder
from exchange.cli.market_report import command
from exchange.domain import commands as c
from exchange.domain.units import NS_PER_HOUR

HOUR = T0 + 5 * NS_PER_HOUR
CODE = "H800/wuhan/L5/grid/20261123T05"
DAY = "2026-11-23"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which ten lots were sold of twenty offered, in one hour."""
    where = tmp_path_factory.mktemp("run")
    street = Street()
    street.do(c.PlaceOffer("P1", "o1", "g1", "H800", "L5", "grid", 20, HOUR, HOUR + NS_PER_HOUR, 8_000_000))
    street.do(c.PlaceOrder("B1", "b1", CODE, "buy", 8_000_000, 10))
    street.do(c.AdvanceTime(HOUR + NS_PER_HOUR))
    run = open_folder(where)
    run.submit(street.log)
    run.close()
    return where


def ask(*args: object):
    return CliRunner().invoke(command, [str(each) for each in args])


def test_the_figures_are_those_of_the_journal(folder):
    found = json.loads(ask(folder, "--json").stdout)
    assert (found["schema"], found["kind"]) == (1, "market_days")
    first = found["days"][0]
    assert first["day"] == DAY
    assert (first["trades"], first["card_hours"]) == (1, "10.0")
    assert not (folder / "market").exists()


def test_every_day_is_written_or_the_one_that_is_named(folder, tmp_path):
    done = ask(folder, "--out", tmp_path / "some", "--day", DAY)
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "some").iterdir()}
    assert {f"market-{DAY}.json", f"market-{DAY}.en.html", f"market-{DAY}.zh.html"} <= names
    assert all(DAY in name for name in names)
    assert json.loads((tmp_path / "some" / f"market-{DAY}.json").read_text(encoding="utf-8"))["trades"] == 1
    assert ask(folder).exit_code == 0
    assert (folder / "market" / f"market-{DAY}.json").is_file()


def test_what_cannot_be_done_says_what_can(folder, tmp_path):
    missing = ask(folder, "--day", "2001-01-01")
    assert missing.exit_code == 66
    assert DAY in missing.output
    assert ask(folder, "--day", "monday").exit_code == 2
    nowhere = ask(tmp_path / "nowhere")
    assert nowhere.exit_code == 66
    assert "./cpx demo" in nowhere.output
    (tmp_path / "empty").mkdir()
    assert "no journal" in ask(tmp_path / "empty").output
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert ask(folder, "--out", tmp_path / "file").exit_code == 73
