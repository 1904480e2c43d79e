"""`cpx statement --verify --folder`: a chain that was kept, whole, with a day missing or changed; formats not there."""

import builtins
import json

import pytest
import typer

from exchange.adapters.exporters.sheet_files import make_file
from exchange.cli.statement_proof import show_checked, verify_folder
from exchange.ports_statements import NotInstalled
from exchange.projections.sheets import Sheet
from exchange.protocol.statement_hash import PURSES, statement_hash

NOTHING = dict.fromkeys(PURSES, "0.00")


def keep(folder, days):
    """Statements of these days, each following the one before."""
    previous = ""
    for day in days:
        line = dict.fromkeys(("kind", "counterparty", "reference", "instrument"), "x")
        line |= {"line_id": "7-0", "ts_ns": "5", "amount": "1.00", "obligation_id": 0}
        found = {"participant": "anna", "day": day, "opening": NOTHING, "lines": [line], "closing": NOTHING, "confirmed": None}
        found |= {"previous_hash": previous, "hash": statement_hash(found, previous)}
        previous = found["hash"]
        whole = {"schema": 1, "kind": "statement", "statement": found} if day.endswith("25") else found
        (folder / f"{day}.json").write_text(json.dumps(whole), encoding="utf-8")


DAYS = ("2026-11-23", "2026-11-24", "2026-11-25")


def problems(folder):
    return [each.problem for each in verify_folder(folder)]


def test_a_chain_that_was_kept_is_good_from_its_first_file_on(tmp_path):
    keep(tmp_path, DAYS)
    assert problems(tmp_path) == ["", "", ""]
    (tmp_path / f"{DAYS[0]}.json").unlink()
    assert problems(tmp_path) == ["", ""]


def test_a_day_that_was_saved_twice_is_good_twice(tmp_path):
    keep(tmp_path, DAYS)
    (tmp_path / "again.json").write_bytes((tmp_path / f"{DAYS[1]}.json").read_bytes())
    assert problems(tmp_path) == ["", "", "", ""]


def test_a_day_that_is_missing_or_changed_is_named(tmp_path):
    keep(tmp_path, DAYS)
    path = tmp_path / f"{DAYS[1]}.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("1.00", "2.00"), encoding="utf-8")
    assert "does not give its hash" in problems(tmp_path)[1]
    path.unlink()
    assert "does not follow" in problems(tmp_path)[1]
    with pytest.raises(typer.Exit) as ended:
        show_checked(verify_folder(tmp_path), False)
    assert ended.value.exit_code == 65


def test_a_file_that_is_none_and_an_empty_folder_end_with_their_codes(tmp_path):
    with pytest.raises(typer.Exit) as ended:
        problems(tmp_path)
    assert ended.value.exit_code == 66
    (tmp_path / "a.json").write_text("[]", encoding="utf-8")
    with pytest.raises(typer.Exit) as ended:
        problems(tmp_path)
    assert ended.value.exit_code == 65


@pytest.mark.parametrize(("format", "package"), (("pdf", "typst"), ("xlsx", "xlsxwriter"), ("parquet", "pyarrow")))
def test_a_format_whose_package_is_missing_says_what_to_install(monkeypatch, format, package):
    whole = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] == package:
            raise ImportError(f"no {name}")
        return whole(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    sheet = Sheet("v", "UTC", "anna", "2026-11-24", 0, 86_400 * 10**9, True, (0,) * 5, (), (0,) * 5)
    with pytest.raises(NotInstalled, match=rf"{package} is not installed: pip install 'cpx-exchange\[reports\]'"):
        make_file(sheet, format)
