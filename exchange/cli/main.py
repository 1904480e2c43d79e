"""`cpx`: the list of commands. A command's own module is imported only when that command runs.

To add one: a line in COMMANDS and a module `exchange/cli/<name>.py` with `command`, which is a
`typer.Typer()` holding one command (or a group of them).
"""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from exchange import __version__

COMMANDS = {
    "demo": "Run a whole market day on your machine: orders, trades, delivery, settlement.",
    "replay": "Run a market on your own files: tasks and offers in, trades and statements out.",
    "report": "Show what came of a run: fills, prices, reasons, statements.",
    "verify": "Check a journal and its snapshots without starting the venue.",
    "doctor": "Show what this machine has, what is missing, and the command that mends it.",
    "bench": "Measure the engine and compare with the goals.",
    "test": "Run the tests on the compiled, the debug and the reference engine.",
    "soak": "Run the long fault and load tests.",
}


def load(name: str) -> Any:
    """The real command of `exchange/cli/<name>.py`."""
    module_name = f"exchange.cli.{name}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        typer.echo(f"cpx: '{name}' is not part of this version yet", err=True)
        raise typer.Exit(69) from None
    command = module.command
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
