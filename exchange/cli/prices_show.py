"""How `cpx prices` says what it found: tables for people, plain objects for programs."""

from __future__ import annotations

import sys
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from exchange.cli.market import NO_LIMIT
from exchange.cli.moments import venue_time
from exchange.domain.fix_memory import shift_ppm
from exchange.domain.prices import lots_of_pairs
from exchange.domain.units import NS_PER_SECOND, PPM, div_half_even, format_micro, format_scaled, format_time

if TYPE_CHECKING:
    from rich.console import Console

    from exchange.domain.commands import SetFix
    from exchange.domain.venue import Venue
    from exchange.engine.fix_proof import FixProof
    from exchange.engine.fixer import Work

MAX_DIFFERENCES = 20  # shown in a table; --json has all
METHODS = {
    "trades": "trades of the last 3 hours", "day": "trades of the last 24 hours",
    "neighbours": "trades of 24 hours in this and the neighbouring hours, moved along the curve",
    "ask": "the best ask less the half-spread", "index": "the previous fix moved with the region's index",
    "thin": "what little was traded: no ask and no previous fix",
}  # fmt: skip


def summary_of(proof: FixProof, venue: Venue) -> dict[str, Any]:
    """The proof as an object."""
    return {
        "proven": proof.proven, "remade_after_start": proof.remade, "by_grade": dict(sorted(proof.grades.items())),
        "by_method": dict(sorted(proof.methods.items())), "due_when_the_journal_ended": proof.cut_off,
        "by_hand": [
            {"seq": each.seq, "instrument": each.command.instrument, "fix": _fix(each.command)} for each in proof.by_hand
        ],
        "differences": [
            {"seq": each.seq, "instrument": each.instrument, "differs": list(each.what),
             "published": _fix(each.published), "recomputed": _fix(each.recomputed)}
            for each in proof.differences
        ],
    }  # fmt: skip


def _fix(command: SetFix | None) -> dict[str, str] | None:
    if command is None:
        return None
    return {"price": format_micro(command.price_micro), "grade": command.grade, "inputs_hash": command.inputs_hash}


def show_proof(proof: FixProof, venue: Venue, folder: str) -> None:
    """The proof as tables."""
    from rich.markup import escape
    from rich.table import Table

    console = _console()
    console.print(escape(folder))
    for method, words in METHODS.items():
        if count := proof.methods.get(method):
            console.print(f"  {count:>8,}  {words}", soft_wrap=True)
    if proof.remade:
        console.print(f"note: {proof.remade} times the rest of a stop's fixes was made after a start", soft_wrap=True)
    if proof.cut_off:
        console.print(f"note: {len(proof.cut_off)} fixes were due when the journal ended", soft_wrap=True)
    for own in proof.by_hand[:MAX_DIFFERENCES]:
        fix = own.command
        told = f"{format_micro(fix.price_micro)} {fix.grade}, {fix.instrument}, {fix.inputs_hash}"
        console.print(f"note: set by hand in {own.seq}: {escape(told)}", soft_wrap=True)
    if len(proof.by_hand) > MAX_DIFFERENCES:
        console.print(f"and {len(proof.by_hand) - MAX_DIFFERENCES:,} more set by hand: --json has all")
    if not proof.differences:
        rest = f"; {len(proof.by_hand):,} were set by hand" if proof.by_hand else ""
        console.print(f"[green]all {proof.proven:,} published fixes follow from the journal[/]{rest}")
        return
    table = Table("seq", "instrument", "differs", "published", "recomputed")
    for each in proof.differences[:MAX_DIFFERENCES]:
        what = ", ".join(each.what)
        table.add_row(str(each.seq), escape(each.instrument), what, _line(each.published), _line(each.recomputed))
    console.print(table)
    if len(proof.differences) > MAX_DIFFERENCES:
        console.print(f"and {len(proof.differences) - MAX_DIFFERENCES:,} more: --json has all")
    console.print(f"[red]{len(proof.differences):,} differ, {proof.proven:,} follow from the journal[/]")


def _line(command: SetFix | None) -> str:
    return f"{format_micro(command.price_micro)} {command.grade} {command.inputs_hash[:8]}" if command else "-"


def explained(work: Work, venue: Venue) -> dict[str, Any]:
    """One fix with its inputs, as an object; `counted_lots` are the lots after the cap, in decimal."""
    inputs, found = work.inputs, work.found
    return {
        "instrument": inputs.instrument, **(_fix(work.command) or {}), "method": found.method,
        "gate": format_time(inputs.gate_ns), "tick": format_micro(inputs.tick_micro),
        "min_lots": inputs.min_lots, "half_spread_ppm": inputs.half_spread_ppm, "best_ask": _ticks(inputs.own.ask_ticks, work),
        "pairs": _pairs(work, venue), "trades": _trades(work, venue),
        "curve": [
            {"hour": hour.offset, "best_ask": _ticks(hour.ask_ticks, work),
             "shift_ppm": shift_ppm(inputs.own.ask_ticks, hour.ask_ticks), "trades": len(hour.prints)}
            for hour in inputs.nearby
        ],
        "index": {
            "previous_fix": format_micro(inputs.previous_micro), "level_then": inputs.previous_level, "level_now": inputs.level,
        },
    }  # fmt: skip


def _ticks(ticks: int, work: Work) -> str:
    return format_micro(ticks * work.inputs.tick_micro) if ticks else ""


def _pairs(work: Work, venue: Venue) -> list[dict[str, Any]]:
    """Each pair of firms: lots, lots that count after the cap, and its share of all weight."""
    used, total = work.found.used, sum(weight for _, weight in work.found.used)
    weight_of: dict[tuple[int, int], int] = {}
    for told, weight in used:
        weight_of[told.pair] = weight_of.get(told.pair, 0) + weight
    lots = lots_of_pairs([told for told, _ in used])
    return [
        {
            "firms": [venue.state.firms[number] for number in pair], "lots": lots[pair],
            "counted_lots": _counted(weight_of[pair], work), "share_ppm": div_half_even(weight_of[pair] * PPM, total),
        }
        for pair in sorted(lots, key=lambda each: (-lots[each], each))
    ]  # fmt: skip


def _counted(weight: int, work: Work) -> str:
    """Lots after the cap, to a thousandth."""
    return format_scaled(div_half_even(weight * 1000, work.found.weight_of_lot), 1000, 0)


def _trades(work: Work, venue: Venue) -> list[dict[str, Any]]:
    """Every trade that counts, cheapest first, with the share of all weight up to and with it."""
    firms, total, run, told = venue.state.firms, sum(weight for _, weight in work.found.used), 0, []
    for print_, weight in work.found.used:
        run += weight
        told.append({
            "obligation_id": print_.number, "time": format_time(print_.time_ns // NS_PER_SECOND * NS_PER_SECOND),
            "price": _ticks(print_.price_ticks, work), "lots": print_.lots,
            "buyer": firms[print_.buyer_firm], "seller": firms[print_.seller_firm],
            "counted_lots": _counted(weight, work), "run_ppm": div_half_even(run * PPM, total),
        })  # fmt: skip
    return told


def show_explained(work: Work, venue: Venue) -> None:
    """One fix as tables, so that it can be worked out again by hand."""
    from rich.markup import escape
    from rich.table import Table

    console, told, zone = _console(), explained(work, venue), venue_time(venue.now_ns, venue.settings.time_zone).zone
    console.print(f"{escape(told['instrument'])}: {told['price']} yuan a card-hour, grade {told['grade']}", soft_wrap=True)
    console.print(f"  by {METHODS[told['method']]}")
    console.print(f"  gate {_local(told['gate'], zone)}, tick {told['tick']}, at least {told['min_lots']} lots", soft_wrap=True)
    console.print(f"  hash of the inputs {told['inputs_hash']}", soft_wrap=True)
    if told["pairs"]:
        table = Table("firms", "lots", "counted lots", "share", title="pairs: none has more than a third", title_justify="left")
        for pair in told["pairs"]:
            firms = escape(" + ".join(pair["firms"]))
            table.add_row(firms, str(pair["lots"]), pair["counted_lots"], _percent(pair["share_ppm"]))
        console.print(table)
        title = "trades: the fix is the first price at which the run reaches 50 %"
        columns = ("price", "lots", "counted lots", "run", "buyer", "seller", "time", "obligation")
        table = Table(*columns, title=title, title_justify="left")
        for trade in told["trades"]:
            table.add_row(
                trade["price"], str(trade["lots"]), trade["counted_lots"], _percent(trade["run_ppm"]), escape(trade["buyer"]),
                escape(trade["seller"]), _local(trade["time"], zone), str(trade["obligation_id"]),
            )  # fmt: skip
        console.print(table)
    if told["method"] in ("neighbours", "ask", "index", "thin"):
        console.print(f"  best ask of this hour: {told['best_ask'] or 'none'}; half-spread {told['half_spread_ppm']} ppm")
    if told["method"] == "neighbours":
        table = Table("hour", "best ask", "prices x", "trades", title="the curve", title_justify="left")
        for hour in told["curve"]:
            factor = format_scaled(hour["shift_ppm"], PPM, 2)
            table.add_row(f"{hour['hour']:+d}", hour["best_ask"] or "none", factor, str(hour["trades"]))
        console.print(table)
    if told["method"] == "index":
        index = told["index"]
        console.print(f"  {index['previous_fix']} x {index['level_now']} / {index['level_then']}, to the nearest tick")


def _local(text: str, zone: tzinfo) -> str:
    """A time as the venue's people read it; the object for programs has it in UTC."""
    return datetime.fromisoformat(text).astimezone(zone).isoformat(sep=" ", timespec="seconds")


def _percent(ppm: int) -> str:
    return f"{format_scaled(div_half_even(ppm, 100), 100, 2)} %"


def _console() -> Console:
    """As wide as the terminal; in a pipe as wide as its content, so that no hash and no name is broken."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=NO_LIMIT, no_color=True, force_terminal=False)
