"""Buying and selling: what is asked for, previewed, placed, changed and taken back.

Every command carries an id, so calling a method twice with the same id and the same terms executes it once.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, TypedDict, Unpack

import msgspec

from clients.build import in_words, new_id, operation_of
from clients.core import Core
from clients.errors import CpxError, InvalidRequest, NetworkError, NotFound, OrderNotFound
from clients.handles import AsyncPlaced, Kind, Placed, Progress
from clients.models import Ack, Offer, Order, Quote, Task, Unsold
from clients.times import Number, Timely
from clients.twin import both, both_as, both_iter, both_list
from exchange.protocol.requests import TaskTerms


class Terms(TypedDict, total=False):
    """What a buyer wants done; needed: access_region, chips, cards, hours, deadline, and price_cap or budget.

    chips: one code, several, or {code: speed against the first}. price_cap: yuan per card-hour, delivered; budget: yuan.
    pflops_hours instead of cards, with a budget: any of the chips, or any at all, that does so much within `hours`.
    shape: block, split (min_run: hours of the shortest run), spread (over two sites) or bulk (min_fill: card-hours).
    steps: limits of an economy task, (limit, (limit, from when), …). is_immediate: now or never, it does not wait.
    """

    access_region: str
    chips: str | Sequence[str] | Mapping[str, Number]
    cards: Number
    pflops_hours: Number | None
    hours: Number
    deadline: Timely
    participant: str | None
    price_cap: Number | None
    budget: Number | None
    max_latency_ms: Number | None
    earliest_start: Timely | None
    data_gb: Number | None
    data_region: str | None
    lane: str
    shape: str
    allowed_regions: Sequence[str]
    min_green: Number | None
    checkpoint: str
    on_break: str
    valid_until: Timely | None
    min_fill: Number | None
    min_run: Number | None
    steps: Sequence[Number | tuple[Number, Timely] | Mapping[str, Any]]
    is_immediate: bool
    slowest_class: str | None
    work: str  # one line that the seller is to run


class Preview(Quote, frozen=True, kw_only=True):
    """What a task would get now; indicative. `buy(preview)` asks for exactly these terms."""

    terms: TaskTerms


class Trading:
    """What buyers and providers do."""

    _core: Core

    # --- buying ---

    @both
    async def preview(self, *, client_order_id: str | None = None, **terms: Unpack[Terms]) -> Preview:
        """What these terms would get now, or why nothing and what would; nothing is booked.

        >>> pv = cpx.preview(cards=64, chips=["A910B"], hours=6, deadline=H("+2d"), access_region="hubei-wuhan",
        ...                  max_latency_ms=10, price_cap="8.50")
        >>> pv.fills, pv.total, pv.why_not
        """
        args = await _task_terms(self._core, client_order_id, terms)
        quote = await self._core.ask("preview_task", Quote, msgspec.structs.asdict(args))
        return Preview(**msgspec.structs.asdict(quote), terms=args)

    @both_as(Placed)
    async def buy(
        self, preview: Preview | None = None, *, client_order_id: str | None = None, **terms: Unpack[Terms]
    ) -> AsyncPlaced:
        """Buys what a preview or the terms describe: now if it can be had, else it waits until its deadline.

        Calling it again with the same id and terms does not buy twice; so write the deadline as a time, or pass the
        preview: H("+2d") means another time at each call.
        """
        if preview is None:
            args = await _task_terms(self._core, client_order_id, terms)
        elif terms:
            raise TypeError(f"buy() takes a preview or terms, not both: {', '.join(terms)}")
        else:
            args = preview.terms
            if client_order_id is not None:
                args = msgspec.structs.replace(args, client_order_id=client_order_id)
        ack = await self._core.submit(operation_of("submit_task"), args)
        return AsyncPlaced(self._core, "task", args.client_order_id, ack, args.participant)

    @both
    async def amend_task(
        self, client_order_id: str, *, idempotency_key: str | None = None, **changes: Unpack[Terms]
    ) -> Ack:
        """New terms for a waiting task: what is named here changes, the rest stays as it is.

        It keeps its place in the line where it only asks for less: a lower cap, fewer cards, a narrower choice (RT8).
        """
        placed = AsyncPlaced(self._core, "task", client_order_id, None, changes.pop("participant", None))
        return await placed.change_terms(dict(changes), idempotency_key)

    @both_as(Placed)
    async def order(
        self, instrument: str, *, price: Number, cards: Number, client_order_id: str | None = None, tif: str = "GTC",
        expiry: Timely | None = None, participant: str | None = None, or_better: bool = False,
    ) -> AsyncPlaced:  # fmt: skip
        """A plain bid in one book: yuan per card-hour, cards.

        or_better: also from faster classes and green power of the same chip, region and hour, cheapest first (RT3); what is
        not bought at once waits as a task, not in a book.
        """
        name = new_id() if client_order_id is None else client_order_id
        given = {
            "client_order_id": name, "instrument": instrument, "price": price, "cards": cards, "tif": tif, "expiry": expiry,
            "participant": participant, "or_better": or_better or None,
        }  # fmt: skip
        kind: Kind = "task" if or_better else "order"
        return AsyncPlaced(self._core, kind, name, await self._core.do("place_order", given), participant)

    # --- selling ---

    @both_as(Placed)
    async def offer(
        self, cards: Number, *, site: str, chip: str, latency_class: str, start: Timely, end: Timely | None = None,
        price: Number | None = None, period_prices: Sequence[Number] = (), power: str = "grid", offer_id: str | None = None,
        min_cards: Number | None = None, min_hours: Number | None = None, indivisible_ok: bool = False, notice_min: int = 0,
        standby: bool = False, price_base: Number | None = None, watts_per_card: int = 0, participant: str | None = None,
    ) -> AsyncPlaced:  # fmt: skip
        """Offers cards of a site over whole periods, at one price or at one price per period.

        Without end it stands until it is withdrawn; period_prices are then those of a UTC day, 0 = not offered. price_base
        and watts_per_card: a price that follows power. standby: what is unsold at the gate stays for emergency tasks.
        """
        _one_price(price, period_prices)
        name = new_id() if offer_id is None else offer_id
        given = {
            "offer_id": name, "site": site, "chip": chip, "latency_class": latency_class, "cards": cards, "start": start,
            "end": end, "price": price, "period_prices": period_prices, "power": power, "min_cards": min_cards,
            "min_hours": min_hours, "indivisible_ok": indivisible_ok, "notice_min": notice_min, "participant": participant,
            "standby": standby, "price_base": price_base, "watts_per_card": watts_per_card,
        }  # fmt: skip
        return AsyncPlaced(self._core, "offer", name, await self._core.do("place_offer", given), participant)

    sell = offer

    # --- changing and taking back ---

    @both
    async def amend(
        self, client_order_id: str, *, price: Number, cards: Number, participant: str | None = None,
        idempotency_key: str | None = None,
    ) -> Ack:  # fmt: skip
        """A new price and a new total size of a plain order."""
        given = {"client_order_id": client_order_id, "price": price, "cards": cards, "participant": participant}
        return await self._core.do("amend_order", given, idempotency_key=idempotency_key)

    @both
    async def amend_offer(
        self, offer_id: str, *, cards: Number, price: Number | None = None, period_prices: Sequence[Number] = (),
        price_base: Number | None = None, watts_per_card: int = 0, participant: str | None = None,
        idempotency_key: str | None = None,
    ) -> Ack:  # fmt: skip
        """New prices, said as in `offer`, and a new size of the unsold hours of an offer."""
        _one_price(price, period_prices)
        given = {
            "offer_id": offer_id, "price": price, "cards": cards, "period_prices": period_prices, "price_base": price_base,
            "watts_per_card": watts_per_card, "participant": participant,
        }  # fmt: skip
        return await self._core.do("amend_offer", given, idempotency_key=idempotency_key)

    @both
    async def withdraw_offer(self, offer_id: str, *, participant: str | None = None) -> Ack:
        """Takes back the unsold hours of an offer."""
        return await self._core.do("withdraw_offer", {"offer_id": offer_id, "participant": participant})

    @both
    async def cancel(self, client_order_id: str, *, kind: Kind | None = None, participant: str | None = None) -> Ack:
        """Takes back a task, plain order or offer by its id; kind only where the same id is used for two that are open."""
        found = await self.find(client_order_id, kind=kind, participant=participant)
        return await found.take_back()

    @both
    async def cancel_all(self, *, participant: str | None = None) -> tuple[Ack, ...]:
        """Ends all waiting tasks and takes all plain orders out of their books; offers and what was bought stay.

        What has ended by itself meanwhile is passed over. One that cannot be taken back does not keep the others: its
        error comes when all were asked for, with the answers so far in `acks`. Only where the exchange cannot be reached
        does it end at once.
        """
        acks: list[Ack] = []
        faults: list[CpxError] = []
        for kind, name, model, status in (("task", "tasks", Task, "waiting"), ("order", "orders", Order, "live")):
            rows = self._core.pages(name, model, {"participant": participant, "status": status})
            for row in [row async for row in rows]:
                placed = AsyncPlaced(self._core, kind, row.client_order_id, None, row.participant)  # type: ignore[arg-type,attr-defined]
                try:
                    acks.append(await placed.take_back())
                except OrderNotFound:
                    continue
                except NetworkError as fault:
                    raise _with_acks(fault, acks, faults) from fault.__cause__
                except CpxError as fault:
                    faults.append(fault)
        if faults:
            raise _with_acks(faults[0], acks, faults[1:])
        return tuple(acks)

    # --- following ---

    @both_as(Placed)
    async def find(
        self, placed_id: str, *, kind: Kind | None = None, participant: str | None = None
    ) -> AsyncPlaced:
        """The handle of something placed earlier, by its id; of two with the same id the one that is open."""
        kinds: Sequence[Kind] = (kind,) if kind else ("task", "order", "offer")
        found: list[tuple[AsyncPlaced, Progress]] = []
        for each in kinds:
            handle = AsyncPlaced(self._core, each, placed_id, None, participant)
            try:
                found.append((handle, await handle.refresh()))
            except NotFound:
                continue
        opened = [handle for handle, progress in found if not progress.is_final]
        if len(opened) > 1:
            names = " and ".join(handle.kind for handle in opened)
            raise InvalidRequest(f"{placed_id!r} is {names}; say which with kind=", field="kind")
        if not found:
            raise NotFound(f"there is no task, order or offer {placed_id!r} of yours")
        return opened[0] if opened else found[0][0]

    @both_iter
    async def follow(
        self, placed_id: str, *, kind: Kind | None = None, participant: str | None = None
    ) -> AsyncGenerator[Progress]:
        """How something placed earlier goes on: now, after each change, and the end."""
        found = await self.find(placed_id, kind=kind, participant=participant)
        async for progress in found.follow():
            yield progress

    @both
    async def wait(
        self, placed_id: str, timeout_s: float | None = None, *, kind: Kind | None = None, participant: str | None = None
    ) -> Progress:
        """The end of something placed earlier; RequestTimeout if it has not come by then."""
        found = await self.find(placed_id, kind=kind, participant=participant)
        return await found.wait(timeout_s)

    @both_list
    async def tasks(self, *, status: str | None = None, participant: str | None = None) -> AsyncGenerator[Task]:
        """One's own tasks, newest first; status waiting, filled, partly or unfilled."""
        async for row in self._core.pages("tasks", Task, {"status": status, "participant": participant}):
            yield row

    @both
    async def task(self, client_order_id: str, *, participant: str | None = None) -> Task:
        """One task and what became of it."""
        return await self._core.ask("task", Task, {"client_order_id": client_order_id, "participant": participant})

    @both_list
    async def orders(self, *, status: str | None = None, participant: str | None = None) -> AsyncGenerator[Order]:
        """One's own plain orders, newest first; status live, filled, canceled or expired."""
        async for row in self._core.pages("orders", Order, {"status": status, "participant": participant}):
            yield row

    @both_list
    async def offers(self, *, status: str | None = None, participant: str | None = None) -> AsyncGenerator[Offer]:
        """One's own offers, newest first; status open or ended."""
        async for row in self._core.pages("offers", Offer, {"status": status, "participant": participant}):
            yield row

    @both
    async def unsold_hours(self, offer_id: str, *, participant: str | None = None) -> Unsold:
        """What is open of an offer, period by period."""
        return await self._core.ask("unsold_hours", Unsold, {"offer_id": offer_id, "participant": participant})


def _one_price(price: Number | None, period_prices: Sequence[Number]) -> None:
    """TypeError where two are given: the venue would take those of the periods and pass the other one over."""
    if price is not None and period_prices:
        raise TypeError("price and period_prices: give one of the two, or price_base and watts_per_card")


def _with_acks(fault: CpxError, acks: Sequence[Ack], others: Sequence[CpxError]) -> CpxError:
    """A fault of one of several commands, which says what became of the others."""
    fault.acks = tuple(acks)
    fault.add_note(f"{len(acks)} were taken back before")
    for other in others:
        fault.add_note(f"and: {other}")
    return fault


async def _task_terms(core: Core, client_order_id: str | None, terms: Mapping[str, Any]) -> TaskTerms:
    name = new_id() if client_order_id is None else client_order_id
    given = {**in_words(terms), "client_order_id": name}
    made = await core.args(operation_of("submit_task"), given)
    assert isinstance(made, TaskTerms), made
    return made
