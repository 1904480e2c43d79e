"""What all tables of the SQL projection are made of: column kinds, one registry, text as every database can hold it."""

from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, LargeBinary, MetaData, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from exchange.projections.tape import InstrumentParts, instrument_parts

Row = dict[str, Any]

LONGEST_TEXT = 500  # of what a refused command brought; nothing that is accepted comes near
LINEAR = {"sqlite_with_rowid": False}  # rows lie in the order of their keys
_JSON = msgspec.json.Encoder(order="deterministic")


def json_text(value: Any) -> str:
    """A command, or a list of parts of events, as JSON text with its keys in a fixed order."""
    return _JSON.encode(value).decode()


def clean_text(text: str) -> str:
    """Text of a refused command: no NUL, at most LONGEST_TEXT characters."""
    return text[:LONGEST_TEXT].replace("\0", "\ufffd")


@lru_cache(maxsize=8192)
def parts_of(instrument: str) -> InstrumentParts:
    """The parts of an instrument code."""
    return instrument_parts(instrument)


def int_key() -> Any:
    """A whole number, part of the primary key, never made up by the database."""
    return Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})


def name_key() -> Any:
    """A name that is the primary key."""
    return Field(sa_type=Text, primary_key=True)


def int64() -> Any:
    """A whole number of 64 bits."""
    return Field(sa_type=BigInteger)


def string() -> Any:
    """Text; "" where there is none."""
    return Field(sa_type=Text)


def yes_no() -> Any:
    """Yes or no."""
    return Field(sa_type=Boolean)


def binary() -> Any:
    """Bytes."""
    return Field(sa_type=LargeBinary)


class Base(SQLModel, registry=registry(metadata=MetaData())):
    """Tables of this projection share metadata of their own, so that no other model is ever created beside them."""
