"""Trades and one's own events without a hole: the socket as long as it can resume, REST for what it cannot.

Trade ids grow, so a trade that comes twice (from the socket and from the fill) is seen and passed over. A consumer that
lets too much pile up loses the pile, not the trades: they are read again over REST.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

from clients.core import Core
from clients.events import PrivateEvent
from clients.model import converter, read_model
from clients.models import Offer, Order, Task, Trade
from clients.models_delivery import Account
from clients.subscriptions import Subscription

MAX_PILE = 10_000
LOOK_AGAIN_S = 5.0
NONE_YET = "0-0"  # before every trade


class Resync(NamedTuple):
    """Everything of a participant that is open, as of seq of the user channel: what came before it was not all told."""

    seq: int
    account: Account | None
    tasks: tuple[Task, ...]
    orders: tuple[Order, ...]
    offers: tuple[Offer, ...]


class _Mark(NamedTuple):
    """Where a snapshot came among the events; the first of all is no interruption."""

    seq: int
    data: Any
    is_first: bool


class Pile:
    """What the socket brought and nobody has taken yet; `has_hole` where something is missing.

    Trades come from elsewhere where they are missing, so they are kept behind a hole. With keeps_snapshots only a snapshot
    closes it: until then nothing is kept, since what comes behind a hole must not be told as if there were none.
    """

    def __init__(self, *, has_hole: bool, keeps_snapshots: bool) -> None:
        self.items: deque[Any] = deque()
        self.has_hole = has_hole
        self.event = asyncio.Event()
        self.is_first = True  # nothing was told yet
        self.holes = 0  # so often too much piled up
        self._keeps_snapshots = keeps_snapshots

    def on_snapshot(self, epoch: int, seq: int, data: Any) -> None:
        """What came between the last item and this is not told here."""
        if self._keeps_snapshots:
            self.items.append(_Mark(seq, data, self.is_first))
            self.has_hole = self.is_first = False
        else:
            self.has_hole = True
        self.event.set()

    def on_delta(self, epoch: int, seq: int, data: Any) -> None:
        """The next ones."""
        if len(self.items) >= MAX_PILE:
            self.items.clear()
            self.has_hole, self.is_first = True, False
            self.holes += 1
        if not self.has_hole or not self._keeps_snapshots:
            self.items.extend(data["items"] if "items" in data else data["events"])
        self.event.set()

    def on_end_unseen(self) -> None:
        """There may have been more before the end."""
        self.has_hole = True

    def on_change(self) -> None:
        """Wakes who waits, since there may be an end or an error."""
        self.event.set()

    async def wait(self) -> None:
        """Until something came, or a while has passed."""
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self.event.wait()
        except TimeoutError:
            return
        finally:
            self.event.clear()


def place_of(trade_id: str) -> tuple[int, int]:
    """The order of trade ids: `seq-index`."""
    seq, _, index = trade_id.partition("-")
    return int(seq), int(index or 0)


def rest_filter(pattern: str) -> tuple[dict[str, str], Callable[[str], bool]]:
    """What to ask REST for, and which of the answers fit a pattern."""
    if not pattern.endswith("*"):
        return {"instrument": pattern}, lambda _instrument: True
    prefix = pattern[:-1]
    parts = prefix.split("/")[:-1]
    given = dict(zip(("chip", "region"), parts, strict=False))
    return given, lambda instrument: instrument.startswith(prefix)


def socket_pattern(pattern: str) -> str:
    """The channel that has at least what fits: an instrument, a whole family followed by /*, or everything."""
    return pattern if not pattern.endswith("*") or pattern.count("/") == 4 else "*"


async def follow_trades(core: Core, pattern: str, since: str | None) -> AsyncGenerator[Trade]:
    """See Market.trades."""
    given, fits = rest_filter(pattern)
    last = place_of(since if since is not None else await _newest(core))
    pile = Pile(has_hole=True, keeps_snapshots=False)
    subscription = core.feed.follow("trades", socket_pattern(pattern), pile)
    try:
        while True:
            _raise_if_over(core, subscription)
            if pile.has_hole and subscription.chain.is_current:
                pile.has_hole = False
                after = f"{last[0]}-{last[1]}"
                async for trade in core.pages("trades", Trade, {**given, "after": after}):
                    if fits(trade.instrument) and place_of(trade.trade_id) > last:
                        last = place_of(trade.trade_id)
                        yield trade
                continue
            if pile.items and not pile.has_hole:
                trade = read_model(Trade, pile.items.popleft())
                if fits(trade.instrument) and place_of(trade.trade_id) > last:
                    last = place_of(trade.trade_id)
                    yield trade
                continue
            if subscription.chain.state.name == "CLOSED":
                return
            await pile.wait()
    finally:
        core.feed.unfollow(subscription, pile)


async def follow_events(core: Core, participant: str) -> AsyncGenerator[PrivateEvent | Resync]:
    """See Market.events."""
    pile = Pile(has_hole=False, keeps_snapshots=True)
    subscription = core.feed.follow("user", participant, pile)
    pile.is_first = subscription.chain.epoch is None  # else somebody follows them already, and its snapshot came before us
    asked_for = 0  # the hole for which a snapshot was asked
    try:
        while True:
            _raise_if_over(core, subscription)
            if pile.items:
                item = pile.items.popleft()
                if not isinstance(item, _Mark):
                    yield _event(item)
                elif not item.is_first:
                    yield _resync(item.seq, item.data)
                continue
            if pile.has_hole and pile.holes != asked_for:
                asked_for = pile.holes
                core.feed.ask_anew(subscription)
            await pile.wait()
    finally:
        core.feed.unfollow(subscription, pile)


async def _newest(core: Core) -> str:
    async for trade in core.pages("trades", Trade, {"limit": 1}):
        return trade.trade_id
    return NONE_YET


def _raise_if_over(core: Core, subscription: Subscription) -> None:
    if core.feed.failed is not None:
        raise core.feed.failed
    if subscription.error is not None:
        raise subscription.error


def _resync(seq: int, data: Any) -> Resync:
    account = data.get("account")
    return Resync(
        seq, None if account is None else read_model(Account, account),
        tuple(read_model(Task, each) for each in data.get("tasks", ())),
        tuple(read_model(Order, each) for each in data.get("orders", ())),
        tuple(read_model(Offer, each) for each in data.get("offers", ())),
    )  # fmt: skip


def _event(raw: Any) -> PrivateEvent:
    event: PrivateEvent = converter(PrivateEvent)(raw)
    return event
