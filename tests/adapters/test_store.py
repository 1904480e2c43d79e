"""The SQL projection on SQLite: the contract, and what only a file can have happen to it."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from store_contract import StoreContract
from stored import EXCHANGE_ID, Sample, dump, feed, filled

from exchange.adapters.store import Store, StoreError, StoreUnavailable, default_url
from exchange.adapters.tables import TABLES

pytestmark = pytest.mark.slow  # a live exchange, or a market day

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fresh_url(tmp_path):
    """A new file per call."""
    count = iter(range(1000))
    return lambda: f"sqlite:///{tmp_path}/{next(count)}.db"


class TestOnSqlite(StoreContract):
    """Everything of the contract, on files."""


def test_a_deleted_file_is_made_again_the_same(tmp_path, sample: Sample):
    url = default_url(tmp_path)
    store = filled(url, sample.applied)
    wanted = dump(store)
    store.close()
    (tmp_path / "exchange.db").unlink()
    again = filled(url, sample.applied, every=500)
    assert dump(again) == wanted


def test_a_closed_database_is_one_file(tmp_path):
    Store.open(f"sqlite:///{tmp_path}/a.db", EXCHANGE_ID).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("exchange.db", "no database URL"),
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:///x.db?mode=ro", "without options"),
        ("mysql://me:secret@host/db", "mysql is not supported"),
        ("sqlite+aiosqlite:///x.db", "not supported"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url, words):
    with pytest.raises(StoreError, match=words) as caught:
        Store.open(url, EXCHANGE_ID)
    assert caught.value.exit_code == 78 and "secret" not in str(caught.value)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(StoreUnavailable, match="does the folder exist") as caught:
        Store.open(f"sqlite:///{tmp_path}/none/a.db", EXCHANGE_ID)
    assert caught.value.exit_code == 69


def test_a_server_that_is_not_there_is_told_without_the_password(tmp_path):
    with pytest.raises(StoreUnavailable, match="is the server running") as caught:
        Store.open(f"postgresql://me:secret@/db?host={tmp_path}", EXCHANGE_ID)
    assert caught.value.exit_code == 69 and "secret" not in str(caught.value)


def test_files_of_somebody_else_are_refused_and_left_alone(tmp_path):
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Sir,\n" * 500)
    with pytest.raises(StoreError, match="move it away"):
        Store.open(f"sqlite:///{letter}", EXCHANGE_ID)
    assert letter.read_text() == "Dear Sir,\n" * 500
    others = sqlite3.connect(tmp_path / "other.db")
    others.execute("CREATE TABLE recipes (name TEXT)")
    others.commit()
    with pytest.raises(StoreError, match="tables of something else"):
        Store.open(f"sqlite:///{tmp_path}/other.db", EXCHANGE_ID)
    assert others.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    others.close()


def test_whole_numbers_only(tmp_path, sample: Sample):
    """Money, prices and times never come near a float, in no row."""
    filled(f"sqlite:///{tmp_path}/a.db", sample.applied).close()
    raw = sqlite3.connect(tmp_path / "a.db")
    for name, table in TABLES.items():
        for column in table.columns:
            kinds = {row[0] for row in raw.execute(f"SELECT DISTINCT typeof({column.name}) FROM {name}")}
            assert kinds <= {{str: "text", bytes: "blob"}.get(column.type.python_type, "integer")}, (name, column.name)
    raw.close()


def test_a_refused_command_cannot_bring_what_a_database_cannot_hold(tmp_path, sample: Sample):
    from exchange.adapters.history import History
    from exchange.domain.commands import PlaceOrder
    from exchange.domain.events import Refused

    order = PlaceOrder("x\0y" * 500, "\0", "no/such", "buy", 1, 1)
    store = filled(f"sqlite:///{tmp_path}/a.db", [(1, 0, order, [Refused("PlaceOrder", "\0", 314, "INVALID", "m", "")])])
    (row,) = History(store).orders(None)
    assert row.client_order_id == "\ufffd" and len(row.participant) == 500 and row.status == "refused"
    feed(store, ())


def test_the_guide_lists_the_tables_that_there_are():
    page = (ROOT / "docs" / "guides" / "database.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == set(TABLES)
