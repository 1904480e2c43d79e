"""Both engines under the same commands: equal events, equal answers, equal hashes, equal snapshots."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching_core.enums import Kind, Op, TimeInForce
from matching_core.records import Command

LATER_OPS = {op for op in Op if op in (Op.MASS_CANCEL, Op.SET_PHASE, Op.UNCROSS) or op >= Op.SET_BOOK}
SEEDS = st.integers(0, 2**32 - 1)


class Pair:
    """The two engines side by side, and a twin of each that was restored from a snapshot of the other."""

    def __init__(self, reference_class, compiled_class, check_funds, listed_only, max_orders=30):
        self.classes = (reference_class, compiled_class)
        self.engines = tuple(
            engine_class(max_orders, check_funds=check_funds, listed_only=listed_only)
            for engine_class in self.classes
        )
        self.live = {}
        self.rules = min(getattr(engine_class, "RULES_VERSION", 1) for engine_class in self.classes)

    @property
    def now_ns(self):
        return self.engines[0].now_ns

    def submit(self, fields):
        fields = dict(fields)
        op = fields.pop("op")
        if self.rules == 1:  # commands and fields that only one of the two understands say nothing about equality
            op = 0 if op in LATER_OPS else op
            fields |= {"tif": 5} if op == Op.NEW and fields.get("tif") == TimeInForce.DAY else {}
        said = [engine.submit(op, **fields) for engine in self.engines]
        assert said[0] == said[1], (op, fields)
        for number in {event.order_id for event in said[0]} | {event.contra_id for event in said[0]}:
            order = self.engines[0].order(number)
            self.live.pop(number, None)
            if order:
                self.live[number] = order.account
        return said[0]

    def look(self, fields):
        """Every question gets the same answer from both."""
        book, account, group = fields.get("book", 0), fields.get("account", 0), fields.get("aux", 0)
        answers = [
            (
                engine.now_ns, engine.n_orders, engine.books(), engine.top(book), engine.depth(book, 3),
                engine.orders(book), engine.order(fields.get("order_id", 0)), engine.balance(account),
                engine.firm(account), engine.capacity(account, group), engine.position(account, book),
                engine.site_asks(account, book), engine.site_walk(account, 0, 5, 7),
            )
            for engine in self.engines
        ]  # fmt: skip
        assert answers[0] == answers[1]

    def check(self):
        for engine in self.engines:
            engine.check()

    def compare(self):
        assert self.engines[0].state_hash() == self.engines[1].state_hash()
        assert self.engines[0].snapshot() == self.engines[1].snapshot()

    def swap(self):
        """Each engine goes on from a snapshot that the other one wrote."""
        blobs = [engine.snapshot() for engine in self.engines]
        assert blobs[0] == blobs[1]
        self.engines = tuple(
            engine_class.restore(blob)
            for engine_class, blob in zip(self.classes, reversed(blobs), strict=True)
        )
        self.compare()


def run(pair, stream, seed, count, every=1):
    """A stream of commands with all checks after every so many."""
    chance = random.Random(seed)
    for fields in stream.opening():
        pair.submit(fields)
    for i in range(count):
        fields = stream.command(chance, pair.now_ns, pair.live, pair.rules)
        pair.submit(fields)
        if i % every == 0:
            pair.look(fields)
            pair.check()
        if chance.random() < 0.01:
            pair.compare()
            pair.swap()
    pair.check()
    pair.compare()


@pytest.mark.parametrize("flavour", range(4))
@settings(max_examples=12, derandomize=True)
@given(seed=SEEDS)
def test_both_engines_tell_the_same_story(reference_class, compiled_class, stream, flavour, seed):
    pair = Pair(reference_class, compiled_class, *stream.FLAVOURS[flavour])
    run(pair, stream, seed, 60)


@pytest.mark.slow
@pytest.mark.parametrize("flavour", range(4))
def test_both_engines_tell_the_same_long_story(reference_class, compiled_class, stream, flavour):
    pair = Pair(reference_class, compiled_class, *stream.FLAVOURS[flavour])
    run(pair, stream, seed=20_000 + flavour, count=3_000, every=11)


@pytest.mark.soak
@pytest.mark.parametrize("flavour", range(4))
def test_both_engines_tell_the_same_story_for_two_hundred_thousand_commands(
    reference_class, compiled_class, stream, flavour
):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    pair = Pair(reference_class, compiled_class, *stream.FLAVOURS[flavour], max_orders=45)
    run(pair, stream, seed, count=50_000, every=97)


def test_orders_expire_in_order_whatever_was_cancelled_before(engine_class):
    engine = engine_class()
    chance = random.Random(1)
    due = {}
    for order_id in range(1, 400):
        due[order_id] = chance.randrange(1, 500)
        engine.submit(
            Op.NEW, order_id=order_id, price=order_id % 9 + 1, qty=1, tif=3, expiry_ns=due[order_id]
        )
        if order_id % 3 == 0:
            gone = chance.choice(sorted(due))
            del due[gone]
            engine.submit(Op.CANCEL, order_id=gone)
            engine.check()
    for now_ns in range(0, 501, 25):
        expired = {event.order_id for event in engine.submit(Op.ADVANCE_TIME, aux=now_ns)}
        assert expired == {order_id for order_id, when in due.items() if now_ns - 25 < when <= now_ns}
        engine.check()


FIELDS = st.fixed_dictionaries(
    {
        "op": st.one_of(st.sampled_from([Op.NEW, Op.AMEND, Op.REPLACE, Op.TAKE]), st.integers(0, 255)),
        "side": st.integers(0, 2), "tif": st.integers(0, 4), "book": st.integers(0, 2), "account": st.integers(0, 3),
        "order_id": st.integers(0, 5), "price": st.integers(98, 102), "qty": st.integers(0, 6),
        "aux": st.integers(0, 3), "expiry_ns": st.integers(0, 3), "client_ref": st.integers(0, 2),
    }
)  # fmt: skip


@settings(max_examples=40)
@given(flavour=st.integers(0, 3), commands=st.lists(FIELDS, max_size=25))
def test_no_short_sequence_of_commands_tells_the_engines_apart(
    reference_class, compiled_class, stream, flavour, commands
):
    pair = Pair(reference_class, compiled_class, *stream.FLAVOURS[flavour], max_orders=4)
    for fields in (*stream.opening(), *commands):
        pair.submit(fields)
    pair.check()
    pair.compare()


@pytest.mark.parametrize("flavour", range(4))
def test_a_batch_of_one_equals_one_batch(engine_class, stream, flavour):
    check_funds, listed_only = stream.FLAVOURS[flavour]
    chance = random.Random(flavour)
    commands = [Command(**fields).pack() for fields in stream.opening()]
    while len(commands) < 300:
        fields = stream.command(chance, len(commands), {}, getattr(engine_class, "RULES_VERSION", 1))
        if fields["qty"] != 10**30 and all(-(2**31) < value < 2**31 for value in fields.values()):
            fields = {key: value if key in ("qty", "price", "aux", "expiry_ns") else max(value, 0)
                      for key, value in fields.items()}  # fmt: skip
            commands.append(Command(**(fields | {"side": fields["side"] % 256})).pack())
    one_batch, many = (engine_class(check_funds=check_funds, listed_only=listed_only) for _ in range(2))
    events = bytes(one_batch.process(b"".join(commands), first_seq=5))
    singles = b"".join(bytes(many.process(command, first_seq=5 + i)) for i, command in enumerate(commands))
    assert events == singles
    assert one_batch.snapshot() == many.snapshot()


@pytest.mark.parametrize("listed_only", [False, True])
def test_a_batch_in_which_a_book_closes_and_comes_again_is_as_single_commands(
    reference_class, compiled_class, listed_only
):
    listing = Command(op=Op.LIST_BOOK, book=7, price=1, qty=9, expiry_ns=50)
    order = Command(op=Op.NEW, book=7, order_id=1, price=5, qty=3)
    closing = Command(op=Op.ADVANCE_TIME, aux=60)
    again = Command(op=Op.LIST_BOOK, book=7, price=1, qty=2)
    batch = [order, closing, order._replace(order_id=2), again, order._replace(order_id=3, qty=2), order._replace(order_id=4)]
    told = []
    for engine_class in (reference_class, compiled_class):
        engine = engine_class(listed_only=listed_only)
        engine.process(listing.pack())
        told.append(bytes(engine.process(b"".join(command.pack() for command in batch))))
        engine.check()
        told.append(engine.state_hash())
    assert told[:2] == told[2:]


def test_ids_far_apart_that_want_the_same_place_are_told_apart(engine_class):
    engine = engine_class()
    far = 2**53 + 1
    engine.submit(Op.NEW, order_id=69, price=10**12, qty=10)
    engine.submit(Op.NEW, order_id=1, tif=TimeInForce.IOC, price=96, qty=8)
    engine.submit(Op.NEW, order_id=far, price=1_048_583, qty=10)
    engine.check()
    assert {engine.order(each).order_id for each in (69, far)} == {69, far} and engine.order(1) is None
    for order_id in (far, 69):
        assert engine.submit(Op.CANCEL, order_id=order_id)[0].kind == Kind.CANCELED
        engine.check()
