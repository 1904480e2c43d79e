"""`cpx delivery agent`: runs the work of one's leases on this machine, meters it, returns the output; until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from exchange.cli.market import JSON_SCHEMA, Explain, Participant, Secret, Url, end_with, show_call
from exchange.cli.running import CANNOT_CREATE, DATA_ERROR, USAGE, fail, note

if TYPE_CHECKING:
    from clients.agent import Agent
    from clients.meters import MeterKey

ACCESS = "the provider's agent runs your work and returns its output"
WORDS = {
    "ready": "ready; meters of {sites}", "leased": "lease {lease} at {site} for {buyer}: {work}",
    "started": "lease {lease}: started", "ended": "lease {lease}: ended with {exit_code}",
    "failing": "lease {lease}: obligation {obligation} is failing ({reason})",
    "broken": "lease {lease}: obligation {obligation} is declared failed: {why}",
    "refused": "lease {lease}: {operation} was refused: {why}",
    "waits": "waits for the exchange: {why}", "fault": "fault: {why}",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed."""

    url: str | None
    key: str | None
    participant: str | None
    meters: Mapping[str, MeterKey | None]
    allow: tuple[str, ...] | None
    memory_mb: int
    heartbeat_s: int
    access: str
    as_json: bool
    explain: bool


def agent(
    site: list[str] = typer.Option([], "--site", help="A site whose meter this agent is; may be given again."),
    allow: list[str] = typer.Option([], "--allow", metavar="PROGRAM", help="A program that work may run; may be given again."),
    allow_any: bool = typer.Option(False, "--allow-any", help="Work may run any program of this machine."),
    memory_mb: int = typer.Option(1024, "--memory-mb", min=16, help="Memory of one work, with all that it starts."),
    heartbeat_s: int = typer.Option(60, "--heartbeat-s", min=0, help="Of the sites' meters; 0 = one reading an hour."),
    meter_key: Path | None = typer.Option(None, "--meter-key", help="Key file of the meters; made where it is absent."),
    access: str = typer.Option(ACCESS, "--access", help="What buyers are told at once."),
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object a line on stdout for all that happens."),
    explain: Explain = False,
) -> None:
    """Run what buyers send with their tasks, on this machine and as this user; ends with Ctrl-C or SIGTERM.

    Without --allow or --allow-any nothing is run: buyers get exit code 126. What runs when the agent ends is stopped and its
    hours are declared failed. Allow only what may do no harm here: a program that runs code runs anybody's code.

    Examples: cpx delivery agent --site zw-1 --allow python3 --meter-key zw-1.meter    cpx delivery agent --allow-any --json
    """
    if allow and allow_any:
        fail("--allow and --allow-any: give one of them", USAGE)
    if meter_key is not None and not site:
        fail("--meter-key signs readings of sites: say which with --site", USAGE)
    signs = _meter_key(meter_key) if meter_key is not None else None
    programs = None if allow_any else tuple(allow)
    wanted = Wanted(
        url, key, participant, dict.fromkeys(site, signs), programs, memory_mb, heartbeat_s if site else 0, access, as_json,
        explain,
    )  # fmt: skip
    from clients.errors import CpxError

    try:
        asyncio.run(_work(wanted))
    except CpxError as error:
        end_with(error)


def _meter_key(path: Path) -> MeterKey:
    """The key of a file, or a new one in a file that only its owner reads."""
    from clients.meters import MeterKey

    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            made = MeterKey()
            out.write(made.secret + "\n")
            return made
    except FileExistsError:
        pass
    except OSError as error:
        fail(f"{path} cannot be made: {error.strerror}", CANNOT_CREATE)
    try:
        return MeterKey(path.read_text(encoding="ascii").strip())
    except OSError as error:
        return fail(f"{path} cannot be read: {error.strerror}", CANNOT_CREATE)
    except ValueError:
        return fail(f"{path} holds no meter key of 64 hex digits", DATA_ERROR)


async def _work(wanted: Wanted) -> None:
    """Until a signal, or an error that waiting does not mend."""
    from clients import AsyncClient
    from clients.agent import Agent
    from clients.runner import LocalRunner, hide

    hide()
    async with AsyncClient(wanted.url, wanted.key, on_request=show_call if wanted.explain else None) as client:
        runner = LocalRunner(wanted.allow, memory_mb=wanted.memory_mb)
        found = Agent(
            client, runner, meters=wanted.meters, heartbeat_s=wanted.heartbeat_s, participant=wanted.participant,
            access=wanted.access, on_event=_Lines(wanted.as_json).tell,
        )  # fmt: skip
        if wanted.allow == ():
            note("nothing may run here: work is returned with exit code 126; see --allow")
        await _until_signal(found)
    note("the agent has ended; hours that had not begun are run when it is started again in time")


async def _until_signal(agent: Agent) -> None:
    working = asyncio.create_task(agent.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        return


class _Lines:
    """What happens, a line each."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def tell(self, what: str, about: Mapping[str, Any]) -> None:
        """One event."""
        if self._as_json:
            line = {"schema": JSON_SCHEMA, "kind": "agent", "event": what, "monotonic_ns": time.monotonic_ns(), **about}
            typer.echo(json.dumps(line, ensure_ascii=False))
        else:
            told = {**about, "sites": ", ".join(about.get("sites", ())) or "no sites", "work": about.get("work") or "no work"}
            typer.echo(WORDS[what].format_map(told))
        sys.stdout.flush()
