"""Both engines under `fuzz_stream`, and the shortest sequence of commands that still tells them apart.

`python tests/matching_core/fuzz.py --flavour 3 --seed 5 --count 20000` plays a stream in child processes, so that a crash is
found like any other difference, and prints the commands that are left of it.
"""

import argparse
import os
import random
import sys
import tempfile
import time
import traceback
from itertools import zip_longest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))

from fuzz_stream import GROUPS, Stream, fields_of, opening, record
from fuzz_tasks import is_tail

from matching_core import ReferenceEngine
from matching_core.enums import Op
from matching_core.records import RECORD_SIZE, unpack_events

FLAVOURS = ((False, False), (True, False), (False, True), (True, True))  # check_funds, listed_only
MAX_ORDERS = 36
SWAP = "swap"  # a step: each engine goes on from a snapshot that the other one wrote


class Different(AssertionError):
    """The two engines do not say the same."""


def same(what, ours, theirs):
    """Different unless both engines gave the same answer."""
    if ours != theirs:
        raise Different(f"{what}:\n  first:  {ours}\n  second: {theirs}")


class Pair:
    """Two engines that get every command one by one, and a third that gets records in batches."""

    def __init__(self, classes, flavour):
        self.classes = classes
        self.engines = [self._make(each, flavour) for each in classes]
        self.batched = self._make(classes[1], flavour)
        self.batch = []
        self.batch_events = b""

    def _make(self, engine_class, flavour):
        check_funds, listed_only = FLAVOURS[flavour]
        return engine_class(MAX_ORDERS, check_funds=check_funds, listed_only=listed_only)

    def play(self, step):
        """One step with every check."""
        if step == SWAP:
            self.swap()
            return
        if isinstance(step, dict):
            self.flush()
            said = [engine.submit(**step) for engine in self.engines]
            same("submit after a batch", said[1], self.batched.submit(**step))
        else:
            if is_tail(step):
                self.flush()  # behind a head that lacks records it would be taken for one of them
            seq = self.engines[0].next_seq
            said = [list(engine.process(step, first_seq=seq)) for engine in self.engines]
            if not self.batch:
                self.first_seq = seq
            self.batch.append(step)
            self.batch_events += b"".join(event.pack() for event in said[0])
        same(f"events of {shown(step)}", *said)
        for engine in self.engines:
            engine.check()
        same(f"state hash after {shown(step)}", *(engine.state_hash() for engine in self.engines))
        same(f"answers after {shown(step)}", *(answers(engine, fields_of(step)) for engine in self.engines))
        if not isinstance(step, dict):
            same(f"route of {shown(step)}", *(route(engine, step) for engine in self.engines))

    def flush(self):
        """What was played one by one as one batch: the same events and the same state."""
        if self.batch:
            events = bytes(self.batched.process(b"".join(self.batch), first_seq=self.first_seq))
            for ours, theirs in zip_longest(unpack_events(self.batch_events), unpack_events(events)):
                same(f"an event of a batch of {len(self.batch)}", ours, theirs)
            same("state hash after a batch", self.engines[1].state_hash(), self.batched.state_hash())
        self.batch, self.batch_events = [], b""

    def swap(self):
        """The same snapshot from both, which the other one reads."""
        self.flush()
        blobs = [engine.snapshot() for engine in (*self.engines, self.batched)]
        same("snapshot", *blobs[:2])
        same("snapshot after batches", *blobs[1:])
        self.engines = [each.restore(blob) for each, blob in zip(self.classes, reversed(blobs[:2]), strict=True)]
        self.batched = self.classes[1].restore(blobs[0])
        same("snapshot of what was restored", *(engine.snapshot() for engine in self.engines))


def answers(engine, fields):
    """Every question about what a command named."""
    book, account, order_id = (fields.get(name, 0) for name in ("book", "account", "order_id"))
    group = GROUPS[account % len(GROUPS)]
    return (
        engine.now_ns, engine.n_orders, engine.books(), engine.top(book), engine.depth(book, 3), engine.orders(book),
        engine.order(order_id), engine.book_state(book), engine.is_blocked(account), engine.balance(account),
        engine.firm(account), engine.capacity(account, group), engine.position(account, book), engine.site_asks(account, book),
        engine.site_walk(account, 0, 5, 7), engine.n_tasks, engine.tasks(), engine.task(order_id),
        engine.tasks_due(engine.now_ns + 10**9), engine.block_offer(order_id), engine.dirty(),
        engine.link_load(1, 2, engine.now_ns // 10**9),
    )  # fmt: skip


def route(engine, records):
    """What `find_task` says of some records, or why it does not."""
    try:
        return engine.find_task(records), engine.find_task(records, 5_000)
    except ValueError as refusal:
        return str(refusal)


def shown(step):
    """A step as one would write it in a test."""
    if step == SWAP:
        return step
    fields = fields_of(step)
    names = ", ".join(f"{name}={value}" for name, value in fields.items() if value and name != "op")
    op = Op(fields["op"]).name if fields["op"] in set(Op) else fields["op"]
    head = f"{'submit' if isinstance(step, dict) else 'process'} {op} {names}"
    tail = [] if isinstance(step, dict) else [step[at : at + RECORD_SIZE] for at in range(RECORD_SIZE, len(step), RECORD_SIZE)]
    return "\n  + ".join([head, *map(shown, tail)])


def draw(flavour, seed, count, coverage=None):
    """So many steps of a stream, as the reference engine leads it; what they reach is counted."""
    check_funds, listed_only = FLAVOURS[flavour]
    engine = ReferenceEngine(MAX_ORDERS, check_funds=check_funds, listed_only=listed_only)
    chance = random.Random(seed)
    stream = Stream(chance, engine)
    steps = list(opening())
    for step in steps:
        stream.read(engine.submit(**step))
    for _ in range(count):
        if chance.random() < 0.005:
            steps.append(SWAP)
        step = stream.step()
        events = engine.submit(**step) if isinstance(step, dict) else list(engine.process(step))
        stream.read(events)
        if coverage:
            coverage.add(step, events)
        steps.append(step)
    return steps


def play(classes, flavour, steps):
    """Every step on both engines with all checks."""
    pair = Pair(classes, flavour)
    for step in steps:
        pair.play(step)
    pair.swap()


# --- the shortest sequence that still fails ---


def shrink(steps, fails, seconds=60.0):
    """Fewer steps with fewer fields for which `fails(steps)` still holds; stops looking after so many seconds."""
    until = time.monotonic() + seconds
    return _with_fewer_fields(_fewer(list(steps), fails, until), fails, until)


def _fewer(steps, fails, until):
    """Leaves out runs of steps, shorter and shorter ones, until no single step can go."""
    size = max(1, len(steps) // 2)
    while time.monotonic() < until:
        at, before = 0, len(steps)
        while at < len(steps) and time.monotonic() < until:
            fewer = steps[:at] + steps[at + size :]
            if fails(fewer):
                steps = fewer
            else:
                at += size
        if size == 1 and len(steps) == before:
            return steps
        size = max(1, size // 2)
    return steps


def _with_fewer_fields(steps, fails, until):
    for i, step in enumerate(steps):
        for name in () if step == SWAP else [name for name in fields_of(step) if name != "op"]:
            simpler = _without(steps[i], name)
            if simpler != steps[i] and time.monotonic() < until and fails([*steps[:i], simpler, *steps[i + 1 :]]):
                steps[i] = simpler
    return steps


def _without(step, name):
    fields = {key: value for key, value in fields_of(step).items() if key != name}
    return fields if isinstance(step, dict) else record(fields) + step[RECORD_SIZE:]


def report(classes, flavour, steps, seconds=60.0):
    """The shortest sequence that fails in a child process, as text, and what goes wrong there; "" if nothing does."""
    if not in_child(lambda: play(classes, flavour, steps)):
        return ""
    steps = shrink(steps, lambda fewer: in_child(lambda: play(classes, flavour, fewer)), seconds)
    lines = [f"check_funds, listed_only = {FLAVOURS[flavour]}, max_orders = {MAX_ORDERS}", *map(shown, steps)]
    with tempfile.TemporaryFile() as said:
        in_child(lambda: play(classes, flavour, steps), said.fileno())
        said.seek(0)
        return "\n".join([*lines, said.read().decode(errors="replace")])


def in_child(work, output=None):
    """Whether work() fails in a fork of this process, be it by a crash; a traceback goes to that descriptor."""
    child = os.fork()
    if not child:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY) if output is None else output, 2)
            work()
        except BaseException:  # noqa: BLE001 - a fork must never go on in the place of its parent
            os.write(2, traceback.format_exc().encode())
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def main():
    """Play a stream; print the shortest sequence that fails."""
    from matching_core.engine import Engine

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--flavour", type=int, choices=range(4), default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=120.0)
    chosen = parser.parse_args()
    steps = draw(chosen.flavour, chosen.seed, chosen.count)
    found = report((ReferenceEngine, Engine), chosen.flavour, steps, chosen.seconds)
    print(found or "no difference")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
