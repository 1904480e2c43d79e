"""A market day as plain data, ready for JSON: card-hours, yuan and yuan per card-hour as decimal text, no digit lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exchange.domain.units import MICRO, div_half_even, format_micro, format_scaled
from exchange.projections.calendar import Calendar
from exchange.projections.market_day import MarketDay, ranked
from exchange.projections.prices import Prices
from exchange.projections.supply import Capacity
from exchange.projections.words import reason_in_words

MARKET_DAY_SCHEMA = 1  # raised when a key changes its meaning


def figures(calendar: Calendar, made: MarketDay) -> dict[str, Any]:
    """Everything that the report of a day says."""
    settings, hours = calendar.settings, calendar.card_hours_text
    whole = Capacity()
    for capacity in made.capacity.values():
        whole.add(capacity)
    return {
        "schema": MARKET_DAY_SCHEMA, "kind": "market_day", "venue": settings.name, "time_zone": settings.time_zone,
        "day": made.day.isoformat(), "trades": made.trades, "busted": made.busted, "card_hours": hours(made.lots),
        "notional": format_micro(made.notional_micro),
        "hours": [{"hour": hour, **_volume(prices, hours)} for hour, prices in enumerate(made.by_hour)],
        "regions": [{"region": name, **_prices(prices, hours)} for name, prices in ranked(made.by_region)],
        "chips": [
            {
                "chip": name, **_prices(prices, hours),
                "hours": [
                    {"hour": hour, **_prices(each, hours)} for hour, each in enumerate(made.chip_hours[name]) if each.trades
                ],
            }
            for name, prices in ranked(made.by_chip)
        ],
        "fixes": [
            {
                "chip": chip, "region": region, "index": format_micro(fix.index.price_micro),
                "low": format_micro(fix.low_micro), "high": format_micro(fix.high_micro), "fixes": fix.index.instruments,
                "grades": fix.grades,
            }
            for (chip, region), fix in made.fixes.items()
        ],
        "capacity": {
            **_capacity(whole, hours),
            "regions": [{"region": name, **_capacity(of_region, hours)} for name, of_region in made.capacity.items()],
        },
        "tasks": {status: made.tasks[status] for status in ("filled", "partly", "unfilled")},
        "demand": {
            "asked": hours(made.asked_lot_periods), "bought": hours(made.bought_lot_periods),
            "unfilled": hours(sum(lots for _, lots in made.unfilled.values())),
        },
        "unfilled": [
            {"reason": reason, "in_words": reason_in_words(reason), "tasks": tasks, "card_hours": hours(lots)}
            for reason, (tasks, lots) in made.unfilled.items()
        ],
        "settled": {"obligations": made.settled.total(), "by_status": dict(sorted(made.settled.items()))},
        "shortfalls": _shortfalls(made, hours),
        "green": {"load_wh": made.green.load_wh, "green_wh": made.green.green_wh, "share": made.green.share},
    }  # fmt: skip


def _volume(prices: Prices, hours: Any) -> dict[str, Any]:
    return {"trades": prices.trades, "card_hours": hours(prices.lots)}


def _prices(prices: Prices, hours: Any) -> dict[str, Any]:
    money = {name: format_micro(getattr(prices, f"{name}_micro")) for name in ("vwap", "low", "high")}
    return {**_volume(prices, hours), **money}


def _capacity(capacity: Capacity, hours: Any) -> dict[str, str]:
    names = ("attested", "offered", "sold", "unsold", "taken_back")
    return {
        **{name: hours(getattr(capacity, f"{name}_lots")) for name in names},
        "utilization": share(capacity.sold_lots, capacity.offered_lots),
    }


def _shortfalls(made: MarketDay, hours: Any) -> dict[str, Any]:
    return {
        "card_hours_owed": hours(made.settled_lots), "made_up": hours(made.made_up_lots),
        "bought_in": hours(made.bought_in_lots), "in_cash": hours(made.lost_lots),
        "refund": format_micro(made.refund_micro), "damages": format_micro(made.damages_micro),
        "damages_cut": format_micro(made.cut_micro), "buyers": made.buyers_failed,
        "buyers_made_whole": made.buyers_made_whole,
    }  # fmt: skip


def share(part: int, whole: int) -> str:
    """part over whole as decimal text, half to even on six places; "" of nothing."""
    return format_scaled(div_half_even(part * MICRO, whole), MICRO, 1) if whole else ""


def is_quiet(found: dict[str, Any]) -> bool:
    """Whether nothing was traded, asked, offered, fixed or delivered on the day."""
    lists: Iterable[Any] = (found["regions"], found["unfilled"], found["fixes"], found["capacity"]["regions"])
    return not any(lists) and not found["settled"]["obligations"] and not any(found["tasks"].values())
