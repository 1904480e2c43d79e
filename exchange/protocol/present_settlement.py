"""What is told of buy-ins, curtailments and corrections: to both parties, and to nobody else. In the table of `present`."""

from collections.abc import Callable, Sequence
from typing import Any

from exchange.domain import events_settlement as es
from exchange.protocol import private as p
from exchange.protocol.measures import time_text, yuan

Make = Callable[[str, int, dict[str, Any]], p.PrivateEvent]  # (participant, index, stamp) -> his view
Views = Sequence[tuple[str, Make]]


def _both(event: Any, view: Callable[[str], Make]) -> Views:
    return (event.buyer, view("buy")), (event.seller, view("sell"))


def _waits(event: es.BuyInWaits, x: Any) -> Views:
    return _both(event, lambda side: lambda who, n, at: p.BuyInUpdate(
        participant=who, index=n, **at, obligation_id=event.obligation_id, side=side, status="waiting",
        cards=x.measures.cards_text(event.lots), limit=yuan(event.limit_micro), until=time_text(event.until_ns),
    ))  # fmt: skip


def _bought(event: es.BoughtIn, x: Any) -> Views:
    return _both(event, lambda side: lambda who, n, at: p.BuyInUpdate(
        participant=who, index=n, **at, obligation_id=event.obligation_id, side=side, status="covered",
        cards=x.measures.cards_text(event.lots), covers=event.covers, twelfths=event.twelfths, cost=yuan(event.cost_micro),
        fee=yuan(event.fee_micro), moving=yuan(event.moving_micro), escrow=yuan(event.escrow_micro),
    ))  # fmt: skip


def _ended(event: es.BuyInEnded, x: Any) -> Views:
    return _both(event, lambda side: lambda who, n, at: p.BuyInUpdate(
        participant=who, index=n, **at, obligation_id=event.obligation_id, side=side, status="ended",
        cards=x.measures.cards_text(event.covered_lots), open_cards=x.measures.cards_text(event.open_lots),
        margin=yuan(event.margin_micro), refund=yuan(event.refund_micro), reason=event.reason,
    ))  # fmt: skip


def _curtailed(event: es.Curtailed, x: Any) -> Views:
    return _both(event, lambda side: lambda who, n, at: p.CurtailmentUpdate(
        participant=who, index=n, **at, obligation_id=event.obligation_id, side=side, instrument=event.instrument,
        period_start=time_text(event.period_start_ns), cards=x.measures.cards_text(event.lots), reference=event.reference,
    ))  # fmt: skip


def _busted(event: es.TradeBusted, x: Any) -> Views:
    return _both(event, lambda side: lambda who, n, at: p.CorrectionUpdate(
        participant=who, index=n, **at, obligation_id=event.obligation_id, side=side, status="busted",
        instrument=event.instrument, period_start=time_text(event.period_start_ns), cards=x.measures.cards_text(event.lots),
        before=yuan(event.price_micro), price="", cost=yuan(event.cost_micro),
        fee=yuan(event.fee_micro if side == "buy" else 0), reason=event.reason,
    ))  # fmt: skip


def _adjusted(event: es.TradeAdjusted, x: Any) -> Views:
    return _both(event, lambda side: lambda who, n, at: p.CorrectionUpdate(
        participant=who, index=n, **at, obligation_id=event.obligation_id, side=side, status="adjusted",
        instrument=event.instrument, period_start=time_text(event.period_start_ns), cards=x.measures.cards_text(event.lots),
        before=yuan(event.before_micro), price=yuan(event.price_micro), cost=yuan(event.cost_micro),
        fee=yuan(event.fee_micro if side == "buy" else 0), reason=event.reason,
    ))  # fmt: skip


SHOWN: dict[type, Callable[[Any, Any], Views]] = {
    es.BuyInWaits: _waits, es.BoughtIn: _bought, es.BuyInEnded: _ended, es.Curtailed: _curtailed, es.TradeBusted: _busted,
    es.TradeAdjusted: _adjusted,
}  # fmt: skip
