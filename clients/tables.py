"""Answers that are tables: a statement, a curve, a lane view; as frames, files and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from clients import frames
from clients.model import Model

if TYPE_CHECKING:
    import pandas
    import polars


class Table(Model, frozen=True, kw_only=True):
    """An answer whose rows are in one field; a subclass names it in `_table`."""

    _table = "items"

    def _rows(self) -> tuple[Any, Any]:
        """(type of a row, rows)."""
        hint = frames.columns_of(type(self))[self._table]
        return get_args(hint)[0], getattr(self, self._table)

    def to_polars(self, *, floats: bool = False) -> "polars.DataFrame":
        """Its rows as a polars.DataFrame; numbers are exact decimals unless floats."""
        return frames.to_polars(*self._rows(), floats=floats)

    def to_pandas(self, *, floats: bool = False) -> "pandas.DataFrame":
        """Its rows as a pandas.DataFrame; numbers are Decimals unless floats."""
        return frames.to_pandas(*self._rows(), floats=floats)

    def to_parquet(self, path: str | Path) -> None:
        """Its rows as a Parquet file."""
        self.to_polars().write_parquet(path)

    def _repr_html_(self) -> str:
        kind, rows = self._rows()
        others = {name: getattr(self, name) for name in frames.columns_of(type(self)) if name != self._table}
        words = [f"{name} {value}" for name, value in others.items() if isinstance(value, str | int) and value != ""]
        return frames.to_html(kind, rows, f"{type(self).__name__}: " + ", ".join(words))
