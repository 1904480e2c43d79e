"""Snapshots: whole or not at all, the same bytes from both engines, and never a crash from a damaged one."""

import random

import pytest

from matching_core import image, loading
from matching_core.enums import MassFilter, Op, OrderFlag


def busy_engine(engine_class, stream, check_funds=True, listed_only=False, seed=3, count=250, rules=None):
    """An engine in the middle of a random day, by the rules that it knows or by those that are given."""
    rules = rules or getattr(engine_class, "RULES_VERSION", 1)
    engine = engine_class(40, check_funds=check_funds, listed_only=listed_only)
    chance = random.Random(seed)
    for fields in stream.opening():
        engine.submit(**fields)
    for _ in range(count):
        live = {order.order_id: order.account for book in engine.books() for order in engine.orders(book)}
        engine.submit(**stream.command(chance, engine.now_ns, live, rules))
    assert engine.n_orders > 1
    return engine


@pytest.mark.parametrize("flavour", range(4))
def test_a_restored_engine_goes_on_as_if_nothing_had_happened(engine_class, stream, flavour):
    engine = busy_engine(engine_class, stream, *stream.FLAVOURS[flavour])
    twin = engine_class.restore(engine.snapshot())
    chance = random.Random(99)
    for _ in range(60):
        fields = stream.command(chance, engine.now_ns, {}, getattr(engine_class, "RULES_VERSION", 1))
        assert engine.submit(**fields) == twin.submit(**fields)
    assert engine.snapshot() == twin.snapshot()


def test_a_blob_of_either_engine_is_read_by_the_other(reference_class, compiled_class, stream):
    both = (reference_class, compiled_class)
    rules = min(getattr(each, "RULES_VERSION", 1) for each in both)
    ours, theirs = (busy_engine(each, stream, rules=rules) for each in both)
    assert ours.snapshot() == theirs.snapshot()
    assert (
        compiled_class.restore(ours.snapshot()).state_hash()
        == reference_class.restore(theirs.snapshot()).state_hash()
    )


def test_sequence_and_order_capacity_travel_but_are_not_hashed(engine_class):
    one, other = engine_class(10), engine_class(20)
    one.submit(Op.NEW, order_id=1, price=5, qty=5, seq=70)
    other.submit(Op.NEW, order_id=1, price=5, qty=5)
    assert one.state_hash() == other.state_hash()
    assert one.snapshot() != other.snapshot()
    assert engine_class.restore(one.snapshot()).submit(Op.CANCEL, order_id=1)[0].seq == 71
    assert [engine_class.restore(engine.snapshot()).max_orders for engine in (one, other)] == [10, 20]


def test_every_damaged_byte_is_noticed(engine_class, stream):
    blob = busy_engine(engine_class, stream, count=120).snapshot()
    for at in range(0, len(blob), 7):
        broken = bytearray(blob)
        broken[at] ^= 1 << (at % 8)
        with pytest.raises(ValueError, match="snapshot"):
            engine_class.restore(bytes(broken))


def test_every_cut_is_noticed(engine_class, stream):
    blob = busy_engine(engine_class, stream, count=120).snapshot()
    for length in [*range(0, len(blob), 13), len(blob) - 1]:
        with pytest.raises(ValueError, match="snapshot"):
            engine_class.restore(blob[:length])
    with pytest.raises(ValueError, match="too many"):
        engine_class.restore(blob + b"\0")


def test_a_forged_snapshot_with_good_checksums_is_refused_or_sound(engine_class, stream):
    """Checksums protect from accidents only: whoever rewrites them meets the invariants instead."""
    engine = busy_engine(engine_class, stream, count=200)
    sections = image.decode(engine.snapshot())
    chance = random.Random(5)
    refused = 0
    for _ in range(400):
        tag = chance.choice(sorted(tag for tag in sections if sections[tag]))
        forged = bytearray(sections[tag])
        for _ in range(chance.choice((1, 1, 8))):
            forged[chance.randrange(len(forged))] = chance.choice((0, 1, 127, 128, 255))
        try:
            restored = engine_class.restore(image.encode(sections | {tag: bytes(forged)}))
        except ValueError:
            refused += 1
            continue
        restored.check()
        for book in range(3):
            restored.submit(Op.NEW, side=1, account=2, book=book, order_id=900 + book, price=1, qty=1)
        restored.check()
    assert refused > 150


def test_rows_out_of_order_or_doubled_are_refused(engine_class, stream):
    sections = image.decode(busy_engine(engine_class, stream).snapshot())
    for tag in ("BOOK", "ACCT", "ORDR"):
        size = image.ROWS[tag].size
        rows = [sections[tag][at : at + size] for at in range(0, len(sections[tag]), size)]
        for wrong in (rows[::-1], [*rows, rows[-1]]):
            with pytest.raises(ValueError, match="snapshot"):
                engine_class.restore(image.encode(sections | {tag: b"".join(wrong)}))


def test_a_state_without_later_rules_keeps_its_bytes_and_an_older_engine_refuses_the_others(reference_class):
    plain = reference_class()
    plain.submit(Op.NEW, order_id=1, price=5, qty=5)
    assert set(image.decode(plain.snapshot())) == set(image.ROWS)
    assert loading.read(plain.snapshot()).rules == []
    plain.submit(Op.SET_REFERENCE, price=7)
    blob = plain.snapshot()
    assert set(image.decode(blob)) == set(image.ROWS) | set(image.RULE_ROWS)
    with pytest.raises(ValueError, match="rules that this engine does not know"):
        loading.read(blob)
    assert loading.read(blob, rules_version=2).rules[0][0] == 0


def test_a_later_section_that_does_not_fit_is_refused(reference_class):
    engine = reference_class()
    engine.submit(Op.SET_REFERENCE, price=7)
    engine.submit(Op.NEW, order_id=1, side=1, price=50, qty=9, flags=OrderFlag.ICEBERG, aux=2)
    engine.submit(Op.KILL, flags=MassFilter.ACCOUNT, account=4)
    sections = image.decode(engine.snapshot())
    rules, extra, killed = (sections[tag] for tag in image.RULE_ROWS)
    for tag, wrong in (
        ("RULE", rules + rules), ("RULE", rules[:7] + b"\x09" + rules[8:]), ("RULE", rules[:4] + b"\xff" + rules[5:]),
        ("ORDX", extra + extra), ("ORDX", b""), ("ORDX", b"\x02" + extra[1:]), ("ORDX", extra[:-8] + b"\x03" + b"\0" * 7),
        ("KILL", killed + killed), ("KILL", b"\x07" + killed[1:]), ("KILL", b"\x01\0\0\0" + b"\0" * 4),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="snapshot"):
            reference_class.restore(image.encode(sections | {tag: wrong}))
    assert reference_class.restore(engine.snapshot()).state_hash() == engine.state_hash()
