"""The operator's commands: settings, catalogue, tariff, families, participants, money, sites, attested capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain import catalogue as catalogue_rules
from exchange.domain import money
from exchange.domain.books import absorb
from exchange.domain.commands import (
    AddParticipant,
    AddSite,
    AdvanceTime,
    AllowEmergency,
    AttestCapacity,
    Deposit,
    ListFamily,
    LoadCatalogue,
    PostBond,
    SetTariff,
    SetVenue,
    Withdraw,
)
from exchange.domain.dead_man import run_out
from exchange.domain.events import Acknowledged
from exchange.domain.green import forget_past as close_certificates
from exchange.domain.instrument import LATENCY_CLASSES, MAX_FAMILIES, PERIOD_ZERO_NS, POWERS, Family
from exchange.domain.meters import find_silent
from exchange.domain.placing import forget_emergency_books, list_periods, release_blocks
from exchange.domain.power import forget_past
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Attestation, Participant, Site
from exchange.domain.tasks import drain, explain_dying
from exchange.domain.units import NS_PER_DAY, NS_PER_HOUR, PPM
from matching_core.enums import Kind, Op
from matching_core.limits import MAX_FEE_PPM, MAX_MONEY_MICRO

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


def _setting(is_good: bool, message: str) -> None:
    if not is_good:
        raise Refusal(VenueReason.INVALID_SETTING, message)


def set_venue(v: Venue, command: SetVenue) -> None:
    """SetVenue: once, before anything else."""
    if v.state.settings is not None:
        raise Refusal(VenueReason.ALREADY_CONFIGURED, "the venue has its settings")
    c = command
    _setting(c.period_min in (15, 30, 60), "period_min is 15, 30 or 60")
    _setting(0 <= c.gate_min < c.period_min * 24, "gate_min is out of range")
    _setting(1 <= c.horizon_periods <= 1000, "horizon_periods is 1 to 1000")
    # Otherwise every period would be listed when its gate has passed: nothing could ever be traded.
    _setting(c.gate_min < c.horizon_periods * c.period_min, "gate_min must be shorter than the horizon")
    _setting(c.lots_per_card in (1, 10, 100), "lots_per_card is 1, 10 or 100")
    _setting(0 < c.tick_micro <= 10**9, "tick_micro is 1 to 10^9")
    whole = c.tick_micro * c.period_min % (60 * c.lots_per_card) == 0
    _setting(whole, "a tick of one lot for one period must be whole micro-yuan")
    week_min = 7 * 24 * 60
    _setting(-1 <= c.release_min <= week_min and 0 <= c.dispute_min <= week_min, "release_min or dispute_min is out of range")
    shares = (c.entry_margin_ppm, c.alpha_ppm, c.lambda_ppm, c.lambda_announced_ppm)
    _setting(all(0 <= ppm <= PPM for ppm in shares), "margins and lambdas are 0 to 1,000,000 ppm")
    _setting(0 < c.max_waiting_per_firm <= 10**6 and 0 < c.max_waiting_per_chip <= 10**6, "waiting limits are 1 to 10^6")
    _setting(0 < c.max_task_lots <= 10**9, "max_task_lots is 1 to 10^9")
    _setting(0 < len(c.name) <= 100 and 0 < len(c.time_zone) <= 60, "name and time zone are needed")
    _setting(c.idempotency_retention_ns >= NS_PER_HOUR, "idempotency_retention_ns is at least one hour")
    is_fix_sound = 0 < c.fix_min_lots <= 10**9 and 0 <= c.fix_half_spread_ppm < PPM
    _setting(is_fix_sound, "fix_min_lots is 1 to 10^9, fix_half_spread_ppm 0 to 999,999")
    v.configure(c)
    events = v.core_do(
        Op.SET_GRID, price=PERIOD_ZERO_NS, aux=v.periods.period_ns, expiry_ns=v.periods.gate_ns, qty=c.max_waiting_per_firm,
        client_ref=c.max_waiting_per_chip,
    )  # fmt: skip
    assert events[0].kind == Kind.GRID_SET, events
    _tell_links(v, catalogue_rules.Catalogue())
    v.state.settled_end = max(0, v.periods.at(v.state.now_ns))
    is_clock_set = v.state.now_ns >= PERIOD_ZERO_NS
    v.state.listed_end = v.state.settled_end + c.horizon_periods + 1 if is_clock_set else 0
    v.emit(Acknowledged("SetVenue", c.name))


def load_catalogue(v: Venue, command: LoadCatalogue) -> None:
    """LoadCatalogue: refused whole when one row is wrong. The core is told what differs."""
    before, v.state.catalogue = v.state.catalogue, catalogue_rules.load(command, v.state.catalogue)
    reach = catalogue_rules.changes(before.effective_reach(), v.state.catalogue.effective_reach(), 0)
    for (access, host, place), rtt_us in reach:
        events = v.core_do(Op.SET_REACH, account=access, book=host, price=place, qty=rtt_us)
        assert events[0].kind == Kind.REACH_SET, events
    if v.state.settings is not None:
        _tell_links(v, before)
    v.emit(Acknowledged("LoadCatalogue", f"{len(command.chips)} chips, {len(command.regions)} regions"))


def _tell_links(v: Venue, before: catalogue_rules.Catalogue) -> None:
    """SET_LINK for every link that is new, differs or is gone; how much a period may carry depends on its length."""
    minutes = v.settings.period_min
    links = catalogue_rules.changes(before.core_links(minutes), v.state.catalogue.core_links(minutes), (0, 0, 0))
    for (source, target), (price_micro, mbit, capacity_mb) in links:
        events = v.core_do(Op.SET_LINK, account=source, book=target, price=price_micro, qty=mbit, aux=capacity_mb)
        assert events[0].kind == Kind.LINK_SET, events


def set_tariff(v: Venue, command: SetTariff) -> None:
    """SetTariff: CA3; the first is valid at once, later ones are published at least a day ahead."""
    v.require_settings()
    tariffs, c = v.state.tariffs, command
    fees = (c.fee_standard_ppm, c.fee_economy_ppm, c.fee_emergency_ppm)
    _setting(all(0 <= fee <= MAX_FEE_PPM for fee in fees), "fees are 0 to 1,000,000 ppm")
    _setting(c.version == (tariffs[-1].version + 1 if tariffs else c.version) and c.version > 0, "versions count up by one")
    if tariffs:
        _setting(c.effective_ns >= v.state.now_ns + NS_PER_DAY, "a tariff is published 24 hours ahead (CA3)")
        _setting(c.effective_ns > tariffs[-1].effective_ns and v.is_time(c.effective_ns), "tariffs follow each other in time")
    for share in c.shares:
        _setting(share.base in ("compute", "green", "moving") and 0 < share.ppm <= PPM, "share base or ppm is out of range")
        v.text(share.recipient.replace("{host}", "h"), "recipient")
    for bases in (("compute", "green"), ("moving",)):
        _setting(sum(s.ppm for s in c.shares if s.base in bases) <= PPM, f"shares of {bases[0]} exceed the whole")
    tariffs.append(command)
    activate_tariff(v)
    v.emit(Acknowledged("SetTariff", str(c.version)))


def activate_tariff(v: Venue) -> None:
    """Puts the newest tariff that is due into force; what has entered keeps the fees of its entry. Repairs pay as standard."""
    due = [t for t in v.state.tariffs if t.effective_ns <= v.state.now_ns or t is v.state.tariffs[0]]
    if not due or due[-1].version == v.state.tariff_version:
        return
    tariff = due[-1]
    v.state.tariff_version = tariff.version
    lanes = (tariff.fee_standard_ppm, tariff.fee_economy_ppm, tariff.fee_emergency_ppm, tariff.fee_standard_ppm)
    for table, fee in enumerate(lanes):
        v.core_do(Op.SET_FEE, side=table, price=fee)


def list_family(v: Venue, command: ListFamily) -> None:
    """ListFamily: CA1, only (region, class) pairs that exist."""
    v.require_settings()
    state, c = v.state, command
    v.known_chip(c.chip)
    v.known_region(c.region)
    if c.latency_class not in LATENCY_CLASSES:
        raise Refusal(VenueReason.UNKNOWN_CLASS, f"class {c.latency_class[:10]!r} is none of {', '.join(LATENCY_CLASSES)}")
    if c.power not in POWERS:
        raise Refusal(VenueReason.UNKNOWN_POWER, f"power {c.power[:10]!r} is none of {', '.join(POWERS)}")
    if not state.catalogue.hosts(c.region, c.latency_class):
        raise Refusal(VenueReason.UNKNOWN_CLASS, f"nobody reaches {c.region} in class {c.latency_class} (CA1)")
    family = Family(len(state.families) + 1, c.chip, c.region, c.latency_class, c.power)
    if family.code in v.family_numbers:
        raise Refusal(VenueReason.DUPLICATE_ID, f"{family.code} is listed already")
    if family.number > MAX_FAMILIES:
        raise Refusal(VenueReason.INVALID_SETTING, f"at most {MAX_FAMILIES} families can be listed")
    state.families.append(family)
    v.family_numbers[family.code] = family.number
    numbers = state.catalogue
    events = v.core_do(
        Op.LIST_FAMILY, book=family.number, account=numbers.chip_numbers[c.chip], aux=numbers.region_numbers[c.region],
        price=LATENCY_CLASSES.index(c.latency_class), side=POWERS.index(c.power),
    )  # fmt: skip
    assert events[0].kind == Kind.FAMILY_LISTED, events
    v.emit(Acknowledged("ListFamily", family.code))


def add_participant(v: Venue, command: AddParticipant) -> None:
    """AddParticipant: opens the account."""
    v.require_settings()
    v.text(command.participant, "participant")
    v.text(command.firm, "firm")
    _setting(command.alpha_ppm == 0 or PPM // 10 <= command.alpha_ppm <= PPM, "alpha is 10 to 100 %, 0 for the venue's")
    if command.participant in v.account_numbers:
        raise Refusal(VenueReason.DUPLICATE_ID, f"{command.participant} exists already")
    open_participant(v, command.participant, command.firm, command.alpha_ppm)
    v.state.participants[command.participant].may_use_emergency = command.may_use_emergency
    v.emit(Acknowledged("AddParticipant", command.participant))


def open_participant(v: Venue, name: str, firm: str, alpha_ppm: int = 0) -> None:
    """A new account under a firm."""
    number = v.firm_number(firm)
    account = open_account(v, name, number)
    v.state.participants[name] = Participant(name, account, number, alpha_ppm)


def allow_emergency(v: Venue, command: AllowEmergency) -> None:
    """AllowEmergency: who may buy in the emergency lane (EM5)."""
    v.participant(command.participant).may_use_emergency = command.is_allowed
    v.emit(Acknowledged("AllowEmergency", command.participant))


def open_account(v: Venue, name: str, firm: int) -> int:
    """A new core account; its number."""
    account = len(v.state.accounts)
    events = v.core_do(Op.OPEN_ACCOUNT, account=account, book=firm)
    assert events[0].kind == Kind.ACCOUNT_OPENED, events
    v.state.accounts.append(name)
    v.account_numbers[name] = account
    return account


def _check_amount(amount: int) -> None:
    if not 0 < amount <= MAX_MONEY_MICRO // 1000:
        raise Refusal(VenueReason.INVALID_MONEY, f"amount {amount} micro-yuan is not between 1 and {MAX_MONEY_MICRO // 1000}")


def _require_margin(v: Venue, participant: Participant) -> None:
    """HM5: while margin is short, cash stays where it can cover it."""
    if participant.is_stopped:
        raise Refusal(VenueReason.SALES_STOPPED, "margin is short (HM5)", "deposit what is missing first")


def _check_reference(v: Venue, reference: str) -> None:
    """The payer's own words, if any: one line of printable ASCII."""
    if reference:
        v.text(reference, "reference", longest=64)


def _room(v: Venue, name: str, amount: int) -> None:
    outside = -v.core.balance(0)[money.CASH]
    if outside + amount > MAX_MONEY_MICRO // 4:
        raise Refusal(VenueReason.INVALID_MONEY, "all deposits together would exceed what the venue can hold")


def deposit(v: Venue, command: Deposit) -> None:
    """Deposit: money comes in; also to the fund."""
    name = command.participant
    if name != "fund":
        v.participant(name)
    _check_amount(command.amount_micro)
    _check_reference(v, command.reference)
    _room(v, name, command.amount_micro)
    money.move(v, ("outside", money.CASH), (name, money.CASH), command.amount_micro, "deposit", command.reference)
    money.top_up(v, name)


def withdraw(v: Venue, command: Withdraw) -> None:
    """Withdraw: only free cash goes out."""
    _require_margin(v, v.participant(command.participant))
    _check_amount(command.amount_micro)
    _check_reference(v, command.reference)
    money.require_cash(v, command.participant, command.amount_micro, "this withdrawal")
    source, target = (command.participant, money.CASH), ("outside", money.CASH)
    money.move(v, source, target, command.amount_micro, "withdrawal", command.reference)


def post_bond(v: Venue, command: PostBond) -> None:
    """PostBond: free cash becomes standing security."""
    who = command.participant
    _require_margin(v, v.participant(who))
    _check_amount(command.amount_micro)
    money.require_cash(v, who, command.amount_micro, "this bond")
    money.move(v, (who, money.CASH), (who, money.BOND), command.amount_micro, "bond", "")


def add_site(v: Venue, command: AddSite) -> None:
    """AddSite: a data centre with a core account of its own under the owner's firm."""
    owner = v.participant(command.participant)
    v.text(command.site, "site")
    v.known_region(command.region)
    if v.state.catalogue.regions[command.region].kind == "access":
        raise Refusal(VenueReason.UNKNOWN_REGION, f"{command.region} is access-only: nothing is hosted there")
    if f"site:{command.site}" in v.account_numbers:
        raise Refusal(VenueReason.DUPLICATE_ID, f"site {command.site} exists already")
    account = open_account(v, f"site:{command.site}", owner.firm)
    v.state.sites[command.site] = Site(command.site, owner.name, command.region, account)
    v.emit(Acknowledged("AddSite", command.site))


def attest(v: Venue, command: AttestCapacity) -> None:
    """AttestCapacity: never below what is open or sold in a listed period."""
    site = v.state.sites.get(command.site)
    if site is None:
        raise Refusal(VenueReason.UNKNOWN_SITE, f"site {command.site[:36]!r} is unknown")
    v.known_chip(command.chip)
    if not 0 <= command.lots <= 10**9:
        raise Refusal(VenueReason.INVALID_QTY, f"{command.lots} lots is not between 0 and 10^9")
    grid = v.periods
    whole = command.start_ns % grid.period_ns == 0 and command.end_ns % grid.period_ns == 0
    if not whole or command.end_ns <= command.start_ns or not (v.is_time(command.start_ns) and v.is_time(command.end_ns)):
        raise Refusal(VenueReason.INVALID_WINDOW, "the window is empty, not of whole periods, or out of range")
    item = Attestation(command.chip, grid.at(command.start_ns), grid.at(command.end_ns), command.lots)
    listed = range(max(item.first_period, grid.first_open(v.state.now_ns)), min(item.end_period, v.state.listed_end))
    for period in listed:
        _, open_lots, sold = v.capacity_of(site, command.chip, period)
        if open_lots + sold > command.lots:
            raise Refusal(VenueReason.CAPACITY, f"{open_lots + sold} lots are open or sold in {grid.code(period)}")
    here = v.periods.at(v.state.now_ns)
    site.attestations = [*(known for known in site.attestations if known.end_period > here), item]
    for period in listed:
        v.tell_capacity(site, command.chip, period)
    v.emit(Acknowledged("AttestCapacity", command.site))


def advance(v: Venue, command: AdvanceTime) -> None:
    """The clock moves: what the core ends by itself, released blocks, newly listed periods, drain; in this order."""
    before_ns, now_ns = v.state.now_ns, command.now_ns
    if not before_ns <= now_ns or not v.is_time(now_ns):
        raise Refusal(VenueReason.TIME_BACKWARDS, f"log time is {before_ns}, not {now_ns}")
    if not PERIOD_ZERO_NS <= now_ns <= v.last_time_ns():
        raise Refusal(VenueReason.INVALID_WINDOW, "log time is before 2020, or beyond the last period that has a number")
    explain_dying(v, now_ns)
    v.state.now_ns = now_ns
    events = v.core_do(Op.ADVANCE_TIME, aux=now_ns)
    if v.state.settings is None:
        return
    absorb(v, events)
    run_out(v)
    v.forget_keys()
    if v.state.tariffs:
        activate_tariff(v)
    forget_emergency_books(v)
    release_blocks(v, before_ns)
    forget_past(v, before_ns)
    close_certificates(v, before_ns)
    find_silent(v)
    list_periods(v)
    drain(v)
