"""Commands of delivery: meters, access, results, probes and failures; in the table of `commands` as all others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SetMeter:
    """What a site's meter does: the Ed25519 key it signs readings with, and how often it reports while a period runs."""

    participant: str
    site: str
    public_key_hex: str = ""  # 64 hex digits; "" = readings are not signed
    heartbeat_s: int = 0  # silent for three of them = failing; 0 = no heartbeats


@dataclass(frozen=True, slots=True)
class GiveAccess:
    """The seller tells the buyer of a lease, and nobody else, how to reach the cards."""

    participant: str
    lease: str
    access: str


@dataclass(frozen=True, slots=True)
class ReturnResult:
    """The seller tells the buyer of a lease, and nobody else, what his work has put out."""

    participant: str
    lease: str
    exit_code: int
    output: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class ProbeReading:
    """What a network probe of the operator saw of an obligation: it countersigns the last reading, or contradicts it (RD1)."""

    probe: str
    obligation_id: int
    delivered_lots: int


@dataclass(frozen=True, slots=True)
class DeclareFailure:
    """A provider says that it will not deliver an obligation."""

    participant: str
    obligation_id: int
