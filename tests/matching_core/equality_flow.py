"""A flow of records that uses every rule, and what an engine makes of it.

As a program it prints that as JSON, for comparisons between processes: hash seeds, the debug build.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))

from fuzz import FLAVOURS, MAX_ORDERS, SWAP, draw
from fuzz_stream import record
from fuzz_tasks import HEADS, TAIL

import matching_core

SIZE = 64
COUNT = 2_500
SEED = 80


def flow(flavour, coverage=None):
    """The commands of a stream; without those that fit no record, which every engine refuses."""
    records = []
    for step in draw(flavour, SEED, COUNT, coverage):
        if isinstance(step, dict):
            try:
                step = record(step)
            except struct.error:
                continue
        if step != SWAP:
            records.append(step)
    return whole(b"".join(records))


def engine_of(engine_class, flavour):
    """A fresh engine of that flavour."""
    check_funds, listed_only = FLAVOURS[flavour]
    return engine_class(MAX_ORDERS, check_funds=check_funds, listed_only=listed_only)


def whole(commands):
    """The commands of a buffer, each with the records that belong to it; a batch may end only behind one."""
    found, at = [], 0
    while at < len(commands):
        head = commands[at : at + SIZE]
        end = at + SIZE * (1 + int.from_bytes(head[6:8], "little")) if head[0] in HEADS else at + SIZE
        are_all_there = end <= len(commands) and all(commands[i] in TAIL for i in range(at + SIZE, end, SIZE))
        end = end if are_all_there else at + SIZE
        found.append(commands[at:end])
        at = end
    return found


def play(engine, commands, sizes, first=0):
    """The events of a list of commands from `first` on, in batches of these sizes; the last size goes on to the end."""
    events, sizes = [], iter(sizes)
    size = next(sizes)
    seq = 1 + sum(map(len, commands[:first])) // SIZE
    while first < len(commands):
        batch = b"".join(commands[first : first + size])
        events.append(bytes(engine.process(batch, first_seq=seq)))
        first, seq = first + size, seq + len(batch) // SIZE
        size = next(sizes, size)
    return b"".join(events)


def outcome(engine_class, flavour):
    """What an engine says to the flow and how it ends, as short text."""
    commands = flow(flavour)
    engine = engine_of(engine_class, flavour)
    events = play(engine, commands, [256])
    engine.check()
    parts = (b"".join(commands), events, engine.snapshot())
    return [hashlib.sha256(part).hexdigest()[:16] for part in parts] + [f"{engine.state_hash():016x}"]


def main():
    """Print where the engine comes from and its outcome in every flavour."""
    engine_class = matching_core.Engine
    found = {
        "folder": str(Path(matching_core.__file__).parent),
        "implementation": matching_core.IMPLEMENTATION,
        "outcomes": [outcome(engine_class, flavour) for flavour in range(4)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
