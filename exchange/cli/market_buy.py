"""`cpx preview`, `buy`, `cancel`: a need becomes a plan, the plan a task; nothing is spent without a yes."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, NoReturn

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
from exchange.cli.moments import VenueTime, moment, shown
from exchange.cli.running import DATA_ERROR, NO_INPUT, USAGE, fail, note
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
    ctx: typer.Context,
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
        _show_quote(venue, terms, quote, to_stderr=False)
        if quote["fills"]:
            venue.suggest(*typed_again(ctx, "buy", leave_out=("url",), **_absolute(terms, venue.time)))


@buy_command.command()
def buy(
    ctx: typer.Context,
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
            _bid(ctx, venue, cards, instrument, cap, order_id, participant, yes, as_json)
            return
        terms = _terms(
            venue, cards, chips, hours, deadline, start, access, latency, cap, budget, lane, shape, data, data_region,
            regions, green, participant,
        )  # fmt: skip
        if name is not None and _is_of_another_time(venue, name, terms):
            _end_taken(venue, name, participant, None, as_json)
        quote = venue.ask("preview_task", client_order_id=order_id, **terms)
        _show_quote(venue, terms, quote, to_stderr=as_json)
        wait = f"let it wait and hold {amount(quote['hold'])} yuan?"
        ask_leave(yes, f"buy for {amount(quote['total'])} yuan?" if quote["fills"] else wait, "nothing was bought")
        show_repeat("this buys", typed_again(ctx, "buy", name=order_id, **_absolute(terms, venue.time)))
        ack = _send(venue, "submit_task", order_id, terms, quote, as_json)
        if ack is not None:
            venue.suggest("leases" if ack["status"] == "FILLED" else "tasks", participant=participant)


def _bid(
    ctx: typer.Context, venue: Market, cards: str, instrument: str, cap: str | None, order_id: str,
    participant: str | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """A plain order in one book."""
    if cap is None:
        fail("a bid needs its price: give --cap, yuan per card-hour", USAGE)
    terms = {
        "instrument": instrument, "price": decimal_text("--cap", cap, "yuan"), "cards": decimal_text("CARDS", cards),
        "participant": participant,
    }  # fmt: skip
    depth = venue.ask("depth", instrument=instrument, levels=3)
    asks = ", ".join(f"{size} at {price}" for price, size in depth["asks"]) or "none"
    row = (instrument, terms["cards"] or "", terms["price"] or "", asks)
    columns = ("instrument", ">cards", ">yuan/card-h", "asks now")
    print_table("plan: a bid in one book", columns, [row], to_stderr=as_json)
    ask_leave(yes, f"bid for {cards} cards at {cap}?", "nothing was bought")
    show_repeat("this bids", typed_again(ctx, "buy", name=order_id))
    ack = _send(venue, "place_order", order_id, terms, None, as_json)
    if ack is not None:
        venue.suggest(*(("leases",) if ack["status"] == "FILLED" else ("cancel", order_id)), participant=participant)


def _send(
    venue: Market, operation: str, order_id: str, terms: dict[str, Any], quote: dict[str, Any] | None, as_json: bool
) -> dict[str, Any] | None:
    """Sends it and shows the answer, which is None where that was all there is to say; an id that is taken ends it."""
    from clients.errors import DuplicateId

    try:
        ack = venue.ask(operation, client_order_id=order_id, **terms)
    except DuplicateId:
        _end_taken(venue, order_id, terms["participant"], quote, as_json)
    if as_json:
        print_json("buy", client_order_id=order_id, quote=quote, ack=ack)
        return None
    again = " (the answer of the first time; nothing was bought now)" if ack["replayed"] else ""
    typer.echo(f"{order_id}: {ack['status'].lower()}{again}")
    _show_fills(ack)
    return ack


def _is_of_another_time(venue: Market, order_id: str, terms: dict[str, Any]) -> bool:
    """Whether a task of that id was bought with another deadline, as `+1d` is at each run: then a plan would mislead."""
    task = venue.find("task", client_order_id=order_id, participant=terms["participant"])
    if task is None or task["ending"] == "refused":
        return False
    return datetime.fromisoformat(task["deadline"]) != datetime.fromisoformat(terms["deadline"])


def _end_taken(
    venue: Market, order_id: str, participant: str | None, quote: dict[str, Any] | None, as_json: bool
) -> NoReturn:
    """What an id that is taken stands for, and the exit code of that; another id might buy the same need twice."""
    whose = {"client_order_id": order_id, "participant": participant}
    rows = {kind: venue.find(kind, **whose) for kind in ("task", "order")}
    found = {kind: row for kind, row in rows.items() if row is not None and "refused" not in (row["status"], row.get("ending"))}
    if as_json:
        print_json("buy", client_order_id=order_id, quote=quote, ack=None, stands_for=found)
    elif "task" in found:
        print_table(f"{order_id} is a task of yours already", ("", ""), _task_rows(found["task"], venue.time))
    elif "order" in found:
        print_table(f"{order_id} is a bid of yours already", ("", ""), _order_rows(found["order"]))
    if not found:
        fail(f"{order_id} was refused before with other terms: nothing was bought, then or now; see ./cpx tasks", TAKEN)
    fail(f"{order_id} stands for what is shown, with other terms than these: nothing more was bought", TAKEN)


def _task_rows(task: dict[str, Any], at: VenueTime) -> list[tuple[str, str]]:
    cost = sum(Decimal(task[part]) for part in ("compute", "moving", "fee"))
    return [
        ("status", task["status"]), ("what", f"{task['cards']} x {','.join(task['chips'])} for {task['hours']} h"),
        ("deadline", exactly(task["deadline"], at)),
        ("filled", f"{task['filled_card_hours']} of {task['asked_card_hours']} card-hours"),
        ("cost so far, yuan", amount(f"{cost:f}")),
        ("where or why not", task["instrument"] or task["message"] or task["reason"]),
    ]  # fmt: skip


def _order_rows(order: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("status", order["status"]), ("instrument", order["instrument"]),
        ("what", f"{order['cards']} cards at {order['price']} yuan per card-hour"), ("filled cards", order["filled_cards"]),
    ]  # fmt: skip


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


def exactly(text: str, at: VenueTime) -> str:
    """A time of the wire in the venue's zone, to be typed: the same moment whenever that is."""
    return datetime.fromisoformat(text).astimezone(at.zone).isoformat()


def _absolute(terms: dict[str, Any], at: VenueTime) -> dict[str, str]:
    """The options that say a time, as moments: `+1d` would be another one at the next run."""
    times = {"deadline": terms["deadline"], "start": terms["earliest_start"]}
    return {option: exactly(text, at) for option, text in times.items() if text is not None}


def _show_quote(venue: Market, terms: dict[str, Any], quote: dict[str, Any], *, to_stderr: bool) -> None:
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
        rows = [("not now", f"{reason_in_words(quote['why_not'])} ({quote['why_not']})")]
        rows += [("what binds", quote["binding"])] if quote["binding"] else []
        rows += [
            (f"{found['dimension']} {found['change']} would do", f"{amount(found['delivered'])} yuan   {found['instrument']}")
            for found in quote["relaxations"]
        ]
    rows += [("not before", text) for name, text in _absolute(terms, at).items() if name == "start"]
    rows.append(("done by", exactly(terms["deadline"], at)))
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
        done: list[dict[str, Any]] = []
        refused = 0
        try:
            for operation, field, reference in targets:
                send = venue.attempt if everything else venue.ask
                ack = send(operation, **{field: reference}, participant=participant)
                done.append({"operation": operation, "id": reference, "ack": ack})
                is_refused = ack["status"] in ("REJECTED", "DENIED")
                refused += is_refused
                if not as_json:
                    typer.echo(f"{reference}: " + (f"not canceled: {ack['message']}" if is_refused else ack["status"].lower()))
        finally:  # also where one of them fails: those before it are canceled
            if as_json:
                print_json("cancel", items=done)
        if refused:
            fail(f"{refused} of {len(done)} were not canceled: ./cpx tasks and ./cpx orders say what they became", DATA_ERROR)
        if not done and not as_json:
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
