"""What a task is, from the command line or a row of tasks.csv: the options that `preview`, `buy` and `amend` share."""

from __future__ import annotations

import functools
import inspect
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_type_hints

import typer
from typer.models import ArgumentInfo

from exchange.cli.market import Market, decimal_text
from exchange.cli.moments import VenueTime, moment
from exchange.cli.running import DATA_ERROR, NO_INPUT, USAGE, fail

if TYPE_CHECKING:
    from exchange.domain.commands import SetVenue

SHAPES = (
    "block: all cards in hours one after the other (default); split: in any hours, --min-run of them in a row; spread: over "
    "two sites; bulk: card-hours whenever they are cheap."
)
STEPS = "Lane economy: the limit at first and from later on, up to --cap or --budget: 5.00,+6h=7.00,+12h=8.50; none: without."


def _text(name: str, text: str) -> Any:
    return typer.Option(name, help=text, show_default=False)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was typed of a task's terms; None = not said."""

    chips: Annotated[
        str | None, _text("--chip", "Accepted chips, best first: A910B,H800; with speeds against the first: A910B,H800:1.8.")
    ] = None
    pflops: Annotated[
        str | None, _text("--pflops-hours", "Instead of CARDS, with --budget: any of --chip, or any chip, that does so much.")
    ] = None
    hours: Annotated[str | None, _text("--hours", "For how many hours; by default 1.")] = None
    deadline: Annotated[
        str | None, _text("--deadline", "When it must be done: +2d, 22:00, 2026-11-24T12:00:00+08:00; by default +1d.")
    ] = None
    start: Annotated[str | None, _text("--start", "Not before; by default now.")] = None
    access: Annotated[str | None, _text("--access", "Region from which it is used.")] = None
    latency: Annotated[str | None, _text("--latency", "Round trip at most, ms.")] = None
    slowest: Annotated[str | None, _text("--class", "No slower latency class than this: L1, L5, L7, L10.")] = None
    cap: Annotated[str | None, _text("--cap", "At most so many yuan per card-hour, delivered.")] = None
    budget: Annotated[str | None, _text("--budget", "Instead of --cap: yuan in all at most.")] = None
    steps: Annotated[str | None, _text("--steps", STEPS)] = None
    lane: Annotated[str | None, _text("--lane", "standard (default), economy (half the fee) or emergency.")] = None
    shape: Annotated[str | None, _text("--shape", SHAPES)] = None
    min_run: Annotated[str | None, _text("--min-run", "Shape split: hours in a row at least.")] = None
    min_fill: Annotated[str | None, _text("--min-fill", "Shape bulk: card-hours that the first purchase must reach.")] = None
    data: Annotated[str | None, _text("--data", "GB to move to the site.")] = None
    data_region: Annotated[str | None, _text("--data-region", "Where the data lie.")] = None
    regions: Annotated[str | None, _text("--regions", "Only these host regions: a,b.")] = None
    green: Annotated[str | None, _text("--green", "Share of green power, 0 to 1; any share means all, but for bulk.")] = None
    unbroken: Annotated[bool, _text("--unbroken", "It cannot be interrupted: only offers that take that (BB1).")] = False
    abandon: Annotated[bool, _text("--abandon", "When an hour fails, the later ones are given back (BB3).")] = False
    immediate: Annotated[bool, _text("--immediate", "Now or never: it does not wait.")] = False
    work: Annotated[str | None, _text("--work", "One line that the seller's runner is to run; told to him alone.")] = None
    valid_until: Annotated[str | None, _text("--valid-until", "It waits no longer than this.")] = None


@dataclass(frozen=True, kw_only=True)
class Need(Wanted):
    """A whole task, from the command line or from a file."""

    cards: Annotated[str | None, typer.Argument(metavar="CARDS", help="How many cards at the same time.")] = None
    file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Take the task from a tasks.csv instead.", show_default=False)
    ] = None
    row: Annotated[str | None, _text("--row", "Its task_id in the file; needed where there are several.")] = None


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes options of the fields of every parameter that is a dataclass: typer sees them one by one."""
    hints = get_type_hints(function, include_extras=True)
    hints.pop("return", None)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    plain = inspect.signature(function).parameters
    shown: list[inspect.Parameter] = []
    for name, hint in hints.items():
        if name not in groups:
            shown.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=plain[name].default, annotation=hint))
            continue
        of_group = get_type_hints(hint, include_extras=True)
        shown += [
            inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=of_group[each.name])
            for each in fields(hint)
        ]

    @functools.wraps(function)
    def called(**given: Any) -> Any:
        made = {name: kind(**{each.name: given.pop(each.name) for each in fields(kind)}) for name, kind in groups.items()}
        return function(**made, **given)

    shown.sort(key=_is_option)  # what has no name of its own comes first
    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in shown}
    return called


def _is_option(shown: inspect.Parameter) -> bool:
    return not any(isinstance(each, ArgumentInfo) for each in (*getattr(shown.annotation, "__metadata__", ()), shown.default))


class Typed(NamedTuple):
    """The arguments of a task as the exchange takes them; name: its id where a file gives one."""

    terms: dict[str, Any]
    name: str | None


def terms_of_need(venue: Market, need: Need, participant: str | None) -> Typed:
    """All of a new task; a missing or wrong option ends with exit code 2."""
    if need.file is not None:
        others = options_said(need, but={"file", "row"})
        if others:
            fail(f"--csv says all of the task: leave {', '.join(others)} out, or write a row with it", USAGE)
        return _of_file(venue, need.file, need.row, participant)
    if need.row is not None:
        fail("--row names a row of a file: say which with --csv", USAGE)
    if not need.access or not (need.chips or need.pflops):
        fail("a task needs --chip and --access (or a bid: --instrument and --cap, or a file: --csv); see --help", USAGE)
    if (need.cards is None) == (need.pflops is None):
        fail("say how much: CARDS, or --pflops-hours, one of them", USAGE)
    if (need.cap is None) == (need.budget is None):
        fail("say what it may cost: --cap (yuan per card-hour) or --budget (yuan in all), one of them", USAGE)
    first = {"hours": need.hours or "1", "deadline": wire(moment(need.deadline or "+1d", venue.time, "--deadline"))}
    chosen = {"lane": need.lane or "standard", "shape": need.shape or "block"}
    return Typed({**first, **chosen, **changes_of(venue, need, need.cards), "participant": participant}, None)


def options_said(need: Wanted, but: Collection[str]) -> list[str]:
    """What was typed, as it is typed: CARDS, --cap; without the fields `but`."""
    named = get_type_hints(type(need), include_extras=True)
    said = [each.name for each in fields(need) if each.name not in but and getattr(need, each.name) not in (None, False)]
    infos = [named[name].__metadata__[0] for name in said]
    # inside Annotated typer takes the first name for a default
    return [str(info.metavar if isinstance(info, ArgumentInfo) else info.default) for info in infos]


def changes_of(venue: Market, need: Wanted, cards: str | None = None, cards_option: str = "CARDS") -> dict[str, Any]:
    """Only what was said, as arguments of the exchange."""
    numbers = {
        "cards": (cards_option, cards, ""), "pflops_hours": ("--pflops-hours", need.pflops, ""),
        "hours": ("--hours", need.hours, "h"), "max_latency_ms": ("--latency", need.latency, "ms"),
        "price_cap": ("--cap", need.cap, "yuan"), "budget": ("--budget", need.budget, "yuan"),
        "data_gb": ("--data", need.data, "gb"), "min_green": ("--green", need.green, ""),
        "min_run": ("--min-run", need.min_run, "h"), "min_fill": ("--min-fill", need.min_fill, ""),
    }  # fmt: skip
    times = {
        "deadline": ("--deadline", need.deadline), "earliest_start": ("--start", need.start),
        "valid_until": ("--valid-until", need.valid_until),
    }  # fmt: skip
    words = {
        "access_region": need.access, "lane": need.lane, "shape": need.shape, "data_region": need.data_region,
        "slowest_class": need.slowest, "work": need.work, "checkpoint": "none" if need.unbroken else None,
        "on_break": "abandon" if need.abandon else None, "is_immediate": need.immediate or None,
        "chips": None if need.chips is None else [_chip(text) for text in need.chips.split(",") if text],
        "allowed_regions": None if need.regions is None else [text for text in need.regions.split(",") if text],
        "steps": None if need.steps is None else _steps(need.steps, venue.time),
    }  # fmt: skip
    said: dict[str, Any] = {
        field: decimal_text(option, text, unit) for field, (option, text, unit) in numbers.items() if text is not None
    }
    said |= {field: wire(moment(text, venue.time, option)) for field, (option, text) in times.items() if text is not None}
    return said | {field: value for field, value in words.items() if value is not None}


def _chip(text: str) -> dict[str, str]:
    """A910B or A910B:1.8."""
    code, _, factor = text.partition(":")
    return {"chip": code, "factor": decimal_text("--chip", factor)} if factor else {"chip": code}


def _steps(text: str, at: VenueTime) -> list[dict[str, str]]:
    """5.00,+6h=7.00: the first without a time; none takes away those that a waiting task has."""
    if text.strip().lower() == "none":
        return []
    found = []
    for place, part in enumerate(text.split(",")):
        when, sign, limit = part.rpartition("=")
        if bool(sign) == (place == 0):
            fail(f"--steps {part[:40]!r}: the first limit has no time, every later one has, as in 5.00,+6h=7.00", USAGE)
        step = {"limit": decimal_text("--steps", limit, "yuan")}
        found.append({**step, "at": wire(moment(when, at, "--steps"))} if sign else step)
    return found


# --- a row of tasks.csv ---


def require_file(path: Path) -> None:
    """Exit code 66 where there is nothing to read."""
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        fail(f"{path} cannot be read: {what}", NO_INPUT)


def settings_of(venue: dict[str, Any]) -> SetVenue:
    """The venue's measures as the readers of files need them."""
    from exchange.domain.commands import SetVenue
    from exchange.domain.units import parse_micro

    return SetVenue(
        name=venue["name"], time_zone=venue["time_zone"], period_min=venue["period_min"], gate_min=venue["gate_min"],
        horizon_periods=venue["horizon_periods"], lots_per_card=int(1 / Decimal(venue["lot"])),
        tick_micro=parse_micro(venue["tick"], "tick"),
    )  # fmt: skip


def _of_file(venue: Market, path: Path, row: str | None, participant: str | None) -> Typed:
    """The task of one row; whose it is says the key, not the file."""
    import msgspec

    from exchange.adapters.market_files import iter_tasks
    from exchange.adapters.rows import Problem
    from exchange.protocol.measures import Measures
    from exchange.protocol.to_command import terms_of

    require_file(path)
    settings = settings_of(venue.venue)
    found = list(iter_tasks(path, settings))
    problems = [each for each in found if isinstance(each, Problem)]
    tasks = {each.command.task.client_order_id: each.command.task for each in found if not isinstance(each, Problem)}
    if row is None and len(tasks) == 1 and not problems:
        row = next(iter(tasks))
    if row not in tasks:
        for problem in problems[:20]:
            typer.echo(str(problem), err=True)
        if not tasks:
            fail(f"{path} has no task{' that can be read: mend what is named above' if problems else ''}", DATA_ERROR)
        names = ", ".join(list(tasks)[:20])
        said = "--row says which" if row is None else f"there is no task {row[:36]!r}"
        many = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}{' that can be read' if problems else ''}"
        fail(f"{path} has {many}: {said} ({names})", DATA_ERROR if problems else NO_INPUT)
    terms: dict[str, Any] = msgspec.to_builtins(terms_of(tasks[row], Measures(settings)))
    for field in ("participant", "client_order_id"):
        del terms[field]
    return Typed({**terms, "participant": participant}, row)


# --- times and ids ---


def wire(when: datetime) -> str:
    """A time as the exchange takes it."""
    text: str = when.astimezone(UTC).isoformat()
    return text.replace("+00:00", "Z")


def new_id(prefix: str) -> str:
    """An id that nobody has used."""
    return f"{prefix}-{secrets.token_hex(6)}"


def exactly(text: str, at: VenueTime) -> str:
    """A time of the wire in the venue's zone, to be typed: the same moment whenever that is."""
    return datetime.fromisoformat(text).astimezone(at.zone).isoformat()


def as_moments(terms: dict[str, Any], at: VenueTime) -> dict[str, str]:
    """The options that say a time, as moments: `+1d` would be another one at the next run."""
    times = {"deadline": "deadline", "start": "earliest_start", "valid_until": "valid_until"}
    found = {option: exactly(terms[field], at) for option, field in times.items() if terms.get(field) is not None}
    if terms.get("steps"):
        told = [f"{exactly(step['at'], at)}={step['limit']}" if "at" in step else step["limit"] for step in terms["steps"]]
        found["steps"] = ",".join(told)
    return found


def typed_moments(need: Need, terms: dict[str, Any], at: VenueTime) -> dict[str, str]:
    """The same of what was typed; a row of a file has its moments in the file."""
    return {} if need.file is not None else as_moments(terms, at)
