"""What the operator does; every method here needs a key with the scope operate. What has no method goes by `call`."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any
from urllib.parse import quote

from clients.build import operation_of
from clients.core import ANSWERS, Core
from clients.errors import InvalidRequest
from clients.models import Ack
from clients.models_delivery import Account
from clients.models_operator import Activity, Due, DueList, Key, NewKey, Participant, Report, Site, State
from clients.times import Number, Timely
from clients.twin import both, both_list


class Operating:
    """Participants, keys, money in and out, sites, the clock."""

    _core: Core

    @both
    async def call(self, name: str, /, *, idempotency_key: str | None = None, **args: Any) -> Any:
        """Any operation of the table by its name, such as `call("list_family", chip="H800", …)`; a refusal raises.

        The answer is the model named like the wire answer of the operation, such as clients.models.Ack.
        """
        operation = operation_of(name)
        if operation.is_command:
            return await self._core.do(name, args, idempotency_key=idempotency_key)
        return await self._core.ask(name, ANSWERS[name], args)

    @both
    async def try_command(self, name: str, /, *, idempotency_key: str | None = None, **args: Any) -> Ack:
        """The ack of a command, also where it is a refusal (status REJECTED or DENIED)."""
        if not operation_of(name).is_command:
            raise InvalidRequest(f"{name} is no command; use call")
        return await self._core.do(name, args, idempotency_key=idempotency_key, is_checked=False)

    # --- participants and keys ---

    @both_list
    async def participants(self) -> AsyncGenerator[Participant]:
        """All participants."""
        async for row in self._core.pages("participants", Participant, {}):
            yield row

    @both
    async def add_participant(
        self, participant: str, *, firm: str | None = None, alpha_ppm: int = 0, may_use_emergency: bool = False,
        idempotency_key: str | None = None,
    ) -> Ack:  # fmt: skip
        """A new participant; several may belong to one firm."""
        given = {
            "participant": participant, "firm": firm or participant, "alpha_ppm": alpha_ppm,
            "may_use_emergency": may_use_emergency,
        }  # fmt: skip
        return await self._core.do("add_participant", given, idempotency_key=idempotency_key)

    @both
    async def allow_emergency(
        self, participant: str, is_allowed: bool = True, *, idempotency_key: str | None = None
    ) -> Ack:
        """Whether a participant may buy in the emergency lane (EM5)."""
        given = {"participant": participant, "is_allowed": is_allowed}
        return await self._core.do("allow_emergency", given, idempotency_key=idempotency_key)

    @both_list
    async def keys(self) -> AsyncGenerator[Key]:
        """All keys, without their secrets."""
        async for row in self._core.pages("keys", Key, {}):
            yield row

    @both
    async def create_key(
        self, scopes: Sequence[str], *, participant: str | None = None, label: str = "", expires: Timely | None = None
    ) -> NewKey:
        """A new key; its secret is in the answer and nowhere else. Without a participant it is the operator's."""
        given = {"scopes": tuple(scopes), "participant": participant, "label": label, "expires": expires}
        return await self._core.ask("create_key", NewKey, given)

    @both
    async def revoke_key(self, key_id: str) -> Key:
        """Ends a key at once."""
        return await self._core.ask("revoke_key", Key, {"key_id": key_id})

    # --- money ---

    @both
    async def deposit(
        self, participant: str, amount: Number, *, reference: str = "", idempotency_key: str | None = None
    ) -> Ack:
        """Money comes in. Give an idempotency_key of your own where a restart of your program may repeat the call."""
        given = {"participant": participant, "amount": amount, "reference": reference}
        return await self._core.do("deposit", given, idempotency_key=idempotency_key)

    @both
    async def withdraw(
        self, participant: str, amount: Number, *, reference: str = "", idempotency_key: str | None = None
    ) -> Ack:
        """Money goes out; as deposit."""
        given = {"participant": participant, "amount": amount, "reference": reference}
        return await self._core.do("withdraw", given, idempotency_key=idempotency_key)

    @both_list
    async def accounts(self) -> AsyncGenerator[Account]:
        """The purses of everybody."""
        async for row in self._core.pages("accounts", Account, {}):
            yield row

    # --- sites ---

    @both_list
    async def sites(self, *, participant: str | None = None) -> AsyncGenerator[Site]:
        """Sites and what is attested for them; also for a provider's own key."""
        async for row in self._core.pages("sites", Site, {"participant": participant}):
            yield row

    @both
    async def add_site(
        self, site: str, *, participant: str, region: str, idempotency_key: str | None = None
    ) -> Ack:
        """A data centre of a provider."""
        given = {"site": site, "participant": participant, "region": region}
        return await self._core.do("add_site", given, idempotency_key=idempotency_key)

    @both
    async def attest_capacity(
        self, site: str, *, chip: str, cards: Number, start: Timely, end: Timely, idempotency_key: str | None = None
    ) -> Ack:
        """The operator's word that a site has so many cards of a chip over a window."""
        given = {"site": site, "chip": chip, "cards": cards, "start": start, "end": end}
        return await self._core.do("attest_capacity", given, idempotency_key=idempotency_key)

    @both
    async def list_family(
        self, chip: str, region: str, latency_class: str, power: str = "grid", *, idempotency_key: str | None = None
    ) -> Ack:
        """Opens chip, region, class and power for trading."""
        given = {"chip": chip, "region": region, "latency_class": latency_class, "power": power}
        return await self._core.do("list_family", given, idempotency_key=idempotency_key)

    @both
    async def set_power_prices(
        self, region: str, *, start: Timely, prices: Sequence[Number], idempotency_key: str | None = None
    ) -> Ack:
        """Power prices of a region, yuan per kWh, one per period from `start` on; offers that follow power change with them."""
        given = {"region": region, "start": start, "prices": prices}
        return await self._core.do("set_power_prices", given, idempotency_key=idempotency_key)

    @both
    async def issue_certificates(
        self, participant: str, certificate_id: str, *, region: str, start: Timely, wh: Sequence[int], kind: str = "modelled",
        source: str, idempotency_key: str | None = None,
    ) -> Ack:  # fmt: skip
        """Green power behind a participant in a region, Wh per period from `start` on; kind metered or modelled."""
        given = {
            "participant": participant, "certificate_id": certificate_id, "region": region, "start": start, "wh": wh,
            "kind": kind, "source": source,
        }  # fmt: skip
        return await self._core.do("issue_certificates", given, idempotency_key=idempotency_key)

    # --- clock and settlement ---

    @both
    async def activity(self) -> Activity:
        """What is open on the venue."""
        return await self._core.ask("activity", Activity, {})

    @both
    async def state(self) -> State:
        """The hash of the venue's state; the larger the state, the longer it takes."""
        return await self._core.ask("state", State, {})

    @both
    async def due(self, period_start: Timely) -> tuple[Due, ...]:
        """All obligations that are delivered in the period that starts then."""
        return (await self._core.ask("due", DueList, {"period_start": period_start})).items

    @both
    async def advance_time(self, to: Timely) -> Ack:
        """Moves a manual clock."""
        return await self._core.do("advance_time", {"to": to})

    @both
    async def settle_period(self, period_start: Timely) -> Ack:
        """Settles the delivery period that starts then."""
        return await self._core.do("settle_period", {"period_start": period_start})

    @both
    async def buy_in(self, obligation_id: int) -> Ack:
        """Cures an obligation that is known to fail: a later hour, else a cover; the venue does it by itself, and once."""
        return await self._core.do("buy_in", {"obligation_id": obligation_id})

    @both
    async def order_curtailment(
        self, *, start: Timely, end: Timely, reference: str, region: str | None = None, site: str | None = None
    ) -> Ack:
        """A region, or one site, has been ordered to stop in a window; `reference` says by whom."""
        given = {"start": start, "end": end, "reference": reference, "region": region, "site": site}
        return await self._core.do("order_curtailment", given)

    @both
    async def bust_trade(self, obligation_id: int, *, reason: str) -> Ack:
        """Undoes a trade that is not settled, by compensating entries."""
        return await self._core.do("bust_trade", {"obligation_id": obligation_id, "reason": reason})

    @both
    async def adjust_trade(self, obligation_id: int, *, price: Number, reason: str) -> Ack:
        """Gives a trade that is not settled another price per card-hour, once."""
        return await self._core.do("adjust_trade", {"obligation_id": obligation_id, "price": price, "reason": reason})

    # --- reports ---

    @both
    async def start_report(self) -> Report:
        """Begins to write all report files of the market so far."""
        return await self._core.ask("start_report", Report, {})

    @both
    async def report(self, report_id: str) -> Report:
        """How far a report run is, and its files."""
        return await self._core.ask("report", Report, {"report_id": report_id})

    @both
    async def report_file(self, report_id: str, file: str) -> bytes:
        """One file of a report run."""
        path = f"/v1/reports/{quote(report_id, safe='')}/files/{quote(file, safe='')}"
        return await self._core.download("report", {"report_id": report_id}, path)
