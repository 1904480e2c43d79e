"""`cpx history`: what the feeds told, from a journal: a day of a channel as Parquet, or all of it again to clients."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from exchange.cli.running import CANNOT_CREATE, NO_INPUT, USAGE, fail

if TYPE_CHECKING:
    import socket

    from exchange.domain.venue import Venue
    from exchange.engine.journal import Frame
    from exchange.replay.playback import Playback

FASTEST = 100_000
JSON_SCHEMA = 1  # raised when a key of --json changes its meaning
UNAVAILABLE = 69

command = typer.Typer(no_args_is_help=True, add_completion=False)

Folder = typer.Argument(..., metavar="FOLDER", help="A run folder (with journal/ in it), or a copy of a live exchange's.")


@command.callback()
def history() -> None:
    """What the feeds told, made again from a journal."""


@command.command()
def save(
    folder: Path = Folder,
    day: str = typer.Option(..., "--day", help="A day in the venue's time zone: 2026-11-24."),
    channel: str = typer.Option(..., "--channel", help="trades, top, depth, depth10, depth50, orders, candles, prices, …"),
    out: Path | None = typer.Option(None, "--out", help="The file; by default DAY-CHANNEL.parquet here."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of a sentence."),
) -> None:
    """Write a day of one channel as Parquet: the messages that the socket told, made again from the journal.

    Example: cpx history save cpx-demo --day 2026-11-24 --channel trades

    Exit codes: 0 written, 2 no such channel, 66 no such day or journal, 69 pyarrow is missing, 70 the venue itself stopped
    (a fault of CPX), 73 in use by a running venue (copy the folder), or the file cannot be made, 78 damaged.
    """
    from exchange.adapters import feed_files
    from exchange.adapters.journal_reader import held_journal
    from exchange.cli.verify import progress_bar
    from exchange.engine.journal import JournalError
    from exchange.engine.sequencer import VenueHalted

    path = out or Path(f"{day}-{channel}.parquet")
    try:
        feed_files.check_channel(channel)
        of_day = feed_files.parse_day(day)
        with held_journal(folder) as reader, progress_bar(reader.total_bytes, not as_json) as advance:
            count = feed_files.write_day(reader, of_day, channel, path, advance=advance)
    except feed_files.NoSuchChannel as error:
        fail(str(error), USAGE)
    except feed_files.NoSuchDay as error:
        fail(str(error), NO_INPUT)
    except feed_files.NotInstalled as error:
        fail(str(error), UNAVAILABLE)
    except (JournalError, VenueHalted) as error:
        fail(str(error), error.exit_code)
    except OSError as error:
        fail(f"{path} cannot be made ({error.strerror or error}): choose another --out", CANNOT_CREATE)
    if as_json:
        typer.echo(json.dumps(_told(path, day, channel, count), indent=2))
        return
    typer.echo(f"{path}: {count:,} messages of {channel} on {day}")
    typer.echo(f"Read it   duckdb -c \"SELECT * FROM '{path}' LIMIT 10\"")


def _told(path: Path, day: str, channel: str, count: int) -> dict[str, Any]:
    return {"schema": JSON_SCHEMA, "kind": "history", "file": str(path), "day": day, "channel": channel, "messages": count}


@command.command()
def serve(
    folder: Path = Folder,
    speed: str = typer.Option("1", "--speed", help="Times as fast as it happened, or max: as fast as clients take it."),
    start: str | None = typer.Option(
        None, "--from", help="Where it begins: 2026-11-24T10:00:00+08:00, 2026-11-24; by default when trading opens."
    ),
    host: str = typer.Option("127.0.0.1", help="Address to listen on; anything but this machine needs TLS in front."),
    port: int | None = typer.Option(None, min=0, max=65535, help="Port; 0 takes a free one. By default 8787, or a free one."),
    ends: bool = typer.Option(False, "--end", help="End when the journal does; by default the last state stays to be seen."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON line on stdout when it takes requests."),
) -> None:
    """Play a journal to clients: every socket and SDK client connects as to the exchange itself, and only watches.

    It begins with the first subscription. Example: cpx history serve cpx-demo --speed 60

    Exit codes: 0 stopped, 2 usage, 66 no such time or journal, 70 the venue itself stopped (a fault of CPX), 73 in use by a
    running venue (copy the folder), or the port is, 78 damaged.
    """
    import asyncio

    from exchange.adapters.journal_file import Lock, locate
    from exchange.cli.serve import listen, new_loop
    from exchange.engine.journal import JournalError
    from exchange.engine.sequencer import VenueHalted

    times = _speed(speed)
    try:
        lock = Lock(locate(folder).journal, shared=True)
        try:
            playback = _ready(folder, times, start, show_progress=not as_json)
            listener = listen(host, port)
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(_play(playback, listener, host, ends=ends, as_json=as_json))
        finally:
            lock.release()
    except (JournalError, VenueHalted) as error:
        fail(str(error), error.exit_code)
    except OSError as error:
        fail(f"{folder} cannot be read: {error.strerror or error}", NO_INPUT)


def _speed(text: str) -> int:
    """0 for max."""
    if text == "max":
        return 0
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= FASTEST):
        fail(f"--speed {text[:20]!r} is none: give 1 to {FASTEST}, or max", USAGE)
    return int(text)


def _ready(folder: Path, speed: int, start: str | None, *, show_progress: bool) -> Playback:
    """What is to be played, at the place where it begins."""
    from exchange.adapters.feed_files import days_of
    from exchange.adapters.journal_reader import open_journal
    from exchange.cli.moments import moment, venue_time
    from exchange.cli.verify import progress_bar
    from exchange.replay.playback import Playback, is_open_for_trading

    reader = open_journal(folder)
    playback = Playback(reader.frames(), speed=speed)
    is_enough: Callable[[Venue, Frame], bool] = is_open_for_trading
    if start is not None:
        days = days_of(open_journal(folder))
        if days.calendar is None:
            fail(f"nothing can be played: {days.told()}", NO_INPUT)
        first_ns = days.first_ns[days.days[0]]
        found = moment(start, venue_time(first_ns, days.calendar.settings.time_zone), "--from")
        from_ns = int(found.timestamp()) * 10**9

        def is_there(_venue: Venue, frame: Frame) -> bool:
            return frame.ts_ns >= from_ns

        is_enough = is_there
    with progress_bar(reader.total_bytes, show_progress) as advance:
        playback.skip(is_enough, advance)
    if playback.next_ns is None:
        fail(f"nothing is left to play{f' from {start} on' if start else ''}: the journal ends before", NO_INPUT)
    return playback


async def _play(playback: Playback, listener: socket.socket, host: str, *, ends: bool, as_json: bool) -> None:
    """Until a signal, or the end where that is wanted."""
    import asyncio
    import signal

    from exchange.cli.running import note
    from exchange.cli.serve import server_url, web_server
    from exchange.gateways.limits import DoorLimits

    loop = asyncio.get_running_loop()
    web = web_server(playback.app, playback.say_goodbye, DoorLimits())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, web.stop)
    serving = loop.create_task(web.serve(sockets=[listener]))
    await web.wait_started(serving)
    _tell_served(playback, server_url(host, listener), as_json=as_json)
    playing = loop.create_task(playback.play())
    await asyncio.wait({playing, serving}, return_when=asyncio.FIRST_COMPLETED)
    if playing.done() and not serving.done():
        note(f"the journal ends at seq {playback.replay.machine.seq:,}" + ("" if ends else "; stop with Ctrl-C"))
        if ends or playing.exception() is not None:
            web.stop()
    await serving
    playing.cancel()
    if playing.done() and not playing.cancelled():
        playing.result()


def _tell_served(playback: Playback, url: str, *, as_json: bool) -> None:
    import sys

    if as_json:
        typer.echo(json.dumps({"schema": JSON_SCHEMA, "kind": "replay", "url": url, "key": playback.key}))
        sys.stdout.flush()
        return
    typer.echo(f"The journal waits at {url} for its first subscription; nothing can be changed there")
    typer.echo("\nTry, in another terminal:")
    typer.echo(f"  export CPX_URL={url} CPX_KEY={playback.key}")
    typer.echo("  ./cpx instruments")
    typer.echo("  ./cpx book --watch INSTRUMENT")
    typer.echo("\nStop with Ctrl-C.")
