"""How rows get into a table: a statement per row, or, where there are many of them and PostgreSQL takes them, its COPY.

Rows that may be there already are copied into a table of this connection alone and inserted out of it, by the rule that
a statement per row has too.
"""

from collections.abc import Callable, Collection
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple, cast

from sqlalchemy import BigInteger, Boolean, Connection, LargeBinary, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from exchange.adapters.table_base import Row
from exchange.adapters.tables import TABLES

COPIED_ROWS = 200  # and more go by COPY; for fewer, its additional ways to the server cost more than it saves
# Columns that no later value of a row changes: left alone, so that the indexes over them are too.
_NEVER_NEW = {
    "obligations": ("buyer", "seller", "lease", "period_start_ns"), "orders": ("participant", "client_order_id"),
    "tasks": ("participant", "client_order_id"), "offers": ("participant",),
}  # fmt: skip
_DIALECTS: dict[str, type[Any]] = {"sqlite": SQLiteDialect_pysqlite, "postgresql": PGDialect_psycopg}
_COPIED_AS = {BigInteger: "int8", Text: "text", Boolean: "bool", LargeBinary: "bytea"}


def insert_rows(connection: Connection, name: str, rows: Collection[Row], *, is_final: bool) -> None:
    """Rows of one table: one that is there already stays (is_final), or takes the new values."""
    kind = connection.dialect.name
    if kind == "postgresql" and len(rows) >= COPIED_ROWS:
        _copy(name, is_final=is_final).run(connection, rows)
    else:
        _insert(kind, name, is_final=is_final).run(connection, rows)


class _Insert(NamedTuple):
    """An insert as its driver takes it: rows go there without a stop in SQLAlchemy, whose part would cost most of it."""

    sql: str
    values: Callable[[Row], Any] | None  # of a row, in order; None: the driver takes the row itself

    def run(self, connection: Connection, rows: Collection[Row]) -> None:
        """Of so many rows."""
        connection.exec_driver_sql(self.sql, list(map(self.values, rows) if self.values else rows))


class _Copy(NamedTuple):
    """A COPY in binary form, and what is done before and after it where it goes into a table in between."""

    sql: str
    types: list[str]
    values: Callable[[Row], Any]
    before: str
    after: str

    def run(self, connection: Connection, rows: Collection[Row]) -> None:
        """Of so many rows; SQLAlchemy's error where the driver has one."""
        driver = cast(Any, connection.connection.driver_connection)
        try:
            with driver.cursor() as cursor:
                if self.before:
                    cursor.execute(self.before)
                with cursor.copy(self.sql) as copy:
                    copy.set_types(self.types)
                    for values in map(self.values, rows):
                        copy.write_row(values)
                if self.after:
                    cursor.execute(self.after)
        except connection.dialect.loaded_dbapi.Error as error:
            raise DBAPIError(self.sql, None, error) from error


@cache
def _insert(dialect_name: str, name: str, *, is_final: bool) -> _Insert:
    made = _statement(dialect_name, name, is_final).compile(dialect=_DIALECTS[dialect_name]())
    names = cast(SQLCompiler, made).positiontup
    return _Insert(str(made), itemgetter(*names) if names else None)


def _statement(dialect_name: str, name: str, is_final: bool) -> Any:
    table = TABLES[name]
    dialect = sqlite if dialect_name == "sqlite" else postgresql
    insert = dialect.insert(table)
    keys = list(table.primary_key)
    if is_final:
        return insert.on_conflict_do_nothing(index_elements=keys)
    stay = {*(key.name for key in keys), *_NEVER_NEW.get(name, ())}
    values = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in stay}
    return insert.on_conflict_do_update(index_elements=keys, set_=values)


@cache
def _copy(name: str, *, is_final: bool) -> _Copy:
    table = TABLES[name]
    names = [column.name for column in table.columns]
    columns, types = ", ".join(names), [_COPIED_AS[type(column.type)] for column in table.columns]
    if is_final and "seq" in table.primary_key.columns:  # a command's own rows come with it, and once: none is there already
        return _Copy(f"COPY {name} ({columns}) FROM STDIN (FORMAT binary)", types, itemgetter(*names), "", "")
    coming = f"coming_{name}"
    before = f"CREATE TEMPORARY TABLE IF NOT EXISTS {coming} (LIKE {name}) ON COMMIT DELETE ROWS"
    into, _, rule = str(_insert("postgresql", name, is_final=is_final).sql).partition(" ON CONFLICT ")
    assert rule, into
    after = f"INSERT INTO {name} ({columns}) SELECT {columns} FROM {coming} ON CONFLICT {rule}"
    return _Copy(f"COPY {coming} ({columns}) FROM STDIN (FORMAT binary)", types, itemgetter(*names), before, after)
