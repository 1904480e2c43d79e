"""The exchange beside its rivals on the same day: how many tasks each filled, and what a delivered card-hour cost."""

from pathlib import Path
from typing import Any

from exchange.adapters.exporters.writing import text_cell, write_rows, yuan_cell
from exchange.domain.units import div_half_even, format_micro, format_scaled
from exchange.projections import Projections
from exchange.replay.market_day import MarketDay
from exchange.replay.rivals import RIVALS, Key, Purchase, run_rivals

EXCHANGE = "exchange"
WAYS = (EXCHANGE, *RIVALS)
RIVALS_FILE = "rivals.csv"


def compare(day: MarketDay, projections: Projections, out: Path) -> list[dict[str, Any]]:
    """Runs the rivals, writes rivals.csv (a row a task), and returns a row a way for summary.json.

    Prices are what a buyer pays for compute and moving data, without fees, per card-hour bought; `common_price` is over
    the tasks that every way has filled, so that nobody looks cheap by leaving dear tasks out.
    """
    bought = {EXCHANGE: _bought_here(projections), **run_rivals(day)}
    common = [key for key in bought[EXCHANGE] if all(key in bought[way] for way in WAYS)]
    _write(out, projections, bought)
    total = len({record_key(record) for record in projections.tasks.records})
    return [_row(projections, way, bought[way], common, total) for way in WAYS]


def record_key(record) -> Key:
    """Whose task it is, and its name."""
    return record.task.participant, record.task.client_order_id


def _bought_here(projections: Projections) -> dict[Key, Purchase]:
    return {
        record_key(record): Purchase(record.delivered_micro, record.moving_micro, record.lot_periods)
        for record in projections.tasks.records
        if record.status == "filled"
    }


def _row(projections: Projections, way: str, bought: dict[Key, Purchase], common: list[Key], total: int) -> dict[str, Any]:
    return {
        "way": way,
        "filled": len(bought),
        "fill_rate": _percent(len(bought), total),
        "card_hours": _card_hours(projections, sum(item.lot_periods for item in bought.values())),
        "price": _price(projections, list(bought.values())),
        "common_tasks": len(common),
        "common_price": _price(projections, [bought[key] for key in common]),
        "moving": format_micro(sum(item.moving_micro for item in bought.values())),
    }


def _percent(part: int, whole: int) -> str:
    return format_scaled(div_half_even(part * 1000, whole), 10, 1) if whole else ""


def _card_hours(projections: Projections, lot_periods: int) -> str:
    settings = projections.calendar.settings
    return format_scaled(div_half_even(lot_periods * settings.period_min * 10, 60 * settings.lots_per_card), 10, 1)


def _price(projections: Projections, items: list[Purchase]) -> str:
    lot_periods = sum(item.lot_periods for item in items)
    cost = sum(item.cost_micro for item in items)
    return format_micro(projections.calendar.per_card_hour(cost, lot_periods)) if lot_periods else ""


def _write(out: Path, projections: Projections, bought: dict[str, dict[Key, Purchase]]) -> None:
    head = ["account", "task", "chip", "card_hours_asked"]
    head += [f"{way}_{what}" for way in WAYS for what in ("card_hours", "delivered")]
    rows: list[list[object]] = [list(head)]
    for record in projections.tasks.records:
        key = record_key(record)
        chip = record.task.chips[0].chip if record.task.chips else ""
        cells: list[object] = [text_cell(key[0]), text_cell(key[1]), text_cell(chip)]
        cells.append(_card_hours(projections, record.asked_lot_periods))
        for way in WAYS:
            item = bought[way].get(key)
            cells += [_card_hours(projections, item.lot_periods), yuan_cell(item.cost_micro)] if item else ["", ""]
        rows.append(cells)
    write_rows(out / RIVALS_FILE, rows)
