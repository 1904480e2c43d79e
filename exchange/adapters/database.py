"""Engines for the two databases that the projection can live in, and whose tables are found there.

SQLite: WAL, so that readers and the one writer do not wait for each other, and `synchronous=NORMAL`: after a power cut
the newest transactions may be missing, the file is sound all the same, and the journal, which is synced before anything
is answered, gives them back. FULL would buy nothing but a second fsync beside the journal's. PostgreSQL: a schema of
our own in whatever database the URL names.
"""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    MetaData,
    NullPool,
    create_engine,
    event,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError, SQLAlchemyError

from exchange.adapters.tables import METADATA, SCHEMA_VERSION, TABLES

DEFAULT_FILE = "exchange.db"
SCHEMA = "cpx"  # on PostgreSQL
BUSY_S = 5
CACHE_KIB = 65_536  # of SQLite's pages, for the one connection that writes: every row goes into several indexes
READERS = 8


class StoreError(Exception):
    """The database cannot be used as it is; the message says what to do. Nothing in it has been changed."""

    exit_code = 78


class StoreUnavailable(StoreError):
    """The database cannot be reached, or its driver is not installed."""

    exit_code = 69


def default_url(folder: Path) -> str:
    """The SQLite file in a run folder."""
    return URL.create("sqlite", database=str(folder / DEFAULT_FILE)).render_as_string(hide_password=False)


def parse_url(text: str) -> URL:
    """A database URL that this release can use; StoreError otherwise."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise StoreError(f"{text[:60]!r} is no database URL; use sqlite:///FILE or postgresql+psycopg://…") from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if url.database in (None, "", ":memory:") or url.query:
            raise StoreError("the database must be a file, without options: sqlite:///FILE")
    elif url.drivername != "postgresql+psycopg":
        raise StoreError(f"{url.drivername} is not supported; use sqlite:///FILE or postgresql+psycopg://…")
    return url


def shown(url: URL) -> str:
    """The URL for messages, without its password."""
    return url.render_as_string(hide_password=True)


def writer_engine(url: URL) -> Engine:
    """One connection that writes; a transaction has the database for itself from its first statement."""
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, pool_size=1, max_overflow=0, connect_args={"timeout": BUSY_S})
        cache = f"PRAGMA cache_size=-{CACHE_KIB}"
        _sqlite(engine, "BEGIN IMMEDIATE", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", cache)
        return engine
    return _postgres(url, pool_size=1)


def reader_engine(url: URL) -> Engine:
    """Connections that only read; each transaction sees one moment. For several threads."""
    if url.get_backend_name() == "sqlite":
        options: dict[str, Any] = {"timeout": BUSY_S, "check_same_thread": False}
        engine = create_engine(url, pool_size=READERS, max_overflow=READERS, connect_args=options)
        _sqlite(engine, "BEGIN", "PRAGMA query_only=ON")
        return engine
    reading = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return _postgres(url, pool_size=READERS, execution_options=reading)


def lock_engine(url: URL) -> Engine:
    """One connection to PostgreSQL that holds no transaction open, and is closed when it is given back."""
    return _postgres(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")


def _sqlite(engine: Engine, begin: str, *pragmas: str) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not at the first write
        for pragma in pragmas:
            connection.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def _postgres(url: URL, **options: Any) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 2 * BUSY_S}, **options)
    except ModuleNotFoundError as error:
        raise StoreUnavailable(f"{error.name} is not installed: pip install 'cpx-exchange[pg]'") from error
    except NoSuchModuleError as error:
        raise StoreUnavailable(str(error)) from error

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        was, connection.autocommit = connection.autocommit, True
        connection.execute(f"SET search_path TO {SCHEMA}")
        connection.autocommit = was

    return engine


def prepare(engine: Engine, exchange_id: bytes, notes: list[str]) -> None:
    """Makes the tables where there are none, or where another release made them; StoreError where they are not ours."""
    where = shown(engine.url)
    try:
        with engine.begin() as connection:
            _prepare(connection, exchange_id, where, notes)
    except OperationalError as error:
        hint = "is the server running, and may this user make tables?"
        if engine.dialect.name == "sqlite":
            hint = "does the folder exist, and may it be written to?"
        raise StoreUnavailable(f"{where} cannot be opened ({first_line(error)}); {hint}") from error
    except DatabaseError as error:
        raise StoreError(f"{where} cannot be used ({first_line(error)}); move it away, it is made anew") from error


def first_line(error: SQLAlchemyError | OSError) -> str:
    """What the database said, in a line."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]


def _prepare(connection: Connection, exchange_id: bytes, where: str, notes: list[str]) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    offset = TABLES["offset_row"]
    found = set(inspect(connection).get_table_names())
    if found and offset.name not in found:
        raise StoreError(f"{where} holds tables of something else ({min(found)}, …): name another database")
    row = connection.execute(select(offset.c.exchange_id, offset.c.schema_version)).one_or_none() if found else None
    if row is not None and row.exchange_id != exchange_id.hex():
        raise StoreError(
            f"{where} belongs to another exchange ({row.exchange_id}, the journal is {exchange_id.hex()}): name another "
            "database; or, if this one is not needed, move it away and it is made anew from the journal"
        )
    if row is not None and row.schema_version == SCHEMA_VERSION:
        return
    if row is not None:
        notes.append(
            f"{where} has tables of schema {row.schema_version}, this release has {SCHEMA_VERSION}: they are made anew from "
            "the journal"
        )
    _drop_all(connection)
    METADATA.create_all(connection)
    start = {"id": 1, "exchange_id": exchange_id.hex(), "schema_version": SCHEMA_VERSION, "seq": 0, "ts_ns": 0}
    connection.execute(offset.insert(), start)


def _drop_all(connection: Connection) -> None:
    """Whatever tables are there, by whatever release."""
    there = MetaData()
    there.reflect(connection)
    there.drop_all(connection)
