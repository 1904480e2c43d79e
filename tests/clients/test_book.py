"""A local book is the exchange's book, or says that it is not: never a wrong one, whatever the wire does."""

from __future__ import annotations

from decimal import Decimal
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_world import MEASURES, NAME, World

from clients.chain import State
from clients.errors import NotFound, StaleBook
from clients.levels import Measures, OrderSides, Sides
from exchange.protocol.stream import Delta, Snapshot

CHANGE = st.tuples(st.just("trade"), st.booleans(), st.integers(1, 4), st.integers(0, 3), st.booleans())
FAULT = st.sampled_from(
    [("deliver", 0), ("deliver", 0), ("deliver", 0), ("deliver", 1), ("deliver", 3), ("lose",), ("double",), ("beat",),
     ("restart",), ("fail_over",), ("disconnect",), ("catch_up",), ("watch_again",), ("corrupt",)]
)  # fmt: skip
STEPS = st.lists(CHANGE | FAULT, max_size=60)


def play(world: World, step: tuple) -> None:
    what, *rest = step
    if what == "trade":
        is_bid, price, cards, is_sent = rest
        world.trade(is_bid, price, cards, is_sent=is_sent)
    elif what == "deliver":
        world.deliver(rest[0])
    elif what == "lose":
        del world.wire[:1]
    elif what == "double" and world.wire:
        world.wire.append(world.wire[0])
    elif what == "beat":
        world.beat()
    elif what == "restart":
        world.restart()
    elif what == "fail_over":
        world.fail_over()
    elif what == "disconnect":
        world.disconnect()
    elif what == "catch_up":
        world.deliver_all()
    elif what == "corrupt":
        world.corrupt()
    elif what == "watch_again":
        world.watch_again()


def check(world: World) -> None:
    """Every book is what the exchange was at that place, or it raises."""
    for book in (world.book, *world.others):
        try:
            shown = (book.bids, book.asks)
        except StaleBook:
            assert not book.is_valid
            continue
        top = book.top
        assert shown == world.truth[top.epoch, top.seq]


@given(STEPS)
def test_a_book_equals_the_exchange_s_or_raises(steps: list[tuple]) -> None:
    world = World()
    for step in steps:
        play(world, step)
        check(world)


@given(STEPS)
def test_a_book_heals_as_soon_as_the_wire_is_good_again(steps: list[tuple]) -> None:
    world = World()
    for step in steps:
        play(world, step)
    for _ in range(8):  # at most: three beats to see it, an answer, three beats to be sure
        world.send_what_is_new()
        world.beat()
        world.deliver_all()
        check(world)
    for book in (world.book, *world.others):
        assert (book.bids, book.asks) == world.truth[world.epoch, world.seq]


@given(STEPS)
def test_a_heartbeat_in_order_uncovers_every_loss(steps: list[tuple]) -> None:
    """Once a heartbeat that came in order says how far the exchange is, an older book is shown no more."""
    world = World()
    for step in steps:
        play(world, step)
        if step[0] == "catch_up":
            sent = world.sent_seq
            world.beat()
            world.deliver_all()
            if world.book.is_valid:
                assert (world.book.top.epoch, world.book.top.seq) >= (world.epoch, sent)


def settled() -> World:
    world = World()
    world.trade(True, 1, 5)
    world.trade(False, 1, 7)
    world.deliver_all()
    assert world.book.is_valid
    return world


def test_a_book_without_its_snapshot_is_not_shown() -> None:
    world = World()
    with pytest.raises(StaleBook, match="snapshot"):
        world.deliver()
        _ = world.book.top


def test_one_lost_message_makes_the_book_stale_and_one_request_heals_it() -> None:
    world = settled()
    before = world.asks_made
    world.trade(True, 2, 1)
    world.wire.clear()
    world.trade(True, 3, 1)
    world.deliver()
    with pytest.raises(StaleBook, match="did not come"):
        _ = world.book.bids
    world.trade(True, 4, 1)  # what comes meanwhile starts no further request
    world.deliver_all()
    world.beat()
    world.deliver_all()
    assert world.book.bids[0].price == 4 and world.asks_made == before + 1


def test_a_heartbeat_ahead_of_us_makes_the_book_stale() -> None:
    world = settled()
    world.trade(True, 2, 1)
    world.wire.clear()
    world.beat()
    world.deliver()
    with pytest.raises(StaleBook, match="the exchange is at message"):
        _ = world.book.top


def test_a_restart_with_other_numbers_is_seen_at_the_first_heartbeat() -> None:
    world = settled()
    world.epoch += 1
    world.beat()
    world.deliver()
    assert not world.book.is_valid


def test_a_snapshot_replaces_and_never_adds() -> None:
    sides = Sides()
    sides.change({"bids": [["5", "1"], ["4", "2"]], "asks": [["6", "1"]]})
    sides.replace({"bids": [["3.10", "9"]], "asks": []})
    assert [(str(level.price), str(level.cards)) for level in sides.levels[0]] == [("3.10", "9")] and not sides.levels[1]


SIDE = st.dictionaries(st.integers(1, 50), st.integers(1, 9), max_size=8)


@given(st.lists(st.tuples(SIDE, SIDE), max_size=5), SIDE, SIDE)
def test_a_snapshot_replaces_whatever_was_there(before: list[tuple[dict, dict]], bids: dict, asks: dict) -> None:
    def told(side: dict) -> list[list[str]]:
        return [[str(price), str(cards)] for price, cards in side.items()]

    used, fresh = Sides(), Sides()
    for some, others in before:
        used.change({"bids": told(some), "asks": told(others)})
    for sides in (used, fresh):
        sides.replace({"bids": told(bids), "asks": told(asks)})
    assert used.levels == fresh.levels and used.checksum(MEASURES) == fresh.checksum(MEASURES)


def test_a_crossed_book_is_thrown_away_and_asked_for_anew() -> None:
    world = settled()
    before = world.asks_made
    lie = {"bids": (("99", "1"),), "asks": ()}
    world.wire.append(
        Delta(channel="depth", instrument=NAME, epoch=world.epoch, seq=world.seq + 1, prev_seq=world.seq, ts_ns="0", data=lie)
    )
    world.deliver()
    assert not world.book.is_valid and world.asks_made == before + 1
    world.deliver_all()
    assert world.book.bids[0].price == 1


def test_a_book_of_another_checksum_is_thrown_away_and_asked_for_anew_once() -> None:
    world = settled()
    world.watch_again()
    before = world.asks_made
    world.trade(True, 2, 3)
    world.corrupt()
    world.deliver()
    for book in (world.book, *world.others):
        assert book.rejected == 1
        with pytest.raises(StaleBook, match="a new snapshot was asked for|subscribing|asked anew|missing"):
            _ = book.bids
    assert world.asks_made == before + 1
    world.deliver_all()
    assert [level.cards for level in world.book.bids] == [3, 5] and world.book.is_valid


def test_a_price_that_is_no_tick_proves_that_the_book_is_wrong() -> None:
    sides = Sides()
    sides.replace({"bids": [["5.5", "1"]], "asks": []})
    assert sides.checksum(MEASURES) is None and sides.checksum(Measures(Decimal("0.5"), Decimal(1))) is not None


def test_orders_keep_their_place_in_line() -> None:
    sides = OrderSides()
    sides.replace({"bids": [["a", "5", "1"], ["b", "5", "2"], ["c", "4", "1"]], "asks": [["d", "6", "1"]]})
    sides.change({"bids": [["a", "5", "7"], ["e", "5", "1"], ["c", "4", "0"], ["b", "4", "2"]], "asks": []})
    assert [order.ref for order in sides.orders[0]] == ["a", "e", "b"]
    assert [(level.price, level.cards) for level in sides.levels[0]] == [(5, 8), (4, 2)]
    assert sides.checksum(MEASURES) == crc32(b"a:5:7:d:6:1:e:5:1:b:4:2") and not sides.is_crossed
    sides.replace({"bids": [], "asks": []})
    assert sides.checksum(MEASURES) == 0


def test_an_older_snapshot_does_not_take_us_back() -> None:
    world = settled()
    old = Snapshot(channel="depth", instrument=NAME, epoch=1, seq=0, ts_ns="0", data={"bids": (), "asks": ()})
    world.wire.append(old)
    world.deliver()
    assert world.book.bids and world.book._subscription.chain.state is State.LIVE


def test_silence_makes_the_book_stale() -> None:
    world = settled()
    world.trouble = "no heartbeat was heard for 3 s"
    with pytest.raises(StaleBook, match="no heartbeat was heard"):
        _ = world.book.top


def test_a_resumed_book_is_not_shown_before_the_missed_messages_are_in() -> None:
    world = settled()
    for price in (2, 3):
        world.trade(True, price, 1, is_sent=False)
    world.disconnect()
    world.deliver()  # the answer; what was missed is still on its way
    assert not world.book.is_valid
    world.beat()
    world.wire = [world.wire[-1]] * 2
    world.deliver_all()  # beats do not stand for what is missing
    assert not world.book.is_valid
    for _ in range(3):
        world.beat()
        world.deliver_all()
    assert world.book.bids[0].price == 3 and world.resumes == 2


def test_a_resumed_book_is_current_as_soon_as_the_missed_messages_are_in() -> None:
    world = settled()
    for price in (2, 3):
        world.trade(True, price, 1, is_sent=False)
    world.disconnect()
    world.deliver_all()
    assert world.book.bids[0].price == 3 and world.resumes == 1
    world.disconnect()
    world.deliver_all()  # the answer alone: nothing was missed
    assert world.book.is_valid and world.resumes == 2


def test_a_book_whose_instrument_ended_while_we_were_away_is_closed_and_empty() -> None:
    world = settled()
    subscription = world.book._subscription
    world.subscriptions.lost("disconnected")
    subscription.request()
    world.subscriptions.on_refused(subscription, NotFound("gone"))
    assert world.book.is_closed and world.book.bids == world.book.asks == ()


def test_a_book_that_never_was_is_an_error_and_not_an_end() -> None:
    world = World()
    world.subscriptions.on_refused(world.book._subscription, NotFound("no such book"))
    assert not world.book.is_closed
    with pytest.raises(StaleBook, match="no such book"):
        _ = world.book.bids
