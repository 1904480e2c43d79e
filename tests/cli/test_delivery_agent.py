"""`cpx delivery agent` before it reaches an exchange: what contradicts itself, and its key file."""

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.meters import MeterKey
from exchange.cli.delivery_agent import _meter_key
from exchange.cli.market_delivery import delivery_command
from exchange.cli.running import CANNOT_CREATE, DATA_ERROR, USAGE


def agent(*words: str):
    return CliRunner().invoke(delivery_command, ["agent", *words])


@pytest.mark.parametrize("words", [("--allow", "sh", "--allow-any"), ("--meter-key", "x")])
def test_options_that_contradict_each_other_are_refused(words: tuple[str, ...]) -> None:
    assert agent(*words).exit_code == USAGE


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "zw-1.meter"
    made = _meter_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert MeterKey(path.read_text().strip()).public_key == made.public_key == _meter_key(path).public_key


def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("no key")
    assert agent("--site", "zw-1", "--meter-key", str(bad)).exit_code == DATA_ERROR
    assert agent("--site", "zw-1", "--meter-key", str(tmp_path / "none" / "key")).exit_code == CANNOT_CREATE
