"""The socket over a real port, real journal and database, with a plain `websockets` client."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from here import PATIENCE_S, Client, Live, live_market
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from exchange.domain import commands as c

pytestmark = pytest.mark.slow  # a live exchange, or a market day

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_market(tmp_path_factory.mktemp("live") / "cpx", frame_rate=100_000, frame_burst=200_000) as running:
        yield running


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    made = Client(live)
    yield made
    made.close()


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def buyer_of(live: Live) -> str:
    """Somebody with money."""

    def there() -> str:
        venue = live.exchange.handle.venue
        return max(venue.state.participants, key=lambda name: venue.core.balance(venue.account(name))[0])

    return str(live.do(there))


def close_code(client: Client) -> tuple[int, str]:
    """Reads to the end."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            client.told.append(client.receive())
    assert caught.value.rcvd is not None, "cut off without a close frame"
    return caught.value.rcvd.code, caught.value.rcvd.reason


# --- login and keys ---


@pytest.mark.slow
def test_who_does_not_log_in_is_told_and_closed(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx", 0, login_s=1) as live:
        logged_in = Client(live)
        silent = Client(live, log_in=False)
        assert close_code(silent) == (4401, "NOT_LOGGED_IN")
        assert silent.told[0]["error"]["reason"] == "NOT_LOGGED_IN"
        wrong = Client(live, log_in=False)
        assert wrong.ask("login", key="cpx_nothing_at_all")["error"]["reason"] == "WRONG_KEY"
        assert close_code(wrong) == (4401, "WRONG_KEY")
        assert "result" in logged_in.ask("ping"), "who has logged in may stay"
        logged_in.close()


def test_a_revoked_key_ends_its_sockets_also_those_that_only_listen(live: Live) -> None:
    key_id, secret = live.key(buyer_of(live))
    listener = Client(live, secret)
    listener.ask("subscribe", channel="heartbeat")
    live.exchange._keys.revoke(key_id)
    assert close_code(listener) == (4401, "WRONG_KEY")


@pytest.mark.slow
def test_an_expired_key_ends_its_sockets(live: Live) -> None:
    _, secret = live.exchange._keys.create(buyer_of(live), ("read",), expires_ns=time.time_ns() + 1_500_000_000)
    assert close_code(Client(live, secret)) == (4401, "WRONG_KEY")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("", {"Origin": "https://evil.example"}, 403),
        ("", {"Origin": "null"}, 403),
        ("?key=cpx_secret", {}, 422),
        ("", {"Origin": "http://{host}"}, 101),
    ],
)
def test_pages_of_other_sites_and_keys_in_addresses_are_turned_away(live: Live, path: str, headers: Any, status: int) -> None:
    sent = {name: value.replace("{host}", f"127.0.0.1:{live.port}") for name, value in headers.items()}
    if status == 101:
        with connect(live.url + path, additional_headers=sent) as found:
            assert found.response is not None and found.response.status_code == status
        return
    with pytest.raises(InvalidStatus) as caught:
        connect(live.url + path, additional_headers=sent)
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body or b"")["status"] == status


@pytest.mark.slow
def test_connections_are_limited_for_a_key_and_for_all(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx", connections=4, connections_per_key=2) as live:
        _, secret = live.key(buyer_of(live))
        clients = [Client(live, secret) for _ in range(2)]
        third = Client(live, log_in=False)
        error = third.ask("login", key=secret)["error"]
        sessions = ", ".join(str(each.welcome["session"]) for each in clients)
        assert (error["reason"], error["limit"]) == ("TOO_MANY_CONNECTIONS", "connections_per_key")
        assert error["detail"].endswith(f"sessions {sessions}")
        assert close_code(third)[0] == 4429
        clients += [Client(live) for _ in range(2)]
        with pytest.raises(InvalidStatus) as caught:
            Client(live)
        assert caught.value.response.status_code == 429
        for each in clients:
            each.close()
        eventually(lambda: live.door.stats.connections == 0)
        Client(live, secret).close()


# --- operations ---


def test_answers_to_commands_come_in_their_order_mistakes_included(live: Live, client: Client) -> None:
    who, (book,) = buyer_of(live), live.instruments(1)
    for number in range(200):
        cards = "1" if number % 5 else "1.234567"  # no whole lots: turned away at the door, at once
        client.send("place_order", participant=who, client_order_id=f"o{number}", instrument=book, price="0.05", cards=cards)
    told = [client.receive() for _ in range(200)]
    assert [each["id"] for each in told] == list(range(2, 202))
    for number, each in enumerate(told):
        if number % 5:
            assert each["result"]["status"] == "ACCEPTED"
        else:
            assert each["error"]["field"] == "cards"
    again = client.ask(
        "place_order", participant=who, client_order_id="o1", instrument=book, price="0.05", cards="1"
    )["result"]  # fmt: skip
    assert (again["replayed"], again["seq"]) == (True, told[1]["result"]["seq"])
    other = client.ask("place_order", participant=who, client_order_id="o1", instrument=book, price="0.06", cards="1")
    assert other["error"]["reason"] == "KEY_REUSED"


def test_a_trader_sees_his_own_and_nobody_else_s(live: Live) -> None:
    who = buyer_of(live)
    _, secret = live.key(who, "read", "trade")
    trader = Client(live, secret)
    assert trader.ask("subscribe", channel="user")["result"]["instrument"] == who
    assert trader.next("snapshot")["data"]["account"]["participant"] == who
    other = next(name for name in live.do(lambda: list(live.exchange.handle.venue.state.participants)) if name != who)
    assert trader.ask("subscribe", channel="user", participant=other)["error"]["reason"] == "NOT_FOUND"
    assert trader.ask("account", participant=other)["error"]["reason"] == "NOT_FOUND"
    assert trader.ask("accounts")["error"]["reason"] == "WRONG_SCOPE"
    live.submit(c.Deposit(other, 1_000_000), c.Deposit(who, 2_000_000))
    (event,) = trader.next("delta")["data"]["events"]
    assert (event["type"], event["participant"], event["amount"]) == ("money", who, "2.00")
    trader.close()


# --- the feed ---


class Watcher:
    """Rebuilds books, over one connection at a time."""

    def __init__(self, live: Live, books: list[str]) -> None:
        self.live, self.client = live, Client(live)
        self.books: dict[str, Any] = dict.fromkeys(books)
        self.seqs: dict[str, int] = {}
        self.epoch = 0
        self.resumed = self.snapshots = 0

    def reconnect(self) -> None:
        self.client.ws.socket.close()
        self.client = Client(self.live)

    def subscribe(self) -> None:
        for name in self.books:
            where = {"epoch": self.epoch, "from_seq": self.seqs[name]} if name in self.seqs else {}
            told = self.client.ask("subscribe", channel="depth", instrument=name, **where)["result"]
            self.resumed += told["is_resumed"]
        for told in self.client.told:
            self.take(told)
        self.client.told.clear()

    def take(self, told: Any) -> None:
        if told["type"] not in ("snapshot", "delta"):
            return
        name, self.epoch = told["instrument"], told["epoch"]
        if told["type"] == "snapshot":
            self.snapshots += 1
            self.books[name] = {side: dict(told["data"][side]) for side in ("bids", "asks")}
        else:
            assert told["prev_seq"] == self.seqs[name], "no gap undetected, and here: no gap"
            for side in ("bids", "asks"):
                for price, cards in told["data"][side]:
                    self.books[name][side].pop(price, None)
                    if cards != "0":
                        self.books[name][side][price] = cards
        self.seqs[name] = told["seq"]

    def catch_up(self, wanted: dict[str, int]) -> None:
        while any(self.seqs.get(name, -1) < seq for name, seq in wanted.items()):
            self.take(self.client.receive())


def test_a_plain_client_rebuilds_books_through_disconnects(live: Live) -> None:
    chance = random.Random(3)
    who, books = buyer_of(live), live.instruments(4)
    watcher = Watcher(live, books)
    watcher.subscribe()
    for number in range(60):
        if chance.random() < 0.3:
            watcher.reconnect()
            orders = [place(who, f"g{number}-{n}", chance.choice(books), chance.randint(1, 9)) for n in range(15)]
            live.submit(*orders)  # while nobody listens
            watcher.subscribe()
        live.submit(
            *(place(who, f"d{number}-{n}", chance.choice(books), chance.randint(1, 9)) for n in range(5)),
            *(c.CancelOrder(who, f"d{number - back}-{chance.randint(0, 4)}") for back in (1, 2, 9)),
        )  # fmt: skip
        for name in books:
            rest = live.rest_depth(name) if number % 10 == 9 else live.do(lambda name=name: depth_of(live, name))
            watcher.catch_up({name: rest["seq"]})
            assert watcher.seqs[name] == rest["seq"] and watcher.epoch == rest["epoch"]
            assert watcher.books[name] == {side: dict(rest[side]) for side in ("bids", "asks")}
    assert watcher.resumed > 20 and watcher.snapshots == len(books)
    watcher.client.close()


def place(who: str, name: str, book: str, cents: int) -> c.PlaceOrder:
    return c.PlaceOrder(who, name, book, "buy", cents * 10_000, 1 + cents)


def depth_of(live: Live, name: str) -> dict[str, Any]:
    told = live.exchange.market_data.depth(name, 1000)
    return {"seq": told.seq, "epoch": told.epoch, "bids": told.bids, "asks": told.asks}


def test_the_client_in_the_docs_works(live: Live) -> None:
    text = (ROOT / "docs/protocol/stream.md").read_text(encoding="utf-8")
    source = re.search(r"```python\n(.*?)```", text, re.S)
    assert source is not None and len(source[1].splitlines()) < 60
    space: dict[str, Any] = {"__name__": "docs"}
    exec(compile(source[1], "stream.md", "exec"), space)  # noqa: S102 - our own page
    who, book = buyer_of(live), live.instruments(9)[8]
    assert live.rest_depth(book)["seq"] == 0

    async def run() -> Any:
        found = asyncio.ensure_future(
            space["follow"](live.url, live.operator_key, book, lambda book, seq: seq >= 4)
        )  # fmt: skip
        for number in range(4):
            await asyncio.to_thread(live.submit, place(who, f"doc{number}", book, 1 + number))
            if number == 1:  # the connection breaks; the example comes back by itself
                await asyncio.to_thread(eventually, lambda: bool(live.do(lambda: live.door.stats.connections)))
                live.do(lambda: [each._cut_off() for each in live.door._connections.values()])
        return await asyncio.wait_for(found, PATIENCE_S)

    found, seq = asyncio.run(run())
    rest = live.rest_depth(book)
    assert seq == rest["seq"] and found["bids"] == dict(rest["bids"])


@pytest.mark.slow
def test_the_heartbeat_says_what_was_sent_before_it(live: Live, client: Client) -> None:
    who, (book,) = buyer_of(live), live.instruments(1)
    assert client.ask("subscribe", channel="heartbeat")["result"]["channel"] == "heartbeat"
    client.ask("subscribe", channel="depth", instrument=book)
    seq = client.next("snapshot")["seq"]
    live.submit(place(who, "beat", book, 7))
    seen = 0
    while seen < 2:
        told = client.receive()
        if told["type"] == "delta":
            seq = told["seq"]
        elif told["type"] == "heartbeat":
            seen += 1
            assert told["seqs"] == {f"depth {book}": seq} and told["epoch"] == client.welcome["epoch"]
    client.ask("unsubscribe", channel="depth", instrument=book)
    assert client.next("heartbeat")["seqs"] == {} or client.next("heartbeat")["seqs"] == {}


@pytest.mark.slow
def test_ten_thousand_subscriptions(live: Live) -> None:
    books = live.instruments(10_000)
    assert len(set(books)) == 10_000
    greedy = Client(live)
    for book in books:
        greedy.send("subscribe", channel="depth", instrument=book)
    reasons, snapshots = [], 0
    while len(reasons) < 10_000:
        told = greedy.receive()
        if told["type"] == "snapshot":
            snapshots += 1
        else:
            reasons.append(told.get("error", {}).get("reason"))
    assert reasons.count(None) == 200 and reasons.count("TOO_MANY_SUBSCRIPTIONS") == 9_800
    greedy.close()
    clients = []
    for start in range(0, 10_000, 200):
        _, secret = live.key("", "read")  # the operator's have no budget
        clients.append(Client(live, secret))
        for book in books[start : start + 200]:
            clients[-1].send("subscribe", channel="depth", instrument=book)
    for each in clients:
        for _ in range(200):
            each.next("snapshot")
    live.submit(place(buyer_of(live), "wide", books[9_999], 3))
    assert clients[-1].next("delta")["instrument"] == books[9_999]
    for each in clients:
        each.close()


# --- abuse ---


def test_bad_frames_are_answered_then_closed(client: Client) -> None:
    for _ in range(19):
        client.ws.send('{"op":"ping","id":1,"id":2}')
        told = client.receive()
        assert (told["id"], told["error"]["reason"]) == (None, "MALFORMED_JSON")
    assert "result" in client.ask("ping")
    client.ws.send(b"\x00\xff")
    assert close_code(client) == (4400, "MALFORMED_JSON")


def test_a_frame_of_ten_megabytes_is_not_even_collected(live: Live, client: Client) -> None:
    with pytest.raises(ConnectionClosed) as caught:
        client.ws.send("x" * 10_000_000)
        client.receive()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1009
    fragments = Client(live)
    with pytest.raises(ConnectionClosed) as caught:
        fragments.ws.send("x" * 30_000 for _ in range(300))
        fragments.receive()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1009


class Sleeper(Client):
    """A client with a tiny receive buffer that reads only when told."""

    def __init__(self, live: Live) -> None:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", live.port))
        super().__init__(live, sock=raw, max_queue=1)


@pytest.mark.slow
def test_who_never_reads_is_closed_and_nobody_else_notices(live: Live, client: Client) -> None:
    who = buyer_of(live)
    before = live.door.stats.lagged
    sleeper = Sleeper(live)
    for each in (sleeper, client):
        each.ask("subscribe", channel="user", participant=who)
    seen = sent = 0
    while live.door.stats.lagged == before:
        some = 200 if sent < 40_000 else 1  # no faster than what a feed keeps, however long it takes until he is closed
        time.sleep(0.001 if some == 1 else 0)
        live.submit(*(c.Deposit(who, 10_000) for _ in range(some)))
        sent += some
        while seen < sent:  # who reads is told everything, at once
            seen += client.next("delta")["data"]["events"] != []
        assert sent < 500_000, "it was never closed"
        if live.do(lambda: any(each.outbox.has_lagged for each in live.door._connections.values())):
            break
    assert close_code(sleeper) == (4408, "SLOW_CONSUMER")
    deltas = [told["seq"] for told in sleeper.told if told["type"] == "delta"]
    (lagged,) = [told for told in sleeper.told if told["type"] == "lagged"]
    assert deltas == list(range(deltas[0], deltas[0] + len(deltas)))
    assert lagged["from_seq"] == deltas[-1] + 1
    again = Client(live)  # and nothing is lost for whoever comes back
    where = {"epoch": lagged["epoch"], "from_seq": deltas[-1]}
    assert again.ask("subscribe", channel="user", participant=who, **where)["result"]["is_resumed"]
    assert [again.next("delta")["seq"] for _ in range(50)] == list(range(deltas[-1] + 1, deltas[-1] + 51))
    again.close()


@pytest.mark.slow
def test_who_never_takes_his_close_frame_is_cut_off(live: Live) -> None:
    who = buyer_of(live)
    sleeper = Sleeper(live)
    sleeper.ask("subscribe", channel="user", participant=who)
    number = sleeper.welcome["session"]
    while not live.do(lambda: number not in live.door._connections or live.door._connections[number].outbox.has_lagged):
        live.submit(*(c.Deposit(who, 10_000) for _ in range(500)))
    eventually(lambda: number not in live.door._connections)


@pytest.mark.slow
def test_who_does_not_fetch_answers_is_not_read_from(live: Live) -> None:
    sleeper = Sleeper(live)
    connection = live.do(lambda: live.door._connections[sleeper.welcome["session"]])
    sent = [0]

    def ask_on() -> None:
        frame = json.dumps({"op": "catalogue", "id": 1, "args": {}})
        try:
            while sent[0] < 1_000_000:
                sleeper.ws.send(frame)
                sent[0] += 1
        except ConnectionClosed:
            return  # the end of the test

    asking = threading.Thread(target=ask_on, daemon=True)
    asking.start()
    counts: list[int] = []

    def is_stuck() -> bool:
        """For a while nothing more goes through."""
        counts.append(sent[0])
        return bool(connection._is_held) and len(counts) > 20 and len(set(counts[-20:])) == 1

    eventually(is_stuck)
    assert connection.outbox._answer_bytes < 4 * live.settings.limits.outbound_bytes
    live.do(lambda: connection.close(1000, ""))
    eventually(lambda: connection.number not in live.door._connections)
    asking.join(PATIENCE_S)
    assert sent[0] < 1_000_000


@pytest.mark.slow
def test_pings_of_a_client_that_never_reads_do_not_pile_up(live: Live) -> None:
    sleeper = Sleeper(live)
    number = sleeper.welcome["session"]
    protocol = live.do(lambda: live.door._connections[number]._cut_off.__self__)
    ping = bytes((0x89, 0x80 | 125)) + bytes(4) + b"p" * 125  # masked with zeros
    raw = socket.socket(fileno=socket.dup(sleeper.ws.socket.fileno()))
    sleeper.ws.pending_pings.clear()
    sent = 0
    with sleeper.ws.protocol_mutex:  # the client's own reader waits here as soon as it has something
        while sent < 30_000_000:
            raw.sendall(ping * 1000)
            sent += 1000 * len(ping)
            assert live.do(protocol.get_write_buffer_size) < 1_000_000
    raw.close()
    sleeper.ws.socket.close()
    eventually(lambda: number not in live.door._connections)


# --- shut-down, restart ---


@pytest.mark.slow
def test_a_restart_is_announced_and_begins_a_new_epoch(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx") as live:
        who, (book,) = buyer_of(live), live.instruments(1)
        watcher = Watcher(live, [book])
        watcher.subscribe()
        live.submit(place(who, "before", book, 3))
        watcher.catch_up({book: 1})
        before = watcher.books[book]
        live.stop()
        assert close_code(watcher.client) == (1012, "SHUTTING_DOWN")
    with live_market(tmp_path / "cpx", 0) as live:
        watcher.live, watcher.client = live, Client(live)
        assert watcher.client.welcome["epoch"] == watcher.epoch + 1
        watcher.subscribe()
        while watcher.snapshots < 2:
            watcher.take(watcher.client.receive())
        assert (watcher.resumed, watcher.snapshots) == (0, 2)
        assert watcher.books[book] == before != {"bids": {}, "asks": {}}
        watcher.client.close()


@pytest.mark.slow
def test_the_gate_ends_the_subscription(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx") as live:
        who, (book,) = buyer_of(live), live.instruments(1)
        client = Client(live)
        client.ask("subscribe", channel="depth", instrument=book)
        live.submit(place(who, "late", book, 3))
        live.submit(c.AdvanceTime(live.do(lambda: live.exchange.handle.now_ns) + 3 * 3600 * 10**9))
        told = []
        while not told or told[-1]["type"] != "closed":
            told.append(client.told.pop(0) if client.told else client.receive())
        assert [each["type"] for each in told][-2:] == ["delta", "closed"]
        assert ["0.03", "0"] in told[-2]["data"]["bids"]
        assert told[-1]["seq"] == told[-2]["seq"]
        assert client.ask("subscribe", channel="depth", instrument=book)["error"]["reason"] == "NOT_FOUND"
        assert client.ask("unsubscribe", channel="depth", instrument=book)["error"]["reason"] == "NOT_FOUND"
        client.close()


def test_the_table_of_close_codes_is_the_code() -> None:
    from exchange.protocol import stream as s

    text = (ROOT / "docs/protocol/stream.md").read_text(encoding="utf-8")
    told = {(row[1], int(row[0])) for row in re.findall(r"^\| (\d{4}) \| `(CLOSE_\w+)` \|", text, re.M)}
    assert told == {(name, getattr(s, name)) for name in vars(s) if name.startswith("CLOSE_")}


def test_the_table_of_channels_has_every_one() -> None:
    from exchange.protocol import stream as s
    from exchange.protocol.merging import DATA, MERGES

    part = (ROOT / "docs/protocol/stream.md").read_text(encoding="utf-8").split("## Channels")[1].split("```json")[0]
    rows = [row.split(" | ") for row in part.splitlines() if row.startswith("| `")]
    late = {name: row[-1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert set(late) == set(s.CHANNELS) and set(DATA) == set(MERGES) == set(s.CHANNELS) - {"heartbeat"}
    assert {name for name, told in late.items() if "or the end" not in told} == s.CONFLATED
    assert {name for name, merge in MERGES.items() if merge is not None} == s.CONFLATED - {"heartbeat"}
    assert s.WILD < s.NAMED < set(s.CHANNELS)


def test_every_example_frame_in_the_docs_is_one() -> None:
    import msgspec

    from exchange.protocol import stream as s
    from exchange.protocol.answers_feed import FeedAddresses, HistoryFile
    from exchange.protocol.checksum import book_checksum, whole
    from exchange.protocol.merging import DATA

    kinds = s.Result | s.Failure | s.Snapshot | s.Delta | s.Heartbeat | s.Lagged | s.Closed | s.ServerShutdown
    text = (ROOT / "docs/protocol/stream.md").read_text(encoding="utf-8")
    frames = [json.loads(frame) for frame in re.findall(r"```json\n(.*?)```", text, re.S)]
    seen = set()
    for frame in frames:
        if "op" in frame:
            msgspec.json.decode(json.dumps(frame), type=s.Request)
            continue
        answer = next((type_ for mark, type_ in (("workers", FeedAddresses), ("percent", HistoryFile)) if mark in frame), None)
        if answer is not None:
            assert json.loads(msgspec.json.encode(msgspec.convert(frame, answer))) == frame
            continue
        told = msgspec.convert(frame, kinds)
        seen.add(type(told))
        assert set(frame) == set(msgspec.to_builtins(told)), frame
        if isinstance(told, s.Snapshot | s.Delta):
            read = msgspec.convert(frame["data"], DATA[told.channel])
            assert json.loads(msgspec.json.encode(read)) == frame["data"], frame
            if isinstance(told, s.Snapshot):
                bids, asks = ([(whole(p, "0.01"), whole(cards, "0.1")) for p, cards in side] for side in (read.bids, read.asks))
                assert book_checksum(bids, asks) == read.checksum
    assert seen == set(kinds.__args__)
