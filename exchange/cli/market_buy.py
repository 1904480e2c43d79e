"""`cpx preview`, `buy`, `amend`: a need becomes a plan, the plan a task; nothing is spent without a yes."""

from __future__ import annotations

from datetime import datetime
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
from exchange.cli.market_terms import (
    Need,
    Wanted,
    as_moments,
    changes_of,
    exactly,
    new_id,
    options_said,
    spread,
    terms_of_need,
    typed_moments,
)
from exchange.cli.moments import VenueTime, shown
from exchange.cli.running import NO_INPUT, USAGE, fail
from exchange.projections.words import reason_in_words

preview_command = typer.Typer(add_completion=False)
buy_command = typer.Typer(add_completion=False)
amend_command = typer.Typer(add_completion=False)


@preview_command.command()
@spread
def preview(
    ctx: typer.Context,
    need: Need,
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """What a need would get now and what it would cost, or why nothing fits and what would; nothing is booked.

    Examples: cpx preview 64 --chip A910B,H800 --hours 6 --deadline +2d --access hubei-wuhan --latency 10 --cap 8.50
    cpx preview --csv tasks.csv --row train-042
    """
    with market(url, key, explain) as venue:
        terms, _ = terms_of_need(venue, need, participant)
        quote = venue.ask("preview_task", client_order_id=new_id("preview"), **terms)
        if as_json:
            print_json("preview", quote=quote)
            return
        show_quote(venue, terms, quote, to_stderr=False)
        if quote["fills"]:
            venue.suggest(*typed_again(ctx, "buy", leave_out=("url",), **typed_moments(need, terms, venue.time)))


@buy_command.command()
@spread
def buy(
    ctx: typer.Context,
    need: Need,
    instrument: str | None = typer.Option(
        None, "--instrument", help="A plain bid in one book at --cap instead of a task; rests until filled.", show_default=False
    ),
    or_better: bool = typer.Option(
        False, "--or-better", help="With --instrument: also from faster classes and green power, cheapest first (RT3)."
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
    cpx buy --csv tasks.csv --row train-042
    cpx buy 8 --instrument A910B/gansu-qingyang/L10/grid/20261124T08 --cap 5.20 --or-better --yes
    """
    with market(url, key, explain) as venue:
        if instrument is not None:
            _bid(ctx, venue, need, instrument, or_better, name or new_id("cli"), participant, yes, as_json)
            return
        if or_better:
            fail("--or-better goes with --instrument; a task takes the best of all it may use anyway", USAGE)
        terms, of_row = terms_of_need(venue, need, participant)
        name = name or of_row
        order_id = name or new_id("cli")
        if name is not None and _is_of_another_time(venue, name, terms):
            _end_taken(venue, name, participant, None, as_json)
        quote = venue.ask("preview_task", client_order_id=order_id, **terms)
        show_quote(venue, terms, quote, to_stderr=as_json)
        wait = f"let it wait and hold {amount(quote['hold'])} yuan?"
        ask_leave(yes, f"buy for {amount(quote['total'])} yuan?" if quote["fills"] else wait, "nothing was bought")
        show_repeat("this buys", typed_again(ctx, "buy", name=order_id, **typed_moments(need, terms, venue.time)))
        ack = _send(venue, "submit_task", order_id, terms, quote, as_json)
        if ack is not None:
            _suggest_after(venue, order_id, ack, participant)


@amend_command.command()
@spread
def amend(
    name: Annotated[str, typer.Argument(metavar="ID", help="Your id of a waiting task.")],
    wanted: Wanted,
    cards: str | None = typer.Option(None, "--cards", help="How many cards at the same time.", show_default=False),
    participant: Participant = None,
    yes: Yes = False,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """New terms for a waiting task; what is not named stays. It keeps its place where it only asks for less (RT8).

    Examples: cpx amend train-042 --cap 9.10    cpx amend train-042 --cards 48 --deadline +3d
    """
    with market(url, key, explain) as venue:
        changes = changes_of(venue, wanted, cards, "--cards")
        if not changes:
            fail("say what is to change: --cap, --cards, --deadline, …; see --help", USAGE)
        row = venue.ask("task", client_order_id=name, participant=participant)
        if "waiting" not in (row["status"], row["ending"]):
            fail(f"{name} does not wait any more, it is {row['status']}: buy what is missing with another id", NO_INPUT)
        for field, value in changes.items():
            print_change(field, (row.get("terms") or {}).get(field), value)
        ask_leave(yes, f"change {name}?", "nothing was changed")
        ack = venue.amend_task(name, participant, changes)
        if as_json:
            print_json("amend", client_order_id=name, changes=changes, ack=ack)
            return
        show_outcome(venue, name, ack, changes.get("shape") or (row.get("terms") or {}).get("shape", ""))
        _suggest_after(venue, name, ack, participant)


def print_change(field: str, before: Any, after: Any) -> None:
    """What is there and what is asked for, as chatter."""
    typer.echo(f"{field}: {'nothing' if before in (None, (), []) else before} -> {after}", err=True)


def _suggest_after(venue: Market, order_id: str, ack: dict[str, Any], participant: str | None) -> None:
    if ack["status"] == "FILLED":
        venue.suggest("leases", participant=participant)
    elif ack["status"] in ("WAITING", "PARTLY_FILLED", "ACCEPTED"):
        venue.suggest("follow", order_id, "--explain", participant=participant)
    else:
        venue.suggest("tasks", participant=participant)


def _bid(
    ctx: typer.Context, venue: Market, need: Need, instrument: str, or_better: bool, order_id: str,
    participant: str | None, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """A plain order in one book."""
    if need.cap is None or need.cards is None:
        fail("a bid needs CARDS and its price: give --cap, yuan per card-hour", USAGE)
    others = options_said(need, but={"cards", "cap"})
    if others:
        fail(f"a bid in one book has CARDS and --cap only: leave {', '.join(others)} out, or --instrument, for a task", USAGE)
    terms: dict[str, Any] = {
        "instrument": instrument, "price": decimal_text("--cap", need.cap, "yuan"), "cards": decimal_text("CARDS", need.cards),
        "participant": participant,
    }  # fmt: skip
    depth = venue.ask("depth", instrument=instrument, levels=3)
    asks = ", ".join(f"{size} at {price}" for price, size in depth["asks"]) or "none"
    row = (instrument + (" or better" if or_better else ""), terms["cards"], terms["price"], asks)
    columns = ("instrument", ">cards", ">yuan/card-h", "asks now in this book")
    print_table("plan: a bid in one book", columns, [row], to_stderr=as_json)
    ask_leave(yes, f"bid for {need.cards} cards at {need.cap}?", "nothing was bought")
    show_repeat("this bids", typed_again(ctx, "buy", name=order_id))
    if or_better:
        terms["or_better"] = True
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
    # a bid that takes better is a bulk task (RT3)
    show_outcome(venue, order_id, ack, "bulk" if terms.get("or_better") else terms.get("shape", ""))
    return ack


# --- what came of it ---


def show_outcome(venue: Market, order_id: str, ack: dict[str, Any], shape: str) -> None:
    """What was bought, part by part, and what it cost; or why nothing, and what would do."""
    again = " (the answer of the first time; nothing was bought now)" if ack["replayed"] else ""
    typer.echo(f"{order_id}: {ack['status'].lower().replace('_', ' ')}{again}")
    updates = [each for each in ack["events"] if each.get("type") == "task" and each["client_order_id"] == order_id]
    parts = [part for each in updates for part in each.get("parts", ())]
    if parts:
        show_parts(parts)
        for each in updates:
            if each.get("compute"):
                costs = ((each[part] or "0", word) for part, word in (("moving", "moving data"), ("fee", "fee")))
                more = "".join(f" + {amount(cost)} {word}" for cost, word in costs if Decimal(cost))
                typer.echo(f"paid: {amount(each['compute'])}{more} yuan")
    else:
        _show_fills(ack)
    last = updates[-1] if updates else {}
    if last.get("reason") and ack["status"] != "FILLED":
        print_table("", ("", ""), reason_lines(last, venue.time, shape))


def show_parts(parts: list[dict[str, Any]]) -> None:
    """What was bought, from where."""
    columns = ("site", "from", ">hours", ">cards", ">yuan", "")
    rows = [
        (p["site"], p["instrument"], p["hours"], p["cards"], amount(p["cost"]), "block" if p["is_block"] else "") for p in parts
    ]
    print_table("bought", columns, rows)


def _show_fills(ack: dict[str, Any]) -> None:
    fills = [event for event in ack["events"] if event.get("type") == "fill" and event.get("side") == "buy"]
    if fills:
        columns = ("site", "instrument", ">cards", ">price", ">cost", ">fee")
        rows = [(f["site"], f["instrument"], f["cards"], f["price"], f["cost"], f["fee"]) for f in fills]
        print_table("bought", columns, rows)


def reason_lines(found: dict[str, Any], at: VenueTime, shape: str) -> list[tuple[str, str]]:
    """An explanation as rows: of an event, a task's row, or a quote (whose reason is `why_not`)."""
    reason = found.get("why_not") or found.get("reason") or ""
    rows = [("not now", f"{reason_in_words(reason, shape)} ({reason})")] if reason else []
    rows += [("what binds", found["binding"])] if found.get("binding") else []
    for each in found.get("relaxations", ()):
        change = f"{each['dimension']} {_change(each['change'], at)} would do"
        rows.append((change, f"{amount(each['delivered'])} yuan   {each['instrument']}"))
    return rows


def _change(text: str, at: VenueTime) -> str:
    """A deadline is proposed as the UTC hour of a book: said as it can be typed, in the venue's zone."""
    _, is_deadline, code = text.partition("finished by ")
    return exactly(f"{code}Z", at) if is_deadline else text


def show_quote(venue: Market, terms: dict[str, Any], quote: dict[str, Any], *, to_stderr: bool) -> None:
    """The plan: where, when, for how much; or the reason, and per dimension what would do."""
    at = venue.time
    if quote["fills"]:
        rows = [
            ("where", f"{quote['site'] or 'several sites'}   {quote['instrument']}"),
            ("when", f"from {shown(quote['start'], at)}" + (f" to {shown(quote['end'], at)}" if quote["end"] else "")),
            ("what", (f"{quote['cards']} cards, " if quote["cards"] else "") + f"{quote['card_hours']} card-hours"),
            ("compute", amount(quote["compute"])), ("moving data", amount(quote["moving"])), ("fee", amount(quote["fee"])),
            ("total, yuan", amount(quote["total"])), ("per card-hour, delivered, without fee", quote["per_card_hour"]),
        ]  # fmt: skip
    else:
        rows = reason_lines(quote, at, terms.get("shape", ""))
    if len(quote["parts"]) > 1:
        rows += [
            ("  of it", f"{p['cards']} x {p['hours']} h for {amount(p['cost'])}   {p['instrument']}") for p in quote["parts"]
        ]
    moments = as_moments(terms, at)
    rows += [("not before", moments["start"])] if "start" in moments else []
    rows.append(("done by", exactly(terms["deadline"], at)))
    rows += [("held while it waits, yuan", amount(quote["hold"])), ("your free cash, yuan", amount(quote["free"]))]
    print_table("plan (indicative: the market moves on)", ("", ""), rows, to_stderr=to_stderr)


# --- an id that is taken ---


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
