"""What the doors answer to an operator, and about themselves."""

from exchange.protocol.answers import Answer, Page


class Participant(Answer, frozen=True, kw_only=True):
    """A participant."""

    participant: str
    firm: str
    alpha_ppm: int
    may_use_emergency: bool


class ParticipantPage(Page, frozen=True, kw_only=True):
    """A page of participants."""

    items: tuple[Participant, ...]


class Capacity(Answer, frozen=True, kw_only=True):
    """Attested cards of a chip over a window."""

    chip: str
    cards: str
    start: str
    end: str


class Site(Answer, frozen=True, kw_only=True):
    """A site and what is attested for it."""

    site: str
    participant: str
    region: str
    capacity: tuple[Capacity, ...]


class SitePage(Page, frozen=True, kw_only=True):
    """A page of sites."""

    items: tuple[Site, ...]


class Key(Answer, frozen=True, kw_only=True):
    """A key without its secret."""

    key_id: str
    participant: str
    scopes: tuple[str, ...]
    label: str
    created: str
    expires: str | None
    is_revoked: bool


class NewKey(Key, frozen=True, kw_only=True):
    """A key with its secret, shown this once."""

    secret: str


class KeyPage(Page, frozen=True, kw_only=True):
    """A page of keys."""

    items: tuple[Key, ...]


class Report(Answer, frozen=True, kw_only=True):
    """A report run."""

    report_id: str
    status: str  # running | ready | failed
    files: tuple[str, ...]
    seq: int
    problem: str


class Limit(Answer, frozen=True, kw_only=True):
    """One limit of the doors."""

    name: str
    value: int
    unit: str
    meaning: str


class Limits(Answer, frozen=True, kw_only=True):
    """All limits of the doors."""

    items: tuple[Limit, ...]


class ErrorEntry(Answer, frozen=True, kw_only=True):
    """One code that can be answered."""

    code: int
    reason: str
    stage: str
    status: int  # HTTP; 200 where the answer is an ack
    retryable: bool
    definite: bool
    title: str
    hint: str


class Errors(Answer, frozen=True, kw_only=True):
    """Every code."""

    items: tuple[ErrorEntry, ...]


class Activity(Answer, frozen=True, kw_only=True):
    """What is open on the venue, for whoever drives its clock."""

    now_ns: str
    seq: int
    obligations: int
    orders: int
    tasks: int
    offers: int
    earliest_death_ns: str | None


class State(Answer, frozen=True, kw_only=True):
    """The hash of the venue's state after the command seq: equal states have equal hashes, on every machine."""

    seq: int
    state_hash: str


class Due(Answer, frozen=True, kw_only=True):
    """An obligation that is delivered in a period."""

    obligation_id: int
    buyer: str
    seller: str
    site: str
    cards: str
    has_work: bool  # its seller is to run something


class DueList(Answer, frozen=True, kw_only=True):
    """All obligations of a period, by number."""

    items: tuple[Due, ...]
