"""Snapshots: whole or not at all, the same bytes from both engines, and never a crash from a damaged one."""

import random
import struct

import pytest

from matching_core import image, loading
from matching_core.enums import (
    BookRule,
    CallKind,
    Kind,
    MassFilter,
    Op,
    OrderFlag,
    OrderType,
    Phase,
    TimeInForce,
)
from matching_core.limits import MAX_QTY_LOTS


def busy_engine(
    engine_class, stream, check_funds=True, listed_only=False, seed=3, count=250, rules=None, least=2
):
    """An engine in the middle of a random day, by the rules that it knows or by those that are given."""
    rules = rules or getattr(engine_class, "RULES_VERSION", 1)
    engine = engine_class(40, check_funds=check_funds, listed_only=listed_only)
    chance = random.Random(seed)
    for fields in stream.opening():
        engine.submit(**fields)
    for _ in range(count):
        live = {order.order_id: order.account for book in engine.books() for order in engine.orders(book)}
        engine.submit(**stream.command(chance, engine.now_ns, live, rules))
    assert engine.n_orders >= least
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


def test_a_state_without_later_rules_keeps_its_bytes_and_an_older_engine_refuses_the_others(engine_class):
    plain = engine_class()
    plain.submit(Op.NEW, order_id=1, price=5, qty=5)
    assert set(image.decode(plain.snapshot())) == set(image.ROWS)
    assert loading.read(plain.snapshot()).rules == []
    plain.submit(Op.SET_REFERENCE, price=7)
    blob = plain.snapshot()
    assert set(image.decode(blob)) == set(image.ROWS) | set(image.RULE_ROWS)
    with pytest.raises(ValueError, match="rules that this engine does not know"):
        loading.read(blob)
    assert loading.read(blob, rules_version=2).rules[0][0] == 0


def every_kind_of_order(engine_class):
    """A book in a call, one with bands and an end, a plain one, and an order of every kind that can rest."""
    engine = engine_class()
    engine.submit(Op.LIST_BOOK, book=5, price=3, qty=1000, expiry_ns=500)
    engine.submit(Op.SET_BOOK, book=5, flags=BookRule.FRESH_PEAK, stp=2, qty=4, expiry_ns=900)
    engine.submit(Op.SET_BANDS, book=5, price=900_000, qty=50_000, aux=10_000)
    engine.submit(Op.SET_REFERENCE, book=5, price=50)
    engine.submit(Op.SET_FIX, book=5, side=2, price=51, client_ref=2**64 - 1)
    engine.submit(Op.SET_PHASE, book=9, aux=Phase.AUCTION, flags=CallKind.CLOSING, expiry_ns=30)
    resting = (
        {"tif": TimeInForce.GTC, "account": 2**32 - 1}, {"tif": TimeInForce.DAY}, {"tif": TimeInForce.GTD, "expiry_ns": 77},
        {"flags": OrderFlag.ICEBERG, "aux": 4}, {"flags": OrderFlag.MIN_QTY, "aux": 6}, {"stp": 3, "client_ref": 2**64 - 1},
        {"flags": OrderFlag.ICEBERG | OrderFlag.POST_ONLY, "aux": 9, "tif": TimeInForce.DAY, "stp": 4},
        {"side": 1, "flags": OrderFlag.STANDBY, "price": 55},
    )  # fmt: skip
    for number, fields in enumerate(resting, start=1):
        (first, *_) = engine.submit(
            Op.NEW, **({"book": 5, "order_id": number * 1000, "price": 49, "qty": 9} | fields)
        )
        assert first.kind == Kind.ACCEPTED
    for number, side in enumerate((0, 1, 1), start=90):
        for_call = {
            "order_type": OrderType.MARKET,
            "flags": OrderFlag.AUCTION_ONLY,
            "aux": number % 2 * CallKind.CLOSING,
        }
        engine.submit(Op.NEW, book=9, order_id=number, side=side, price=40, qty=9, **for_call)
    engine.submit(Op.NEW, book=9, order_id=99, side=0, price=41, qty=3)
    engine.submit(Op.NEW, book=5, order_id=100, side=1, price=49, qty=12, tif=TimeInForce.IOC)
    engine.submit(Op.KILL, flags=MassFilter.FIRM, aux=77)
    engine.submit(Op.KILL, flags=MassFilter.ACCOUNT, account=4)
    return engine


def test_every_kind_of_order_and_of_book_comes_back_as_it_was(engine_class, reference_class):
    engine = every_kind_of_order(engine_class)
    blob = engine.snapshot()
    assert blob == every_kind_of_order(reference_class).snapshot()
    assert engine.book_state(9).told_volume > 0
    assert [order.shown for order in engine.orders(5) if order.flags & OrderFlag.ICEBERG] == [4, 9]
    twin = engine_class.restore(blob)
    assert twin.snapshot() == blob
    for book in engine.books():
        assert twin.orders(book) == engine.orders(book)
        assert twin.book_state(book) == engine.book_state(book)
        assert twin.depth(book) == engine.depth(book)
    assert (twin.is_blocked(4), twin.is_blocked(5)) == (True, False)
    for fields in (
        {"op": Op.NEW, "book": 9, "order_id": 7, "price": 44, "qty": 20}, {"op": Op.ADVANCE_TIME, "aux": 80},
        {"op": Op.UNCROSS, "book": 9, "aux": Phase.OPEN}, {"op": Op.SESSION_CLOSE},
        {"op": Op.NEW, "book": 5, "order_id": 8, "side": 1, "price": 49, "qty": 31}, {"op": Op.ADVANCE_TIME, "aux": 600},
        {"op": Op.LIFT, "flags": MassFilter.FIRM, "aux": 77}, {"op": Op.ADVANCE_TIME, "aux": 900},
    ):  # fmt: skip
        assert engine.submit(**fields) == twin.submit(**fields)
        twin.check()
    assert engine.snapshot() == twin.snapshot()


def test_a_call_tells_its_figures_after_a_restore_as_if_it_had_not_been_away(engine_class):
    """U11: the figures that changed within the interval are told when it is over, whoever asks."""
    engine = engine_class()
    engine.submit(Op.ADVANCE_TIME, aux=10)
    engine.submit(Op.SET_BOOK, book=3, aux=50)
    engine.submit(Op.SET_PHASE, book=3, aux=Phase.AUCTION)
    for number, side in enumerate((0, 1), start=1):
        engine.submit(Op.NEW, book=3, order_id=number, side=side, price=10, qty=5)
    engine.submit(Op.NEW, book=3, order_id=3, price=11, qty=2)
    twin = engine_class.restore(engine.snapshot())
    for each in (engine, twin):
        assert [event.kind for event in each.submit(Op.OPEN_ACCOUNT, account=8)] == [Kind.ACCOUNT_OPENED]
        assert each.submit(Op.ADVANCE_TIME, aux=59) == []
        events = each.submit(Op.ADVANCE_TIME, aux=60)
        assert [(event.kind, event.book, event.leaves) for event in events] == [(Kind.INDICATIVE, 3, 2)]


def test_a_later_section_that_does_not_fit_is_refused(engine_class):
    engine = engine_class()
    engine.submit(Op.SET_REFERENCE, price=7)
    engine.submit(Op.NEW, order_id=1, side=1, price=50, qty=9, flags=OrderFlag.ICEBERG, aux=2)
    engine.submit(Op.KILL, flags=MassFilter.ACCOUNT, account=4)
    sections = image.decode(engine.snapshot())
    rules, extra, killed = (sections[tag] for tag in image.RULE_ROWS)
    for tag, wrong in (
        ("RULE", rules + rules), ("RULE", rules[:7] + b"\x09" + rules[8:]), ("RULE", rules[:4] + b"\xff" + rules[5:]),
        ("ORDX", extra + extra), ("ORDX", b""), ("ORDX", b"\x02" + extra[1:]), ("ORDX", extra[:-8] + b"\x03" + b"\0" * 7),
        ("ORDX", extra + b"\x02" + extra[1:]), ("ORDX", extra[:8] + b"\0" * 16),
        ("ORDX", extra[:8] + (MAX_QTY_LOTS + 1).to_bytes(8, "little") + extra[16:]),
        ("KILL", killed + killed), ("KILL", b"\x07" + killed[1:]), ("KILL", b"\x01\0\0\0" + b"\0" * 4),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="snapshot"):
            engine_class.restore(image.encode(sections | {tag: wrong}))
    assert engine_class.restore(engine.snapshot()).state_hash() == engine.state_hash()


ORDER_FORGERIES = {
    "tif": (1, 2, 5), "side": (2,), "order_id": (0, 2**63), "price": (0, -1, 10**12 + 1), "qty": (0, 8, 10**12 + 1),
    "leaves": (0, -1, 10), "expiry_ns": (-1, 5), "done_micro": (1, -1), "fee_ppm": (1, 10**6 + 1),
    "marks": (32, 1 << 8, 2 << 8, 5 << 12, 1, 2 | 4, 16, 2 | 8, 8, 4),
}  # fmt: skip


@pytest.mark.parametrize("field", ORDER_FORGERIES)
def test_an_order_row_that_no_command_could_have_made_is_refused(engine_class, field):
    """The state is a plain bid of 9 lots; marks 1 (post-only) is the one forgery that is a fair order too."""
    engine = engine_class()
    engine.submit(Op.NEW, order_id=1, price=50, qty=9)
    sections = image.decode(engine.snapshot())
    row = dict(zip(image.ORDER_FIELDS, image.ROWS["ORDR"].unpack(sections["ORDR"]), strict=True))
    for value in ORDER_FORGERIES[field]:
        forged = image.encode(sections | {"ORDR": image.ROWS["ORDR"].pack(*(row | {field: value}).values())})
        if (field, value) == ("marks", OrderFlag.POST_ONLY):
            assert engine_class.restore(forged).order(1).flags == OrderFlag.POST_ONLY
            continue
        with pytest.raises(ValueError, match="snapshot"):
            engine_class.restore(forged)


@pytest.mark.parametrize("flavour", range(4))
def test_both_engines_refuse_the_same_forgeries_and_go_on_alike_from_the_others(
    reference_class, compiled_class, stream, flavour
):
    outcomes = set()
    for seed in range(12):
        engine = busy_engine(
            compiled_class, stream, *stream.FLAVOURS[flavour], seed, count=100, rules=2, least=0
        )
        sections = image.decode(engine.snapshot())
        layout = image.ROWS | image.RULE_ROWS
        chance = random.Random(seed)
        for _ in range(30):
            tag = chance.choice(sorted(tag for tag in sections if sections[tag]))
            forged = bytearray(sections[tag])
            at = chance.randrange(len(forged) // layout[tag].size) * layout[tag].size
            row = list(layout[tag].unpack_from(forged, at))
            field = chance.randrange(len(row))
            row[field] = chance.choice((0, 1, 2, 4, 8, row[field] + 1, abs(row[field] - 1), 100, 255))
            try:
                layout[tag].pack_into(forged, at, *row)
            except struct.error:
                continue
            forgery = image.encode(sections | {tag: bytes(forged)})
            outcomes.add(is_fair_for_both(reference_class, compiled_class, forgery, stream, chance))
    assert outcomes == {False, True}


def is_fair_for_both(reference_class, compiled_class, blob, stream, chance):
    """Whether this blob is fair; both engines agree about it, and go on alike."""
    twins = []
    for each in (reference_class, compiled_class):
        try:
            twins.append(each.restore(blob))
        except ValueError:
            twins.append(None)
    ours, theirs = twins
    assert (ours is None) == (theirs is None)
    if ours is None or theirs is None:
        return False
    assert ours.snapshot() == theirs.snapshot()
    for _ in range(5):
        fields = stream.command(chance, ours.now_ns, {}, 2)
        assert ours.submit(**fields) == theirs.submit(**fields)
    return True
