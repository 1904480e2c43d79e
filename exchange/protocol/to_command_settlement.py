"""Wire arguments to the operator's commands of settlement and back; in the table of `to_command` as all others."""

from collections.abc import Callable
from typing import Any

from exchange.domain import commands_settlement as c
from exchange.domain.commands import SettlePeriod
from exchange.protocol import requests_settlement as r
from exchange.protocol.measures import Measures
from exchange.protocol.requests_operator import Settlement


def _buy_in_of(args: r.BuyInTerms, _: str, __: Measures) -> c.BuyIn:
    return c.BuyIn(args.obligation_id)


def _buy_in_terms(made: c.BuyIn, _: Measures) -> r.BuyInTerms:
    return r.BuyInTerms(obligation_id=made.obligation_id)


def _curtailment_of(args: r.CurtailmentTerms, _: str, m: Measures) -> c.OrderCurtailment:
    start_ns, end_ns = m.time_ns(args.start, "start"), m.time_ns(args.end, "end")
    return c.OrderCurtailment(args.region or "", args.site or "", start_ns, end_ns, args.reference)


def _curtailment_terms(made: c.OrderCurtailment, m: Measures) -> r.CurtailmentTerms:
    return r.CurtailmentTerms(
        region=made.region or None, site=made.site or None, start=m.time_text(made.start_ns), end=m.time_text(made.end_ns),
        reference=made.reference,
    )  # fmt: skip


def _busted(args: r.BustTerms, _: str, __: Measures) -> c.BustTrade:
    return c.BustTrade(args.obligation_id, args.reason)


def _bust_terms(made: c.BustTrade, _: Measures) -> r.BustTerms:
    return r.BustTerms(obligation_id=made.obligation_id, reason=made.reason)


def _adjusted(args: r.AdjustTerms, _: str, m: Measures) -> c.AdjustTrade:
    return c.AdjustTrade(args.obligation_id, m.price_micro(args.price, "price"), args.reason)


def _adjust_terms(made: c.AdjustTrade, m: Measures) -> r.AdjustTerms:
    return r.AdjustTerms(obligation_id=made.obligation_id, price=m.yuan(made.price_micro), reason=made.reason)


def _settlement_of(args: Settlement, _: str, m: Measures) -> SettlePeriod:
    return SettlePeriod(m.time_ns(args.period_start, "period_start"))


def _settlement_terms(made: SettlePeriod, m: Measures) -> Settlement:
    return Settlement(period_start=m.time_text(made.period_start_ns))


# operation -> command, arguments to command, command to arguments
SETTLEMENT: dict[str, tuple[type[Any], Callable[[Any, str, Measures], Any], Callable[[Any, Measures], Any]]] = {
    "settle_period": (SettlePeriod, _settlement_of, _settlement_terms),
    "buy_in": (c.BuyIn, _buy_in_of, _buy_in_terms),
    "order_curtailment": (c.OrderCurtailment, _curtailment_of, _curtailment_terms),
    "bust_trade": (c.BustTrade, _busted, _bust_terms),
    "adjust_trade": (c.AdjustTrade, _adjusted, _adjust_terms),
}
