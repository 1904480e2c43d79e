"""summary.json: what a market came to in figures, of a run from files and of a live exchange alike."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from exchange.adapters.exporters.writing import whole_file
from exchange.domain.units import format_micro
from exchange.projections import Projections
from exchange.projections.failures import WITH_BLOCK
from exchange.projections.green import Use

SUMMARY_SCHEMA = 1
SUMMARY_FILE = "summary.json"


def totals(projections: Projections, venue_balances: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Tasks, trades, settlement and the sum over all accounts; money as decimal yuan, the ledger's sum in micro-yuan."""
    settled = projections.settlement_totals()
    return {
        **projections.tasks.totals(),
        "trades": projections.tape.count,
        "notional": format_micro(projections.tape.notional_micro),
        **{key: format_micro(value) if key != "obligations" else value for key, value in settled.items()},
        "green": green_figures(projections),
        "failures": failure_figures(projections),
        "ledger_sum": sum(sum(purses) for purses in venue_balances.values()),
    }


def green_figures(projections: Projections) -> dict[str, Any]:
    """Load and certificates in Wh, and the green share: of all deliveries and by region."""
    regions = projections.green.by_region()
    return {
        **_use(projections.green.total()),
        "regions": {region: _use(use) for region, use in regions.items()},
    }


def failure_figures(projections: Projections) -> dict[str, Any]:
    """What became of what was not delivered, in card-hours and yuan, and who paid the damages (BB2, HM6)."""
    found, hours = projections.failures.failures, projections.calendar.card_hours_text
    buyers = {item.buyer for item in found}
    known = Counter(item.known_by for item in found)
    return {
        "obligations": len(found),
        "known_by": dict(sorted(known.items())),
        "card_hours_owed": hours(projections.failures.settled_lots),
        "card_hours_failed": hours(sum(item.failed_lots for item in found)),
        "card_hours_made_up": hours(sum(item.made_up_lots for item in found)),
        "card_hours_bought_in": hours(sum(item.bought_in_lots for item in found)),
        "card_hours_in_cash": hours(sum(item.lost_lots for item in found)),
        "card_hours_of_blocks": hours(sum(item.lost_lots for item in found if item.known_by == WITH_BLOCK)),
        "margin_for_covers": format_micro(sum(item.margin_micro for item in found)),
        "refund": format_micro(sum(item.refund_micro for item in found)),
        "damages": format_micro(sum(item.damages_micro for item in found)),
        "damages_by_layer": {name: format_micro(paid) for name, paid in projections.failures.damages_by_layer.items()},
        "damages_cut": format_micro(sum(item.cut_micro for item in found)),
        "buyers": len(buyers),
        "buyers_made_whole": len(buyers) - len({item.buyer for item in found if not item.is_made_whole}),
    }


def _use(use: Use) -> dict[str, Any]:
    return {"load_wh": use.load_wh, "green_wh": use.green_wh, "share": use.share}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """One object, whole or not at all."""
    with whole_file(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
