"""Writes one history file beside a writer that goes on: a process of its own, started by `exchange.adapters.feed_days`.

Tells the percent that is done, a line each; ends with 66 where the journal has nothing of the day.
"""

import sys
from pathlib import Path

from exchange.adapters.feed_files import NoSuchDay, parse_day, write_day
from exchange.adapters.journal_reader import open_journal

NOTHING = 66


def main(folder: Path, day: str, channel: str, out: Path, until_seq: int) -> int:
    """The exit code."""
    reader = open_journal(folder)
    total, done, told = max(1, reader.total_bytes), 0, -1

    def advance(count: int) -> None:
        nonlocal done, told
        done += count
        percent = min(99, 100 * done // total)
        if percent != told:
            told = percent
            _tell(str(percent))

    try:
        write_day(reader, parse_day(day), channel, out, until_seq=until_seq, advance=advance)
    except NoSuchDay as error:
        _tell(str(error))
        return NOTHING
    return 0


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]), int(sys.argv[5])))
