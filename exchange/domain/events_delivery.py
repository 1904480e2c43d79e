"""Events of delivery; units as in `commands`, identity as in `events`. All but DeliveryFailed are for one party alone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeliveryFailed:
    """It is known now that an obligation will not be delivered (outage, silent or declared); its capacity stays locked."""

    obligation_id: int
    buyer: str
    seller: str
    instrument: str
    period_start_ns: int
    lots: int
    reason: str


@dataclass(frozen=True, slots=True)
class DispatchedHour:
    """One obligation of a dispatch."""

    obligation_id: int
    period_start_ns: int
    lots: int


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What a seller has to run of a lease at one of his sites; for him alone."""

    lease: int  # as in the leases list: the number of its first obligation
    buyer: str
    seller: str
    site: str
    chip: str
    instrument: str  # of the first period
    hours: tuple[DispatchedHour, ...]
    data_region: str
    data_mb: int
    work: str


@dataclass(frozen=True, slots=True)
class AccessGiven:
    """How the buyer of a lease reaches his cards; for him alone."""

    lease: int
    buyer: str
    seller: str
    access: str


@dataclass(frozen=True, slots=True)
class ResultReturned:
    """What the work of a lease has put out; for its buyer alone."""

    lease: int
    buyer: str
    seller: str
    exit_code: int
    output: str
    is_final: bool
