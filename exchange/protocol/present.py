"""What is told about a command: to each participant what concerns him, to everybody the trades, to the sender an ack.

Privacy first: an event is shown to whom it names as a party, and to nobody else; of a move of money a participant sees
his own purses and the name on the other side. Views are made only for those who are asked for: this runs for every
command.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.domain import events_green as eg
from exchange.domain import events_settlement as es
from exchange.domain.reasons import TaskReason, wire_code
from exchange.protocol import private as p
from exchange.protocol.answers import Ack, Trade
from exchange.protocol.measures import Measures, time_text, yuan
from exchange.protocol.present_delivery import SHOWN as _DELIVERY
from exchange.protocol.present_settlement import SHOWN as _SETTLEMENT

# Obligation number -> (buyer, seller), or None where it is not open: readings name no party.
Parties = Callable[[int], tuple[str, str] | None]
Make = Callable[[str, int, dict[str, Any]], p.PrivateEvent]  # (participant, index, stamp) -> his view

OUTSIDE = "outside"
# Their events concern everybody: the operator's ack says that they were applied, the user channels say the rest.
FOR_ALL = (
    c.AdvanceTime, c.SettlePeriod, c.SetFix, c.SetTariff, c.LoadCatalogue, c.ListFamily, c.SetPowerPrices, c.OrderCurtailment,
)  # fmt: skip
DENIED = frozenset(("INSUFFICIENT_FUNDS", "CAPACITY", "TOO_MANY_SELLS", "SALES_STOPPED", "CERTIFICATES"))
_DENIED_STAGE = 2


def private_events(
    seq: int, ts_ns: int, command: Any, events: Sequence[Any], measures: Measures,
    *, parties: Parties | None = None, only: Collection[str] | None = None,
) -> dict[str, tuple[p.PrivateEvent, ...]]:  # fmt: skip
    """Participant -> his view of a command's events, in their order; `only` these participants where it is given.

    Under "" stands what only the operator is told.
    """
    found: dict[str, list[p.PrivateEvent]] = {}
    stamp: dict[str, Any] = {}
    around = _Around(seq, command, measures, parties)
    for event in events:
        kind = type(event)
        shown = _SHOWN.get(kind)
        if shown is None:
            continue
        for who, make in shown(event, around):
            if only is None or who in only:
                if not stamp:
                    stamp = {"seq": seq, "ts": time_text(ts_ns), "ts_ns": str(ts_ns)}
                mine = found.setdefault(who, [])
                mine.append(make(who, len(mine), stamp))
        if kind is e.Traded:
            around.trades += 1
    return {who: tuple(mine) for who, mine in found.items()}


def private_events_of(
    participant: str, seq: int, ts_ns: int, command: Any, events: Sequence[Any], measures: Measures,
    parties: Parties | None = None,
) -> tuple[p.PrivateEvent, ...]:  # fmt: skip
    """One participant's view; () where nothing of it is his."""
    mine: list[p.PrivateEvent] = []
    ts, ns = time_text(ts_ns), str(ts_ns)
    around: _Around | None = None
    for event in events:
        kind = type(event)
        if kind is e.Moved and event.from_account == event.to_account:  # these two come with every order
            if event.from_account == participant:
                mine.append(_own_move(event, len(mine), seq, ts, ns))
        elif kind is e.OrderChanged:
            if event.participant == participant:
                mine.append(_order_update(event, len(mine), seq, ts, ns, measures))
        elif (shown := _SHOWN.get(kind)) is not None:
            around = around or _Around(seq, command, measures, parties)
            for who, make in shown(event, around):
                if who == participant:
                    mine.append(make(who, len(mine), {"seq": seq, "ts": ts, "ts_ns": ns}))
            around.trades += kind is e.Traded
    return tuple(mine)


def public_trades(seq: int, ts_ns: int, events: Sequence[Any], measures: Measures) -> tuple[Trade, ...]:
    """The trades of a command, as everybody sees them."""
    found: list[Trade] = []
    for event in events:
        if type(event) is e.Traded:
            found.append(Trade(
                trade_id=f"{seq}-{len(found)}", seq=seq, instrument=event.instrument,
                period_start=time_text(event.period_start_ns), price=yuan(event.price_micro),
                cards=measures.cards_text(event.lots), cost=yuan(event.cost_micro), is_block=event.is_block,
                ts=time_text(ts_ns), ts_ns=str(ts_ns),
            ))  # fmt: skip
    return tuple(found)


def ack(
    seq: int, epoch: int, ts_ns: int, command: Any, events: Sequence[Any], measures: Measures, participant: str,
    *, parties: Parties | None = None, replayed: bool = False,
) -> Ack:  # fmt: skip
    """The answer to a command as `participant` may see it; "" = the operator, who sees all views, one after the other."""
    first = events[0] if events else None
    ts, ns = time_text(ts_ns), str(ts_ns)
    if type(first) is e.Refused:
        is_denied = first.reason in DENIED or first.code // 100 == _DENIED_STAGE
        return Ack(
            seq=seq, epoch=epoch, ts=ts, ts_ns=ns, replayed=replayed, status="DENIED" if is_denied else "REJECTED",
            code=first.code, reason=first.reason, message=first.message, hint=first.hint,
        )  # fmt: skip
    status, why = _STATUS.get(type(command), _accepted)(command, events)
    if participant:
        mine = private_events_of(participant, seq, ts_ns, command, events, measures, parties)
        if why is e.NOT_EXPLAINED:
            return Ack(seq=seq, epoch=epoch, ts=ts, ts_ns=ns, replayed=replayed, status=status, events=mine)
    elif isinstance(command, FOR_ALL):
        update = p.SettingUpdate(
            participant="", seq=seq, index=0, ts=ts, ts_ns=ns,
            command=type(command).__name__, reference=_reference_for_all(events),
        )  # fmt: skip
        mine = (update,)
    else:
        views = private_events(seq, ts_ns, command, events, measures, parties=parties)
        mine = tuple(view for who in views for view in views[who])
    code = wire_code(TaskReason[why.reason]) if why.reason in TaskReason.__members__ else 0
    hint = next((f"{x.dimension}: {x.change}" for x in why.relaxations if x.dimension == why.binding), "")
    return Ack(
        seq=seq, epoch=epoch, ts=ts, ts_ns=ns, replayed=replayed, status=status, code=code, reason=why.reason, hint=hint,
        events=mine,
    )  # fmt: skip


def replayed_at(events: Sequence[Any]) -> int:
    """The number of the first answer where this one only repeats it, else 0."""
    return events[0].original_seq if events and type(events[0]) is e.Replayed else 0


def refused_as(events: Sequence[Any]) -> str:
    """The name of the refusal, "" where there is none."""
    return events[0].reason if events and type(events[0]) is e.Refused else ""


# --- status ---


def _accepted(_: Any, __: Sequence[Any]) -> tuple[str, e.Explanation]:
    return "ACCEPTED", e.NOT_EXPLAINED


def _canceled(_: Any, __: Sequence[Any]) -> tuple[str, e.Explanation]:
    return "CANCELED", e.NOT_EXPLAINED


_TASK_STAYS = (e.TaskWaiting, e.TaskEnded)


def _task_status(command: c.SubmitTask | c.AmendTask, events: Sequence[Any]) -> tuple[str, e.Explanation]:
    """Only what follows the task's own acceptance is its own: older tasks of the buyer may have been filled before."""
    return _status_of_task(command.task.participant, command.task.client_order_id, events)


def _status_of_task(who: str, name: str, events: Sequence[Any]) -> tuple[str, e.Explanation]:
    status, why = "ACCEPTED", e.NOT_EXPLAINED
    for event in events:
        kind = type(event)
        if kind is e.TaskFilled and (event.participant, event.client_order_id) == (who, name):
            if event.is_complete:
                return "FILLED", e.NOT_EXPLAINED
            status = "PARTLY_FILLED"
        elif kind in _TASK_STAYS and (event.participant, event.client_order_id) == (who, name):
            why = event.explanation
            if status == "ACCEPTED":
                status = "WAITING" if kind is e.TaskWaiting else "CANCELED"
    return status, why


def _order_status(command: c.PlaceOrder | c.AmendOrder, events: Sequence[Any]) -> tuple[str, e.Explanation]:
    """By the trades behind the order's own acceptance: what stands before it belongs to waiting tasks."""
    who, name = command.participant, command.client_order_id
    if isinstance(command, c.PlaceOrder) and command.or_better:  # RT3: it is a task
        return _status_of_task(who, name, events)
    open_lots = filled = -1
    for event in events:
        kind = type(event)
        if kind is e.OrderChanged and (event.participant, event.client_order_id) == (who, name):
            if event.status in ("accepted", "replaced"):
                open_lots, filled = event.leaves_lots, 0
            else:
                return ("PARTLY_FILLED" if filled > 0 else "CANCELED"), e.NOT_EXPLAINED
        elif kind is e.Traded and filled >= 0 and (event.buyer, event.task) == (who, name):
            filled += event.lots
    if filled <= 0:
        return "ACCEPTED", e.NOT_EXPLAINED
    return ("FILLED" if filled == open_lots else "PARTLY_FILLED"), e.NOT_EXPLAINED


_STATUS: dict[type, Callable[[Any, Sequence[Any]], tuple[str, e.Explanation]]] = {
    c.SubmitTask: _task_status, c.AmendTask: _task_status, c.PlaceOrder: _order_status, c.AmendOrder: _order_status,
    c.CancelOrder: _canceled,
    c.CancelTask: _canceled, c.WithdrawOffer: _canceled,
}  # fmt: skip


def _reference_for_all(events: Sequence[Any]) -> str:
    for event in reversed(events):
        if type(event) is e.Acknowledged:
            return event.reference
        if type(event) is e.PeriodSettled:
            return f"{event.obligations} obligations"
        if type(event) is e.FixSet:
            return event.instrument
        if type(event) is es.CurtailmentOrdered:
            return event.reference
    return ""


# --- one event to those it names ---


class _Around:
    """What an event alone does not say: its command, how many trades stand before it, the measures."""

    __slots__ = ("command", "measures", "parties", "seq", "trades")

    def __init__(self, seq: int, command: Any, measures: Measures, parties: Parties | None) -> None:
        self.seq, self.command, self.measures, self.parties = seq, command, measures, parties
        self.trades = 0


Views = Sequence[tuple[str, Make]]


def _acknowledged(event: e.Acknowledged, x: _Around) -> Views:
    who = getattr(x.command, "participant", "")
    return ((who, lambda who, n, at: p.SettingUpdate(
        participant=who, index=n, **at, command=event.command, reference=event.reference)),)  # fmt: skip


def _own_move(event: e.Moved, n: int, seq: int, ts: str, ts_ns: str) -> p.MoneyUpdate:
    """From one purse to another of the same participant."""
    return p.MoneyUpdate(
        participant=event.from_account, seq=seq, index=n, ts=ts, ts_ns=ts_ns, amount=yuan(event.amount_micro),
        from_bucket=event.from_bucket, to_bucket=event.to_bucket, counterparty="", kind=event.kind, reference=event.reference,
    )  # fmt: skip


def _moved(event: e.Moved, x: _Around) -> Views:
    source, target = event.from_account, event.to_account
    if source == target:
        return ((source, lambda _, n, at: _own_move(event, n, **at)),)
    amount = yuan(event.amount_micro)

    def paid(who: str, n: int, at: dict[str, Any]) -> p.PrivateEvent:
        return p.MoneyUpdate(
            participant=who, index=n, **at, amount=amount, from_bucket=event.from_bucket, to_bucket="",
            counterparty=target, kind=event.kind, reference=event.reference,
        )  # fmt: skip

    def got(who: str, n: int, at: dict[str, Any]) -> p.PrivateEvent:
        return p.MoneyUpdate(
            participant=who, index=n, **at, amount=amount, from_bucket="", to_bucket=event.to_bucket,
            counterparty=source, kind=event.kind, reference=event.reference,
        )  # fmt: skip

    return tuple((who, make) for who, make in ((source, paid), (target, got)) if who != OUTSIDE)


def _traded(event: e.Traded, x: _Around) -> Views:
    def fill(side: str) -> Make:
        is_buy = side == "buy"
        return lambda who, n, at: p.Fill(
            participant=who, index=n, **at,
            trade_id=f"{x.seq}-{x.trades}", obligation_id=event.obligation_id, side=side,
            counterparty=event.seller if is_buy else event.buyer,
            site=event.site, instrument=event.instrument, period_start=time_text(event.period_start_ns),
            cards=x.measures.cards_text(event.lots), price=yuan(event.price_micro), cost=yuan(event.cost_micro),
            fee=yuan(event.fee_micro if is_buy else 0), client_order_id=event.task if is_buy else "",
            offer_id="" if is_buy else event.offer_id, is_block=event.is_block,
        )  # fmt: skip

    return (event.buyer, fill("buy")), (event.seller, fill("sell"))


def _offer_placed(event: e.OfferPlaced, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.OfferUpdate(
        participant=who, index=n, **at, offer_id=event.offer_id, status="placed", site=event.site,
        cards=x.measures.cards_text(event.lots))),)  # fmt: skip


def _offer_skipped(event: e.OfferSkipped, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.OfferUpdate(
        participant=who, index=n, **at, offer_id=event.offer_id, status="skipped",
        period_start=time_text(event.period_start_ns), reason=event.reason)),)  # fmt: skip


def _offer_ended(event: e.OfferEnded, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.OfferUpdate(
        participant=who, index=n, **at, offer_id=event.offer_id, status="ended",
        period_start=time_text(event.period_start_ns), cards=x.measures.cards_text(event.lots),
        reason=event.reason)),)  # fmt: skip


def _order_update(event: e.OrderChanged, n: int, seq: int, ts: str, ts_ns: str, measures: Measures) -> p.OrderUpdate:
    return p.OrderUpdate(
        participant=event.participant, seq=seq, index=n, ts=ts, ts_ns=ts_ns, client_order_id=event.client_order_id,
        status=event.status, instrument=event.instrument, price=yuan(event.price_micro),
        leaves_cards=measures.cards_text(event.leaves_lots), reason=event.reason,
    )  # fmt: skip


def _order_changed(event: e.OrderChanged, x: _Around) -> Views:
    return ((event.participant, lambda _, n, at: _order_update(event, n, **at, measures=x.measures)),)


def relaxed(why: e.Explanation) -> tuple[p.Relaxed, ...]:
    """The relaxations of an explanation as they are sent."""
    return tuple(
        p.Relaxed(dimension=x.dimension, change=x.change, delivered=yuan(x.delivered_micro), instrument=x.instrument)
        for x in why.relaxations
    )


def _task_accepted(event: e.TaskAccepted, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.TaskUpdate(
        participant=who, index=n, **at, client_order_id=event.client_order_id, status="accepted",
        hold=yuan(event.hold_micro), budget=yuan(event.budget_micro))),)  # fmt: skip


def _task_amended(event: e.TaskAmended, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.TaskUpdate(
        participant=who, index=n, **at, client_order_id=event.client_order_id, status="amended",
        hold=yuan(event.hold_micro), budget=yuan(event.budget_micro), keeps_place=event.keeps_place)),)  # fmt: skip


def _task_stepped(event: e.TaskStepped, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.TaskUpdate(
        participant=who, index=n, **at, client_order_id=event.client_order_id, status="stepped",
        budget=yuan(event.limit_micro))),)  # fmt: skip


def _task_waiting(event: e.TaskWaiting, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.TaskUpdate(
        participant=who, index=n, **at, client_order_id=event.client_order_id, status="waiting",
        reason=event.explanation.reason, binding=event.explanation.binding,
        relaxations=relaxed(event.explanation))),)  # fmt: skip


def _task_ended(event: e.TaskEnded, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.TaskUpdate(
        participant=who, index=n, **at, client_order_id=event.client_order_id, status=event.status,
        card_hours=x.measures.card_hours_text(event.filled_lot_periods), reason=event.explanation.reason,
        binding=event.explanation.binding, relaxations=relaxed(event.explanation))),)  # fmt: skip


def _task_filled(event: e.TaskFilled, x: _Around) -> Views:
    def make(who: str, n: int, at: dict[str, Any]) -> p.PrivateEvent:
        m = x.measures
        return p.TaskUpdate(
            participant=who, index=n, **at, client_order_id=event.client_order_id,
            status="filled" if event.is_complete else "partly_filled", site=event.site, instrument=event.instrument,
            start=time_text(event.start_ns), hours=m.hours_text(event.periods) if event.periods else "",
            cards=m.cards_text(event.lots) if event.lots else "", card_hours=m.card_hours_text(event.lot_periods),
            compute=yuan(event.compute_micro), moving=yuan(event.moving_micro), fee=yuan(event.fee_micro),
            waited_s=str(event.waited_ns // 1_000_000_000), parts=parts_told(event.parts, m),
        )  # fmt: skip

    return ((event.participant, make),)


def parts_told(parts: Sequence[e.FilledPart], m: Measures) -> tuple[p.TaskPart, ...]:
    """The parts of a fill, or of what would fill, as they are sent."""
    return tuple(
        p.TaskPart(
            site=part.site, instrument=part.instrument, hours=m.hours_text(part.periods), cards=m.cards_text(part.lots),
            cost=yuan(part.cost_micro), is_block=part.is_block,
        )
        for part in parts
    )  # fmt: skip


def _reading(event: e.ReadingTaken, x: _Around) -> Views:
    both = x.parties(event.obligation_id) if x.parties else None
    names = dict.fromkeys(both or (getattr(x.command, "participant", ""),))
    return tuple((name, lambda who, n, at: p.ReadingUpdate(
        participant=who, index=n, **at, obligation_id=event.obligation_id, number=event.number,
        delivered_cards=x.measures.cards_text(event.delivered_lots), is_countersigned=event.is_countersigned,
        is_disputed=event.is_disputed)) for name in names)  # fmt: skip


def _settled(event: e.Settled, x: _Around) -> Views:
    def view(side: str) -> Make:
        return lambda who, n, at: p.SettlementUpdate(
            participant=who, index=n, **at, obligation_id=event.obligation_id, side=side, instrument=event.instrument,
            status=event.status, cards=x.measures.cards_text(event.lots),
            delivered_cards=x.measures.cards_text(event.delivered_lots), paid=yuan(event.paid_micro),
            fee=yuan(event.fee_micro if side == "buy" else 0), refund=yuan(event.refund_micro),
            damages=yuan(event.damages_micro),
        )  # fmt: skip

    return (event.buyer, view("buy")), (event.seller, view("sell"))


def _made_up(event: e.MadeUp, x: _Around) -> Views:
    def view(side: str) -> Make:
        return lambda who, n, at: p.MakeUpUpdate(
            participant=who, index=n, **at, obligation_id=event.obligation_id, instead_of=event.instead_of, side=side,
            instrument=event.instrument, period_start=time_text(event.period_start_ns),
            cards=x.measures.cards_text(event.lots),
        )  # fmt: skip

    return (event.buyer, view("buy")), (event.seller, view("sell"))


def _margin_short(event: e.MarginShort, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.MarginUpdate(
        participant=who, index=n, **at, short=yuan(event.short_micro))),)  # fmt: skip


def _certificates_issued(event: eg.CertificatesIssued, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.CertificateUpdate(
        participant=who, index=n, **at, status="issued", region=event.region, certificate_id=event.certificate_id,
        period_start=time_text(event.period_start_ns), periods=len(event.wh), issued_wh=sum(event.wh))),)  # fmt: skip


def _certificates_closed(event: eg.CertificatesClosed, x: _Around) -> Views:
    return ((event.participant, lambda who, n, at: p.CertificateUpdate(
        participant=who, index=n, **at, status="closed", region=event.region,
        period_start=time_text(event.period_start_ns), periods=1, issued_wh=event.issued_wh, retired_wh=event.retired_wh,
        unused_wh=event.unused_wh)),)  # fmt: skip


# Refused and Replayed are told by the ack alone; a fix and the end of a settlement run are nobody's own.
_SHOWN: dict[type, Callable[[Any, _Around], Views]] = {
    e.Acknowledged: _acknowledged, e.Moved: _moved, e.Traded: _traded, e.OfferPlaced: _offer_placed,
    e.OfferSkipped: _offer_skipped, e.OfferEnded: _offer_ended, e.OrderChanged: _order_changed,
    e.TaskAccepted: _task_accepted, e.TaskAmended: _task_amended, e.TaskStepped: _task_stepped,
    e.TaskWaiting: _task_waiting, e.TaskEnded: _task_ended,
    e.TaskFilled: _task_filled, e.ReadingTaken: _reading, e.Settled: _settled, e.MadeUp: _made_up,
    **_DELIVERY, **_SETTLEMENT, e.MarginShort: _margin_short, eg.CertificatesIssued: _certificates_issued,
    eg.CertificatesClosed: _certificates_closed,
}  # fmt: skip
NOT_SHOWN = (e.Refused, e.Replayed, e.FixSet, e.PeriodSettled, es.CurtailmentOrdered)
