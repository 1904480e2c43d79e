"""The SQL projection on PostgreSQL: the same contract on a real server, and what happens when the server goes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from link_contract import PATIENCE_S, LinkContract, give, records_of, until_seen, with_link
from postgres_server import Server, why_not
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from store_contract import StoreContract
from stored import EXCHANGE_ID, Sample, dump, feed, filled

from exchange.adapters import store_insert
from exchange.adapters.history import History
from exchange.adapters.store import Store
from exchange.adapters.store_link import StoreLink
from exchange.adapters.tables import TABLES
from exchange.ports_history import HistoryUnavailable

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "a server can run here"), pytest.mark.slow,
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for this module."""
    running = Server()
    yield running
    running.close()


@pytest.fixture
def fresh_url(server: Server):
    """A new database per call."""
    return server.fresh_url


class TestOnPostgres(StoreContract):
    """Everything of the contract, on the server."""


class TestLinkOnPostgres(LinkContract):
    """The same rows through a process of its own."""


def test_both_databases_hold_the_same_rows(fresh_url, sample: Sample, tmp_path):
    on_file = filled(f"sqlite:///{tmp_path}/a.db", sample.applied)
    assert dump(filled(fresh_url(), sample.applied)) == dump(on_file)


@pytest.mark.parametrize("least", [1, 10**9])
@pytest.mark.parametrize("every", [0, 37])
def test_rows_that_are_copied_and_rows_by_statements_are_the_same(
    fresh_url, sample: Sample, rows: bytes, monkeypatch, least: int, every: int
):
    monkeypatch.setattr(store_insert, "COPIED_ROWS", least)
    assert dump(filled(fresh_url(), sample.applied, every)) == rows


def test_a_copy_that_fails_leaves_nothing_and_is_told_as_the_database_s_error(fresh_url, sample: Sample, rows, monkeypatch):
    monkeypatch.setattr(store_insert, "COPIED_ROWS", 1)
    store = filled(fresh_url(), sample.applied[:2_000])
    before, answered = dump(store), sample.applied[2_500][0]
    with store._writer.begin() as connection:
        connection.execute(TABLES["answers"].insert(), {"seq": answered, "ts_ns": 0, "events": b"somebody else's"})
    with pytest.raises(DBAPIError, match="duplicate key"):
        feed(store, sample.applied[2_000:3_000])
    with store._writer.begin() as connection:
        connection.execute(TABLES["answers"].delete().where(TABLES["answers"].c.seq == answered))
    assert dump(store) == before and store.offset == 2_000 and store.pending == 1_000
    feed(store, sample.applied[3_000:])
    assert dump(store) == rows


def test_a_server_that_goes_away_while_rows_are_copied_is_found_again(server: Server, sample: Sample, rows, monkeypatch):
    monkeypatch.setattr(store_insert, "COPIED_ROWS", 1)
    store = filled(server.fresh_url(), sample.applied[:2_000])
    run, stopped = store_insert._Copy.run, []

    def stop_first(self, connection, rows):
        if not stopped:
            stopped.append(self.sql)
            server.stop()
        run(self, connection, rows)

    monkeypatch.setattr(store_insert._Copy, "run", stop_first)
    try:
        with pytest.raises(SQLAlchemyError):
            feed(store, sample.applied[2_000:])
    finally:
        server.start()
    assert stopped and store.offset == 2_000
    store.flush()
    assert dump(store) == rows


def test_a_server_that_goes_away_is_caught_up_with_when_it_comes_back(server: Server, sample: Sample):
    url, records = server.fresh_url(), records_of(sample)

    async def story(link: StoreLink) -> None:
        give(link, records[:1_000])
        assert await link.wait_for(1_000, PATIENCE_S)
        server.stop()
        try:
            give(link, records[1_000:])
            await until_seen(lambda: link.problem != "")
            assert link.offset == 1_000 and not link.is_behind
            with pytest.raises(HistoryUnavailable):
                await asyncio.to_thread(History(link).trades)
        finally:
            server.start()
        assert await link.wait_for(len(records), PATIENCE_S)
        await until_seen(lambda: link.problem == "")

    with_link(url, story)
    assert dump(Store.open(url, EXCHANGE_ID)) == dump(filled(server.fresh_url(), sample.applied))


def test_other_people_s_tables_in_the_database_are_left_alone(fresh_url, sample: Sample):
    url = fresh_url()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE recipes (name TEXT)"))
        connection.execute(text("INSERT INTO recipes VALUES ('soup')"))
    store = filled(url, sample.applied[:500])
    with store._writer.begin() as connection:
        connection.execute(text("UPDATE offset_row SET schema_version = 99"))
    store.close()
    again = Store.open(url, EXCHANGE_ID)
    feed(again, sample.applied[:500])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM recipes")).scalar_one() == "soup"
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        assert connection.execute(text(tables)).scalar_one() == 1
