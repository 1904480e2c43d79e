"""What the market commands share: where the exchange is, the one way to ask it, `--explain`, plans, exit codes."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from exchange.cli.moments import VenueTime, venue_time
from exchange.cli.running import DATA_ERROR, INTERRUPTED, NO_INPUT, NO_ROOM, USAGE, fail, note

if TYPE_CHECKING:
    from clients.errors import CpxError
    from clients.session import Sent

JSON_SCHEMA = 1  # raised when a key of --json changes its meaning
NO_SERVER, TAKEN, NO_PERMISSION, SAID_NO = 69, 76, 77, 1
NOT_REPEATED = ("key", "as_json", "explain")  # a secret, and how a command shows itself
NO_LIMIT = 100_000  # columns where the output is no terminal: every line as wide as its content

EXIT_CODES = (
    "Exit codes: 0 done, 2 an option is wrong or a yes is missing, 65 the exchange refuses, 66 there is no such thing, "
    "69 no exchange answers, 75 the outcome is unknown or it is busy (send the same again), 76 your id stands for another "
    "purchase or offer, which is shown, 77 the key may not."
)

Url = Annotated[
    str | None,
    typer.Option("--url", help="Address of the exchange; by default CPX_URL or ~/.config/cpx/client.toml.", show_default=False),
]
Secret = Annotated[
    str | None,
    typer.Option("--key", help="Your key; better in CPX_KEY or ~/.config/cpx/client.toml.", show_default=False),
]
Explain = Annotated[bool, typer.Option("--explain", help="Also print every HTTP call that is made, on stderr.")]
AsJson = Annotated[bool, typer.Option("--json", "-j", help="One JSON object on stdout instead of tables.")]
Participant = Annotated[
    str | None, typer.Option("--participant", help="Whose; needed with an operator's key.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before money is spent.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many rows.")]


class Market:
    """One connection to an exchange; every answer is plain JSON data, as it came over the wire."""

    def __init__(self, client: Any, url: str | None = None) -> None:
        """url: the address that was typed, which a next command needs as well."""
        self.client, self._url = client, url
        self._venue: dict[str, Any] | None = None

    def ask(self, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """One operation by its name (docs/protocol/rest.md); arguments that are None are left out; a refusal raises."""
        return _wire(self.client.call(operation, **_given(arguments)))

    def attempt(self, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """The ack of a command, also where it is a refusal."""
        return _wire(self.client.try_command(operation, **_given(arguments)))

    def rows(self, operation: str, /, limit: int, **arguments: Any) -> list[dict[str, Any]]:
        """Rows of a list, page by page, at most `limit`."""
        found: list[dict[str, Any]] = []
        cursor = None
        while len(found) < limit:
            page = self.ask(operation, limit=min(1000, limit - len(found)), cursor=cursor, **arguments)
            found += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                break
        return found

    def find(self, operation: str, /, **arguments: Any) -> dict[str, Any] | None:
        """The same as ask; None where there is no such thing."""
        from clients.errors import NotFound

        try:
            return self.ask(operation, **arguments)
        except NotFound:
            return None

    def amend_task(self, name: str, participant: str | None, changes: dict[str, Any]) -> dict[str, Any]:
        """The ack of new terms for a waiting task; what is not among the changes stays."""
        return _wire(self.client.amend_task(name, participant=participant, **changes))

    def follow(self, name: str, participant: str | None) -> Iterator[dict[str, Any]]:
        """The row of something placed, now and after each change, and the end; what, is_final, filled, asked, unit."""
        for step in self.client.follow(name, participant=participant):
            yield {
                "what": step.kind, "status": step.status, "is_final": step.is_final, "filled": format(step.filled, "f"),
                "asked": format(step.asked, "f"), "unit": step.unit, "row": _wire(step.row),
            }  # fmt: skip

    def looks(self, stream: Iterator[Any]) -> Iterator[dict[str, Any]]:
        """A stream of views as plain data."""
        for look in stream:
            yield _wire(look._asdict())

    def watch_book(self, instrument: str, levels: int) -> Iterator[dict[str, Any]]:
        """The book now and after each change, `is_live` False with what was last known while it is not current.

        Ends when trading in the instrument ends.
        """
        from clients.errors import StaleBook

        book = self.client.watch_book(instrument)
        last: dict[str, Any] = {"instrument": instrument, "epoch": 0, "seq": 0, "bids": [], "asks": []}
        while not book.is_closed:
            try:
                book.ready()
                for _ in book.changes():
                    last = {"instrument": instrument, **_one_look(book, levels)}
                    yield {**last, "is_live": True}
            except StaleBook:
                yield {**last, "is_live": False}

    def suggest(self, *words: str, participant: str | None = None) -> None:
        """A next command for the same exchange, and for the same participant where one was named."""
        whose = ("--participant", participant) if participant else ()
        suggest(*words, *whose, *(("--url", self._url) if self._url else ()))

    @property
    def venue(self) -> dict[str, Any]:
        """Measures of the venue, asked once."""
        if self._venue is None:
            self._venue = self.ask("venue")
        return self._venue

    @property
    def time(self) -> VenueTime:
        """The venue's now, as of the first question, and its zone."""
        return venue_time(int(self.venue["ts_ns"]), self.venue["time_zone"])


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _wire(answer: Any) -> dict[str, Any]:
    """An answer of the SDK as JSON has it; ns of the clock are text again, since they do not fit a double."""
    import msgspec

    found = msgspec.to_builtins(answer)
    assert isinstance(found, dict)
    return _ns_as_text(found)


def _ns_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: str(entry) if name.endswith("_ns") and isinstance(entry, int) else _ns_as_text(entry)
            for name, entry in value.items()
        }
    return [_ns_as_text(entry) for entry in value] if isinstance(value, list | tuple) else value


def _levels(side: Sequence[Any], levels: int) -> list[list[str]]:
    """The best levels as the wire has them."""
    return [[format(level.price, "f"), format(level.cards, "f")] for level in side[:levels]]


def _one_look(book: Any, levels: int) -> dict[str, Any]:
    """Place and levels of one state: the book goes on meanwhile, so what changed between two looks is looked at again."""
    top = book.top
    while True:
        bids, asks = book.bids, book.asks
        before, top = top, book.top
        if (before.epoch, before.seq) == (top.epoch, top.seq):
            return {"epoch": top.epoch, "seq": top.seq, "bids": _levels(bids, levels), "asks": _levels(asks, levels)}


@contextmanager
def market(url: str | None, key: str | None, explain: bool) -> Iterator[Market]:
    """A connection; whatever goes wrong ends with one line that says what to do next, and an exit code."""
    from clients import Client
    from clients.errors import CpxError

    try:
        with Client(url=url, key=key, on_request=show_call if explain else None) as client:
            yield Market(client, url)
    except CpxError as error:
        end_with(error)
    except KeyboardInterrupt:
        fail("stopped; nothing more is sent", INTERRUPTED)


def end_with(error: CpxError) -> NoReturn:
    """The error's own line and the exit code of its kind."""
    from clients import errors

    if isinstance(error, errors.ConfigError):
        code = USAGE
    elif isinstance(error, (errors.AuthenticationError, errors.PermissionDenied)):
        code = NO_PERMISSION
    elif isinstance(error, errors.OrderStatusUnknown):
        code = NO_ROOM
    elif isinstance(error, errors.NotFound):
        code = NO_INPUT
    elif isinstance(error, errors.ExchangeNotAvailable):
        code = NO_SERVER
    elif isinstance(error, errors.NetworkError):
        code = NO_ROOM
    else:
        code = DATA_ERROR
    fail(" ".join(str(error).split()), code)


def show_call(sent: Sent) -> None:
    """A call exactly as it goes out, the secret masked."""
    lines = [f"> {sent.method} {sent.url}", *(f"> {name}: {value}" for name, value in sorted(sent.headers.items()))]
    if sent.body:
        lines.append(f"> {sent.body.decode('utf-8', 'replace')}")
    note("\n".join(lines))


def print_json(kind: str, **content: Any) -> None:
    """One object with the schema's version."""
    typer.echo(json.dumps({"schema": JSON_SCHEMA, "kind": kind, **content}, indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, to_stderr: bool = False) -> None:
    """A table as wide as the terminal; as wide as its content where the output is none. `>` before a column: right-aligned."""
    from rich.box import ASCII, SIMPLE
    from rich.console import Console
    from rich.table import Table

    out = sys.stderr if to_stderr else sys.stdout
    is_terminal = out.isatty()
    console = Console(file=out, highlight=False, width=None if is_terminal else NO_LIMIT, no_color=not is_terminal or None)
    is_plain = (out.encoding or "ascii").lower().replace("-", "") != "utf8"
    table = Table(box=ASCII if is_plain else SIMPLE, pad_edge=False, show_header=any(columns))
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines() if line.strip()]
    typer.echo("\n".join([title, *lines] if title else lines), err=to_stderr)


def suggest(*words: str) -> None:
    """A next command that is ready to be typed; chatter, so on stderr."""
    note(f"next: ./cpx {shlex.join(words)}")


def typed_again(ctx: typer.Context, command: str, leave_out: Sequence[str] = (), **instead: str) -> list[str]:
    """A command line with every option that was given to this one; `instead`: option -> what it says now."""
    words = [command]
    for option in ctx.command.params:
        name = option.name or ""
        value = instead.get(name, ctx.params.get(name))
        if name in NOT_REPEATED or name in leave_out or value is None or value is False:
            continue
        if option.param_type_name == "argument":
            words.append(str(value))
        elif value is True:
            words.append(option.opts[0])
        elif name in instead or value != option.default:
            words += [option.opts[0], str(value)]
    return words


def show_repeat(what: str, words: Sequence[str]) -> None:
    """The command that does the same once more without doing it twice; said before it is sent, since no answer may come."""
    note(f"{what} once, however often it is sent: ./cpx {shlex.join(words)}")


def ask_leave(is_given: bool, question: str, nothing: str) -> None:
    """Goes on only with a yes; without a terminal to ask on, `--yes` is needed (exit code 2); a no ends with 1."""
    if is_given:
        return
    if not sys.stdin.isatty():
        fail(f"{nothing}: there is no terminal to ask on; look at the plan and say it again with --yes", USAGE)
    typer.echo(f"{question} [y/N]: ", nl=False, err=True)  # typer's own question writes to stdout, which is for results
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        note(f"{nothing}: you said no")
        raise typer.Exit(SAID_NO)


def decimal_text(option: str, text: str, *units: str) -> str:
    """A number as typed, without its unit; exit code 2 where it is none."""
    import re

    bare = text.strip().lower()
    for unit in units:
        bare = bare.removesuffix(unit).strip()
    if re.fullmatch(r"-[0-9.]+", bare):
        fail(f"{option} {text[:40]!r} is below 0: write a number above, like 8.50", USAGE)
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", bare) is None:
        fail(f"{option} {text[:40]!r} is no number: write digits, like 8.50", USAGE)
    if re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,9})?", bare) is None:
        fail(f"{option} {text[:40]!r} is too long: at most 18 digits before the point and 9 behind it", USAGE)
    return bare


def amount(text: str | None) -> str:
    """Decimal text with commas between thousands; the rest as it came."""
    if not text:
        return ""
    whole, point, rest = str(text).partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}{point}{rest}" if digits.isdigit() else str(text)
