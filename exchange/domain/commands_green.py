"""Commands of green power; in the table of `commands` as all others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IssueCertificates:
    """The operator's word that so many Wh of green power stand behind a participant in a region, one figure a period."""

    participant: str
    certificate_id: str  # of this batch; while one of its periods is open nothing else is issued under it
    region: str
    start_ns: int
    wh: tuple[int, ...]  # one per period from start_ns on
    kind: str  # metered | modelled
    source: str  # where the figures come from, for people
