"""Rows of obligations beside the venue's own: what is covered in part, busted or adjusted is the same in both, at any time."""

from __future__ import annotations

from collections import Counter

from small_days import cured_day

from exchange.adapters.projector import Projector
from exchange.domain.venue import Venue


def test_the_rows_of_open_obligations_are_the_venue_s_after_every_command() -> None:
    venue, projector, last = Venue(), Projector(), {}
    for seq, ts_ns, command, _ in cured_day().history:
        projector.take(seq, ts_ns, command, venue.apply(seq, command))
        last |= {row["obligation_id"]: row for row in changed(projector)}
        tick_micro = venue.settings.tick_micro if venue.state.settings else 0
        told = {number: row for number, row in last.items() if row["status"] == "open"}
        assert told.keys() == venue.state.obligations.keys(), command
        for number, due in venue.state.obligations.items():
            row = told[number]
            ours = (due.lots, due.price_ticks * tick_micro, due.cost_micro, due.fee_micro, due.instead_of, due.buyer, due.site)
            names = ("lots", "price_micro", "cost_micro", "fee_micro", "instead_of", "buyer", "site")
            assert ours == tuple(row[name] for name in names), (command, row)
    assert Counter(row["status"] for row in last.values()) == {"delivered": 5, "covered": 2, "short": 3, "busted": 1}


def changed(projector: Projector) -> list[dict]:
    """The rows of obligations that a command has made or changed."""
    return list(projector.cut().changed.get("obligations", {}).values())
