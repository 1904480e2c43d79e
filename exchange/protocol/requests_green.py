"""What is asked about green power: certificates as the operator issues them, and what was used of them."""

from typing import Annotated

from msgspec import Meta

from exchange.protocol.fields import Code, Count, Id, Time, Word
from exchange.protocol.requests import Body, OwnPage, Text


class CertificateTerms(Body, frozen=True, kw_only=True):
    """Green power behind a participant in a region, Wh per period from `start` on; each certificate_id is issued once."""

    participant: Id
    certificate_id: Id
    region: Code
    start: Time
    wh: Annotated[tuple[Count, ...], Meta(min_length=1, max_length=1_024)]
    kind: Word
    source: Annotated[str, Meta(min_length=1, max_length=200)]


class CertificateList(OwnPage, frozen=True, kw_only=True):
    """Certificates of one participant, or with an operator's key of all, for periods that are not over."""


class GreenShareOf(OwnPage, frozen=True, kw_only=True):
    """How green a venue day was, for one buyer or with an operator's key for all."""

    day: Text
