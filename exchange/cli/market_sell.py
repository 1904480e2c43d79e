"""`cpx sell`: hours of one's own cards become an offer, after a plan and a yes."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

import typer

from exchange.cli.market import (
    TAKEN,
    AsJson,
    Explain,
    Market,
    Participant,
    Secret,
    Url,
    Yes,
    amount,
    ask_leave,
    decimal_text,
    market,
    print_json,
    print_table,
    show_repeat,
    typed_again,
)
from exchange.cli.market_buy import new_id, wire
from exchange.cli.moments import moment, shown
from exchange.cli.running import NO_INPUT, USAGE, fail, note

sell_command = typer.Typer(add_completion=False)
MAX_DAYS = 31


@sell_command.command()
def sell(
    ctx: typer.Context,
    cards: str = typer.Argument(..., metavar="CARDS", help="How many cards."),
    site: str = typer.Option(..., help="Your site they stand in."),
    chip: str = typer.Option(..., help="Which chip."),
    start: str = typer.Option(..., "--from", help="First hour: 22:00, +3h, tomorrow, 2026-11-24T22:00:00+08:00."),
    end: str = typer.Option(..., "--to", help="End: a time of day is the next one after --from."),
    price: str = typer.Option(..., help="Yuan per card-hour."),
    latency_class: str = typer.Option("BE", "--class", help="L1, L5, L7, L10 or BE."),
    power: str = typer.Option("grid", help="grid or green."),
    min_cards: str | None = typer.Option(None, help="Sell no fewer at once.", show_default=False),
    min_hours: str | None = typer.Option(None, help="Sell no shorter.", show_default=False),
    unbroken: bool = typer.Option(False, "--unbroken", help="Also for tasks that cannot be interrupted (BB1)."),
    days: int = typer.Option(1, min=1, max=MAX_DAYS, help="The same window on so many days, one offer each."),
    name: str | None = typer.Option(None, "--id", help="Your own id; safe to send twice.", show_default=False),
    participant: Participant = None,
    yes: Yes = False,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Offer cards of a site over a window of hours: shows the plan, asks, then places the offer.

    Selling binds: what is bought must be delivered, and margin is locked for it.

    Example: cpx sell 128 --site zw-1 --chip A910B --from 22:00 --to 06:00 --price 5.20 --days 5
    """
    with market(url, key, explain) as venue:
        terms: dict[str, Any] = {
            "site": site, "chip": chip, "latency_class": latency_class, "power": power,
            "cards": decimal_text("CARDS", cards), "price": decimal_text("--price", price, "yuan"),
            "min_cards": None if min_cards is None else decimal_text("--min-cards", min_cards),
            "min_hours": None if min_hours is None else decimal_text("--min-hours", min_hours, "h"),
            "indivisible_ok": unbroken or None, "participant": participant,
        }  # fmt: skip
        windows = _windows(venue, start, end, days)
        _check_site(venue, site, participant)
        _show_plan(venue, terms, windows, to_stderr=as_json)
        ask_leave(yes, "offer this?", "nothing was offered")
        first_id = name or new_id("cli")
        begin, finish = (when.isoformat() for when in windows[0])
        show_repeat("this offers", typed_again(ctx, "sell", name=first_id, start=begin, end=finish))
        _place(venue, first_id, windows, terms, as_json)
        if not as_json:
            venue.suggest("offers", "--status", "open", participant=participant)


def _place(
    venue: Market, first_id: str, windows: list[tuple[datetime, datetime]], terms: dict[str, Any], as_json: bool
) -> None:
    """One offer after the other; the first that is refused ends it, after those that stand are told."""
    from clients.errors import DuplicateId

    done: list[dict[str, Any]] = []
    try:
        for place, (first, last) in enumerate(windows):
            offer_id = first_id if place == 0 else f"{first_id}.{place + 1}"
            try:
                ack = venue.ask("place_offer", offer_id=offer_id, start=wire(first), end=wire(last), **terms)
            except DuplicateId:
                _end_taken(venue, offer_id, terms["participant"])
            done.append({"offer_id": offer_id, "ack": ack})
            if not as_json:
                again = " (the answer of the first time; nothing more was offered)" if ack["replayed"] else ""
                typer.echo(f"{offer_id}: {ack['status'].lower()}{again}")
    finally:  # also where one of them fails: those before it stand
        if as_json:
            print_json("sell", items=done)
        if len(done) < len(windows) > 1:
            note(f"{len(done)} of {len(windows)} offers were placed; what comes behind the one below was not sent")


def _end_taken(venue: Market, offer_id: str, participant: str | None) -> NoReturn:
    """What an id that is taken stands for, and the exit code of that; another id might offer the same cards twice."""
    rows = [row for row in venue.rows("offers", 100_000, participant=participant) if row["offer_id"] == offer_id]
    if not rows:
        fail(f"{offer_id} was refused before with other terms: nothing was offered, then or now; see ./cpx offers", TAKEN)
    row = rows[0]
    what = f"{row['cards']} x {row['chip']} of {row['site']} over {row['periods']} periods"
    sold = f"{row['status']}, {row['sold_card_hours']} card-hours sold"
    fail(f"{offer_id} is an offer of yours already, with other terms: {what} ({sold}); nothing more was offered", TAKEN)


def _windows(venue: Market, start: str, end: str, days: int) -> list[tuple[datetime, datetime]]:
    """(first, end) of every offer: whole delivery periods, exit code 2 where they are not."""
    at = venue.time
    first = moment(start, at, "--from").astimezone(at.zone)
    last = moment(end, at, "--to", after=first).astimezone(at.zone)
    minutes = venue.venue["period_min"]
    for option, when in (("--from", first), ("--to", last)):
        if (when.hour * 60 + when.minute) % minutes or when.second or when.microsecond:
            fail(f"{option} {when:%H:%M:%S}: delivery goes in periods of {minutes} minutes, give their start", USAGE)
    if last <= first:
        fail(f"the window ends ({last:%m-%d %H:%M}) before it starts ({first:%m-%d %H:%M})", USAGE)
    if days > 1 and last - first > timedelta(days=1):
        fail("--days repeats a window of at most one day", USAGE)
    return [(first + timedelta(days=day), last + timedelta(days=day)) for day in range(days)]


def _check_site(venue: Market, site: str, participant: str | None) -> None:
    """Exit code 66 with the sites there are, before anybody thinks about a plan for another one."""
    names = [row["site"] for row in venue.rows("sites", 1000, participant=participant)]
    if site not in names:
        fail(f"{site} is no site of yours: {', '.join(names[:20]) or 'you have none, ask the operator'}", NO_INPUT)


def _show_plan(venue: Market, terms: dict[str, Any], windows: list[tuple[datetime, datetime]], *, to_stderr: bool) -> None:
    at = venue.time
    hours = sum(((last - first) / timedelta(hours=1) for first, last in windows), 0.0)
    card_hours = Decimal(terms["cards"]) * Decimal(round(hours * 60)) / 60
    rows = [
        ("what", f"{terms['cards']} x {terms['chip']} of {terms['site']}, {terms['latency_class']}, {terms['power']}"),
        *[("when", f"{shown(wire(first), at)} to {shown(wire(last), at)}") for first, last in windows],
        ("card-hours", f"{card_hours:f}"),
        ("if all is sold, yuan, before shares", amount(f"{card_hours * Decimal(terms['price']):.2f}")),
    ]  # fmt: skip
    print_table("plan: an offer", ("", ""), rows, to_stderr=to_stderr)
