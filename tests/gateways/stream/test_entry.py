"""Order entry over the socket: both formats, batches, numbers and fates, what is canceled when a connection ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from here import PATIENCE_S, Client, Live, live_market
from websockets.exceptions import ConnectionClosed

from exchange.domain import commands as c

pytestmark = pytest.mark.slow  # a live exchange


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_market(tmp_path_factory.mktemp("entry") / "cpx") as running:
        yield running


def rich(live: Live) -> str:
    """Somebody with money."""

    def there() -> str:
        venue = live.exchange.handle.venue
        return max(venue.state.participants, key=lambda name: venue.core.balance(venue.account(name))[0])

    return str(live.do(there))


def eventually(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


def an_order(name: str, book: str, **more: Any) -> dict[str, Any]:
    return {"client_order_id": name, "instrument": book, "price": "0.05", "cards": "1"} | more


def resting(live: Live, who: str) -> set[str]:
    def there() -> set[str]:
        return {bid.client_order_id for bid in live.exchange.handle.venue.state.bids.values() if bid.participant == who}

    found: set[str] = live.do(there)
    return found


class Trader(Client):
    """A client with a participant's key, and what it says at login."""

    def __init__(self, live: Live, secret: str, **login: Any) -> None:
        super().__init__(live, log_in=False)
        self.welcome = self.ask("login", key=secret, **login)["result"]

    def numbered(self, n: int, op: str, **args: Any) -> Any:
        self.number += 1
        self.ws.send(json.dumps({"op": op, "id": self.number, "n": n, "args": args}))
        while (told := self.receive()).get("id") != self.number:
            self.told.append(told)
        return told

    def end(self) -> Any:
        """The close frame."""
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                self.told.append(self.receive())
        return caught.value.rcvd


class Packed(Client):
    """A client that speaks MessagePack."""

    def send(self, op: str, **args: Any) -> int:
        self.number += 1
        self.ws.send(msgspec.msgpack.encode({"op": op, "id": self.number, "args": args}))
        return self.number

    def receive(self) -> Any:
        data = self.ws.recv(PATIENCE_S)
        assert isinstance(data, bytes), "everything in the format of the first frame"
        return msgspec.msgpack.decode(data)


# --- formats ---


def test_one_market_in_two_formats_says_the_same(live: Live) -> None:
    (book,) = live.instruments(1)
    who = rich(live)
    plain, packed = Client(live), Packed(live)
    for client in (plain, packed):
        client.ask("subscribe", channel="heartbeat")
        client.ask("subscribe", channel="depth", instrument=book)
    packed.ask("place_order", participant=who, **an_order("fmt-1", book, price="0.07"))
    told = [(client.next("snapshot"), client.next("delta"), client.next("heartbeat")) for client in (plain, packed)]
    for one, other in zip(*[pair[:2] for pair in told], strict=True):
        assert one == other
    assert packed.ask("orders", participant=who, limit=1)["result"] == plain.ask("orders", participant=who, limit=1)["result"]
    refused = packed.ask("place_order", participant=who, client_order_id="x")
    assert refused["error"]["reason"] == "INVALID_FIELD"
    packed.ws.send("{}")
    assert packed.next("error")["error"]["reason"] == "MALFORMED_JSON"
    plain.close()
    packed.close()


def test_a_message_in_fragments_and_many_in_one_packet_are_read(live: Live) -> None:
    client = Client(live)
    client.number += 1
    frame = json.dumps({"op": "ping", "id": client.number, "args": {}})
    client.ws.send(iter([frame[:9], frame[9:30], frame[30:]]))
    assert client.receive()["id"] == client.number
    client.ws.protocol.send_ping(b"x")
    for number in range(1_000, 1_300):
        client.ws.protocol.send_text(json.dumps({"op": "ping", "id": number}).encode())
    client.ws.socket.sendall(b"".join(client.ws.protocol.data_to_send()))
    assert [client.receive()["id"] for _ in range(300)] == list(range(1_000, 1_300))
    client.close()


# --- batches ---


def test_a_batch_is_answered_entry_by_entry_and_one_mistake_harms_no_other(live: Live) -> None:
    (book,) = live.instruments(1)
    who = rich(live)
    _, secret = live.key(who, "read", "trade")
    client = Trader(live, secret)
    items = [
        an_order("bat-1", book), an_order("bat-2", book, price=0.05), an_order("bat-3", book, cards="0.0001"),
        an_order("bat-4", "no/such/book/grid/20261124T08"), {"client_order_id": "bat-5"}, an_order("bat-1", book),
        an_order("bat-1", book, cards="2"), an_order("bat-6", book), an_order("bat-7", book, participant="somebody"),
    ]  # fmt: skip
    told = client.ask("place_orders", items=items)["result"]["items"]
    acks = [each.get("ack", {}).get("status", each.get("error", {}).get("reason")) for each in told]
    assert acks == [
        "ACCEPTED", "MALFORMED_JSON", "INVALID_FIELD", "REJECTED", "INVALID_FIELD", "ACCEPTED", "KEY_REUSED", "ACCEPTED",
        "NOT_FOUND",
    ]  # fmt: skip
    assert told[5]["ack"]["replayed"] and told[5]["ack"]["seq"] == told[0]["ack"]["seq"]
    assert told[7]["ack"]["seq"] > told[0]["ack"]["seq"], "each has a record of its own"
    assert {"bat-1", "bat-6"} <= resting(live, who)
    gone = client.ask("cancel_orders", items=[{"client_order_id": name} for name in ("bat-1", "none", "bat-6")])
    assert [each["ack"]["status"] for each in gone["result"]["items"]] == ["CANCELED", "REJECTED", "CANCELED"]
    for items, reason in (([], "INVALID_FIELD"), ([an_order("z", book)] * 513, "INVALID_FIELD"), ("x", "INVALID_FIELD")):
        assert client.ask("place_orders", items=items)["error"]["reason"] == reason
    client.number += 1
    client.ws.send(json.dumps({"op": "place_orders", "id": client.number, "valid_until": "2026-11-24T00:00:00Z",
                               "args": {"items": [an_order("z", book)]}}))  # fmt: skip
    assert client.receive()["error"]["field"] == "valid_until"
    client.close()


def test_a_batch_may_be_larger_than_other_frames_and_comes_in_its_turn(live: Live) -> None:
    (book,) = live.instruments(1)
    who = rich(live)
    client = Client(live)
    first = client.send("place_order", participant=who, **an_order("turn-1", book))
    items = [an_order(f"turn-many-{n:020}", book) for n in range(512)]
    assert len(json.dumps(items)) > live.settings.limits.frame_bytes
    second = client.send("place_orders", participant=who, items=items)
    third = client.send("cancel_order", participant=who, client_order_id="turn-1")
    told = [client.receive() for _ in range(3)]
    assert [each["id"] for each in told] == [first, second, third]
    assert [each["ack"]["status"] for each in told[1]["result"]["items"]] == ["ACCEPTED"] * 512
    gone = [{"client_order_id": each["client_order_id"]} for each in items]
    client.ask("cancel_orders", participant=who, items=gone)
    client.send("catalogue", x="y" * live.settings.limits.frame_bytes)
    with pytest.raises(ConnectionClosed) as caught:
        client.receive()
        client.receive()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1009


def test_each_entry_of_a_batch_is_taken_from_the_budget(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx", order_burst=5, order_rate=1) as live:
        (book,) = live.instruments(1)
        who = rich(live)
        _, secret = live.key(who, "read", "trade")
        client = Trader(live, secret)
        told = client.ask("place_orders", items=[an_order(f"b-{n}", book) for n in range(8)])["result"]["items"]
        assert ["ack" in each for each in told] == [True] * 5 + [False] * 3
        assert {each["error"]["limit"] for each in told[5:]} == {"order_rate"}
        gone = client.ask("cancel_orders", items=[{"client_order_id": f"b-{n}"} for n in range(5)])["result"]["items"]
        assert [each["ack"]["status"] for each in gone] == ["CANCELED"] * 5, "what takes back is free"
        client.close()


# --- numbers ---


def test_numbers_are_used_up_in_order_and_tell_what_became_of_what_was_in_flight(live: Live) -> None:
    (book,) = live.instruments(1)
    _, secret = live.key(rich(live), "read", "trade")
    first = Trader(live, secret, session="algo-1")
    assert first.welcome["last_n"] == 0
    assert first.numbered(1, "place_order", **an_order("n-1", book))["result"]["status"] == "ACCEPTED"
    gap = first.numbered(3, "place_order", **an_order("n-3", book))["error"]
    assert (gap["reason"], gap["field"]) == ("INVALID_FIELD", "n") and "2" in gap["detail"]
    assert first.numbered(1, "place_order", **an_order("n-1b", book))["error"]["field"] == "n"
    assert first.numbered(2, "place_order", client_order_id="x")["error"]["reason"] == "INVALID_FIELD"
    assert first.numbered(3, "deposit", participant="x", amount="1")["error"]["reason"] == "WRONG_SCOPE"
    assert first.numbered(4, "orders")["error"]["field"] == "n", "a question has none"
    batch = first.numbered(4, "place_orders", items=[an_order("n-4", book), {}])["result"]["items"]
    first.send("place_order", **an_order("n-0", book))  # one without a number
    first.number += 1
    first.ws.send(json.dumps({"op": "cancel_order", "id": "never read", "n": 5, "args": {"client_order_id": "n-1"}}))
    again = Trader(live, secret, session="algo-1")
    assert first.end().code == 4409 and again.welcome["last_n"] in (4, 5)
    eventually(lambda: again.ask("fate", from_n=5)["result"]["items"][-1:] != [])
    eventually(lambda: again.ask("fate", from_n=5)["result"]["items"][0]["state"] == "answered")
    told = again.ask("fate", from_n=1)["result"]
    states = [(each["n"], each["op"], each["state"], each.get("status", ""), each.get("reason", "")) for each in told["items"]]
    assert states == [
        (1, "place_order", "answered", "ACCEPTED", ""), (2, "place_order", "refused", "", "INVALID_FIELD"),
        (3, "deposit", "refused", "", "WRONG_SCOPE"), (4, "place_orders", "answered", "", ""),
        (5, "cancel_order", "answered", "CANCELED", ""),
    ]  # fmt: skip
    assert told["items"][3]["items"] == [
        {"seq": batch[0]["ack"]["seq"], "status": "ACCEPTED"}, {"reason": "INVALID_FIELD"}
    ]  # fmt: skip
    assert again.numbered(6, "cancel_order", client_order_id="n-4")["result"]["status"] == "CANCELED"
    other = Trader(live, secret, session="algo-2")
    assert other.welcome["last_n"] == 0 and other.ask("fate", from_n=1)["result"]["items"] == []
    nameless = Trader(live, secret)
    assert "last_n" not in nameless.welcome or nameless.welcome["last_n"] is None
    assert nameless.numbered(1, "cancel_order", client_order_id="n-0")["error"]["field"] == "n"
    assert nameless.ask("fate", from_n=1)["error"]["field"] == "n"
    for each in (again, other, nameless):
        each.close()


# --- when a connection ends ---


@pytest.mark.parametrize("how", ["close", "reset"])
def test_orders_of_a_connection_are_canceled_when_it_ends_if_it_asked_for_that(live: Live, how: str) -> None:
    (book,) = live.instruments(1)
    who = rich(live)
    _, secret = live.key(who, "read", "trade")
    careful, careless = Trader(live, secret, cancel_on_disconnect=True), Trader(live, secret)
    names = {f"{how}-{n}" for n in range(5)}
    careful.ask("place_order", **an_order(f"{how}-0", book))
    careful.ask("place_orders", items=[an_order(f"{how}-{n}", book) for n in range(1, 5)])
    careful.ask("cancel_order", client_order_id=f"{how}-4")
    careless.ask("place_order", **an_order(f"{how}-stays", book))
    assert resting(live, who) & names == names - {f"{how}-4"}
    if how == "close":
        careful.close()
    else:
        careful.send("place_order", **an_order(f"{how}-late", book))
        careful.ws.socket.close()
    careless.close()
    eventually(lambda: not resting(live, who) & (names | {f"{how}-late"}))
    time.sleep(0.2)
    assert f"{how}-stays" in resting(live, who) and f"{how}-late" not in resting(live, who)


def test_the_dead_man_s_timer_outlives_the_connection_and_a_restart(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx") as live:
        (book,) = live.instruments(1)
        who = rich(live)
        client = Client(live)
        client.ask("place_order", participant=who, **an_order("dead-1", book))
        assert client.ask("cancel_after", participant=who, seconds=20)["result"]["status"] == "ACCEPTED"
        assert client.ask("cancel_after", participant=who, seconds=99_999)["error"]["reason"] == "INVALID_FIELD"
        client.close()
    with live_market(tmp_path / "cpx", 0) as live:
        now_ns = live.do(lambda: live.exchange.handle.now_ns)
        live.submit(c.AdvanceTime(now_ns + 19 * 10**9))
        assert "dead-1" in resting(live, who)
        live.submit(c.AdvanceTime(now_ns + 20 * 10**9))
        assert "dead-1" not in resting(live, who)


def test_a_shutdown_tells_each_client_when_to_come_back(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx", 5) as live:
        clients = [Client(live) for _ in range(6)]
        packed = Packed(live)
        live.stop()
        told = [each.next("server_shutdown") for each in (*clients, packed)]
        assert all(1_000 <= each["reconnect_after_ms"] < 11_000 and each["reconnect_to"] is None for each in told)
        assert len({each["reconnect_after_ms"] for each in told}) > 1, "not all at once"
        for each in (*clients, packed):
            with pytest.raises(ConnectionClosed) as caught:
                each.receive()
            assert caught.value.rcvd is not None and caught.value.rcvd.code == 1012


# --- whole families ---


def test_a_family_is_followed_as_a_whole_and_what_opens_later_joins(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx", subscriptions=400) as live:
        family = live.instruments(1)[0].rpartition("/")[0]
        pattern = f"{family}/*"
        client = Client(live)
        told = client.ask("subscribe", channel="top", instrument=pattern)["result"]
        count = told["count"]
        assert told["instrument"] == pattern and count > 10
        names = {client.next("snapshot")["instrument"] for _ in range(count)}
        assert len(names) == count and all(name.startswith(f"{family}/") for name in names)
        again = client.ask("subscribe", channel="depth", instrument=pattern)["result"]["count"]
        assert again == count
        for _ in range(count):
            client.next("snapshot")
        book = live.instruments(1)[0]
        live.submit(c.PlaceOrder(rich(live), "wild-1", book, "buy", 70_000, 3))
        assert client.next("delta")["instrument"] == book
        refused = client.ask("subscribe", channel="depth10", instrument=pattern)["error"]
        assert (refused["reason"], refused["limit"]) == ("TOO_MANY_SUBSCRIPTIONS", "subscriptions")
        assert client.ask("unsubscribe", channel="depth10", instrument=pattern)["error"]["reason"] == "NOT_FOUND"
        assert client.ask("subscribe", channel="top", instrument=pattern, epoch=1, from_seq=1)["error"]["field"] == "from_seq"
        assert client.ask("subscribe", channel="top", instrument="no/such/family/grid/*")["error"]["reason"] == "NOT_FOUND"
        live.submit(c.AdvanceTime(live.do(lambda: live.exchange.handle.now_ns) + 3600 * 10**9))
        opened = {client.next("snapshot")["instrument"] for _ in range(2)}
        assert len(opened) == 1 and not opened & names, "top and depth of the one that has opened"
        assert client.ask("unsubscribe", channel="depth", instrument=pattern)["result"]["count"] == count
        connection = live.do(lambda: live.door._connections[client.welcome["session"]])
        assert {topic.channel for topic in live.do(lambda: set(connection.session.topics))} == {"top"}
        client.close()
        eventually(lambda: not live.do(lambda: live.exchange.market_data._joining))


def test_a_firm_has_a_budget_for_all_its_participants() -> None:
    from exchange.gateways.limits import DoorBudgets, DoorLimits
    from exchange.ports_access import Principal
    from exchange.protocol.operations import OPERATIONS

    budgets = DoorBudgets(DoorLimits(order_burst=4, order_rate=1, firm_budgets=2), lambda: 1, lambda name: name[0])
    place, cancel = OPERATIONS["place_order"], OPERATIONS["cancel_order"]
    people = [Principal(name, name, frozenset(("trade",))) for name in ("a1", "a2", "a3", "b1")]

    def placed(who: int) -> int:
        """How many go through at once."""
        return sum(budgets.take(people[who], place) is None for _ in range(6))

    assert [placed(who) for who in (0, 1, 2, 3)] == [4, 4, 0, 4]
    refused = budgets.take(people[2], place)
    assert refused is not None and refused.limit == "firm_budgets"
    room = budgets.room(people[2], place)
    assert room is not None and room.left == 4, "his own was not touched"
    assert budgets.take(people[2], cancel) is None
