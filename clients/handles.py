"""What was placed, to be followed to its end: a task, a plain order or an offer.

The row that the exchange keeps is the truth; the user channel only says when to look again. Without the socket the row is
looked at from time to time, so `follow` and `wait` work either way.
"""

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

from clients.build import in_words, steps_left
from clients.core import Core
from clients.errors import NotFilled, NotFound, NotSupported, RequestTimeout
from clients.models import Ack, Offer, Order, Task
from clients.twin import Runner, Sync, both, both_iter

Kind = Literal["task", "order", "offer"]
POLL_S = 1.0
LIVE_POLL_S = 15.0  # with the socket up nothing is missed; this is for what no event tells
_OPEN_ORDER = frozenset(("live", "accepted", "partly"))


class Progress(NamedTuple):
    """How far something is: `filled` of `asked`, counted in `unit`; cost so far without fee; the row it was read from."""

    id: str
    kind: Kind
    status: str
    is_final: bool
    filled: Decimal
    asked: Decimal
    unit: str  # card-hours | cards
    row: Task | Order | Offer


def progress_of(row: Task | Order | Offer) -> Progress:
    """What a row says."""
    if isinstance(row, Task):
        is_over = "waiting" not in (row.status, row.ending)
        return Progress(
            row.client_order_id, "task", row.status, is_over, row.filled_card_hours, row.asked_card_hours, "card-hours", row
        )
    if isinstance(row, Order):
        is_over = row.status not in _OPEN_ORDER
        return Progress(row.client_order_id, "order", row.status, is_over, row.filled_cards, row.cards, "cards", row)
    asked = row.sold_card_hours + row.open_card_hours
    return Progress(row.offer_id, "offer", row.status, row.status != "open", row.sold_card_hours, asked, "card-hours", row)


class Bell:
    """Rings when the user channel says something about one id."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._event = asyncio.Event()

    def on_snapshot(self, epoch: int, seq: int, data: Any) -> None:
        """Something may have been missed."""
        self._event.set()

    def on_delta(self, epoch: int, seq: int, data: Any) -> None:
        """Events of one command."""
        if any(self._wanted in (event.get("client_order_id"), event.get("offer_id")) for event in data["events"]):
            self._event.set()

    def on_end_unseen(self) -> None:
        """One's own channel does not end."""

    def on_change(self) -> None:
        """The subscription became current, or no longer is."""
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Until it rings, at most so long; then it is silent again."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()


class _Handle:
    """What both shapes of a handle have."""

    _core: "AsyncPlaced"

    @property
    def id(self) -> str:
        """The client_order_id or offer_id."""
        return self._core.placed_id

    @property
    def client_order_id(self) -> str:
        """The id, under the name it has for tasks and orders."""
        return self._core.placed_id

    @property
    def kind(self) -> Kind:
        """task, order or offer."""
        return self._core.placed_kind

    @property
    def ack(self) -> Ack | None:
        """The exchange's answer; None for a handle made from an id."""
        return self._core.placed_ack

    @property
    def status(self) -> str:
        """What the ack said; `refresh` tells what it is now."""
        ack = self._core.placed_ack
        return ack.status if ack is not None else ""

    def __repr__(self) -> str:
        return f"<{self.kind} {self.id!r} {self.status}>"

    @both
    async def refresh(self) -> Progress:
        """How far it is now."""
        return progress_of(await self._core.read_row())

    @both_iter
    async def follow(self, poll_s: float = POLL_S) -> AsyncGenerator[Progress]:
        """Now, after each change, and the end: then it stops. poll_s: how often to look where the socket is not up."""
        async for progress in self._core.watch(poll_s):
            yield progress

    @both
    async def wait(self, timeout_s: float | None = None, *, must_fill: bool = False) -> Progress:
        """The end; RequestTimeout if it has not come by then (nothing is canceled by that).

        must_fill: NotFilled, with the reason, where a task or order ends with anything left over.
        """
        last: Progress | None = None
        try:
            async with asyncio.timeout(timeout_s):
                async for progress in self._core.watch(POLL_S):
                    last = progress
        except TimeoutError:
            state = f"{last.status}, {last.filled}/{last.asked} {last.unit}" if last else "not seen yet"
            text = f"{self._core.placed_id} has not ended within {timeout_s} s: {state}"
            raise RequestTimeout(text, retryable=True) from None
        assert last is not None
        if must_fill and last.filled < last.asked:
            raise NotFilled(_why_not(last), reason=getattr(last.row, "reason", ""))
        return last

    @both
    async def cancel(self) -> Ack:
        """Takes back what is open: ends a waiting task, an order, the unsold hours of an offer."""
        return await self._core.take_back()

    @both
    async def amend(self, **changes: Any) -> Ack:
        """What is to change: price and cards of an order or an offer (both), any terms of a waiting task.

        >>> bid.amend(price="5.10", cards=6)
        >>> task.amend(price_cap="9.00")
        """
        return await self._core.change(changes)


def _drop_the_other(before: dict[str, Any], changes: dict[str, Any]) -> None:
    """Of two terms that exclude each other the new one counts."""
    for pair in (("price_cap", "budget"), ("cards", "pflops_hours")):
        for new, old in (pair, pair[::-1]):
            if changes.get(new) is not None and old not in changes:
                before[old] = None


def _why_not(last: Progress) -> str:
    row = last.row
    text = f"{last.id} ended {last.status}: {last.filled}/{last.asked} {last.unit}"
    if isinstance(row, Task):
        changes = "; ".join(f"{each.dimension} {each.change} would fill it" for each in row.relaxations)
        return "; ".join(part for part in (text, row.message or row.reason, changes) if part)
    return text


class AsyncPlaced(_Handle):
    """Something of ours on the exchange."""

    def __init__(
        self, client: Core, kind: Kind, placed_id: str, ack: Ack | None = None, participant: str | None = None
    ) -> None:
        self._core = self
        self.client = client
        self.placed_kind, self.placed_id, self.placed_ack = kind, placed_id, ack
        self.participant = participant or client.participant

    def _own(self, **more: Any) -> dict[str, Any]:
        name = "offer_id" if self.placed_kind == "offer" else "client_order_id"
        return {name: self.placed_id, "participant": self.participant, **more}

    async def read_row(self) -> Task | Order | Offer:
        """The row as it is now; NotFound."""
        if self.placed_kind == "task":
            return await self.client.ask("task", Task, self._own())
        if self.placed_kind == "order":
            return await self.client.ask("order", Order, self._own())
        async for offer in self.client.pages("offers", Offer, {"participant": self.participant}):
            if offer.offer_id == self.placed_id:
                return offer
        raise NotFound(f"there is no offer {self.placed_id!r} of yours")

    async def watch(self, poll_s: float) -> AsyncGenerator[Progress]:
        """See follow()."""
        feed, bell = self.client.feed, Bell(self.placed_id)
        subscription = feed.follow("user", self.participant or "", bell)
        last: Progress | None = None
        try:
            while True:
                now = progress_of(await self.read_row())
                if now != last:
                    last = now
                    yield now
                if now.is_final:
                    return
                is_told = subscription.chain.is_current and subscription.error is None and feed.is_live
                await bell.wait(LIVE_POLL_S if is_told else poll_s)
        finally:
            feed.unfollow(subscription, bell)

    async def take_back(self) -> Ack:
        """See cancel()."""
        name = {"task": "cancel_task", "order": "cancel_order", "offer": "withdraw_offer"}[self.placed_kind]
        return await self.client.do(name, self._own())

    async def change(self, changes: dict[str, Any]) -> Ack:
        """See amend()."""
        if self.placed_kind == "task":
            return await self.change_terms(changes)
        name = "amend_order" if self.placed_kind == "order" else "amend_offer"
        return await self.client.do(name, self._own(**changes))

    async def change_terms(self, changes: dict[str, Any], idempotency_key: str | None = None) -> Ack:
        """New terms of a waiting task, beside those that stay."""
        row = await self.client.ask("task", Task, self._own())
        if row.terms is None:
            raise NotSupported(f"this SDK does not understand all terms of {self.placed_id!r}; use one as new as the exchange")
        before = msgspec.structs.asdict(row.terms)
        _drop_the_other(before, changes)
        if before["steps"] and "steps" not in changes:
            before["steps"] = steps_left(before["steps"], (await self.client.learn_clock()).ts_ns)
        given = {**before, **in_words(changes), **self._own()}
        return await self.client.do("amend_task", given, idempotency_key=idempotency_key)


class Placed(Sync, _Handle):
    """The sync twin of AsyncPlaced."""

    def __init__(self, core: AsyncPlaced, runner: Runner) -> None:
        self._core, self._runner = core, runner
