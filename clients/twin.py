"""One definition, two shapes: a method written once as `async def` is awaited on the async class and simply called on the
sync one.

The sync class has an event loop of its own in a thread of its own, so it works inside a notebook, a web server or
anything else that runs a loop already. mypy sees both shapes: the descriptors below differ by whose attribute they are.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from functools import cache, wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_args, get_type_hints, overload

from clients.listing import AsyncListing, Listing

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
_END = object()
CANCEL_S = 2.0  # until a call that was interrupted is no longer waited for


class Runner:
    """An event loop in a daemon thread; started by the first call."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine; a KeyboardInterrupt while waiting cancels it, and waits until it has ended."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a sync call of the SDK from inside its own loop; use AsyncClient there")
        ended = threading.Event()

        async def tracked() -> T:
            try:
                return await work
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(tracked(), self._started())
        try:
            return future.result()
        except BaseException:
            if not future.done():
                future.cancel()
                ended.wait(CANCEL_S)  # who goes on finds nothing of it still running
            raise

    @property
    def is_running(self) -> bool:
        """Whether there is a loop now."""
        return self._loop is not None

    def stop(self) -> None:
        """Ends the loop; the next call starts a new one."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="cpx-sdk", daemon=True)
                self._thread.start()
            return self._loop


class Sync:
    """Base of the sync classes: the async object they stand for, and the loop it lives on."""

    _core: Any
    _runner: Runner


def _call(owner: Sync, function: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., T]:
    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> T:
        return owner._runner.run(function(owner._core, *args, **kwargs))

    return called


class Both(Generic[P, T]):
    """A method that answers once."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, owner: Sync, kind: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: object, kind: Any = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, owner: object, kind: Any = None) -> Any:
        if owner is None:
            return self.function
        return _call(owner, self.function) if isinstance(owner, Sync) else self.function.__get__(owner, kind)


class BothAs(Generic[P, T, S]):
    """A method whose answer has two shapes itself: T for the async class, S for the sync one."""

    def __init__(
        self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], shape: Callable[[T, Runner], S]
    ) -> None:
        self.function = function
        self.shape = shape
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, owner: Sync, kind: Any = None) -> Callable[P, S]: ...
    @overload
    def __get__(self, owner: object, kind: Any = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, owner: object, kind: Any = None) -> Any:
        if owner is None:
            return self.function
        if not isinstance(owner, Sync):
            return self.function.__get__(owner, kind)
        sync = owner

        @wraps(self.function)
        def called(*args: Any, **kwargs: Any) -> S:
            return self.shape(sync._runner.run(self.function(sync._core, *args, **kwargs)), sync._runner)

        return called


class BothIter(Generic[P, T]):
    """A method that yields: `async for` on the async class, `for` on the sync one."""

    def __init__(self, function: Callable[Concatenate[Any, P], AsyncGenerator[T]]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, owner: Sync, kind: Any = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, owner: object, kind: Any = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, owner: object, kind: Any = None) -> Any:
        if owner is None:
            return self.function
        if not isinstance(owner, Sync):
            return self.function.__get__(owner, kind)
        sync = owner

        @wraps(self.function)
        def called(*args: Any, **kwargs: Any) -> Iterator[T]:
            return _iterate(sync._runner, self.function(sync._core, *args, **kwargs))

        return called


@cache
def _row_of(function: Any) -> Any:
    """What a generator yields, as its annotation says."""
    return get_args(get_type_hints(function)["return"])[0]


class BothList(Generic[P, T]):
    """A method that yields the rows of a list, which may be wanted as a table."""

    def __init__(self, function: Callable[Concatenate[Any, P], AsyncGenerator[T]]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, owner: Sync, kind: Any = None) -> Callable[P, Listing[T]]: ...
    @overload
    def __get__(self, owner: object, kind: Any = None) -> Callable[P, AsyncListing[T]]: ...
    def __get__(self, owner: object, kind: Any = None) -> Any:
        if owner is None:
            return self.function
        sync, core = (owner, owner._core) if isinstance(owner, Sync) else (None, owner)

        @wraps(self.function)
        def called(*args: Any, **kwargs: Any) -> Any:
            rows, row = self.function(core, *args, **kwargs), _row_of(self.function)
            return AsyncListing(rows, row) if sync is None else Listing(_iterate(sync._runner, rows), row)

        return called


def _iterate(runner: Runner, items: AsyncGenerator[T]) -> Iterator[T]:
    async def step() -> Any:
        return await anext(items, _END)

    async def close() -> None:
        await items.aclose()

    try:
        while (item := runner.run(step())) is not _END:
            yield item
    finally:
        if runner.is_running:  # else the client was closed before its iterator, and nothing is left to end
            runner.run(close())


def both(function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Both[P, T]:
    """Marks a method that is awaited or simply called."""
    return Both(function)


def both_iter(function: Callable[Concatenate[Any, P], AsyncGenerator[T]]) -> BothIter[P, T]:
    """Marks an async generator that is also an ordinary iterator."""
    return BothIter(function)


def both_list(function: Callable[Concatenate[Any, P], AsyncGenerator[T]]) -> BothList[P, T]:
    """Marks an async generator of a list's rows; the list is also a table (`clients.listing`)."""
    return BothList(function)


def both_as(
    shape: Callable[[T, Runner], S],
) -> Callable[[Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]], BothAs[P, T, S]]:
    """Marks a method whose async answer is turned into its sync twin by `shape`."""
    return lambda function: BothAs(function, shape)
