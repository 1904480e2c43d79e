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

import matching_core

SIZE = 64
COUNT = 1_500
SEED = 77


def flow(flavour, coverage=None):
    """The commands of a stream as one buffer; without those that fit no record, which every engine refuses."""
    records = []
    for step in draw(flavour, SEED, COUNT, coverage):
        if isinstance(step, dict):
            try:
                step = record(step)
            except struct.error:
                continue
        if step != SWAP:
            records.append(step)
    return b"".join(records)


def engine_of(engine_class, flavour):
    """A fresh engine of that flavour."""
    check_funds, listed_only = FLAVOURS[flavour]
    return engine_class(MAX_ORDERS, check_funds=check_funds, listed_only=listed_only)


def play(engine, commands, sizes, first=0):
    """The events of a flow from command `first` on, in batches of these sizes; the last size goes on to the end."""
    events, sizes = [], iter(sizes)
    size = next(sizes)
    while first * SIZE < len(commands):
        events.append(bytes(engine.process(commands[first * SIZE : (first + size) * SIZE], first_seq=first + 1)))
        first += size
        size = next(sizes, size)
    return b"".join(events)


def outcome(engine_class, flavour):
    """What an engine says to the flow and how it ends, as short text."""
    commands = flow(flavour)
    engine = engine_of(engine_class, flavour)
    events = play(engine, commands, [256])
    engine.check()
    parts = (commands, events, engine.snapshot())
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
