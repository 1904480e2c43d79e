"""Events of green power; units as in `commands`. What is retired stands in Settled."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CertificatesIssued:
    """So many Wh stand behind a participant's green offers in a region, one figure a period."""

    participant: str
    certificate_id: str
    region: str
    period_start_ns: int  # of the first
    wh: tuple[int, ...]
    kind: str  # metered | modelled
    source: str


@dataclass(frozen=True, slots=True)
class CertificatesClosed:
    """A period is over and nothing of it is open: issued = retired + unused, and the unused are void."""

    participant: str
    region: str
    period_start_ns: int
    issued_wh: int
    retired_wh: int
    unused_wh: int
