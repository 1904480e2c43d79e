"""BuyIn: the cure of an obligation of which it is known that it will not be delivered (BB2, BI1-BI3), once per obligation.

First a later hour of the same site at the same price. Else a cover: at once in the region, at once elsewhere, and while the
gate of the hour is ahead by a task in lane repair that waits for it; behind the gate only from standby asks, which sell
twelfths of the running hour (EM2). What nothing covers is settled in cash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exchange.domain import make_up, money, repairs
from exchange.domain.books import absorb
from exchange.domain.commands import Task
from exchange.domain.commands_settlement import BuyIn
from exchange.domain.events_settlement import BuyInEnded, BuyInWaits
from exchange.domain.instrument import LATENCY_CLASSES, Family
from exchange.domain.outages import is_excused, is_out
from exchange.domain.placing import forget_if_over, take_out
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Obligation, Repair
from exchange.domain.task_terms import needs_green, size_of
from exchange.domain.tasks import drain
from exchange.domain.units import PPM, div_floor
from matching_core.enums import Kind, Lane, Op, Shape, TaskFlag, TimeInForce
from matching_core.limits import MAX_FACTOR_PPM, MAX_TASKS, MIN_FACTOR_PPM
from matching_core.task_records import TaskTerms, pack_task

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

CAP_NUMERATOR, CAP_DENOMINATOR = 3, 2  # BI2: 1.5 x fix


@dataclass(frozen=True, slots=True)
class Means:
    """What a buy-in may spend: the buyer's money for these lots, the seller's margin for them, and the limit (BI2)."""

    escrow_micro: int
    margin_micro: int
    fee_ppm: int
    budget_micro: int  # for cost and moving the data
    limit_micro: int  # the same per card-hour


def is_curable(v: Venue, number: int) -> bool:
    """Whether a buy-in is still to be made: the obligation fails, its block goes on after a break, its hour is not over."""
    due = v.state.obligations.get(number)
    if due is None or number not in v.state.failing or due.is_bought_in:
        return False
    goes_on = due.checkpoint == "hourly" and due.on_break == "continue"
    return goes_on and v.state.now_ns < v.periods.start(due.period + 1)


def buy_in(v: Venue, command: BuyIn) -> None:
    """BuyIn: older waiting tasks come first (RT5), as before anything else that buys."""
    number = command.obligation_id
    due = v.state.obligations.get(number)
    if due is None:
        raise Refusal(VenueReason.UNKNOWN_OBLIGATION, f"there is no open obligation {number}")
    if not is_curable(v, number):
        raise Refusal(VenueReason.NOT_DUE, f"obligation {number} {_why_not(v, due)}")
    due.is_bought_in = True
    drain(v)
    period = make_up.whole_period(v, due)
    if period is not None:
        make_up.move(v, due, period)
        return
    if is_excused(v, due):  # an ordered curtailment is no failure of the seller (BB6): his margin buys nothing for it
        v.emit(BuyInEnded(number, due.buyer, due.seller, 0, due.lots, 0, 0, "none"))
        return
    _close_market(v, due.period)
    is_emergency = v.periods.gate(due.period) <= v.state.now_ns
    n_events = len(v.events)
    for step in ("region", "elsewhere"):
        if number in v.state.obligations:
            _try_at_once(v, due, step, is_emergency)
    if number in v.state.obligations and not is_emergency:
        _wait(v, due)
    if number in v.state.obligations and not any(isinstance(event, BuyInEnded | BuyInWaits) for event in v.events[n_events:]):
        v.emit(BuyInEnded(number, due.buyer, due.seller, 0, due.lots, 0, 0, "none"))


def _why_not(v: Venue, due: Obligation) -> str:
    if due.number not in v.state.failing:
        return "is not known to fail"
    if due.is_bought_in:
        return "has had its buy-in"
    if v.state.now_ns >= v.periods.start(due.period + 1):
        return "is over"
    return "belongs to a block that does not go on after a break: it is settled in cash"


def _close_market(v: Venue, period: int) -> None:
    """What sites that are out in this hour still offer there leaves the market: a cover from them would fail as well."""
    out = {name for name, site in v.state.sites.items() if is_out(v, site, period)}
    for number in v.obligations_of_period.get(period, ()):
        if v.state.failing.get(number) in ("outage", "silent"):
            out.add(v.state.obligations[number].site)
    for site in sorted(out):
        for offer in v.offers_of_site(site):
            if period in offer.open:
                take_out(v, offer, period, "outage")
                forget_if_over(v, offer)


# --- what it may spend ---


def means(v: Venue, due: Obligation, is_emergency: bool) -> Means | None:
    """BI2: price + floor(seller's free margin / short), at most 1.5 x fix; None where nothing can be bought with it.

    Free is what the margin of these lots leaves when the fee of the dearer cover is paid as well.
    """
    cost, fee = repairs.paid_for(v, due, due.lots, is_emergency)
    if cost == 0:
        return None
    margin = div_floor(due.margin_micro * cost, due.cost_micro)
    fee_ppm = v.tariff.fee_emergency_ppm if is_emergency else v.tariff.fee_standard_ppm  # repairs pay as standard
    budget = div_floor((cost + fee + margin) * PPM, PPM + fee_ppm)
    while money.with_fee(fee_ppm, budget) > cost + fee + margin:
        budget -= 1
    twelfths = repairs.twelfths_left(v, due.period) if is_emergency else repairs.WHOLE
    settings, price = v.settings, due.price_ticks * v.settings.tick_micro
    fix = money.known_fix(v, due.family, v.book_of(due)) or price
    per_card_hour = 60 * settings.lots_per_card * repairs.WHOLE
    cap = div_floor(CAP_NUMERATOR * fix * settings.period_min * twelfths, CAP_DENOMINATOR * per_card_hour)
    per_lot = min(div_floor(budget, due.lots), cap)
    if per_lot <= 0 or twelfths == 0:
        return None
    limit = div_floor(per_lot * per_card_hour, settings.period_min * twelfths)
    return Means(cost + fee, margin, fee_ppm, per_lot * due.lots, limit)


# --- what it looks for ---


def _terms(v: Venue, due: Obligation, step: str, is_emergency: bool, budget_micro: int) -> TaskTerms | None:
    """BI3 in the core's words, under the next number of the core; None where the buyer's terms leave nothing there."""
    catalogue, family = v.state.catalogue, v.state.families[due.family - 1]
    task = v.state.terms.get(due.task)
    regions = (family.region,) if step == "region" or task is None else tuple(task.allowed_regions)
    if step == "elsewhere" and regions == (family.region,):
        return None
    is_bulk = not is_emergency and (task is None or task.shape == "bulk")
    is_green = family.power == "green" or (task is not None and needs_green(task))
    has_data = task is not None and task.data_mb > 0 and step == "elsewhere"
    return TaskTerms(
        order_id=v.state.next_order_id, account=v.account(due.buyer), lane=Lane.EMERGENCY if is_emergency else Lane.REPAIR,
        shape=Shape.BULK if is_bulk else Shape.BLOCK, tif=TimeInForce.IOC,
        max_class=LATENCY_CLASSES.index(family.latency_class), flags=int(TaskFlag.GREEN) if is_green else 0,
        access_region=catalogue.region_numbers[task.access_region] if task and task.access_region else 0,
        budget_micro=budget_micro, lots=due.lots, periods=1, valid_until_ns=0, client_ref=0,
        data_region=catalogue.region_numbers[task.data_region] if task and has_data else 0,
        max_rtt_us=task.max_latency_us if task else 0, min_run=0, first_period=due.period, end_period=due.period + 1,
        data_mb=task.data_mb if task and has_data else 0, min_fill=0, max_grid=0, chips=_chips(v, task, family),
        regions=tuple(sorted({catalogue.region_numbers[region] for region in regions})),
    )  # fmt: skip


def _chips(v: Venue, task: Task | None, family: Family) -> tuple[tuple[int, int], ...]:
    """The chips that the buyer accepts, the failed one first, with their factors against it."""
    numbers = v.state.catalogue.chip_numbers
    known = dict(size_of(v, task).chips) if task else {}
    base = known.pop(family.chip, PPM)
    factors = {chip: div_floor(factor * PPM, base) for chip, factor in known.items()}
    fair = {chip: ppm for chip, ppm in factors.items() if MIN_FACTOR_PPM <= ppm <= MAX_FACTOR_PPM}
    return ((numbers[family.chip], PPM), *((numbers[chip], ppm) for chip, ppm in fair.items()))


# --- how it buys ---


def _try_at_once(v: Venue, due: Obligation, step: str, is_emergency: bool) -> None:
    """Asks the core what it would buy, and buys just that, with no more money than it takes."""
    found = means(v, due, is_emergency)
    terms = _terms(v, due, step, is_emergency, found.budget_micro) if found else None
    if terms is None or found is None:
        return
    route = v.core.find_task(pack_task(Op.TASK, terms), found.budget_micro)
    if route is None:
        return
    cost = route.compute_micro + route.moving_micro
    lots = route.lot_periods if terms.shape == Shape.BULK else due.lots
    _enter(v, due, terms._replace(budget_micro=cost, lots=lots), found, lots)


def _wait(v: Venue, due: Obligation) -> None:
    """BI1: until the gate, where the lists have room (RT8): anywhere, but where its data is if it has any."""
    firm, chip = v.state.participants[due.buyer].firm, v.state.families[due.family - 1].chip
    settings, task = v.settings, v.state.terms.get(due.task)
    n_waiting = len(v.state.tasks) + len(v.state.repairs)
    is_full = v.waiting_of_firm[firm] >= settings.max_waiting_per_firm or n_waiting >= MAX_TASKS
    found = means(v, due, is_emergency=False)
    if found is None or is_full or v.waiting_of_chip[chip] >= settings.max_waiting_per_chip:
        return
    step = "region" if task is None or task.data_mb else "elsewhere"
    terms = _terms(v, due, step, False, found.budget_micro) or _terms(v, due, "region", False, found.budget_micro)
    assert terms is not None
    _enter(v, due, terms._replace(tif=TimeInForce.GTC), found, due.lots)
    if due.number in v.repair_of:
        gate_ns = v.periods.gate(due.period)
        v.emit(BuyInWaits(due.number, due.buyer, due.seller, due.lots, found.limit_micro, gate_ns))


def _enter(v: Venue, due: Obligation, terms: TaskTerms, found: Means, lots: int) -> None:
    hold = money.with_fee(found.fee_ppm, terms.budget_micro)
    is_emergency = terms.lane == Lane.EMERGENCY
    number = v.take_order_id()
    assert number == terms.order_id
    escrow, fee = repairs.paid_for(v, due, lots, is_emergency)
    lent = min(escrow + fee, hold)
    lane = "emergency" if is_emergency else "repair"
    repair = Repair(number, due.number, lots, lane, v.tariff.version, lent, hold - lent)
    assert repair.margin_micro <= found.margin_micro <= due.margin_micro, (repair, found)
    repairs.lend(v, repair, due)
    events = v.core_run(pack_task(Op.TASK, terms))
    accepted = events[0]
    assert accepted.kind == Kind.ACCEPTED and accepted.contra_leaves == hold, (terms, accepted)
    money.booked(v, (due.buyer, money.CASH), (due.buyer, money.HELD), hold, "hold", repairs.reference_of(repair))
    absorb(v, events[1:])


def call_off(v: Venue, due: Obligation) -> None:
    """A buy-in that waits for an obligation ends; nothing where none does."""
    number = v.repair_of.get(due.number)
    if number is not None:
        absorb(v, v.core_do(Op.TASK_CANCEL, account=v.account(due.buyer), order_id=number))
