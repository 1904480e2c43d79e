"""A list that comes page by page as it is read, and is a table when one is wanted."""

from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from clients import frames

if TYPE_CHECKING:
    import pandas
    import polars

T = TypeVar("T")
SHOWN = 20


class Listing(Iterator[T], Generic[T]):
    """An iterator over rows: `for`, `next`, `list`; or all that is left of it as a frame.

    >>> cpx.instruments(chip="A910B").to_polars()
    """

    def __init__(self, rows: Iterator[T], kind: type[T]) -> None:
        self._rows, self._kind = rows, kind
        self._looked_at: deque[T] = deque()  # fetched to be shown, and not taken yet

    def __iter__(self) -> "Listing[T]":
        return self

    def __next__(self) -> T:
        return self._looked_at.popleft() if self._looked_at else next(self._rows)

    def to_polars(self, *, floats: bool = False) -> "polars.DataFrame":
        """What is left of it as a polars.DataFrame; numbers are exact decimals unless floats."""
        return frames.to_polars(self._kind, self, floats=floats)

    def to_pandas(self, *, floats: bool = False) -> "pandas.DataFrame":
        """What is left of it as a pandas.DataFrame; numbers are Decimals unless floats."""
        return frames.to_pandas(self._kind, self, floats=floats)

    def to_parquet(self, path: str | Path) -> None:
        """What is left of it as a Parquet file."""
        self.to_polars().write_parquet(path)

    def _repr_html_(self) -> str:
        while len(self._looked_at) <= SHOWN:
            try:
                self._looked_at.append(next(self._rows))
            except StopIteration:
                break
        shown = list(self._looked_at)
        return frames.to_html(self._kind, shown[:SHOWN], self._kind.__name__, more=len(shown) > SHOWN)


class AsyncListing(AsyncIterator[T], Generic[T]):
    """The same for a program with an event loop: `async for`, or `await listing.to_polars()`."""

    def __init__(self, rows: AsyncIterator[T], kind: type[T]) -> None:
        self._rows, self._kind = rows, kind

    def __aiter__(self) -> "AsyncListing[T]":
        return self

    async def __anext__(self) -> T:
        return await anext(self._rows)

    async def aclose(self) -> None:
        """Ends it before its end."""
        close: Any = getattr(self._rows, "aclose", None)
        if close is not None:
            await close()

    async def to_polars(self, *, floats: bool = False) -> "polars.DataFrame":
        """What is left of it as a polars.DataFrame; numbers are exact decimals unless floats."""
        return frames.to_polars(self._kind, [row async for row in self], floats=floats)

    async def to_pandas(self, *, floats: bool = False) -> "pandas.DataFrame":
        """What is left of it as a pandas.DataFrame; numbers are Decimals unless floats."""
        return frames.to_pandas(self._kind, [row async for row in self], floats=floats)

    async def to_parquet(self, path: str | Path) -> None:
        """What is left of it as a Parquet file."""
        (await self.to_polars()).write_parquet(path)
