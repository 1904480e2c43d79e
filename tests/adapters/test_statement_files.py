"""Statements that are streamed out of the database: the files that a run's exporters write from memory, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_contract import small_day_histories
from stored import Sample, filled

from exchange.adapters import statement_files
from exchange.adapters.exporters import csv_files
from exchange.adapters.statement_files import write_statements
from exchange.domain.commands import SetTariff
from exchange.projections import Projections

pytestmark = pytest.mark.slow  # a market day is filled for them


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def compare(tmp_path: Path, applied, projections: Projections) -> int:
    """Both ways into a folder each; how many lines there are."""
    store = filled(f"sqlite:///{tmp_path}/a.db", applied)
    tariffs = {command.version: command for _, _, command, _ in applied if isinstance(command, SetTariff)}
    with store.reader.connect() as connection:
        n_lines = write_statements(connection, projections.calendar, tariffs, tmp_path / "streamed")
    csv_files.write_statements(projections, tmp_path / "exported")
    store.close()
    assert files(tmp_path / "streamed") == files(tmp_path / "exported")
    return n_lines


def test_a_market_day(tmp_path, sample: Sample):
    assert compare(tmp_path, sample.applied, sample.projections) > 1000


@pytest.mark.parametrize("place", range(2))
def test_small_days(tmp_path, place: int):
    applied, day = small_day_histories()[place]
    assert compare(tmp_path, applied, day.projections) > 10


def test_lines_that_go_to_their_files_in_between(tmp_path, sample: Sample, monkeypatch):
    monkeypatch.setattr(statement_files, "BODY_LINES", 1)
    assert compare(tmp_path, sample.applied, sample.projections) > 1000


def test_what_a_killed_run_has_left_is_replaced_and_other_files_stay(tmp_path, sample: Sample, monkeypatch):
    monkeypatch.setattr(statement_files, "BODY_LINES", 1)
    first = csv_files.write_statements(sample.projections, tmp_path / "exported")[0]
    left = tmp_path / "streamed" / first.parent.name / first.with_suffix(".lines.tmp").name
    left.parent.mkdir(parents=True)
    left.write_text("half a line")
    assert compare(tmp_path, sample.applied, sample.projections) > 1000
