"""Raw bytes for `process` and `restore`: no crash, no read outside a buffer, every invariant, both engines the same.

`python tests/fuzz/atheris_process.py [options of libFuzzer] [corpus]` lets atheris lead the inputs where it is installed (the
extra `fuzz`); otherwise, and in the tests, `drawn` makes them: cuts, joins and changes of records that mean something. What
lies outside a buffer is seen on the ASan build: docs/guides/sanitizers.md.
"""

import random
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "matching_core"))

from fuzz import FLAVOURS, draw
from fuzz_stream import opening, record

from matching_core import ReferenceEngine
from matching_core.records import RECORD_SIZE

HEAD = 3  # bytes of an input before its records: flavour, orders that fit, how raw the records are
MOST_RECORDS = 60
SMALL = ((0, 25), (1, 3), (2, 3), (3, 6), (4, 6), (5, 33), (6, 1), (7, 1), (8, 5), (12, 4))  # byte of a record, its values
ZEROS = (9, 10, 11, 13, 14, 15, *range(18, 24), *range(27, 32), *range(36, 40), *range(44, 48), *range(52, 56))


def folded(raw):
    """A record with fields so small that commands meet: the same bytes always give the same record."""
    folded_to = bytearray(raw)
    for at, values in SMALL:
        folded_to[at] %= values
    for at in ZEROS:
        folded_to[at] = 0
    folded_to[17] = folded_to[26] = folded_to[34] = folded_to[42] = folded_to[50] = 0
    return bytes(folded_to)


def commands_of(data):
    """The records of an input: as they are, folded, or one by one as a bit says."""
    mode = data[2] % 3
    body = data[HEAD : HEAD + MOST_RECORDS * RECORD_SIZE]
    records = [body[at : at + RECORD_SIZE] for at in range(0, len(body) - RECORD_SIZE + 1, RECORD_SIZE)]
    return [folded(raw) if mode == 1 or (mode == 2 and raw[63] & 1) else raw for raw in records]


def engine_of(engine_class, data):
    """A fresh engine of the flavour that the input names, with accounts, money, books and capacity."""
    check_funds, listed_only = FLAVOURS[data[0] % 4]
    engine = engine_class(1 + data[1] % 40, check_funds=check_funds, listed_only=listed_only)
    engine.process(b"".join(record(fields) for fields in opening()))
    return engine


def one_input(data, engine_class):
    """Everything that one input is for; AssertionError or a crash where the engine is at fault."""
    if len(data) < HEAD:
        return
    commands = commands_of(data)
    engine, reference = engine_of(engine_class, data), engine_of(ReferenceEngine, data)
    half = len(commands) // 2
    for seq, part in ((1_000, commands[:half]), (2_000, commands[half:])):
        joined = exact(b"".join(part))
        assert bytes(engine.process(joined, first_seq=seq)) == bytes(reference.process(joined, first_seq=seq))
        engine.check()
        blob = engine.snapshot()
        assert blob == reference.snapshot()
        engine = engine_class.restore(exact(blob))
        assert engine.snapshot() == blob
    refuses(engine_class.restore, damaged(blob, data))
    refuses(engine.process, exact(data[HEAD:]) + (b"" if len(data[HEAD:]) % RECORD_SIZE else b"x"))
    assert engine.snapshot() == blob


def exact(data):
    """A buffer that ends where its allocation ends, so that one byte too far is noticed."""
    return bytearray(data)


def damaged(blob, data):
    """A snapshot with some bytes of the input written into it."""
    broken = bytearray(blob)
    at = int.from_bytes(data[:HEAD], "little") % len(broken)
    for i, value in enumerate(data[HEAD : HEAD + 9]):
        broken[(at + i * 7) % len(broken)] = value
    return broken if broken != blob else broken[:-1]


def refuses(function, argument):
    """ValueError is the only answer to a buffer that is no such thing."""
    try:
        function(argument)
    except ValueError:
        return
    raise AssertionError(f"{function.__name__} took what is not right")


# --- inputs without atheris ---


def drawn(count, seed):
    """Inputs made from the records of a random day: joined, cut, swapped, with bytes and bits changed."""
    chance = random.Random(seed)
    days = [[step for step in draw(flavour, seed, 300) if isinstance(step, bytes)] for flavour in range(4)]
    for _ in range(count):
        flavour = chance.randrange(4)
        start = chance.randrange(200)
        records = days[flavour][start : start + chance.randrange(40)]
        if chance.random() < 0.3:
            chance.shuffle(records)
        data = bytearray(bytes((flavour, chance.randrange(256), chance.choice((0, 0, 0, 1, 2)))) + b"".join(records))
        for _ in range(chance.choice((0, 1, 4, 30))):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        if chance.random() < 0.2:
            data += chance.randbytes(chance.randrange(400))
        yield bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.1 else data)


def sow(folder, count=200):
    """Something to start from in an empty corpus: from nothing it is a long way to a record that means something."""
    if not any(folder.iterdir()):
        for i, data in enumerate(drawn(count, seed=1)):
            (folder / f"drawn-{i:03}").write_bytes(data)


def main():
    """Let atheris lead, or play what is drawn."""
    from matching_core.engine import Engine

    try:
        import atheris
    except ImportError:
        count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
        seed = random.SystemRandom().randrange(2**32)
        print(f"atheris is not installed: {count} drawn inputs, seed {seed}")
        for data in drawn(count, seed):
            one_input(data, Engine)
        return
    for folder in map(Path, sys.argv[1:]):
        if folder.is_dir():
            sow(folder)
    atheris.instrument_all()
    longest = HEAD + MOST_RECORDS * RECORD_SIZE
    options = [sys.argv[0], f"-max_len={longest}", "-len_control=0", *sys.argv[1:]]
    atheris.Setup(options, lambda data: one_input(data, Engine))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
