"""What the SDK answers an operator with, and about the exchange itself; like clients.models."""

from datetime import datetime
from decimal import Decimal

from clients.model import Model
from clients.models import Page


class Participant(Model, frozen=True, kw_only=True):
    """A participant."""

    participant: str
    firm: str
    alpha_ppm: int
    may_use_emergency: bool


class ParticipantPage(Page, frozen=True, kw_only=True):
    """A page of participants."""

    items: tuple[Participant, ...]


class Capacity(Model, frozen=True, kw_only=True):
    """Attested cards of a chip over a window."""

    chip: str
    cards: Decimal
    start: datetime
    end: datetime


class Site(Model, frozen=True, kw_only=True):
    """A site and what is attested for it."""

    site: str
    participant: str
    region: str
    capacity: tuple[Capacity, ...]


class SitePage(Page, frozen=True, kw_only=True):
    """A page of sites."""

    items: tuple[Site, ...]


class Key(Model, frozen=True, kw_only=True):
    """A key without its secret."""

    key_id: str
    participant: str
    scopes: tuple[str, ...]
    label: str
    created: datetime
    expires: datetime | None
    is_revoked: bool


class NewKey(Key, frozen=True, kw_only=True):
    """A key with its secret, shown this once."""

    secret: str


class KeyPage(Page, frozen=True, kw_only=True):
    """A page of keys."""

    items: tuple[Key, ...]


class Report(Model, frozen=True, kw_only=True):
    """A report run."""

    report_id: str
    status: str  # running | ready | failed
    files: tuple[str, ...]
    seq: int
    problem: str


class Limit(Model, frozen=True, kw_only=True):
    """One limit of the doors."""

    name: str
    value: int
    unit: str
    meaning: str


class Limits(Model, frozen=True, kw_only=True):
    """All limits of the doors."""

    items: tuple[Limit, ...]


class ErrorEntry(Model, frozen=True, kw_only=True):
    """One code that can be answered."""

    code: int
    reason: str
    stage: str
    status: int  # HTTP; 200 where the answer is an ack
    retryable: bool
    definite: bool
    title: str
    hint: str


class Errors(Model, frozen=True, kw_only=True):
    """Every code."""

    items: tuple[ErrorEntry, ...]


class Activity(Model, frozen=True, kw_only=True):
    """What is open on the venue, for whoever drives its clock."""

    now_ns: int
    seq: int
    obligations: int
    orders: int
    tasks: int
    offers: int
    earliest_death_ns: int | None


class State(Model, frozen=True, kw_only=True):
    """The hash of the venue's state after the command seq: equal states have equal hashes, on every machine."""

    seq: int
    state_hash: str


class Due(Model, frozen=True, kw_only=True):
    """An obligation that is delivered in a period."""

    obligation_id: int
    buyer: str
    seller: str
    site: str
    cards: Decimal
    has_work: bool  # its seller is to run something


class DueList(Model, frozen=True, kw_only=True):
    """All obligations of a period, by number."""

    items: tuple[Due, ...]
