"""`cpx sell`: hours of one's own cards become offers, after a plan and a yes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
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
from exchange.cli.market_terms import exactly, new_id, spread
from exchange.cli.market_windows import Terms, When, card_hours, pieces_of, rows_of
from exchange.cli.moments import shown
from exchange.cli.running import NO_INPUT, USAGE, fail, note

sell_command = typer.Typer(add_completion=False)
SHOWN = 12  # offers that a plan names one by one


@sell_command.command()
@spread
def sell(
    ctx: typer.Context,
    when: When,
    cards: str | None = typer.Argument(None, metavar="CARDS", help="How many cards."),
    site: str | None = typer.Option(None, "--site", help="Your site they stand in.", show_default=False),
    chip: str | None = typer.Option(None, "--chip", help="Which chip.", show_default=False),
    latency_class: str = typer.Option("BE", "--class", help="L1, L5, L7, L10 or BE."),
    power: str = typer.Option("grid", "--power", help="grid or green."),
    min_cards: str | None = typer.Option(None, "--min-cards", help="Sell no fewer at once.", show_default=False),
    min_hours: str | None = typer.Option(None, "--min-hours", help="Sell no shorter.", show_default=False),
    unbroken: bool = typer.Option(False, "--unbroken", help="Also for tasks that cannot be interrupted (BB1)."),
    standby: bool = typer.Option(False, "--standby", help="What is unsold at the gate stays for emergency tasks (EM1)."),
    notice_min: int = typer.Option(0, "--notice-min", min=0, help="Not sold later than so many minutes before the hour."),
    file: Path | None = typer.Option(
        None, "--csv", metavar="FILE", help="Take the offers from an offers.csv instead.", show_default=False
    ),
    row: str | None = typer.Option(None, "--row", help="Only this offer_id of the file.", show_default=False),
    name: str | None = typer.Option(None, "--id", help="Your own id; safe to send twice.", show_default=False),
    participant: Participant = None,
    yes: Yes = False,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Offer cards of a site over a window of hours, or until you withdraw them: shows the plan, asks, then offers.

    Selling binds: what is bought must be delivered, and margin is locked for it.

    Examples: cpx sell 128 --site zw-1 --chip A910B --from 22:00 --to 06:00 --price 5.20 --days 5
    cpx sell 128 --site zw-1 --chip A910B --daily 00-08=6.20,20-24=7.00
    cpx sell 64 --site zw-1 --chip H800 --standing --base 2.00 --watts 700 --standby    cpx sell --csv offers.csv
    """
    with market(url, key, explain) as venue:
        if file is not None:
            offers = _of_file(venue, ctx, file, row)
        else:
            common: Terms = {
                "site": site, "chip": chip, "latency_class": latency_class, "power": power,
                "cards": None if cards is None else decimal_text("CARDS", cards),
                "min_cards": None if min_cards is None else decimal_text("--min-cards", min_cards),
                "min_hours": None if min_hours is None else decimal_text("--min-hours", min_hours, "h"),
                "indivisible_ok": unbroken or None, "standby": standby or None, "notice_min": notice_min or None,
            }  # fmt: skip
            missing = [word for word, value in (("CARDS", cards), ("--site", site), ("--chip", chip)) if value is None]
            if missing or row is not None:
                fail(f"an offer needs {', '.join(missing) or '--csv with --row'}, or a file: --csv; see --help", USAGE)
            first_id = name or new_id("cli")
            pieces = pieces_of(venue, when)
            offers = {first_id if n == 0 else f"{first_id}.{n + 1}": {**common, **each} for n, each in enumerate(pieces)}
        _check_sites(venue, offers, participant)
        _show_plan(venue, offers, to_stderr=as_json)
        ask_leave(yes, "offer this?" if len(offers) == 1 else f"make these {len(offers)} offers?", "nothing was offered")
        show_repeat("this offers", _again(venue, ctx, when, offers, is_file=file is not None))
        _place(venue, offers, participant, as_json)
        if not as_json:
            venue.suggest("offers", "--status", "open", participant=participant)


def _of_file(venue: Market, ctx: typer.Context, file: Path, row: str | None) -> dict[str, Terms]:
    """The offers of a file, which says all of them."""
    allowed = {"file", "row", "participant", "yes", "url", "key", "as_json", "explain"}
    others = [
        option.opts[0] for option in ctx.command.params
        if option.name not in allowed and ctx.params.get(option.name or "") not in (None, False, option.default)
    ]  # fmt: skip
    if others:
        fail(f"--csv says all of the offers: leave {', '.join(others)} out, or write it into the file", USAGE)
    return rows_of(venue, file, row)


def _again(
    venue: Market, ctx: typer.Context, when: When, offers: dict[str, Terms], *, is_file: bool
) -> list[str]:
    """The same command with its id, and with moments instead of times from now on."""
    if is_file:
        return typed_again(ctx, "sell")
    first_id, first = next(iter(offers.items()))
    moments = {"start": exactly(first["start"], venue.time)}
    if when.end is not None and when.daily is None and first["end"]:
        moments["end"] = exactly(first["end"], venue.time)
    return typed_again(ctx, "sell", name=first_id, **moments)


def _place(venue: Market, offers: dict[str, Terms], participant: str | None, as_json: bool) -> None:
    """One offer after the other; the first that is refused ends it, after those that stand are told."""
    from clients.errors import DuplicateId

    done: list[dict[str, Any]] = []
    try:
        for offer_id, terms in offers.items():
            try:
                ack = venue.ask("place_offer", offer_id=offer_id, participant=participant, **terms)
            except DuplicateId:
                _end_taken(venue, offer_id, participant)
            done.append({"offer_id": offer_id, "ack": ack})
            if not as_json:
                again = " (the answer of the first time; nothing more was offered)" if ack["replayed"] else ""
                typer.echo(f"{offer_id}: {ack['status'].lower()}{again}")
    finally:  # also where one of them fails: those before it stand
        if as_json:
            print_json("sell", items=done)
        if len(done) < len(offers) > 1:
            note(f"{len(done)} of {len(offers)} offers were placed; what comes behind the one below was not sent")


def _end_taken(venue: Market, offer_id: str, participant: str | None) -> NoReturn:
    """What an id that is taken stands for, and the exit code of that; another id might offer the same cards twice."""
    rows = [row for row in venue.rows("offers", 100_000, participant=participant) if row["offer_id"] == offer_id]
    if not rows:
        fail(f"{offer_id} was refused before with other terms: nothing was offered, then or now; see ./cpx offers", TAKEN)
    row = rows[0]
    what = f"{row['cards']} x {row['chip']} of {row['site']} over {row['periods']} periods"
    sold = f"{row['status']}, {row['sold_card_hours']} card-hours sold"
    fail(f"{offer_id} is an offer of yours already, with other terms: {what} ({sold}); nothing more was offered", TAKEN)


def _check_sites(venue: Market, offers: dict[str, Terms], participant: str | None) -> None:
    """Exit code 66 with the sites there are, before anybody thinks about a plan for another one."""
    names = [row["site"] for row in venue.rows("sites", 1000, participant=participant)]
    for terms in offers.values():
        if terms["site"] not in names:
            known = ", ".join(names[:20]) or "you have none, ask the operator"
            fail(f"{terms['site']} is no site of yours: {known}", NO_INPUT)


# --- the plan ---


def _show_plan(venue: Market, offers: dict[str, Terms], *, to_stderr: bool) -> None:
    at, minutes = venue.time, venue.venue["period_min"]
    rows: list[tuple[str, str]] = []
    first = next(iter(offers.values()))
    is_one_thing = all(_what(each) == _what(first) for each in offers.values())
    if is_one_thing:
        rows.append(("what", _what(first)))
    is_one_price = is_one_thing and all(_price(each) == _price(first) for each in offers.values())
    if is_one_price and not first.get("period_prices"):
        rows.append(("price", _price(first)))
    for offer_id, terms in list(offers.items())[:SHOWN]:
        begin = shown(terms["start"], at)
        span = f"{begin} to {shown(terms['end'], at)}" if terms.get("end") else f"from {begin} until you withdraw it"
        rows.append(("when" if is_one_thing else offer_id, span if is_one_thing else f"{_what(terms)}: {span}"))
        if terms.get("period_prices") or not is_one_price:
            rows.append(("price", _price(terms)))
    if len(offers) > SHOWN:
        rows.append(("and", f"{len(offers) - SHOWN} more offers"))
    known = [found for each in offers.values() if (found := card_hours(each, minutes)) is not None]
    if len(known) == len(offers):
        hours, yuan = (sum((each[n] for each in known), Decimal(0)) for n in (0, 1))
        rows.append(("card-hours", f"{hours:f}"))
        rows.append(("if all is sold, yuan, before shares", amount(f"{yuan:.2f}")))
    print_table("plan: an offer" if len(offers) == 1 else f"plan: {len(offers)} offers", ("", ""), rows, to_stderr=to_stderr)


def _what(terms: Terms) -> str:
    more = [f"at least {terms['min_cards']} cards"] if terms.get("min_cards") else []
    more += [f"at least {terms['min_hours']} h"] if terms.get("min_hours") else []
    more += ["standby"] if terms.get("standby") else []
    cards = f"{terms['cards']} x {terms['chip']} of {terms['site']}"
    return ", ".join((cards, terms["latency_class"], terms.get("power") or "grid", *more))


def _price(terms: Terms) -> str:
    if terms.get("watts_per_card"):
        return f"{terms.get('price_base') or '0'} + {terms['watts_per_card']} W x the region's power price, yuan per card-hour"
    if not terms.get("period_prices"):
        return f"{terms['price']} yuan per card-hour"
    prices = [Decimal(price) for price in terms["period_prices"] if Decimal(price)]
    hours = "hours of the day" if terms.get("end") is None else "periods"
    return f"{min(prices)} to {max(prices)} yuan per card-hour in {len(prices)} {hours}"
