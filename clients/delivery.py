"""Delivery as a provider sees it: what he has to run, access and results for the buyer, meters, readings, failures."""

from collections.abc import AsyncGenerator

from clients.core import Core
from clients.models import Ack
from clients.models_delivery import Dispatch
from clients.times import Number, Timely
from clients.twin import both, both_list


class Delivering:
    """Readings and what goes between the two parties of a lease (docs/guides/delivery.md)."""

    _core: Core

    @both_list
    async def dispatches(self, *, participant: str | None = None) -> AsyncGenerator[Dispatch]:
        """What a provider has to run: leases of tasks of which something is not settled yet, oldest first."""
        async for row in self._core.pages("dispatches", Dispatch, {"participant": participant}):
            yield row

    @both
    async def give_access(self, lease_id: str, access: str, *, participant: str | None = None) -> Ack:
        """A provider tells the buyer of a lease, and nobody else, how to reach the cards."""
        return await self._core.do("give_access", {"lease_id": lease_id, "access": access, "participant": participant})

    @both
    async def return_result(
        self, lease_id: str, *, exit_code: int, output: str = "", is_final: bool = True, participant: str | None = None
    ) -> Ack:
        """A provider tells the buyer of a lease, and nobody else, what his work has put out."""
        given = {
            "lease_id": lease_id, "exit_code": exit_code, "output": output, "is_final": is_final, "participant": participant,
        }  # fmt: skip
        return await self._core.do("return_result", given)

    @both
    async def set_meter(
        self, site: str, *, public_key: str = "", heartbeat_s: int = 0, participant: str | None = None
    ) -> Ack:
        """A site's meter: the key that signs its readings, and how often it reports of what is sold from now on."""
        given = {"site": site, "public_key": public_key, "heartbeat_s": heartbeat_s, "participant": participant}
        return await self._core.do("set_meter", given)

    @both
    async def submit_reading(
        self, obligation_id: int, *, delivered_cards: Number, number: int = 1, signature: str = "",
        participant: str | None = None,
    ) -> Ack:  # fmt: skip
        """A provider says what the meter of an obligation showed; a higher number replaces a lower one.

        signature: clients.meters.MeterKey.sign, where the site's meter has a key.
        """
        given = {
            "obligation_id": obligation_id, "number": number, "delivered_cards": delivered_cards, "signature": signature,
            "participant": participant,
        }  # fmt: skip
        return await self._core.do("submit_reading", given)

    @both
    async def countersign(self, obligation_id: int, *, number: int = 1, participant: str | None = None) -> Ack:
        """A buyer agrees with a reading."""
        given = {"obligation_id": obligation_id, "number": number, "participant": participant}
        return await self._core.do("countersign_reading", given)

    @both
    async def dispute(self, obligation_id: int, *, delivered_cards: Number, participant: str | None = None) -> Ack:
        """A buyer says that less was delivered."""
        given = {"obligation_id": obligation_id, "delivered_cards": delivered_cards, "participant": participant}
        return await self._core.do("dispute_reading", given)

    @both
    async def probe_reading(self, probe: str, obligation_id: int, *, delivered_cards: Number) -> Ack:
        """What a network probe saw, after the period; needs a key with the scope operate."""
        given = {"probe": probe, "obligation_id": obligation_id, "delivered_cards": delivered_cards}
        return await self._core.do("probe_reading", given)

    @both
    async def announce_outage(
        self, site: str, *, start: Timely, end: Timely, participant: str | None = None
    ) -> Ack:
        """A provider says ahead that a site will not deliver."""
        given = {"site": site, "start": start, "end": end, "participant": participant}
        return await self._core.do("announce_outage", given)

    @both
    async def declare_failure(self, obligation_id: int, *, participant: str | None = None) -> Ack:
        """A provider says that he will not deliver an obligation; this cannot be taken back."""
        return await self._core.do("declare_failure", {"obligation_id": obligation_id, "participant": participant})
