"""What waits for one client: nothing is lost that may not be, the rest is merged, and it stays within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.engine.feeds import Feed, Shelf
from exchange.gateways.limits import DoorLimits
from exchange.gateways.stream.frames import payload_of
from exchange.gateways.stream.outbox import LATE_S, MERGE_FROM, Outbox
from exchange.gateways.stream.session import Topic
from exchange.gateways.stream.stats import StreamStats
from exchange.protocol import stream as s
from exchange.protocol.formats import encode_as

DEPTH, TRADES = Topic("depth", "x"), Topic("trades", "*")


class World:
    """A counter as a book: level "1" says how often it was stepped; a trades feed beside it."""

    def __init__(self, limits: DoorLimits | None = None, room: int = 10_000) -> None:
        self.shelf = Shelf(room)
        self.feeds = {
            DEPTH: Feed(*DEPTH, 5, self.shelf, merge=lambda steps: steps[-1]),
            TRADES: Feed(*TRADES, 5, self.shelf),
        }
        self.topics: set[Topic] = set()
        self.ended = 0
        self.outbox = Outbox(
            limits or DoorLimits(), lambda: None, self.snapshot, self.heartbeat, self.topics.discard, self.end, StreamStats()
        )  # fmt: skip
        self.sent: list[Any] = []

    def snapshot(self, feed: Feed, fmt: int) -> bytes:
        whole = s.Snapshot(channel=feed.channel, instrument=feed.name, epoch=5, seq=feed.seq, ts_ns="0", data=feed.seq)
        return encode_as(fmt, whole)

    @staticmethod
    def heartbeat(seqs: dict[str, int], queued: int) -> s.Heartbeat:
        return s.Heartbeat(epoch=5, seq=0, ts_ns="0", server_ts_ns="0", seqs=seqs, queued=queued)

    def end(self) -> None:
        self.ended += 1

    def step(self, topic: Topic, size: int = 0) -> None:
        feed = self.feeds[topic]
        feed.publish(0, feed.seq + 1 if not size else "x" * size, 0)

    def watch(self, topic: Topic, from_seq: int | None = None) -> None:
        self.topics.add(topic)
        self.outbox.watch(topic, self.feeds[topic], from_seq)

    def take(self, count: int = 1_000_000) -> list[Any]:
        """At most so many frames, read."""
        taken: list[Any] = []
        while len(taken) < count and (framed := self.outbox.take()) is not None:
            taken.append(json.loads(payload_of(framed)))
        self.sent += taken
        return taken


def test_a_snapshot_comes_first_and_is_of_the_moment_it_is_sent() -> None:
    world = World()
    world.step(DEPTH)
    world.watch(DEPTH)
    world.step(DEPTH)
    (first,) = world.take()
    assert (first["type"], first["seq"]) == ("snapshot", 2)
    world.step(DEPTH)
    (second,) = world.take()
    assert (second["type"], second["prev_seq"], second["seq"]) == ("delta", 2, 3)


def test_some_missed_steps_come_one_by_one_and_many_as_one() -> None:
    world = World()
    world.watch(DEPTH)
    world.take()
    for _ in range(MERGE_FROM):
        world.step(DEPTH)
    assert [told["seq"] for told in world.take()] == list(range(1, MERGE_FROM + 1))
    for _ in range(100):
        world.step(DEPTH)
    (told,) = world.take()
    assert (told["prev_seq"], told["seq"]) == (MERGE_FROM, MERGE_FROM + 100)


def test_a_resumed_subscription_goes_on_where_it_was() -> None:
    world = World()
    for _ in range(5):
        world.step(DEPTH)
        world.step(TRADES)
    world.watch(DEPTH, 2)
    world.watch(TRADES, 2)
    told = world.take()
    for topic in (DEPTH, TRADES):
        assert [each["seq"] for each in told if each["channel"] == topic.channel] == [3, 4, 5]


def test_a_long_past_is_no_burden_but_a_slow_reader_of_what_is_new_is() -> None:
    world = World(DoorLimits(outbound_messages=10))
    for _ in range(100):
        world.step(TRADES)
    world.watch(TRADES, 0)
    for _ in range(10):
        world.step(TRADES)
    assert world.outbox.end is None
    assert [each["seq"] for each in world.take(50)] == list(range(1, 51))
    world.step(TRADES)
    for _ in range(1 + LATE_S):
        assert world.outbox.end is None
        world.outbox.check_reader()
    assert world.outbox.end == (s.CLOSE_LAGGED, "SLOW_CONSUMER")
    (lagged,) = world.take()
    assert (lagged["type"], lagged["from_seq"], lagged["to_seq"]) == ("lagged", 51, 111)
    assert world.outbox.has_lagged and world.ended == 1 and not world.topics
    world.step(TRADES)
    assert world.take() == [], "nothing after the end"


def test_bytes_count_as_well() -> None:
    world = World(DoorLimits(outbound_bytes=1000))
    world.watch(TRADES)
    world.take()
    world.step(TRADES, 500)
    for _ in range(10):
        world.outbox.check_reader()
    assert world.outbox.end is None
    world.step(TRADES, 500)
    for _ in range(1 + LATE_S):
        assert world.outbox.end is None
        world.outbox.check_reader()
    assert world.outbox.end is not None


def test_a_batch_of_any_size_ends_nobody_who_reads_and_anybody_who_does_not() -> None:
    world = World(DoorLimits(outbound_messages=10))
    world.watch(TRADES)
    world.take()
    for _ in range(2_000):
        world.step(TRADES)
    for _ in range(20):  # the client fetches 800 a second, and the market goes on as fast
        world.outbox.check_reader()
        assert world.outbox.end is None
        assert len(world.take(800)) == 800
        for _ in range(800):
            world.step(TRADES)
    assert [told["seq"] for told in world.sent] == list(range(len(world.sent)))
    for _ in range(2 * LATE_S):  # now it fetches a little now and then
        if world.outbox.end is None:
            world.outbox.check_reader()
            world.take(20)
    assert world.outbox.end == (s.CLOSE_LAGGED, "SLOW_CONSUMER")


def test_depth_alone_never_lags_and_keeps_nothing() -> None:
    world = World(DoorLimits(outbound_messages=1, outbound_bytes=1), room=50)
    world.watch(DEPTH)
    world.take()
    for _ in range(10_000):
        world.step(DEPTH)
    assert world.outbox.end is None and len(world.outbox) == 1
    (told,) = world.take()
    assert (told["type"], told["seq"]) == ("snapshot", 10_000), "the past was too short for a delta"


def test_answers_survive_the_end_and_stop_the_reading() -> None:
    world = World()
    world.outbox.put(b'\"a\"')
    world.outbox.close(4400, "x")
    world.outbox.put(b'\"b\"')
    world.outbox.close(4401, "y")
    assert world.take() == ["a", "b"] and world.outbox.end == (4400, "x") and world.ended == 1
    world = World()
    for _ in range(255):
        world.outbox.put(b"1")
    assert world.outbox.may_read
    world.outbox.on_their_way += 1
    assert not world.outbox.may_read
    world.take(1)
    assert world.outbox.may_read
    world.outbox.put(b"1" * DoorLimits().outbound_bytes)
    assert not world.outbox.may_read


def test_the_same_subscription_again_replaces_the_first() -> None:
    world = World()
    world.watch(DEPTH)
    world.watch(DEPTH)
    assert [told["type"] for told in world.take()] == ["snapshot"]
    world.step(DEPTH)
    assert [told["seq"] for told in world.take()] == [1]
    assert len(world.feeds[DEPTH].listeners) == 1
    world.outbox.drop(DEPTH)
    world.step(DEPTH)
    assert world.take() == [] and not world.feeds[DEPTH].listeners


@pytest.mark.parametrize("topic", [DEPTH, TRADES])
@pytest.mark.parametrize("is_late", [False, True])
def test_a_feed_that_closes_says_so_behind_everything_else(topic: Topic, is_late: bool) -> None:
    world = World()
    world.watch(topic)
    if not is_late:
        world.take()
    world.step(topic)
    world.feeds[topic].close()
    told = world.take()
    assert [each["type"] for each in told] == ["snapshot" if is_late else "delta", "closed"]
    assert [each["seq"] for each in told] == [1, 1]
    assert topic not in world.outbox.subscriptions and topic not in world.topics


def test_one_busy_feed_does_not_hold_up_the_others() -> None:
    world = World()
    world.watch(TRADES)
    world.watch(DEPTH)
    world.take()
    for _ in range(6):
        world.step(TRADES)
    world.step(DEPTH)
    world.outbox.put(b"1")
    kinds = [told if told == 1 else told["channel"] for told in world.take()]
    assert kinds.index(1) <= 2 and kinds.index("depth") <= 2 and kinds.count("trades") == 6


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.sampled_from([DEPTH, TRADES])),
        st.tuples(st.just("take"), st.integers(1, 30)),
        st.tuples(st.just("beat"), st.none()),
        st.tuples(st.just("burst"), st.sampled_from([DEPTH, TRADES])),
        st.tuples(st.just("leave"), st.sampled_from([DEPTH, TRADES])),
    ),
    max_size=80,
)  # fmt: skip


@given(STEPS, st.integers(3, 60))
def test_every_client_sees_a_chain_without_holes_and_heartbeats_that_agree(steps: list[Any], room: int) -> None:
    world = World(DoorLimits(outbound_messages=25), room)
    world.outbox.has_heartbeat = True
    seen: dict[str, int] = {}
    for topic in (DEPTH, TRADES):
        world.watch(topic)
    for what, with_what in steps:
        if what == "take":
            check(world, world.take(with_what), seen)
        elif what == "beat":
            world.outbox.check_reader()
            world.outbox.beat()
        elif what == "leave":  # and come back with what was seen
            name = with_what.channel
            world.outbox.drop(with_what)
            back = seen.get(name)
            if world.outbox.end is None:
                world.watch(with_what, back if back is not None and world.feeds[with_what].reaches_back_to(back) else None)
        else:
            for _ in range(1 if what == "step" else 12):
                world.step(with_what)
        assert len(world.outbox._queue) < 100
    check(world, world.take(), seen)
    if world.outbox.end is None:
        for topic, feed in world.feeds.items():
            assert seen.get(topic.channel, 0) == feed.seq, "in the end everything has come"
        assert world.outbox._waiting == world.outbox._waiting_bytes == 0


def check(world: World, told: list[Any], seen: dict[str, int]) -> None:
    for each in told:
        if each["type"] == "heartbeat":
            for name, seq in each["seqs"].items():
                assert seen[name.split()[0]] == seq, (name, seq, seen)
        elif each["type"] == "snapshot":
            seen[each["channel"]] = each["seq"]
        elif each["type"] == "delta":
            assert each["prev_seq"] == seen[each["channel"]], each
            assert each["seq"] == each["prev_seq"] + 1 or each["channel"] == "depth"
            assert each["data"] == each["seq"], "the newest word"
            seen[each["channel"]] = each["seq"]
        else:
            assert each["type"] == "lagged" and each["from_seq"] == seen.get(each["channel"], 0) + 1
