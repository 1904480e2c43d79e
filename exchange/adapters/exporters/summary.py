"""summary.json: what a market came to in figures, of a run from files and of a live exchange alike."""

import json
from pathlib import Path
from typing import Any

from exchange.adapters.exporters.writing import whole_file
from exchange.domain.units import format_micro
from exchange.projections import Projections

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
        "ledger_sum": sum(sum(purses) for purses in venue_balances.values()),
    }


def write_json(path: Path, value: dict[str, Any]) -> None:
    """One object, whole or not at all."""
    with whole_file(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
