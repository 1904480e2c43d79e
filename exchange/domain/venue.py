"""The venue: one deterministic step (state, command -> state, events), one snapshot, one hash.

What it decides lives in the leaves (`admin`, `offers`, `tasks`, `orders`, `delivery`, `settle_run`); here are the table
of who handles what, the state, and the indexes made from it. Money and books are the core's; this is their only writer.
A user's mistake is a `Refused` event and changes nothing; an exception out of `apply` is our own fault and must halt.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import matching_core
from exchange.domain import (
    admin,
    bust,
    buy_in,
    curtailment,
    dead_man,
    delivery,
    failing,
    green,
    leases,
    meters,
    money,
    offers,
    orders,
    plain,
    power,
    settle_run,
    tasks,
)
from exchange.domain import commands as c
from exchange.domain import commands_delivery as cd
from exchange.domain.events import Explanation, Refused, Replayed
from exchange.domain.indexes import Indexes
from exchange.domain.instrument import PERIOD_BITS, Family, Periods, book_id, capacity_group
from exchange.domain.reasons import Refusal, VenueReason, wire_code
from exchange.domain.state import SYSTEM_ACCOUNTS, Participant, Site, State
from exchange.domain.units import NS_PER_MINUTE
from matching_core.enums import DenyReason, EventFlag, Kind, Op, RejectReason

HANDLERS: dict[type, Callable[[Any, Any], None]] = {
    c.SetVenue: admin.set_venue,
    c.LoadCatalogue: admin.load_catalogue,
    c.SetTariff: admin.set_tariff,
    c.ListFamily: admin.list_family,
    c.AddParticipant: admin.add_participant,
    c.AllowEmergency: admin.allow_emergency,
    c.SetPowerPrices: power.set_prices,
    c.Deposit: admin.deposit,
    c.Withdraw: admin.withdraw,
    c.PostBond: admin.post_bond,
    c.AddSite: admin.add_site,
    c.AttestCapacity: admin.attest,
    c.AdvanceTime: admin.advance,
    c.PlaceOffer: offers.place,
    c.AmendOffer: offers.amend,
    c.WithdrawOffer: offers.withdraw,
    c.SubmitTask: tasks.submit,
    c.AmendTask: tasks.amend,
    c.CancelTask: tasks.cancel,
    c.PlaceOrder: orders.place,
    c.AmendOrder: orders.amend,
    c.CancelOrder: orders.cancel,
    c.SubmitReading: delivery.take_reading,
    c.CountersignReading: delivery.countersign,
    c.DisputeReading: delivery.dispute,
    c.AnnounceOutage: delivery.announce_outage,
    cd.SetMeter: meters.set_meter,
    cd.GiveAccess: leases.give_access,
    cd.ReturnResult: leases.return_result,
    cd.ProbeReading: delivery.probe,
    cd.DeclareFailure: failing.declare,
    c.SetFix: delivery.set_fix,
    c.SettlePeriod: settle_run.run,
    c.IssueCertificates: green.issue,
    c.BuyIn: buy_in.buy_in,
    c.OrderCurtailment: curtailment.order,
    c.BustTrade: bust.bust,
    c.AdjustTrade: bust.adjust,
    c.CancelAfter: dead_man.set_timer,
}
_BOOK_OPS = frozenset((
    Op.NEW, Op.CANCEL, Op.REPLACE, Op.REDUCE, Op.MASS_CANCEL, Op.ADVANCE_TIME, Op.UNCROSS, Op.AMEND, Op.BLOCK_SET,
    Op.BLOCK_CLOSE, Op.TASK_CANCEL, Op.DRAIN, Op.KILL,
))  # fmt: skip
_TASK_FLAG = int(EventFlag.TASK)  # as a plain number: a flag of the enum makes a new one each time it is asked
_BOOK_KINDS = frozenset((Kind.ACCEPTED, Kind.TRADE, Kind.CANCELED, Kind.REPLACED, Kind.EXPIRED, Kind.BLOCK_CHANGED))
_OF_TASK = (c.SubmitTask, c.AmendTask)
_MAX_TIME_NS = 1 << 62
MAX_WINDOWS = 16_384
MAX_KEYS_PER_OWNER = 100_000  # idempotency keys remembered at a time; some 30 MB
_SNAPSHOT_MAGIC = b"CPXVENUE"
_SNAPSHOT_VERSION = 5


def reference_of(command) -> str:
    """The client's own name for what a command is about, for reports."""
    if isinstance(command, _OF_TASK):
        return command.task.client_order_id
    for name in ("client_order_id", "offer_id", "site", "participant", "instrument"):
        if hasattr(command, name):
            return getattr(command, name)
    return ""


@dataclass(frozen=True, slots=True)
class Key:
    """What an idempotency key stood for (durability.md 5)."""

    body_hash: str
    seq: int
    time_ns: int
    code: int  # of the refusal; 0 = it was applied
    owner: str  # the participant whose key it is, "" = the operator's


@dataclass(slots=True)
class Keys:
    """The idempotency table: in the snapshot, not in the hash."""

    used: dict[str, Key] = field(default_factory=dict)


class Venue(Indexes):
    """The exchange's state machine. Not for several threads at once."""

    def __init__(self, *, max_orders: int = 1_000_000, engine: type | None = None) -> None:
        self.core = (engine or matching_core.Engine)(max_orders, check_funds=True, listed_only=True)
        self.state = State()
        self.keys = Keys()
        self.keys_of: Counter[str] = Counter()  # owner -> keys in the table
        self.events: list = []
        self.touched: set[int] = set()  # books whose orders or block residues may have changed since `take_touched`
        self.followed: dict[int, list] = {}  # core events of books that somebody follows; no part of the state, he empties it
        self.last_words: dict[int, Explanation] = {}  # of tasks that die when the clock moves (decision 0006)
        self.stopped: set[str] = set()  # providers whose asks leave at the end of this command
        self._seq = 0
        for account in range(1, len(SYSTEM_ACCOUNTS)):
            self.core.submit(Op.OPEN_ACCOUNT, account=account, seq=0)
        self.rebuild_indexes()

    # --- one step ---

    def apply(
        self, seq: int, command, *, idem_key: bytes = b"", body_hash: bytes = b"", valid_until_ns: int = 0
    ) -> list:
        """The events of one command, in order; total over user mistakes."""
        self._seq, self.events = seq, []
        key = idem_key.hex()
        if key and (known := self.keys.used.get(key)):
            self._replay(command, known, body_hash)
        elif 0 < valid_until_ns < self.state.now_ns:
            self._refuse(command, Refusal(VenueReason.EXPIRED_COMMAND, "valid_until has passed in log time", "send it anew"))
        elif key:
            self._run_once(command, key, body_hash)
        else:
            self._run(command)
        return self.events

    def _run_once(self, command, key: str, body_hash: bytes) -> None:
        """Runs a command that is new under its key, and remembers it; refused where no more can be remembered."""
        owner = self._owner_of(command)
        if self.keys_of[owner] >= MAX_KEYS_PER_OWNER:
            known = f"{MAX_KEYS_PER_OWNER:,} client ids and keys of {owner or 'the operator'} are remembered already"
            self._refuse(command, Refusal(VenueReason.TOO_MANY_KEYS, known, "send it again when older ones are forgotten"))
            return
        code = self._run(command)
        self.keys.used[key] = Key(body_hash.hex(), self._seq, self.state.now_ns, code, owner)
        self.keys_of[owner] += 1

    def _owner_of(self, command) -> str:
        """Whose key a command's is; strangers are the operator's, or made-up names would each have a table of their own."""
        is_task = isinstance(command, _OF_TASK)
        name = command.task.participant if is_task else getattr(command, "participant", "")
        return name if name in self.state.participants else ""

    def _run(self, command) -> int:
        """Hands a command to its leaf; 0, or the code of the refusal."""
        try:
            HANDLERS[type(command)](self, command)
            if self.stopped:
                self.withdraw_stopped()
            if self.short:
                money.top_up_all(self)
            if self.ended_leases:
                leases.forget(self)
            if self.ended_tasks:
                self.forget_terms()
        except Refusal as no:
            assert not self.events, (command, self.events)
            return self._refuse(command, no)
        return 0

    def _refuse(self, command, no: Refusal) -> int:
        code = wire_code(no.reason)
        self.emit(Refused(type(command).__name__, reference_of(command), code, no.reason.name, no.message, no.hint))
        return code

    def _replay(self, command, known: Key, body_hash: bytes) -> None:
        """The same id again: the first answer stands, a refusal too; with other content it is a mistake."""
        if known.body_hash != body_hash.hex():
            hint = "use a new client id"
            self._refuse(command, Refusal(VenueReason.KEY_REUSED, "this client id was used with other content", hint))
        else:
            self.emit(Replayed(type(command).__name__, reference_of(command), known.seq, known.code))

    def withdraw_stopped(self) -> None:
        """HM5: asks of providers whose margin fell short leave together, when nothing else runs that could buy them."""
        while self.stopped:
            name = min(self.stopped)
            self.stopped.discard(name)
            for number in sorted(self.offers_of_participant.get(name, ())):
                offers.withdraw_unsold(self, self.state.offers[number], "margin")
            money.top_up(self, name)  # what the asks' margin frees secures what is sold

    def emit(self, event) -> None:
        """Reports an event of the command at hand."""
        self.events.append(event)

    def core_do(self, op: Op, **fields) -> list:
        """One command to the core under the seq at hand; its events."""
        events = self.core.submit(op, seq=self._seq, **fields)
        if op in _BOOK_OPS:
            self._touch(events)
        return events

    def core_run(self, records: bytes) -> list:
        """A task's records to the core, as one command under the seq at hand; its events."""
        events = list(self.core.process(records, self._seq, 0))
        self._touch(events)
        return events

    def core_batch(self, records: bytes) -> Any:
        """Records that touch no book to the core, all under the seq at hand; its events."""
        return self.core.process(records, self._seq, 0)

    def _touch(self, events: list) -> None:
        for event in events:
            if event.kind in _BOOK_KINDS and not event.flags & _TASK_FLAG:
                self.touched.add(event.book)
                if event.book in self.followed:
                    self.followed[event.book].append(event)

    def take_touched(self) -> set[int]:
        """The books whose orders or block residues may have changed since the last time, once; no part of the state."""
        touched, self.touched = self.touched, set()
        return touched

    @staticmethod
    def core_reason(event) -> str:
        """The name of a core refusal."""
        return (DenyReason if event.kind == Kind.DENIED else RejectReason)(event.reason).name

    # --- settings and numbers ---

    @property
    def now_ns(self) -> int:
        """Log time."""
        return self.state.now_ns

    @property
    def settings(self) -> c.SetVenue:
        """The venue's settings; they are set before anything that needs them."""
        assert self.state.settings is not None
        return self.state.settings

    def configure(self, settings: c.SetVenue) -> None:
        """Takes the settings and what follows from them."""
        self.state.settings = settings
        self.trading_windows.clear()
        self.periods = Periods(settings.period_min * NS_PER_MINUTE, settings.gate_min * NS_PER_MINUTE)
        self.value_micro = settings.tick_micro * settings.period_min // (60 * settings.lots_per_card)

    @property
    def tariff(self) -> c.SetTariff:
        """The tariff in force."""
        return self.tariff_version(self.state.tariff_version)

    def tariff_version(self, version: int) -> c.SetTariff:
        """A tariff by its version."""
        return self.state.tariffs[version - self.state.tariffs[0].version]

    def lane_fee_ppm(self, lane: str) -> int:
        """Fee of a lane under the tariff in force."""
        return getattr(self.tariff, f"fee_{lane}_ppm")

    def take_number(self) -> int:
        """The next number for an offer or an obligation."""
        self.state.next_number += 1
        return self.state.next_number - 1

    def take_order_id(self) -> int:
        """The next order id of the core."""
        self.state.next_order_id += 1
        return self.state.next_order_id - 1

    # --- look-ups that refuse ---

    def require_settings(self) -> None:
        """Refusal until SetVenue."""
        if self.state.settings is None:
            raise Refusal(VenueReason.NOT_CONFIGURED, "the venue has no settings yet", "send SetVenue first")

    def require_tradable(self) -> None:
        """Refusal until settings, catalogue and tariff are there."""
        self.require_settings()
        if not self.state.catalogue.chips or not self.state.tariffs:
            raise Refusal(VenueReason.NOT_CONFIGURED, "catalogue or tariff is missing", "load them first")

    def last_time_ns(self) -> int:
        """The latest log time: everything listed then still has a period number."""
        if self.state.settings is None:
            return _MAX_TIME_NS
        return min(_MAX_TIME_NS, self.periods.start((1 << PERIOD_BITS) - 2 - self.settings.horizon_periods))

    @staticmethod
    def is_time(time_ns: int) -> bool:
        """Whether a time can be held."""
        return 0 <= time_ns <= _MAX_TIME_NS

    @staticmethod
    def text(text: str, what: str, longest: int = 36) -> str:
        """A printable ASCII id of 1 to `longest` characters."""
        if not (0 < len(text) <= longest and text.isascii() and text.isprintable()):
            raise Refusal(VenueReason.INVALID_TEXT, f"{what} must be 1 to {longest} printable ASCII characters")
        return text

    def participant(self, name: str) -> Participant:
        """A participant by name."""
        self.require_settings()
        found = self.state.participants.get(name)
        if found is None:
            raise Refusal(VenueReason.UNKNOWN_PARTICIPANT, f"participant {name[:36]!r} is unknown")
        return found

    def own_site(self, name: str, participant: str) -> Site:
        """A site of this participant; a foreign one answers like an unknown one."""
        self.participant(participant)
        site = self.state.sites.get(name)
        if site is None or site.participant != participant:
            raise Refusal(VenueReason.UNKNOWN_SITE, f"{participant} has no site {name[:36]!r}")
        return site

    def known_chip(self, code: str) -> None:
        """Refusal for a chip that is not in the catalogue."""
        if code not in self.state.catalogue.chips:
            raise Refusal(VenueReason.UNKNOWN_CHIP, f"chip {code[:36]!r} is not in the catalogue", "see the chips list")

    def known_region(self, code: str) -> None:
        """Refusal for a region that is not in the catalogue."""
        if code not in self.state.catalogue.regions:
            raise Refusal(VenueReason.UNKNOWN_REGION, f"region {code[:36]!r} is not in the catalogue")

    def family(self, chip: str, region: str, latency_class: str, power: str) -> Family:
        """A listed family."""
        number = self.family_numbers.get(f"{chip}/{region}/{latency_class}/{power}")
        if number is None:
            code = f"{chip}/{region}/{latency_class}/{power}"[:80]
            raise Refusal(VenueReason.UNKNOWN_INSTRUMENT, f"{code} is not listed", "ask the operator to list it")
        return self.state.families[number - 1]

    def instrument(self, code: str) -> tuple[int, int]:
        """(family, period) of an instrument code."""
        self.require_settings()
        head, _, tail = code.rpartition("/")
        number, period = self.family_numbers.get(head), self.periods.parse(tail)
        if number is None or period is None:
            raise Refusal(VenueReason.UNKNOWN_INSTRUMENT, f"instrument {code[:80]!r} is unknown")
        return number, period

    def open_instrument(self, code: str) -> tuple[int, int]:
        """(family, period) of an instrument that can be traded now."""
        family, period, opens_ns, gate_ns = self.trading_windows.get(code) or self._trading_window(code)
        if not opens_ns <= self.state.now_ns < gate_ns:
            raise Refusal(VenueReason.UNKNOWN_INSTRUMENT, f"{code[:80]} is closed or not listed yet")
        return family, period

    def _trading_window(self, code: str) -> tuple[int, int, int, int]:
        """(family, period, from when, until when it is traded); noted, since it does not change."""
        family, period = self.instrument(code)
        opens_ns = self.periods.start(period - self.settings.horizon_periods)
        if len(self.trading_windows) >= MAX_WINDOWS:
            self.trading_windows.clear()
        self.trading_windows[code] = window = (family, period, opens_ns, self.periods.gate(period))
        return window

    def instrument_code(self, family: int, period: int) -> str:
        """Text of a family and period."""
        return f"{self.state.families[family - 1].code}/{self.periods.code(period)}"

    # --- accounts and capacity ---

    def account(self, name: str) -> int:
        """The core account of a participant or system account."""
        return self.account_numbers[name]

    def recipient(self, name: str) -> str:
        """A recipient of shares; its account is opened when first needed."""
        if name not in self.account_numbers:
            admin.open_participant(self, name, name)
        return name

    def firm_number(self, firm: str) -> int:
        """The number of a firm, a new one for a new name."""
        if firm not in self.firm_numbers:
            self.firm_numbers[firm] = len(self.state.firms)
            self.state.firms.append(firm)
        return self.firm_numbers[firm]

    def capacity_of(self, site: Site, chip: str, period: int) -> tuple[int, int, int]:
        """(attested, open, sold) of a site's chip in a period, read-only."""
        group = capacity_group(self.state.catalogue.chip_numbers[chip], period)
        _, open_lots, sold = self.core.capacity(site.account, group)
        return site.attested(chip, period), open_lots, sold

    def tell_capacity(self, site: Site, chip: str, period: int) -> None:
        """Tells the core a changed attestation, where it knows the old one."""
        group = capacity_group(self.state.catalogue.chip_numbers[chip], period)
        if self.core.capacity(site.account, group) != (0, 0, 0):
            self.core_do(Op.SET_CAPACITY, account=site.account, aux=group, qty=site.attested(chip, period))

    def book(self, family: int, period: int) -> int:
        """The core's book id."""
        return book_id(family, period)

    def site_asks(self, site: str, family: int, period: int) -> list[tuple[int, int, int]]:
        """(ticks, lots, order id) of a site's live asks in a book, best first."""
        return self.core.site_asks(self.state.sites[site].account, book_id(family, period))

    # --- snapshot, hash, check ---

    def state_hash(self) -> int:
        """64 bits over core and venue; sequence counters and idempotency keys are left out."""
        digest = blake2b(self.core.state_hash().to_bytes(8, "little"), digest_size=8)
        digest.update(plain.to_bytes(self.state))
        return int.from_bytes(digest.digest(), "little")

    def snapshot(self) -> bytes:
        """Everything: core, state, keys; a section each with length and CRC."""
        sections = [self.core.snapshot(), plain.to_bytes(self.state), plain.to_bytes(self.keys)]
        head = _SNAPSHOT_MAGIC + struct.pack("<II", _SNAPSHOT_VERSION, len(sections))
        return head + b"".join(struct.pack("<QI", len(part), zlib.crc32(part)) + part for part in sections)

    @classmethod
    def restore(cls, blob: bytes, *, engine: type | None = None) -> "Venue":
        """All or nothing; ValueError naming what is wrong."""
        sections = _sections(blob)
        venue = cls(engine=engine)
        venue.core = type(venue.core).restore(sections[0])
        venue.state = plain.from_bytes(State, sections[1])
        used = plain.from_bytes(Keys, sections[2]).used
        venue.keys.used = dict(sorted(used.items(), key=lambda item: item[1].seq))  # oldest first, as `forget_keys` needs
        venue.keys_of = Counter(key.owner for key in used.values())
        if venue.state.settings is not None:
            venue.configure(venue.state.settings)
        venue.rebuild_indexes()
        return venue

    def forget_keys(self) -> None:
        """Drops idempotency keys that are older than the venue keeps them."""
        oldest = self.now_ns - self.settings.idempotency_retention_ns
        used = self.keys.used
        while used and (first := next(iter(used))) and used[first].time_ns < oldest:
            self.keys_of[used.pop(first).owner] -= 1

    def check(self) -> None:
        """AssertionError where an invariant of core or venue is broken."""
        from exchange.domain.checks import check_venue

        self.core.check()
        check_venue(self)


def _sections(blob: bytes) -> list[bytes]:
    if len(blob) < 16 or blob[:8] != _SNAPSHOT_MAGIC:
        raise ValueError("not a venue snapshot")
    version, count = struct.unpack_from("<II", blob, 8)
    if version != _SNAPSHOT_VERSION or count != 3:
        raise ValueError(f"venue snapshot version {version} is not {_SNAPSHOT_VERSION}")
    parts, offset = [], 16
    for _ in range(count):
        if offset + 12 > len(blob):
            raise ValueError("venue snapshot is cut short")
        length, crc = struct.unpack_from("<QI", blob, offset)
        part = blob[offset + 12 : offset + 12 + length]
        if len(part) != length or zlib.crc32(part) != crc:
            raise ValueError("venue snapshot is damaged")
        parts.append(part)
        offset += 12 + length
    if offset != len(blob):
        raise ValueError("venue snapshot has bytes behind its end")
    return parts


