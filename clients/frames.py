"""Answers as tables: polars, pandas, Parquet and HTML, with the same columns whatever the rows are.

A number stays exact: in polars a decimal with nine places, in pandas a Decimal. `floats=True` gives floats where a plot or a
model wants them. The libraries are imported when they are asked for; `pip install 'cpx-exchange[frames]'` brings both.
"""

import html
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

if TYPE_CHECKING:
    import pandas
    import polars

PLACES = 9
_SMALLEST = Decimal(1).scaleb(-PLACES)


class MissingLibrary(ImportError):
    """A table was asked for and the library that makes it is not installed."""


def missing(name: str) -> MissingLibrary:
    """The error that says what to install."""
    return MissingLibrary(f"{name} is not installed: pip install 'cpx-exchange[frames]'", name=name)


@cache
def columns_of(kind: Any) -> dict[str, Any]:
    """Name -> type of every field of a model or a named tuple, in their order."""
    return dict(get_type_hints(kind))


def to_polars(kind: Any, rows: Iterable[Any], *, floats: bool = False) -> "polars.DataFrame":
    """A polars.DataFrame with a column for each field; nested answers are structs and lists."""
    try:
        import polars
    except ImportError:
        raise missing("polars") from None
    schema = {name: _dtype(hint, floats) for name, hint in columns_of(kind).items()}
    data = [{name: _plain(getattr(row, name), floats) for name in schema} for row in rows]
    return polars.DataFrame(data, schema=schema, orient="row") if data else polars.DataFrame(schema=schema)


def to_pandas(kind: Any, rows: Iterable[Any], *, floats: bool = False) -> "pandas.DataFrame":
    """A pandas.DataFrame with a column for each field; without floats=True its numbers are Decimal objects."""
    try:
        import pandas
    except ImportError:
        raise missing("pandas") from None
    names = list(columns_of(kind))
    data = [[_plain(getattr(row, name), floats) for name in names] for row in rows]
    frame = pandas.DataFrame(data, columns=names)
    for name, hint in columns_of(kind).items():  # as they would be without a row as well
        bare = _bare(hint)
        if bare in (str, int, bool) and not (bare is int and frame[name].isna().any()):
            frame[name] = frame[name].astype({str: "str", int: "int64", bool: "bool"}[bare])
        if bare is datetime:
            frame[name] = pandas.to_datetime(frame[name], utc=True).dt.as_unit("us")
        elif bare is Decimal and floats:
            frame[name] = frame[name].astype("float64")
    return frame


def to_html(kind: Any, rows: Sequence[Any], title: str, more: bool = False) -> str:
    """A table for a notebook; more: there are rows that are not shown."""
    names = list(columns_of(kind))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(getattr(row, name)))}</td>" for name in names) + "</tr>" for row in rows
    )
    end = f'<tr><td colspan="{len(names)}">… more</td></tr>' if more else ""
    return f"<table><caption>{html.escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}{end}</tbody></table>"


def _bare(hint: Any) -> Any:
    """The type without `None`."""
    if get_origin(hint) in (Union, UnionType):
        options = [each for each in get_args(hint) if each is not NoneType]
        return options[0] if len(options) == 1 else object
    return hint


def _is_row(hint: Any) -> bool:
    return isinstance(hint, type) and (issubclass(hint, Struct) or (issubclass(hint, tuple) and hasattr(hint, "_fields")))


def _dtype(hint: Any, floats: bool) -> Any:
    """The polars type of a field."""
    import polars

    bare = _bare(hint)
    plain: dict[Any, Any] = {
        bool: polars.Boolean, int: polars.Int64, str: polars.String, datetime: polars.Datetime("us", "UTC"),
        Decimal: polars.Float64 if floats else polars.Decimal(38, PLACES),
    }  # fmt: skip
    if bare in plain:
        return plain[bare]
    if get_origin(bare) is tuple:
        return polars.List(_dtype(get_args(bare)[0], floats))
    if _is_row(bare):
        return polars.Struct({name: _dtype(each, floats) for name, each in columns_of(bare).items()})
    return polars.String


def _plain(value: Any, floats: bool) -> Any:
    """A value as the libraries take it; a number that nine places do not hold is an error, never rounded."""
    if isinstance(value, Decimal):
        if floats:
            return float(value)
        if value != value.quantize(_SMALLEST):
            raise ValueError(f"{value} has more than {PLACES} places")
        return value
    if isinstance(value, Struct) or hasattr(value, "_fields"):
        kind: Any = type(value)
        return {name: _plain(getattr(value, name), floats) for name in columns_of(kind)}
    if isinstance(value, tuple):
        return [_plain(each, floats) for each in value]
    return value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return f"{len(value)}" if len(value) > 3 else ", ".join(_cell(each) for each in value)
    return str(value)
