"""What is asked about delivery beside readings: meters, dispatches, access, results, probes, failures."""

from typing import Annotated

from msgspec import Meta

from exchange.protocol.fields import Count, Decimal, Id
from exchange.protocol.requests import Body, OwnPage

Access = Annotated[str, Meta(min_length=1, max_length=1_000, description="how to reach the cards, for the buyer alone")]
Output = Annotated[str, Meta(max_length=16_000, description="what the work has put out, for the buyer alone")]
PublicKey = Annotated[
    str, Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)", description="an Ed25519 public key in lower-case hex, or nothing")
]
ExitCode = Annotated[int, Meta(ge=-255, le=255)]  # a signal that ended the work is negative


class MeterTerms(Body, frozen=True, kw_only=True):
    """What a site's meter does. public_key: it signs readings, from now on; heartbeat_s: of what is sold from now on."""

    site: Id
    public_key: PublicKey = ""
    heartbeat_s: Count = 0
    participant: Id | None = None


class DispatchList(OwnPage, frozen=True, kw_only=True):
    """What a provider has to run: leases of tasks of which something is not settled yet, oldest first."""


class AccessTerms(Body, frozen=True, kw_only=True):
    """How the buyer of a lease reaches his cards; a later word replaces an earlier one."""

    lease_id: Id
    access: Access
    participant: Id | None = None


class ResultTerms(Body, frozen=True, kw_only=True):
    """What the work of a lease has put out; nothing follows a final one."""

    lease_id: Id
    exit_code: ExitCode
    output: Output = ""
    is_final: bool = True
    participant: Id | None = None


class ProbeTerms(Body, frozen=True, kw_only=True):
    """What a network probe saw of an obligation, between its period's end and the dispute window's end (RD1)."""

    probe: Id
    obligation_id: Count
    delivered_cards: Decimal


class FailureTerms(Body, frozen=True, kw_only=True):
    """A provider says that it will not deliver an obligation; this cannot be taken back."""

    obligation_id: Count
    participant: Id | None = None
