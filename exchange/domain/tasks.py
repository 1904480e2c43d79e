"""Tasks: checked at entry, filled at once when they can, else waiting; drains (RT4-RT6, RT8, RT10, HM1).

A task is always the taker and never pays above its budget. It reserves no capacity while it waits (K4); its money is
held by HM1 and freed to the last unit when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from exchange.domain import money
from exchange.domain.books import absorb, end_ask, make_obligation
from exchange.domain.commands import CancelTask, SubmitTask, Task
from exchange.domain.events import Explanation, TaskAccepted, TaskEnded, TaskFilled, TaskWaiting
from exchange.domain.explain import explain
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.routing import BulkPlan, Candidate, Eligible, best_block, best_bulk, eligible_families
from exchange.domain.state import TaskEntry
from exchange.domain.units import NS_PER_DAY, PPM
from matching_core.enums import Kind, Op
from matching_core.limits import MAX_MONEY_MICRO, MAX_PRICE_TICKS

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

LANES = ("standard", "economy", "emergency")  # place = fee table of the core
DRAIN_ORDER = {"standard": 1, "economy": 2, "emergency": 0}
MAX_CHIPS = 64


@dataclass(slots=True)
class Deal:
    """What a trade needs to know about its buyer's side; the moving cost goes to the first obligation made."""

    buyer: str
    client_id: str
    reference: str
    lease: int = 0
    checkpoint: str = "hourly"
    on_break: str = "continue"
    last_period: int = 0
    moving_micro: int = 0
    lease_lots: int = 0  # lot-periods of the whole block; 0 = each obligation stands alone
    lease_moving_micro: int = 0
    tariff: int = 0  # 0 = the one in force

    def take_moving(self) -> int:
        """The cost of moving the data, once."""
        amount, self.moving_micro = self.moving_micro, 0
        return amount


def _no(reason: VenueReason, message: str, hint: str = "") -> Refusal:
    return Refusal(reason, message, hint)


def check_task(v: Venue, task: Task) -> None:
    """Refusal naming the first field that cannot be; nothing is changed."""
    v.participant(task.participant)
    v.text(task.client_order_id, "client_order_id")
    _check_places(v, task)
    if not (0 < task.lots <= v.settings.max_task_lots):
        raise _no(VenueReason.INVALID_QTY, f"{task.lots} lots is not between 1 and {v.settings.max_task_lots}")
    if not 0 < task.min_fill <= task.lots * task.periods and task.min_fill != 0:
        raise _no(VenueReason.INVALID_QTY, "min_fill is more than the task asks for")
    _check_times(v, task)
    if task.max_latency_us < 0 or task.max_latency_us > 10**9:
        raise _no(VenueReason.INVALID_LATENCY, "the latency limit must be 0 (any) to 1000 s")
    _check_terms(task)
    if (task.price_cap_micro == 0) == (task.budget_micro == 0):
        raise _no(VenueReason.INVALID_BUDGET, "exactly one of price cap and budget must be given")
    if min(task.price_cap_micro, task.budget_micro) < 0 or task.price_cap_micro > MAX_PRICE_TICKS * v.settings.tick_micro:
        raise _no(VenueReason.INVALID_BUDGET, "price cap and budget must be positive and within what money can hold")
    if not 0 < money.task_budget(task, v.settings) <= MAX_MONEY_MICRO // 4:
        raise _no(VenueReason.INVALID_BUDGET, "the budget is nothing, or more than money can hold")


def _check_places(v: Venue, task: Task) -> None:
    catalogue = v.state.catalogue
    if not 0 < len(task.chips) <= MAX_CHIPS or len({item.chip for item in task.chips}) != len(task.chips):
        raise _no(VenueReason.UNKNOWN_CHIP, f"name 1 to {MAX_CHIPS} different chips")
    for item in task.chips:
        if item.chip not in catalogue.chips:
            raise _no(VenueReason.UNKNOWN_CHIP, f"chip {item.chip[:36]!r} is not in the catalogue", "see the chips list")
        if not 1000 <= item.factor_ppm <= 1000 * PPM:
            raise _no(VenueReason.INVALID_QTY, f"factor of {item.chip} must be between 0.001 and 1000")
    named = (task.access_region, *task.allowed_regions, *((task.data_region,) if task.data_mb else ()))
    for region in named:
        if region not in catalogue.regions:
            raise _no(VenueReason.UNKNOWN_REGION, f"region {region[:36]!r} is not in the catalogue")
    if not 0 <= task.data_mb <= 10**12:
        raise _no(VenueReason.INVALID_QTY, "data must be between 0 MB and 10^12 MB")


def _check_times(v: Venue, task: Task) -> None:
    longest = v.settings.horizon_periods
    if not 0 < task.periods <= longest:
        raise _no(VenueReason.INVALID_WINDOW, f"{task.periods} periods: 1 to {longest} can be bought", "buy in pieces")
    if not all(v.is_time(t) for t in (task.earliest_start_ns, task.deadline_ns)) or task.valid_until_ns < 0:
        raise _no(VenueReason.INVALID_WINDOW, "a time is out of range")
    if task.deadline_ns <= v.state.now_ns or 0 < task.valid_until_ns <= v.state.now_ns:
        raise _no(VenueReason.INVALID_WINDOW, "deadline or valid_until has passed")
    if task.deadline_ns > v.state.now_ns + 3650 * NS_PER_DAY:
        raise _no(VenueReason.INVALID_WINDOW, "the deadline is more than ten years ahead")
    first = max(v.periods.first_from(task.earliest_start_ns), v.periods.first_open(v.state.now_ns))
    room = v.periods.at(task.deadline_ns) - first
    if room < task.periods:
        raise _no(
            VenueReason.INVALID_WINDOW, f"{task.periods} periods do not fit between start and deadline ({max(room, 0)} do)",
            "move the deadline or start earlier",
        )  # fmt: skip


def _check_terms(task: Task) -> None:
    if task.lane not in LANES:
        raise _no(VenueReason.INVALID_LANE, f"lane {task.lane[:20]!r} is none of {', '.join(LANES)}")
    if task.shape not in ("block", "bulk"):
        raise _no(VenueReason.INVALID_SHAPE, f"shape {task.shape[:20]!r} is not offered yet", "use block or bulk")
    if task.shape == "bulk" and any(item.factor_ppm != PPM for item in task.chips):
        raise _no(VenueReason.INVALID_SHAPE, "bulk tasks take chips of factor 1 only")
    if task.min_fill and task.shape != "bulk":
        raise _no(VenueReason.INVALID_SHAPE, "min_fill belongs to bulk tasks")
    if task.checkpoint not in ("hourly", "none") or task.on_break not in ("continue", "abandon"):
        raise _no(VenueReason.INVALID_SHAPE, "checkpoint is hourly or none, on_break continue or abandon")
    if task.shape == "bulk" and (task.checkpoint, task.on_break) != ("hourly", "continue"):
        raise _no(VenueReason.INVALID_SHAPE, "the card-hours of a bulk task stand alone: checkpoint hourly, on_break continue")
    if not 0 <= task.min_green_ppm <= PPM:
        raise _no(VenueReason.INVALID_QTY, "min_green must be between 0 and 1")


def make_entry(v: Venue, task: Task) -> TaskEntry:
    """An entry that is not in any book yet (also for previews)."""
    fee_ppm = v.lane_fee_ppm(task.lane)
    return TaskEntry(0, task, 0, v.state.now_ns, money.task_budget(task, v.settings), fee_ppm, 0, 0)


def submit(v: Venue, command: SubmitTask) -> None:
    """SubmitTask: older waiting tasks first (RT5), then this one: filled, waiting, or ended at once (emergency)."""
    task, state = command.task, v.state
    v.require_tradable()
    check_task(v, task)
    if (task.participant, task.client_order_id) in v.task_numbers:
        raise _no(VenueReason.DUPLICATE_ID, f"task {task.client_order_id} is waiting already", "use another id")
    _check_waiting_room(v, task)
    entry = make_entry(v, task)
    hold = money.with_fee(entry.fee_ppm, entry.budget_micro)
    money.require_cash(v, task.participant, hold, "the hold of this task (HM1)")
    drain_beside(v, task.participant, hold, f"task:{task.client_order_id}")
    entry.number, entry.stamp, entry.held_micro = v.take_number(), v.take_stamp(), hold
    who = task.participant
    money.move(v, (who, money.CASH), (who, money.HELD), hold, "hold", f"task:{task.client_order_id}")
    v.emit(TaskAccepted(who, task.client_order_id, entry.budget_micro, hold))
    families = eligible_families(v, task)
    if try_fill(v, entry, families):
        return
    entry.why = explanation = explain(v, entry)
    entry.dies_ns = _dies_ns(v, task, families)
    if task.lane == "emergency" or entry.dies_ns <= state.now_ns:  # the data cannot be anywhere in time
        end_task(v, entry, "expired", explanation)
        return
    v.emit(TaskWaiting(who, task.client_order_id, explanation))
    state.tasks[entry.number] = entry
    v.index_task(entry, families)
    heappush(v.deaths, (entry.dies_ns, entry.number))


def _check_waiting_room(v: Venue, task: Task) -> None:
    """RT8: a firm or chip that is full must cancel or wait before anything new enters."""
    firm, chip = v.state.participants[task.participant].firm, task.chips[0].chip
    if v.waiting_of_firm[firm] >= v.settings.max_waiting_per_firm:
        raise _no(VenueReason.TOO_MANY_WAITING, f"{v.waiting_of_firm[firm]} tasks of this firm wait already", "cancel some")
    if v.waiting_of_chip[chip] >= v.settings.max_waiting_per_chip:
        raise _no(VenueReason.TOO_MANY_WAITING, f"{v.waiting_of_chip[chip]} tasks for {chip} wait already", "try later")


def _dies_ns(v: Venue, task: Task, families: list[Eligible]) -> int:
    """The first moment at which no start is left (or valid_until)."""
    length = 1 if task.shape == "bulk" else task.periods
    last = v.periods.at(task.deadline_ns) - length
    latest = v.periods.gate(last)
    if task.data_mb and families and task.shape != "bulk":  # a bulk task may have its data somewhere already
        delays = [moving[1] for e in families if (moving := v.state.catalogue.moving(task.data_mb, task.data_region, e.region))]
        latest = min(latest, v.periods.start(last) - min(delays, default=0) + 1)
    return min(latest, task.valid_until_ns) if task.valid_until_ns else latest


def try_fill(v: Venue, entry: TaskEntry, families: list[Eligible]) -> bool:
    """One try (RT6) over some of the task's families; True when the task is complete."""
    if entry.task.shape == "bulk":
        return _try_bulk(v, entry, families)
    found = best_block(v, entry.task, families, entry.budget_micro)
    if found is None:
        return False
    _fill_block(v, entry, found)
    return True


def _try_bulk(v: Venue, entry: TaskEntry, families: list[Eligible]) -> bool:
    """One plan after the other, each in one region where data moves, until nothing more lies within the budget."""
    while (plan := best_bulk(v, entry, families)) is not None:
        if _fill_bulk(v, entry, plan):
            return True
    return False


def _fill_block(v: Venue, entry: TaskEntry, found: Candidate) -> None:
    """Executes a candidate: all legs of one command, nothing in between (K2)."""
    task, lots = entry.task, found.eligible.lots
    last_period = v.periods.at(task.deadline_ns) - 1
    deal = Deal(
        task.participant, task.client_order_id, f"task:{task.client_order_id}", entry.number, task.checkpoint,
        task.on_break, last_period, found.moving_micro, lots * task.periods, found.moving_micro,
    )  # fmt: skip
    _leave(v, entry)
    _pay_moving(v, entry, deal, found.moving_micro)
    for period in range(found.start, found.start + task.periods):
        if found.offer:
            _take_from_block(v, entry, deal, v.state.offers[found.offer], period, lots)
        else:
            _take_asks(v, entry, deal, found.eligible.family, found.site, period, lots)
    assert entry.spent_micro == found.total_micro <= entry.budget_micro, (entry, found)
    if found.offer in v.state.offers:
        v.mark_residue(v.state.offers[found.offer])
    _free_hold(v, entry)
    instrument = v.instrument_code(found.eligible.family, found.start)
    v.emit(TaskFilled(
        task.participant, task.client_order_id, found.site, instrument, v.periods.start(found.start), task.periods, lots,
        lots * task.periods, entry.notional_micro, found.moving_micro, entry.fee_micro,
        v.state.now_ns - entry.entered_ns, True,
    ))  # fmt: skip


def _fill_bulk(v: Venue, entry: TaskEntry, plan: BulkPlan) -> bool:
    """Executes a bulk plan; True when the whole amount has been bought."""
    task = entry.task
    before = (entry.notional_micro, entry.fee_micro)
    deal = Deal(
        task.participant, task.client_order_id, f"task:{task.client_order_id}",
        last_period=v.periods.at(task.deadline_ns) - 1, moving_micro=plan.moving_micro,
        lease_lots=plan.lot_periods, lease_moving_micro=plan.moving_micro,
    )  # fmt: skip
    _pay_moving(v, entry, deal, plan.moving_micro)
    if plan.region:
        entry.moved.add(plan.region)
    for leg in plan.legs:
        _take_asks(v, entry, deal, leg.eligible.family, leg.site, leg.period, leg.lots)
    entry.filled += plan.lot_periods
    assert entry.spent_micro <= entry.budget_micro, entry
    is_complete = entry.filled == task.lots * task.periods
    if is_complete:
        _leave(v, entry)
        _free_hold(v, entry)
    sites = {leg.site for leg in plan.legs}
    first = min(plan.legs, key=lambda leg: leg.period)
    v.emit(TaskFilled(
        task.participant, task.client_order_id, sites.pop() if len(sites) == 1 else "",
        v.instrument_code(first.eligible.family, first.period), v.periods.start(first.period), 0, 0, plan.lot_periods,
        entry.notional_micro - before[0], plan.moving_micro, entry.fee_micro - before[1],
        v.state.now_ns - entry.entered_ns, is_complete,
    ))  # fmt: skip
    return is_complete


def _pay_moving(v: Venue, entry: TaskEntry, deal: Deal, amount: int) -> None:
    """The cost of moving the data goes into escrow with the purchase."""
    money.move(v, (deal.buyer, money.HELD), (deal.buyer, money.ESCROW), amount, "moving", deal.reference)
    entry.spent_micro += amount
    entry.held_micro -= amount


def _spend(entry: TaskEntry, cost: int, fee: int) -> None:
    entry.spent_micro += cost
    entry.notional_micro += cost
    entry.fee_micro += fee
    entry.held_micro -= cost + fee


def _take_asks(v: Venue, entry: TaskEntry, deal: Deal, family: int, site: str, period: int, lots: int) -> None:
    """One leg from the plain asks of one site, ask by ask: TAKE in the core, which skips everybody else's orders (RT6).

    Each TAKE is limited to its ask's own price: price x lots is then what it costs, which the budget bounds.
    """
    for ticks, there, _ in v.site_asks(site, family, period):
        taken = min(lots, there)
        if taken == 0:
            break
        events = v.core_do(
            Op.TAKE, account=v.account(deal.buyer), aux=v.state.sites[site].account, book=v.book(family, period),
            order_id=v.take_order_id(), price=ticks, qty=taken, order_type=LANES.index(entry.task.lane),
            client_ref=entry.notional_micro,
        )  # fmt: skip
        assert events[0].kind == Kind.TRADE, events
        absorb(v, events, deal)
        for event in events:
            if event.kind == Kind.POSTED:
                _spend(entry, event.qty, event.price)
        lots -= taken
    assert lots == 0, (site, family, period, lots)


def _take_from_block(v: Venue, entry: TaskEntry, deal: Deal, offer, period: int, lots: int) -> None:
    """One leg from a block offer: outside the books, same fees, same obligation (MB2)."""
    ask = offer.open[period]
    cost = offer.price_ticks(period) * lots * v.value_micro
    fee = money.fee_micro(entry.fee_ppm, cost, entry.notional_micro)
    ask.lots -= lots
    money.shrink_entry_margin(v, offer, period, ask)
    price_ticks = offer.price_ticks(period)
    if ask.lots == 0:
        end_ask(v, offer, period)
    money.move(v, (deal.buyer, money.HELD), (deal.buyer, money.ESCROW), cost, "trade", deal.reference)
    money.move(v, (deal.buyer, money.HELD), (deal.buyer, money.ESCROW), fee, "fee", deal.reference)
    _spend(entry, cost, fee)
    make_obligation(v, deal, offer, period, lots, price_ticks, cost, fee, is_block=True)


def _free_hold(v: Venue, entry: TaskEntry) -> None:
    who = entry.task.participant
    reference = f"task:{entry.task.client_order_id}"
    money.move(v, (who, money.HELD), (who, money.CASH), entry.held_micro, "hold_free", reference)
    entry.held_micro = 0


def _leave(v: Venue, entry: TaskEntry) -> None:
    """Takes a task off the waiting list if it is on it."""
    if entry.number in v.state.tasks:
        del v.state.tasks[entry.number]
        v.unindex_task(entry)


def end_task(v: Venue, entry: TaskEntry, status: str, explanation) -> None:
    """Ends a task without (full) fill: off the list, hold freed, reported."""
    _leave(v, entry)
    _free_hold(v, entry)
    task = entry.task
    v.emit(TaskEnded(task.participant, task.client_order_id, status, entry.filled, explanation))


def cancel(v: Venue, command: CancelTask) -> None:
    """CancelTask: only what is not bought yet; the hold is freed."""
    number = v.task_numbers.get((command.participant, command.client_order_id))
    if number is None:
        raise _no(VenueReason.UNKNOWN_TASK, f"no waiting task {command.client_order_id[:36]!r}")
    entry = v.state.tasks[number]
    end_task(v, entry, "canceled", explain(v, entry, canceled=True))


def explain_dying(v: Venue, now_ns: int) -> list[tuple[int, Explanation]]:
    """Tasks that die when time moves to now_ns, by moment, explained while their last chance is still open.

    Where that proposes nothing (a block half released, say), what was proposed at entry stands (decision 0006).
    """
    dying: dict[int, Explanation] = {}
    while v.deaths and v.deaths[0][0] <= now_ns:
        moment, number = heappop(v.deaths)
        entry = v.state.tasks.get(number)
        if entry is not None and entry.dies_ns == moment and number not in dying:  # `reroute` may have moved its end
            last, first = explain(v, entry), entry.why
            if not last.relaxations and first.relaxations:
                last = Explanation(last.reason, first.binding, first.relaxations, is_of_entry=True)
            dying[number] = last
    return list(dying.items())


def expire(v: Venue, dying: list[tuple[int, Explanation]]) -> None:
    """Ends the tasks for which time has run out, before anything of this tick trades."""
    for number, explanation in dying:
        end_task(v, v.state.tasks[number], "expired", explanation)


def drain(v: Venue) -> None:
    """RT5: tries every waiting task whose window meets a dirty hour of a family it may use: standard, economy, entry stamp.

    Over all dirty families at once (decision 0008): a task takes the best of all of them, so it must have its turn in all.
    """
    state = v.state
    while state.dirty:
        dirty, state.dirty = state.dirty, {}
        concerned = {
            number
            for family, periods in dirty.items()
            for number in v.waiting_in_family.get(family, ())
            if _meets(v, state.tasks[number].task, periods)
        }
        for number in sorted(concerned, key=v.drain_key):
            entry = state.tasks[number]
            families = [e for e in v.task_families[number] if e.family in dirty or entry.task.shape == "bulk"]
            try_fill(v, entry, families)


def drain_beside(v: Venue, who: str, amount: int, reference: str) -> None:
    """RT5 before a command that may buy. Its money is set aside meanwhile: the drain may sell the buyer's own asks,
    whose margin (HM5) would else eat what was just found to be free."""
    if not v.state.dirty:
        return
    money.move(v, (who, money.CASH), (who, money.HELD), max(0, amount), "hold", reference)
    drain(v)
    v.withdraw_stopped()  # before the newcomer could buy them
    money.move(v, (who, money.HELD), (who, money.CASH), max(0, amount), "hold_free", reference)


def reroute(v: Venue) -> None:
    """After a change of catalogue or families: where each waiting task may buy, and until when."""
    for number in sorted(v.state.tasks):
        entry = v.state.tasks[number]
        v.unindex_families(entry)
        families = eligible_families(v, entry.task)
        v.index_families(entry, families)
        entry.dies_ns = max(v.state.now_ns + 1, _dies_ns(v, entry.task, families))
        heappush(v.deaths, (entry.dies_ns, number))


def _meets(v: Venue, task: Task, periods: set[int]) -> bool:
    first, end = v.periods.first_from(task.earliest_start_ns), v.periods.at(task.deadline_ns)
    return any(first <= period < end for period in periods)
