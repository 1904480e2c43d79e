"""What is told of dispatches, access, results and failures: each to its party and to nobody else. In the table of `present`."""

from collections.abc import Callable, Sequence
from typing import Any

from exchange.domain import events_delivery as ed
from exchange.protocol import private as p
from exchange.protocol.measures import time_text

Make = Callable[[str, int, dict[str, Any]], p.PrivateEvent]  # (participant, index, stamp) -> his view
Views = Sequence[tuple[str, Make]]


def _failed(event: ed.DeliveryFailed, x: Any) -> Views:
    def view(side: str) -> Make:
        return lambda who, n, at: p.FailureUpdate(
            participant=who, index=n, **at, obligation_id=event.obligation_id, side=side, instrument=event.instrument,
            period_start=time_text(event.period_start_ns), cards=x.measures.cards_text(event.lots), reason=event.reason,
        )  # fmt: skip

    return (event.buyer, view("buy")), (event.seller, view("sell"))


def _dispatched(event: ed.Dispatched, x: Any) -> Views:
    """What is to be run, and where its data lies, is told to nobody but the seller."""

    def make(who: str, n: int, at: dict[str, Any]) -> p.PrivateEvent:
        hours = tuple(
            p.DispatchedHour(
                obligation_id=hour.obligation_id, period_start=time_text(hour.period_start_ns),
                cards=x.measures.cards_text(hour.lots),
            )
            for hour in event.hours
        )  # fmt: skip
        return p.DispatchUpdate(
            participant=who, index=n, **at, lease_id=str(event.lease), counterparty=event.buyer, site=event.site,
            chip=event.chip, instrument=event.instrument, hours=hours, data_region=event.data_region,
            data_gb=x.measures.gb_text(event.data_mb), work=event.work,
        )  # fmt: skip

    return ((event.seller, make),)


def _access_given(event: ed.AccessGiven, _: Any) -> Views:
    return ((event.buyer, lambda who, n, at: p.AccessUpdate(
        participant=who, index=n, **at, lease_id=str(event.lease), counterparty=event.seller,
        access=event.access)),)  # fmt: skip


def _result_returned(event: ed.ResultReturned, _: Any) -> Views:
    return ((event.buyer, lambda who, n, at: p.ResultUpdate(
        participant=who, index=n, **at, lease_id=str(event.lease), counterparty=event.seller, exit_code=event.exit_code,
        output=event.output, is_final=event.is_final)),)  # fmt: skip


SHOWN: dict[type, Callable[[Any, Any], Views]] = {
    ed.DeliveryFailed: _failed, ed.Dispatched: _dispatched, ed.AccessGiven: _access_given, ed.ResultReturned: _result_returned,
}  # fmt: skip
