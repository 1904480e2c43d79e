"""`cpx`: the list of commands. A command's own module is imported only when that command runs.

To add one: a line in COMMANDS and a module `exchange/cli/<name>.py` (`_` for `-`) with `command` (or a line in SHARED), which
is a `typer.Typer()` holding one command (or a group of them).
"""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from exchange import __version__

COMMANDS = {
    "serve": "Run the exchange on an address: REST, sockets, journal, database.",
    "demo": "Run a whole market day on your machine: orders, trades, delivery, settlement.",
    "replay": "Run a market on your own files: tasks and offers in, trades and statements out.",
    "instruments": "What can be traded on a running exchange: families and their open hours.",
    "book": "Price levels of one book, once or live.",
    "curve": "The forward curve by delivery hour, as a picture.",
    "market": "What is published of prices: live, candles, forward curve, indices; tables and pictures.",
    "lane": "Everything a need could use in one hour, cheapest first, once or live.",
    "demand": "What waiting tasks would buy, in cells of at least three firms, once or live.",
    "preview": "What a need would get now and cost, or why nothing fits; nothing is booked.",
    "buy": "Buy computing power: plan, question, then buy now or wait for it.",
    "follow": "A task, order or offer until its end, each change told; why it waits.",
    "amend": "New terms for a waiting task.",
    "sell": "Offer hours of your cards: plan, question, then the offer stands.",
    "cancel": "Take back what has not traded yet: tasks, orders, offers.",
    "tasks": "Your tasks and what became of them.",
    "orders": "Your plain orders.",
    "offers": "Your offers: sold and still open.",
    "leases": "What you bought: cards over hours.",
    "delivery": "What a provider has to run, and an agent that runs it; access, results, meters, failures, probes.",
    "statement": "Your account on one day, to the last unit; in ten file formats, what is behind a line, confirmed, checked.",
    "green": "Green power: shares of a day, certificates, supply from sun, wind or a file.",
    "keys": "Make, list and end keys, over a server or in its folder.",
    "report": "Show what came of a run: fills, prices, reasons, statements.",
    "market-report": "What each day of a run came to: volumes, prices, utilization, unfilled demand, shortfalls, with plots.",
    "prices": "Prove the published fixes from the journal; show what one was made from.",
    "history": "What the feeds told, from a journal: a day as Parquet, or played to clients at any speed.",
    "verify": "Check a journal and its snapshots without starting the venue.",
    "doctor": "Show what this machine has, what is missing, and the command that mends it.",
    "bench": "Measure the engine and compare with the goals.",
    "test": "Run the tests on the compiled, the debug and the reference engine.",
    "soak": "Run the long fault and load tests.",
}


# Commands that share a module with others: it has them as `<name>_command`.
SHARED = {
    **dict.fromkeys(("instruments", "orders", "tasks", "offers", "leases"), "market_lists"),
    **dict.fromkeys(("book", "curve"), "market_books"),
    "market": "market_prices",
    "delivery": "market_delivery",
    **dict.fromkeys(("lane", "demand"), "market_views"),
    **dict.fromkeys(("preview", "buy", "amend"), "market_buy"),
    "follow": "market_follow",
    "cancel": "market_cancel",
    "sell": "market_sell",
    **dict.fromkeys(("statement", "keys"), "market_money"),
}


def load(name: str) -> Any:
    """The real command of `exchange/cli/<name>.py`, or of the module that SHARED names."""
    module_name = f"exchange.cli.{SHARED.get(name, name.replace('-', '_'))}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        typer.echo(f"cpx: '{name}' is not part of this version yet", err=True)
        raise typer.Exit(69) from None
    command = getattr(module, f"{name}_command") if name in SHARED else module.command
    return typer.main.get_command(command) if isinstance(command, typer.Typer) else command


class LazyGroup(TyperGroup):
    """Lists every command from COMMANDS alone; loads the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(name=cmd_name, help=COMMANDS[cmd_name], callback=lambda: None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, stub, rest = super().resolve_command(ctx, args)
        if stub is None or name is None:
            return name, stub, rest
        command = load(name)
        command.name = name
        return name, command, rest


app = typer.Typer(
    name="cpx",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"cpx {__version__}")
        raise typer.Exit


@app.callback()
def cpx(
    version: bool = typer.Option(
        False, "--version", callback=show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """CPX, an open exchange for computing power."""
