"""`cpx preview`, `buy`, `cancel`: a need becomes a plan, the plan a task; nothing is spent without a yes."""

from __future__ import annotations

import secrets
from datetime import UTC
from typing import Annotated, Any

import typer

from exchange.cli.market import (
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
    suggest,
)
from exchange.cli.moments import moment, shown
from exchange.cli.running import NO_INPUT, USAGE, fail, note
from exchange.projections.words import reason_in_words

preview_command = typer.Typer(add_completion=False)
buy_command = typer.Typer(add_completion=False)
cancel_command = typer.Typer(add_completion=False)

Cards = Annotated[str, typer.Argument(metavar="CARDS", help="How many cards at the same time.")]
Chips = Annotated[str, typer.Option("--chip", help="Accepted chips, best first: A910B,H800; with speeds: A910B,H800:1.8.")]
Hours = Annotated[str, typer.Option("--hours", help="For how many hours.")]
Deadline = Annotated[str, typer.Option("--deadline", help="When it must be done: +2d, 22:00, 2026-11-24T12:00:00+08:00.")]
Start = Annotated[str | None, typer.Option("--start", help="Not before; by default now.", show_default=False)]
Access = Annotated[str, typer.Option("--access", help="Region from which it is used.")]
Latency = Annotated[str | None, typer.Option("--latency", help="Round trip at most, ms.", show_default=False)]
Cap = Annotated[str | None, typer.Option("--cap", help="At most so many yuan per card-hour, delivered.", show_default=False)]
Budget = Annotated[str | None, typer.Option("--budget", help="Instead of --cap: yuan in all at most.", show_default=False)]
Lane = Annotated[str, typer.Option("--lane", help="standard, economy or emergency.")]
Shape = Annotated[str, typer.Option("--shape", help="block: all cards at once; bulk: card-hours whenever they are cheap.")]
DataGb = Annotated[str | None, typer.Option("--data", help="GB to move to the site.", show_default=False)]
DataRegion = Annotated[str | None, typer.Option("--data-region", help="Where the data lie.", show_default=False)]
Regions = Annotated[str | None, typer.Option("--regions", help="Only these host regions: a,b.", show_default=False)]
Green = Annotated[str | None, typer.Option("--green", help="Share of green power at least, 0 to 1.", show_default=False)]


@preview_command.command()
def preview(
    cards: Cards,
    chips: Chips = "",
    hours: Hours = "1",
    deadline: Deadline = "+1d",
    start: Start = None,
    access: Access = "",
    latency: Latency = None,
    cap: Cap = None,
    budget: Budget = None,
    lane: Lane = "standard",
    shape: Shape = "block",
    data: DataGb = None,
    data_region: DataRegion = None,
    regions: Regions = None,
    green: Green = None,
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """What a need would get now and what it would cost, or why nothing fits and what would; nothing is booked.

    Example: cpx preview 64 --chip A910B,H800 --hours 6 --deadline +2d --access hubei-wuhan --latency 10 --cap 8.50
    """
    with market(url, key, explain) as venue:
        terms = _terms(
            venue, cards, chips, hours, deadline, start, access, latency, cap, budget, lane, shape, data, data_region,
            regions, green, participant,
        )  # fmt: skip
        quote = venue.ask("preview_task", client_order_id=new_id("preview"), **terms)
        if as_json:
            print_json("preview", quote=quote)
            return
        _show_quote(venue, quote, to_stderr=False)
        if quote["fills"]:
            suggest("buy", *_typed(cards, chips, hours, deadline, access, latency, cap, budget))


@buy_command.command()
def buy(
    cards: Cards,
    chips: Chips = "",
    hours: Hours = "1",
    deadline: Deadline = "+1d",
    start: Start = None,
    access: Access = "",
    latency: Latency = None,
    cap: Cap = None,
    budget: Budget = None,
    lane: Lane = "standard",
    shape: Shape = "block",
    data: DataGb = None,
    data_region: DataRegion = None,
    regions: Regions = None,
    green: Green = None,
    instrument: str | None = typer.Option(
        None, "--instrument", help="A plain bid in one book at --cap instead of a task; rests until filled.", show_default=False
    ),
    name: str | None = typer.Option(None, "--id", help="Your own id; safe to send twice.", show_default=False),
    participant: Participant = None,
    yes: Yes = False,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Buy computing power: shows the plan, asks, then buys now, or waits as long as the deadline lets it.

    Examples: cpx buy 64 --chip A910B,H800 --hours 6 --deadline +2d --access hubei-wuhan --latency 10 --cap 8.50
    cpx buy 8 --instrument A910B/gansu-qingyang/L10/grid/20261124T08 --cap 5.20 --yes
    """
    with market(url, key, explain) as venue:
        order_id = name or new_id("cli")
        if instrument is not None:
            _bid(venue, cards, instrument, cap, order_id, participant, yes, as_json)
            return
        terms = _terms(
            venue, cards, chips, hours, deadline, start, access, latency, cap, budget, lane, shape, data, data_region,
            regions, green, participant,
        )  # fmt: skip
        quote = venue.ask("preview_task", client_order_id=order_id, **terms)
        if not as_json:
            _show_quote(venue, quote, to_stderr=False)
        wait = f"let it wait and hold {amount(quote['hold'])} yuan?"
        ask_leave(yes, f"buy for {amount(quote['total'])} yuan?" if quote["fills"] else wait, "nothing was bought")
        note(f"id {order_id}: the same command with --id {order_id} buys nothing twice")
        ack = venue.ask("submit_task", client_order_id=order_id, **terms)
        if as_json:
            print_json("buy", client_order_id=order_id, quote=quote, ack=ack)
            return
        typer.echo(f"{order_id}: {ack['status'].lower()}")
        _show_fills(ack)
        suggest(*(("leases",) if ack["status"] == "FILLED" else ("tasks",)))


def _bid(
    venue: Market, cards: str, instrument: str, cap: str | None, order_id: str, participant: str | None, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """A plain order in one book."""
    if cap is None:
        fail("a bid needs its price: give --cap, yuan per card-hour", USAGE)
    terms = {
        "instrument": instrument, "price": decimal_text("--cap", cap, "yuan"), "cards": decimal_text("CARDS", cards),
        "participant": participant,
    }  # fmt: skip
    depth = venue.ask("depth", instrument=instrument, levels=3)
    if not as_json:
        asks = ", ".join(f"{size} at {price}" for price, size in depth["asks"]) or "none"
        row = (instrument, terms["cards"] or "", terms["price"] or "", asks)
        print_table("plan: a bid in one book", ("instrument", ">cards", ">yuan/card-h", "asks now"), [row])
    ask_leave(yes, f"bid for {cards} cards at {cap}?", "nothing was bought")
    note(f"id {order_id}: the same command with --id {order_id} buys nothing twice")
    ack = venue.ask("place_order", client_order_id=order_id, **terms)
    if as_json:
        print_json("buy", client_order_id=order_id, quote=None, ack=ack)
        return
    typer.echo(f"{order_id}: {ack['status'].lower()}")
    _show_fills(ack)
    suggest("cancel", order_id)


def _terms(
    venue: Market, cards: str, chips: str, hours: str, deadline: str, start: str | None, access: str, latency: str | None,
    cap: str | None, budget: str | None, lane: str, shape: str, data: str | None, data_region: str | None,
    regions: str | None, green: str | None, participant: str | None,
) -> dict[str, Any]:  # fmt: skip
    """The options as arguments of the exchange; a missing or wrong one ends with exit code 2."""
    if not chips or not access:
        fail("a task needs --chip and --access (or a bid: --instrument and --cap); see --help", USAGE)
    if (cap is None) == (budget is None):
        fail("say what it may cost: --cap (yuan per card-hour) or --budget (yuan in all), one of them", USAGE)
    at = venue.time
    numbers = {
        "max_latency_ms": ("--latency", latency, "ms"), "price_cap": ("--cap", cap, "yuan"),
        "budget": ("--budget", budget, "yuan"), "data_gb": ("--data", data, "gb"), "min_green": ("--green", green, ""),
    }  # fmt: skip
    given = {field: decimal_text(option, text, unit) for field, (option, text, unit) in numbers.items() if text is not None}
    return {
        "access_region": access, "chips": [_chip(text) for text in chips.split(",") if text],
        "cards": decimal_text("CARDS", cards), "hours": decimal_text("--hours", hours, "h"),
        "deadline": wire(moment(deadline, at, "--deadline")),
        "earliest_start": None if start is None else wire(moment(start, at, "--start")),
        "lane": lane, "shape": shape, "data_region": data_region,
        "allowed_regions": None if regions is None else [text for text in regions.split(",") if text],
        "participant": participant, **given,
    }  # fmt: skip


def _chip(text: str) -> dict[str, str]:
    """A910B or A910B:1.8."""
    code, _, factor = text.partition(":")
    return {"chip": code, "factor": decimal_text("--chip", factor)} if factor else {"chip": code}


def wire(when: Any) -> str:
    """A time as the exchange takes it."""
    text: str = when.astimezone(UTC).isoformat()
    return text.replace("+00:00", "Z")


def new_id(prefix: str) -> str:
    """An id that nobody has used."""
    return f"{prefix}-{secrets.token_hex(6)}"


def _typed(
    cards: str, chips: str, hours: str, deadline: str, access: str, latency: str | None, cap: str | None, budget: str | None
) -> list[str]:
    words = [cards, "--chip", chips, "--hours", hours, "--deadline", deadline, "--access", access]
    for option, text in (("--latency", latency), ("--cap", cap), ("--budget", budget)):
        words += [option, text] if text else []
    return words


def _show_quote(venue: Market, quote: dict[str, Any], *, to_stderr: bool) -> None:
    """The plan: where, when, for how much; or the reason, and per dimension what would do."""
    at = venue.time
    if quote["fills"]:
        rows = [
            ("where", f"{quote['site'] or 'several sites'}   {quote['instrument']}"),
            ("when", f"{shown(quote['start'], at)} to {shown(quote['end'], at)}"),
            ("what", (f"{quote['cards']} cards, " if quote["cards"] else "") + f"{quote['card_hours']} card-hours"),
            ("compute", amount(quote["compute"])), ("moving data", amount(quote["moving"])), ("fee", amount(quote["fee"])),
            ("total, yuan", amount(quote["total"])), ("per card-hour, delivered, without fee", quote["per_card_hour"]),
        ]  # fmt: skip
    else:
        rows = [("not now", f"{reason_in_words(quote['why_not'])} ({quote['why_not']})"), ("what binds", quote["binding"])]
        rows += [
            (f"{found['dimension']} {found['change']} would do", f"{amount(found['delivered'])} yuan   {found['instrument']}")
            for found in quote["relaxations"]
        ]
    rows += [("held while it waits, yuan", amount(quote["hold"])), ("your free cash, yuan", amount(quote["free"]))]
    print_table("plan (indicative: the market moves on)", ("", ""), rows, to_stderr=to_stderr)


def _show_fills(ack: dict[str, Any]) -> None:
    fills = [event for event in ack["events"] if event.get("type") == "fill" and event.get("side") == "buy"]
    if fills:
        columns = ("site", "instrument", ">cards", ">price", ">cost", ">fee")
        rows = [(f["site"], f["instrument"], f["cards"], f["price"], f["cost"], f["fee"]) for f in fills]
        print_table("bought", columns, rows)


# --- the way out ---


@cancel_command.command()
def cancel(
    name: str | None = typer.Argument(None, metavar="ID", help="Your id of a waiting task, a live order or an open offer."),
    everything: bool = typer.Option(False, "--all", help="All waiting tasks and live orders; offers stay."),
    participant: Participant = None,
    yes: Yes = False,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Take back what has not traded yet: a task, an order or an offer; what was bought stays bought.

    Examples: cpx cancel train-042    cpx cancel --all --yes
    """
    if (name is None) == (not everything):
        fail("say what: an ID, or --all", USAGE)
    with market(url, key, explain) as venue:
        targets = _targets(venue, name, participant)
        if everything and targets:
            ask_leave(yes, f"cancel {len(targets)} of them?", "nothing was canceled")
        done = []
        for operation, field, reference in targets:
            send = venue.attempt if everything else venue.ask
            ack = send(operation, **{field: reference}, participant=participant)
            done.append({"operation": operation, "id": reference, "ack": ack})
            if not as_json:
                is_refused = ack["status"] in ("REJECTED", "DENIED")
                typer.echo(f"{reference}: " + (f"not canceled: {ack['message']}" if is_refused else ack["status"].lower()))
        if as_json:
            print_json("cancel", items=done)
        elif not done:
            note("nothing waits and nothing is live")


def _targets(venue: Market, name: str | None, participant: str | None) -> list[tuple[str, str, str]]:
    """(operation, name of its id, id) of what can be taken back; exit code 66 where an id names nothing that is open."""
    kinds = (
        ("tasks", "waiting", "cancel_task", "client_order_id"), ("orders", "live", "cancel_order", "client_order_id"),
        ("offers", "open", "withdraw_offer", "offer_id"),
    )  # fmt: skip
    found = []
    for listing, status, operation, field in kinds if name is not None else kinds[:2]:
        rows = venue.rows(listing, 100_000, status=status, participant=participant)
        found += [(operation, field, row[field]) for row in rows if name in (None, row[field])]
    if name is not None and not found:
        fail(f"nothing of yours under the id {name!r} waits or is open: see ./cpx tasks, orders, offers", NO_INPUT)
    return found
