"""Questions to the live venue about what belongs to somebody: money, holds, waiting tasks, live orders and offers, sites.

Every function reads and changes nothing.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from exchange.domain.commands import PlaceOffer, PlaceOrder, SubmitTask, Task
from exchange.domain.money import fee_micro
from exchange.domain.state import SYSTEM_ACCOUNTS, Bid, Offer, TaskEntry
from exchange.domain.task_terms import asked_lots
from exchange.domain.venue import Venue
from exchange.protocol import answers as a
from exchange.protocol import answers_delivery as d
from exchange.protocol import answers_operator as o
from exchange.protocol.codec import idem_key
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures, invalid
from exchange.protocol.present import relaxed
from exchange.protocol.stream import UserData
from matching_core.enums import Bucket


def require_participant(v: Venue, name: str) -> None:
    """DoorError NOT_FOUND unless there is one of that name."""
    if name not in v.state.participants:
        raise DoorError(DoorReason.NOT_FOUND, f"participant {name[:36]!r} is unknown", field="participant")


# --- money ---


def account_answer(v: Venue, name: str, seq: int, m: Measures) -> d.Account:
    """The purses of a participant or of one of the exchange's own accounts; DoorError NOT_FOUND for another name."""
    if name not in SYSTEM_ACCOUNTS:
        require_participant(v, name)
    known = v.state.participants.get(name)
    purses = v.core.balance(v.account(name))
    cash, held, escrow, margin, bond = map(m.yuan, purses)
    return d.Account(
        participant=name, firm=v.state.firms[known.firm] if known else "", cash=cash, held=held, escrow=escrow,
        margin=margin, bond=bond, total=m.yuan(sum(purses)), is_stopped=known is not None and known.is_stopped, seq=seq,
        ts=m.time_text(v.now_ns), ts_ns=str(v.now_ns),
    )  # fmt: skip


def accounts(v: Venue, first: int, limit: int, seq: int, m: Measures) -> tuple[tuple[d.Account, ...], int]:
    """(accounts numbered from `first` on, number of the next one, 0 for none); sites have no money of their own."""
    numbers = (n for n in range(first, len(v.state.accounts)) if _has_purses(v, n))
    page = list(islice(numbers, limit + 1))
    items = tuple(account_answer(v, v.state.accounts[n], seq, m) for n in page[:limit])
    return items, page[limit] if len(page) > limit else 0


def _has_purses(v: Venue, number: int) -> bool:
    return number < len(SYSTEM_ACCOUNTS) or v.state.accounts[number] in v.state.participants


def holds(v: Venue, name: str, m: Measures) -> d.Holds:
    """Every hold of a participant: waiting tasks, then resting bids, by number; they add up to what is held."""
    require_participant(v, name)
    items = [
        d.Hold(kind="task", reference=entry.task.client_order_id, amount=m.yuan(v.core.task(entry.number).held_micro))
        for entry in _tasks_of(v, name)
    ]
    items += [
        d.Hold(kind="order", reference=bid.client_order_id, amount=m.yuan(v.core.order(bid.order_id).hold_micro))
        for bid in _bids_of(v, name)
    ]
    held = v.core.balance(v.account(name))[Bucket.HELD]
    return d.Holds(participant=name, held=m.yuan(held), items=tuple(items))


# --- what is open ---


def user_data(v: Venue, name: str, epoch: int, seq: int, m: Measures) -> UserData:
    """Everything of a participant that is open now: the snapshot of his `user` channel."""
    require_participant(v, name)
    return UserData(
        account=account_answer(v, name, seq, m),
        tasks=tuple(_task_answer(v, entry, m) for entry in _tasks_of(v, name)),
        orders=tuple(_order_answer(v, bid, m) for bid in _bids_of(v, name)),
        offers=tuple(_offer_answer(v, offer, m) for offer in _offers_of(v, name)),
    )


class _Owned:
    """What of a table of the venue belongs to whom, so that nobody's question walks over everybody's things.

    Numbers only grow, and a table is in their order from the second look on: what is new stands at its end. What has
    left a table leaves here when its owner asks, or at the latest when as much has left as there is.
    """

    SPARE = 1_000

    def __init__(self) -> None:
        self._numbers: dict[str, list[int]] = {}
        self._newest = self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, name: str, table: Mapping[int, Any], owner: Any) -> list[Any]:
        """What a participant has in the table, by number; owner: of a thing in it."""
        self._look(table, owner)
        mine = self._numbers.get(name, [])
        alive = [number for number in mine if number in table]
        if len(alive) < len(mine):
            self._numbers[name] = alive
            self._count -= len(mine) - len(alive)
        return [table[number] for number in alive]

    def _look(self, table: Mapping[int, Any], owner: Any) -> None:
        if self._count > 2 * len(table) + self.SPARE:
            self._numbers.clear()
            self._newest = self._count = 0
        if self._newest == 0:
            new = sorted(table)
        else:
            new = []
            for number in reversed(table):
                if number <= self._newest:
                    break
                new.append(number)
            new.reverse()
        for number in new:
            self._numbers.setdefault(owner(table[number]), []).append(number)
        self._count += len(new)
        self._newest = new[-1] if new else self._newest


_TASKS: WeakKeyDictionary[Venue, _Owned] = WeakKeyDictionary()
_BIDS: WeakKeyDictionary[Venue, _Owned] = WeakKeyDictionary()


def _tasks_of(v: Venue, name: str) -> list[TaskEntry]:
    return _TASKS.setdefault(v, _Owned()).of(name, v.state.tasks, _owner_of_task)


def _bids_of(v: Venue, name: str) -> list[Bid]:
    return _BIDS.setdefault(v, _Owned()).of(name, v.state.bids, _owner_of_bid)


def _owner_of_task(entry: TaskEntry) -> str:
    return entry.task.participant


def _owner_of_bid(bid: Bid) -> str:
    return bid.participant


def _offers_of(v: Venue, name: str) -> list[Offer]:
    return [v.state.offers[number] for number in sorted(v.offers_of_participant.get(name, ()))]


def _entry_of(v: Venue, command: SubmitTask | PlaceOrder | PlaceOffer) -> tuple[int, int]:
    """(seq, time_ns) of the command that made something, as its idempotency key remembers it; zeros when that is over."""
    key = v.keys.used.get(idem_key(command).hex())
    return (key.seq, key.time_ns) if key else (0, 0)


def _task_answer(v: Venue, entry: TaskEntry, m: Measures) -> a.Task:
    task, why, now = entry.task, entry.why, v.core.task(entry.number)
    return a.Task(
        status="partly" if now.filled else "waiting", ending="waiting", seq=_entry_of(v, SubmitTask(task))[0],
        entered=m.time_text(entry.entered_ns), filled_card_hours=m.card_hours_text(now.filled),
        compute=m.yuan(now.notional_micro), moving=m.yuan(now.spent_micro - now.notional_micro),
        fee=m.yuan(fee_micro(now.fee_ppm, now.notional_micro)), instrument="", reason=why.reason, message="",
        binding=why.binding, relaxations=relaxed(why), **task_terms(task, m),
    )  # fmt: skip


def task_terms(task: Task, m: Measures) -> dict[str, Any]:
    """What an answer repeats of the task as it was asked for."""
    return {
        "participant": task.participant, "client_order_id": task.client_order_id, "access_region": task.access_region,
        "chips": tuple(item.chip for item in task.chips), "cards": m.cards_text(task.lots),
        "hours": m.hours_text(task.periods), "deadline": m.time_text(task.deadline_ns), "lane": task.lane,
        "shape": task.shape, "price_cap": m.yuan(task.price_cap_micro) if task.price_cap_micro else None,
        "budget": m.yuan(task.budget_micro) if task.budget_micro else None,
        "asked_card_hours": m.card_hours_text(
            asked_lots(task, m.settings.lots_per_card, m.settings.period_min) * task.periods
        ),
        "pflops_hours": m.milli_text(task.pflops_milli_hours) if task.pflops_milli_hours else None,
    }  # fmt: skip


def _order_answer(v: Venue, bid: Bid, m: Measures) -> a.Order:
    live = v.core.order(bid.order_id)
    seq, time_ns = _entry_of(v, PlaceOrder(bid.participant, bid.client_order_id, "", "", 0, 0))
    return a.Order(
        participant=bid.participant, client_order_id=bid.client_order_id,
        instrument=v.instrument_code(bid.family, bid.period), side="buy",
        price=m.yuan(live.price * v.settings.tick_micro), cards=m.cards_text(live.qty),
        filled_cards=m.cards_text(live.qty - live.leaves), leaves_cards=m.cards_text(live.leaves), status="live",
        reason="", seq=seq, ts=m.time_text(time_ns), ts_ns=str(time_ns),
    )  # fmt: skip


def _offer_answer(v: Venue, offer: Offer, m: Measures) -> a.Offer:
    """What is sold is known to the tables only: `sold_card_hours` is empty here."""
    family = v.state.families[offer.family - 1]
    seq, time_ns = _entry_of(v, PlaceOffer(offer.participant, offer.offer_id, "", "", "", "", 0, 0, 0, 0))
    return a.Offer(
        participant=offer.participant, offer_id=offer.offer_id, site=offer.site, chip=family.chip, region=family.region,
        latency_class=family.latency_class, power=family.power, cards=m.cards_text(offer.lots),
        periods=0 if offer.is_standing else offer.end_period - offer.first_period, is_block=offer.is_block, status="open",
        sold_card_hours="",
        open_card_hours=m.card_hours_text(_open_of(v, offer)), seq=seq, ts=m.time_text(time_ns), ts_ns=str(time_ns),
    )  # fmt: skip


def _open_of(v: Venue, offer: Offer) -> int:
    """Lots times periods, listed or not; of an offer that stands until it is withdrawn only what is listed."""
    return sum(ask.lots for ask in offer.open.values()) + offer.lots * len(_to_come(v, offer))


def _to_come(v: Venue, offer: Offer) -> list[int]:
    """Periods in which it will be offered and is not yet: not listed, or without a power price so far."""
    unpriced = sorted(period for period in offer.unpriced if period < offer.next_period)
    if offer.is_standing:
        return unpriced
    later = range(offer.next_period, offer.end_period)
    return unpriced + [period for period in later if offer.follows_power or offer.price_ticks(period)]


def open_hours(v: Venue, participant: str, offer_id: str) -> int:
    """Periods in which an offer is open now; 0 where it is not live."""
    number = v.offer_numbers.get((participant, offer_id))
    return 0 if number is None else len(v.state.offers[number].open)


def open_lot_periods(v: Venue, participant: str, offer_id: str) -> int:
    """Lots times periods of an offer that are unsold, listed or not; 0 where it is not live."""
    number = v.offer_numbers.get((participant, offer_id))
    return 0 if number is None else _open_of(v, v.state.offers[number])


def unsold(v: Venue, participant: str, offer_id: str, m: Measures) -> a.Unsold:
    """The unsold hours of a live offer in order of time; DoorError NOT_FOUND where there is none."""
    number = v.offer_numbers.get((participant, offer_id))
    if number is None:
        detail = f"{participant[:36]} has no live offer {offer_id[:36]!r}"
        raise DoorError(DoorReason.NOT_FOUND, detail, field="offer_id", hint="offers with status ended have nothing unsold")
    offer = v.state.offers[number]
    hours = [(period, ask.lots, True) for period, ask in sorted(offer.open.items())]
    hours += [(period, offer.lots, False) for period in _to_come(v, offer)]
    return a.Unsold(
        offer_id=offer_id,
        items=tuple(
            a.UnsoldHour(
                period_start=m.time_text(v.periods.start(period)), instrument=v.instrument_code(offer.family, period),
                cards=m.cards_text(lots), price=m.yuan(offer.price_ticks(period) * v.settings.tick_micro),
                is_listed=is_listed,
            )
            for period, lots, is_listed in hours
        ),
    )  # fmt: skip


# --- the operator's lists ---


def participants(v: Venue, after: int, limit: int) -> tuple[tuple[o.Participant, ...], int]:
    """(participants whose account is numbered above `after`, that of the last where there are more, else 0)."""
    everybody = (each for each in v.state.participants.values() if each.account > after)
    page = list(islice(everybody, limit + 1))
    items = tuple(
        o.Participant(
            participant=each.name, firm=v.state.firms[each.firm], alpha_ppm=each.alpha_ppm,
            may_use_emergency=each.may_use_emergency,
        )
        for each in page[:limit]
    )
    return items, page[limit - 1].account if len(page) > limit else 0


def sites(v: Venue, participant: str, after: int, limit: int, m: Measures) -> tuple[tuple[o.Site, ...], int]:
    """(sites numbered above `after`, of one participant or, "", of all; the last number where there are more, else 0)."""
    fitting = (
        each for each in v.state.sites.values()
        if each.account > after and (not participant or each.participant == participant)
    )  # fmt: skip
    page = list(islice(fitting, limit + 1))
    items = tuple(
        o.Site(
            site=each.name, participant=each.participant, region=each.region,
            capacity=tuple(
                o.Capacity(
                    chip=item.chip, cards=m.cards_text(item.lots), start=m.time_text(v.periods.start(item.first_period)),
                    end=m.time_text(v.periods.start(item.end_period)),
                )
                for item in each.attestations
            ),
        )
        for each in page[:limit]
    )  # fmt: skip
    return items, page[limit - 1].account if len(page) > limit else 0


def activity(v: Venue, seq: int) -> o.Activity:
    """What is open on the venue."""
    state = v.state
    return o.Activity(
        now_ns=str(v.now_ns), seq=seq, obligations=len(state.obligations), orders=len(state.bids), tasks=len(state.tasks),
        offers=len(state.offers), earliest_death_ns=_least(v.core.task(number).dies_ns for number in state.tasks),
    )  # fmt: skip


def state(v: Venue, seq: int) -> o.State:
    """The venue's hash: as slow as the state is large, so only for who compares."""
    return o.State(seq=seq, state_hash=f"{v.state_hash():016x}")


def _least(moments: Iterable[int]) -> str | None:
    first = min(moments, default=None)
    return None if first is None else str(first)


def due(v: Venue, period_start: str, m: Measures) -> o.DueList:
    """The open obligations of one period, by number; DoorError where the time is not the start of a period."""
    start_ns = m.time_ns(period_start, "period_start")
    period = v.periods.at(start_ns)
    if v.periods.start(period) != start_ns:
        raise invalid("period_start", f"{period_start} is not the start of a period")
    numbers = sorted(v.obligations_of_period.get(period, ()))
    return o.DueList(items=tuple(_due(v, number, m) for number in numbers))


def _due(v: Venue, number: int, m: Measures) -> o.Due:
    owed = v.state.obligations[number]
    lease = v.state.leases.get(owed.lease)
    return o.Due(
        obligation_id=number, buyer=owed.buyer, seller=owed.seller, site=owed.site, cards=m.cards_text(owed.lots),
        has_work=bool(lease and lease.work),
    )  # fmt: skip


def obligation_parties(v: Venue, number: int) -> tuple[str, str] | None:
    """(buyer, seller) of an open obligation: who is told of a reading."""
    owed = v.state.obligations.get(number)
    return (owed.buyer, owed.seller) if owed else None
