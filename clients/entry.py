"""Many orders at once, and what happens to one's orders when nobody is there to look after them."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from clients.build import call_of, new_id, operation_of
from clients.core import Core
from clients.errors import CpxError
from clients.model import read_model
from clients.models import Ack
from clients.models_entry import BatchAnswer, BatchItem, FeedAddresses, FeedIntegrity, HistoryFile
from clients.times import NS_PER_S
from clients.twin import Runner, Sync, both, both_as

RENEWALS = 3  # of a dead-man timer before it would run out
HISTORY_WAIT_S = 0.5  # between two questions
LOOK_S = 1.0  # where the venue's clock is moved by hand


class AsyncDeadMan:
    """A timer that is renewed in the background; `problem` is why that does not go well, None where it does."""

    def __init__(self, core: Core, seconds: int) -> None:
        self._client, self.seconds = core, seconds
        self.problem: CpxError | None = None
        self._task: asyncio.Task[None] | None = None

    async def renew(self) -> None:
        """Once."""
        await self._client.do("cancel_after", {"seconds": self.seconds})

    def start(self) -> None:
        """Renews it from now on."""
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="cpx-dead-man")

    async def close(self, *, disarm: bool = True) -> None:
        """No more renewals; disarm: and it does not run out either."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if disarm:
                await self._client.do("cancel_after", {"seconds": 0})

    async def _keep(self) -> None:
        while True:
            clock = self._client.clock
            known = clock.is_set and not clock.stands_still
            await asyncio.sleep(clock.seconds(self.seconds * NS_PER_S) / RENEWALS if known else LOOK_S)
            try:
                await self.renew()
            except CpxError as error:
                self.problem = error
            else:
                self.problem = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close(disarm=kind is None)


class DeadMan(Sync):
    """The sync twin of AsyncDeadMan."""

    def __init__(self, core: AsyncDeadMan, runner: Runner) -> None:
        self._core, self._runner = core, runner

    @property
    def problem(self) -> CpxError | None:
        """Why it could not be renewed; None where it could."""
        found: CpxError | None = self._core.problem
        return found

    def close(self, *, disarm: bool = True) -> None:
        """No more renewals; disarm: and it does not run out either."""
        self._runner.run(self._core.close(disarm=disarm))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close(disarm=kind is None)


class Entry:
    """Batches of plain orders, and timers."""

    _core: Core

    @both
    async def place_orders(
        self, orders: Sequence[Mapping[str, Any]], *, participant: str | None = None
    ) -> tuple[BatchItem, ...]:
        """Plain bids in one request (at most 512), each for itself: what is wrong with one harms no other.

        An order is said as in `order`: instrument, price, cards, and client_order_id (made where it is missing). An answer
        for each, in their order: an `ack`, which may say REJECTED or DENIED, or an `error`. Calling it again with the same
        ids places nothing twice.

        >>> cpx.place_orders([{"instrument": code, "price": "5.00", "cards": 2} for code in hours])
        """
        named = [{"client_order_id": new_id(), **order} for order in orders]
        return await self._batch("place_orders", named, participant)

    @both
    async def cancel_orders(
        self, client_order_ids: Sequence[str], *, participant: str | None = None
    ) -> tuple[BatchItem, ...]:
        """Takes plain orders out of their books in one request (at most 512); an answer for each, in their order."""
        return await self._batch("cancel_orders", [{"client_order_id": each} for each in client_order_ids], participant)

    async def _batch(self, name: str, items: Sequence[Mapping[str, Any]], participant: str | None) -> tuple[BatchItem, ...]:
        core, operation = self._core, operation_of(name)
        args = await core.args(operation, {"items": items, "participant": participant})
        return read_model(BatchAnswer, await core._attempt(call_of(operation, args))).items

    @both
    async def cancel_after(self, seconds: int, *, participant: str | None = None) -> Ack:
        """In so many seconds of the venue's time all one's plain orders are canceled, unless this is said anew; 0 = no more.

        It is kept by the exchange, also over its restarts. Waiting tasks, offers and what was bought stay.
        """
        return await self._core.do("cancel_after", {"seconds": seconds, "participant": participant})

    @both_as(DeadMan)
    async def dead_man(self, seconds: int) -> AsyncDeadMan:
        """Keeps `cancel_after(seconds)` from running out for as long as this program lives and reaches the exchange.

        >>> with cpx.dead_man(30):       # async: async with await cpx.dead_man(30):
        ...     quote()

        The timer is ended when the block ends well. When it ends by an exception, or with the program, it runs out.
        """
        timer = AsyncDeadMan(self._core, seconds)
        await timer.renew()
        timer.start()
        return timer

    @both
    async def feed_addresses(self) -> FeedAddresses:
        """Sockets that serve market data beside the main address."""
        return await self._core.ask("feed", FeedAddresses, {})

    @both
    async def history_file(self, day: str, channel: str) -> HistoryFile:
        """How far the Parquet file of a day of a feed channel is; the first question begins it."""
        return await self._core.ask("history", HistoryFile, {"day": day, "channel": channel})

    @both
    async def history(self, day: str, channel: str) -> bytes:
        """The Parquet file of a day of a feed channel, once it is made: polars.read_parquet(io.BytesIO(…)).

        The day is over in the venue's time zone. NotFound where nothing happened on it, Fault where it cannot be made.
        """
        while (found := await self.history_file(day, channel)).status != "ready":
            if found.status == "failed":
                raise CpxError(f"the history of {channel} on {day} cannot be made: {found.problem}")
            await asyncio.sleep(HISTORY_WAIT_S)
        return await self._core.download("history", {"day": day, "channel": channel}, f"/v1/history/{day}/{channel}/file")

    @both
    async def feed_integrity(self) -> FeedIntegrity:
        """How well the feed is followed: snapshots, resumes, merged messages, clients that did not read."""
        return await self._core.ask("feed_integrity", FeedIntegrity, {})
