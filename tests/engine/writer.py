"""A process of its own that submits commands and says on stdout what was answered; tests kill it.

writer.py FOLDER FIRST COUNT [LIMIT_BYTES] [live]

live: through the writer on a loop, twenty at a time, so that frames overlap.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the test runner starts interpreters with a safe path

from toy import ToyVenue, some_commands

from exchange.adapters.journal_file import open_sequencer
from exchange.engine.journal import BLOCK, JournalError
from exchange.engine.writer import Writer
from exchange.ports import Envelope


async def run_live(sequencer, commands) -> None:
    writer = Writer(sequencer)
    await writer.start()
    room = asyncio.Semaphore(20)

    def on_answer(answer) -> None:
        os.write(1, b"%d\n" % answer.seq)
        room.release()

    for command in commands:
        await room.acquire()
        writer.submit_nowait(command, Envelope(), on_answer)
    await writer.close()


def main(folder: str, first: int, count: int, limit_bytes: int = 0, is_live: bool = False) -> int:
    try:
        sequencer, _ = open_sequencer(folder, ToyVenue, ToyVenue.restore, segment_bytes=20 * BLOCK)
    except JournalError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    os.write(1, b"open\n")
    commands = some_commands(count, first)
    if is_live:
        asyncio.run(run_live(sequencer, commands))
        return 0
    while sequencer.seq < first + count:
        start = sequencer.seq - first
        answers = sequencer.submit(commands[start : start + 1 + start % 5])
        os.write(1, b"%d\n" % answers[-1].seq)
    sequencer.close()
    return 0


if __name__ == "__main__":
    is_live = sys.argv[-1] == "live"
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2 : len(sys.argv) - is_live]), is_live=is_live))
