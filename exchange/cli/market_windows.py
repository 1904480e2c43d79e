"""When and at what price an offer stands: a window, on some days, a daily pattern, until withdrawn, or rows of offers.csv."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.market import Market, decimal_text
from exchange.cli.market_terms import require_file, settings_of, wire
from exchange.cli.moments import moment
from exchange.cli.running import DATA_ERROR, NO_INPUT, USAGE, fail

MAX_DAYS = 31
MAX_PIECES = 100  # offers that one command makes
DAY_MIN = 24 * 60
_RANGE = re.compile(r"(\d{1,2})(?::(\d\d))?-(\d{1,2})(?::(\d\d))?=(.+)", re.ASCII)

Terms = dict[str, Any]


def _text(name: str, text: str) -> Any:
    return typer.Option(name, help=text, show_default=False)


@dataclass(frozen=True, kw_only=True)
class When:
    """What was typed of an offer's hours and prices; None = not said."""

    start: Annotated[
        str | None, _text("--from", "First hour: 22:00, tomorrow, 2026-11-24T22:00:00+08:00; +3h: the next that starts then.")
    ] = None
    end: Annotated[str | None, _text("--to", "End: a time of day is the next one after --from.")] = None
    price: Annotated[str | None, _text("--price", "Yuan per card-hour.")] = None
    daily: Annotated[
        str | None,
        _text("--daily", "Prices by the hour of the venue's day: 00-08=6.20,20-24=7.00; without --to until withdrawn."),
    ] = None
    base: Annotated[str | None, _text("--base", "With --watts: a price that follows power, from this one up.")] = None
    watts: Annotated[int | None, typer.Option("--watts", min=1, help="Power of a card.", show_default=False)] = None
    standing: Annotated[bool, _text("--standing", "Until it is withdrawn, hour after hour, without --to.")] = False
    days: Annotated[int, typer.Option(min=1, max=MAX_DAYS, help="The same window on so many days, one offer each.")] = 1


def pieces_of(venue: Market, when: When) -> list[Terms]:
    """start, end and prices of every offer; exit code 2 for what cannot be."""
    _check_prices(when)
    if when.standing or (when.daily is not None and when.end is None):
        return [_standing(venue, when)]
    if when.start is None or when.end is None:
        fail("say when: --from and --to, or --standing for an offer that stands until you withdraw it", USAGE)
    windows = _windows(venue, when.start, when.end, when.days)
    if when.daily is not None:
        pattern = _pattern(venue, when.daily)
        found = [piece for first, last in windows for piece in _by_the_hour(venue, pattern, first, last)]
        if not 0 < len(found) <= MAX_PIECES:
            some = f"makes {len(found)} offers of this window, at most {MAX_PIECES} can be made at once"
            fail(f"--daily {some if found else 'offers nothing in this window'}", USAGE)
        return found
    return [{"start": wire(first), "end": wire(last), **_one_price(when)} for first, last in windows]


def _check_prices(when: When) -> None:
    ways = [when.price is not None, when.daily is not None, when.watts is not None]
    if sum(ways) != 1:
        fail("say the price in one way: --price, --daily, or --watts with --base", USAGE)
    if when.base is not None and when.watts is None:
        fail("--base is the price without power: it goes with --watts", USAGE)
    if when.standing and (when.end is not None or when.days > 1):
        fail("--standing has no end: leave --to and --days out", USAGE)


def _one_price(when: When) -> Terms:
    if when.watts is not None:
        base = None if when.base is None else decimal_text("--base", when.base, "yuan")
        return {"watts_per_card": when.watts, "price_base": base}
    assert when.price is not None
    return {"price": decimal_text("--price", when.price, "yuan")}


def _standing(venue: Market, when: When) -> Terms:
    """From --from, or the next full hour on, until it is withdrawn."""
    minutes = venue.venue["period_min"]
    if when.start is None:
        ns = int(venue.venue["ts_ns"])
        first = datetime.fromtimestamp((ns // (minutes * 60 * 10**9) + 1) * minutes * 60, venue.time.zone)
    else:
        first = period_start(venue, when.start, "--from")
    if when.daily is None:
        return {"start": wire(first), "end": None, **_one_price(when)}
    pattern = _pattern(venue, when.daily)
    shift = first.utcoffset() or timedelta()
    places, rest = divmod(int(shift.total_seconds()) // 60, minutes)
    if rest:
        fail(f"--daily: the venue's zone is no whole number of {minutes}-minute periods from UTC; give --from and --to", USAGE)
    turned = [pattern[(place + places) % len(pattern)] for place in range(len(pattern))]
    return {"start": wire(first), "end": None, "period_prices": [price or "0" for price in turned]}


def _pattern(venue: Market, text: str) -> list[str | None]:
    """A price for every period of the venue's day, None where nothing is offered."""
    minutes = venue.venue["period_min"]
    found: list[str | None] = [None] * (DAY_MIN // minutes)
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            fail(f"--daily {part[:40]!r}: write hours and a price, like 00-08=6.20,20-24=7.00", USAGE)
        first, last = (int(match[n]) * 60 + int(match[n + 1] or 0) for n in (1, 3))
        if max(first, last) > DAY_MIN or first == last or first % minutes or last % minutes:
            fail(f"--daily {part[:40]!r}: hours go from 00 to 24, in periods of {minutes} minutes", USAGE)
        price = decimal_text("--daily", match[5], "yuan")
        span = range(first, last if last > first else last + DAY_MIN, minutes)  # 22-06 goes over midnight
        for minute in span:
            place = minute % DAY_MIN // minutes
            if found[place] is not None:
                fail(f"--daily {part[:40]!r}: these hours have a price already", USAGE)
            found[place] = price
    if not any(price and Decimal(price) for price in found):
        fail(f"--daily {text[:40]!r} offers nothing in any hour: 0 is not offered", USAGE)
    return [price if price and Decimal(price) else None for price in found]


def _by_the_hour(venue: Market, pattern: list[str | None], first: datetime, last: datetime) -> list[Terms]:
    """The stretches of a window in which something is offered, each with a price per period."""
    step = timedelta(minutes=venue.venue["period_min"])
    found: list[Terms] = []
    when = first
    is_open = False
    while when < last:
        local = when.astimezone(venue.time.zone)
        price = pattern[(local.hour * 60 + local.minute) // venue.venue["period_min"]]
        if price is not None:
            if not is_open:
                found.append({"start": wire(when), "period_prices": []})
            found[-1]["period_prices"].append(price)
            found[-1]["end"] = wire(when + step)
        is_open = price is not None
        when += step
    return found


def period_start(venue: Market, text: str, option: str, *, after: datetime | None = None) -> datetime:
    """In the venue's zone; of a time from now on (+3h, now) the next start of a period; exit code 2 for another between two."""
    local = moment(text, venue.time, option, after=after).astimezone(venue.time.zone)
    minutes = venue.venue["period_min"]
    over = timedelta(minutes=(local.hour * 60 + local.minute) % minutes, seconds=local.second, microseconds=local.microsecond)
    if over and (text.strip().startswith("+") or text.strip().lower() == "now"):
        return local - over + timedelta(minutes=minutes)
    if over:
        before, behind = local - over, local - over + timedelta(minutes=minutes)
        fail(f"{option} {local:%H:%M:%S}: delivery hours start at {before:%H:%M} and {behind:%H:%M}, give one of them", USAGE)
    return local


def _windows(venue: Market, start: str, end: str, days: int) -> list[tuple[datetime, datetime]]:
    """(first, end) of every offer: whole delivery periods, exit code 2 where they are not."""
    first = period_start(venue, start, "--from")
    last = period_start(venue, end, "--to", after=first)
    if last <= first:
        fail(f"the window ends ({last:%m-%d %H:%M}) before it starts ({first:%m-%d %H:%M})", USAGE)
    if days > 1 and last - first > timedelta(days=1):
        fail("--days repeats a window of at most one day", USAGE)
    return [(first + timedelta(days=day), last + timedelta(days=day)) for day in range(days)]


# --- rows of offers.csv ---


def rows_of(venue: Market, path: Path, row: str | None) -> dict[str, Terms]:
    """offer_id -> all terms of every row, or of one; exit codes 65 and 66 where the file is not so."""
    import msgspec

    from exchange.adapters.market_files import read_offers
    from exchange.protocol.measures import Measures
    from exchange.protocol.to_command import from_command

    require_file(path)
    settings = settings_of(venue.venue)
    rows, problems = read_offers(path, settings)
    if problems:
        for problem in problems[:20]:
            typer.echo(str(problem), err=True)
        fail(f"{len(problems)} rows of {path} cannot be read; nothing was offered", DATA_ERROR)
    found: dict[str, Terms] = {}
    for each in rows:
        terms: Terms = msgspec.to_builtins(from_command(each.command, Measures(settings))[1])
        del terms["participant"]  # whose it is says the key, not the file
        found[terms.pop("offer_id")] = terms
    if row is not None and row not in found:
        fail(f"{path} has no offer {row[:36]!r}: there are {', '.join(list(found)[:20]) or 'none'}", NO_INPUT)
    if len(found) > MAX_PIECES and row is None:
        fail(f"{path} has {len(found)} offers, at most {MAX_PIECES} at once: choose with --row, or use ./cpx replay", USAGE)
    if not found:
        fail(f"{path} has no offers", DATA_ERROR)
    return found if row is None else {row: found[row]}


def card_hours(terms: Terms, period_min: int) -> tuple[Decimal, Decimal] | None:
    """(card-hours, yuan if all is sold) of an offer with an end and known prices; None for others."""
    if terms.get("end") is None or terms.get("watts_per_card"):
        return None
    span = datetime.fromisoformat(terms["end"]) - datetime.fromisoformat(terms["start"])
    periods = span // timedelta(minutes=period_min)
    prices = [Decimal(price) for price in terms.get("period_prices") or [terms["price"]] * periods]
    per_period = Decimal(terms["cards"]) * period_min / 60
    return per_period * periods, per_period * sum(prices)
