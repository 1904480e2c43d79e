"""The server's memory stays where it is, whatever clients do: measured from outside, on the process itself."""

import json
import socket
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from bad_bodies import BODIES
from under_load import WAIT_S
from websockets.sync.client import connect
from world import FAMILY, INSTRUMENT, offer, order, running_world

from exchange.adapters.catalogue_files import load_catalogue

MOST_MB = 30
AT_ONCE, CHANNELS = 200, ("depth", "top", "trades")
SLEEPERS, TRADES = 15, 2_500
LARGE = 60_000  # bytes; a body may have 64 KiB
HOUR = "%Y%m%dT%H"
HOURS = [INSTRUMENT, INSTRUMENT.replace("T00", "T01")]

pytestmark = [
    pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see memory"),
]  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with running_world(tmp_path_factory.mktemp("memory") / "exchange") as made:
        yield made


class Wire:
    """A socket that has logged in; asks in windows and reads no more than it must."""

    def __init__(self, world, who, **options):
        address = world.server.url.replace("http", "ws") + "/v1/stream"
        self.ws = connect(address, compression=None, **options).__enter__()
        assert len(self.ask([("login", {"key": world.keys[who]})])) == 1

    def send(self, op, args):
        self.ws.send(json.dumps({"op": op, "id": 1, "args": args}))

    def ask(self, asked):
        """The results of some operations, all sent before the first answer is read."""
        for op, args in asked:
            self.send(op, args)
        found = []
        while len(found) < len(asked):
            told = json.loads(self.ws.recv(WAIT_S))
            if "id" in told:
                assert told["type"] == "result", told
                found.append(told["result"])
        return found


def memory_mb(world):
    """Resident memory of the server's process."""
    status = Path(f"/proc/{world.server.pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def lagged(world):
    """How many sockets were closed because nobody read them."""
    page = world.send("GET", "/metrics", None, {"Authorization": f"Bearer {world.keys['']}"}).body.decode()
    (line,) = (line for line in page.splitlines() if line.startswith("cpx_stream_lagged_total "))
    return int(float(line.split()[1]))


def assert_flat(world, do):
    """Once to fill what is filled once, then again, measured."""
    do(0)
    before = memory_mb(world)
    do(1)
    grown = memory_mb(world) - before
    assert grown < MOST_MB, f"{grown:.0f} MB more than the {before:.0f} MB before"


def test_ten_thousand_subscriptions_and_their_ends(world):
    chips = [chip.code for chip in load_catalogue().chips if chip.code != FAMILY["chip"]]
    regions = [region.code for region in load_catalogue().regions if region.kind == "cluster"]
    for chip, region in [(chip, region) for chip in chips for region in regions][:19]:
        world.do("list_family", "", FAMILY | {"chip": chip, "region": region})
    books = [
        f"{each['family']}/{datetime.strptime(each['first_period'], HOUR) + timedelta(hours=number):{HOUR}}"
        for each in world.do("instruments", limit=1000)["items"]
        for number in range(each["periods"])
    ]
    topics = [{"channel": channel, "instrument": book} for book in books for channel in CHANNELS][:10_000]
    assert len(topics) == 10_000
    wire = Wire(world, "")

    def come_and_go(_):
        for start in range(0, len(topics), AT_ONCE):
            some = topics[start : start + AT_ONCE]
            wire.ask([("subscribe", topic) for topic in some])
            wire.ask([("unsubscribe", topic) for topic in some])

    assert_flat(world, come_and_go)
    wire.ws.close()


def test_consumers_that_never_read_while_trades_flow(world):
    for number in range(4):
        world.do("place_offer", "seller", offer(f"m{number}", cards="64"))
    buyer = Wire(world, "buyer")

    def sleeper():
        """A client with a tiny receive buffer."""
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect((world.host, world.port))
        wire = Wire(world, "", sock=raw, max_queue=1, close_timeout=0.1)
        for who in ("buyer", "seller"):
            wire.send("subscribe", {"channel": "user", "participant": who})
        wire.send("subscribe", {"channel": "trades", "instrument": "*"})
        return wire

    def trade(turn):
        """More than what the system's own buffers take; an hour has 2,560 of these trades to give."""
        before = lagged(world)
        with ExitStack() as ends:
            for _ in range(SLEEPERS):
                ends.callback(sleeper().ws.socket.close)
            for start in range(0, TRADES, 50):
                names = [f"m{turn}-{number}" for number in range(start, start + 50)]
                terms = [order(name, instrument=HOURS[turn], price="5.20", cards="0.1") for name in names]
                acks = buyer.ask([("place_order", each) for each in terms])
                assert {ack["status"] for ack in acks} == {"FILLED"}
            deadline = time.monotonic() + WAIT_S
            while lagged(world) < before + SLEEPERS:  # they have some seconds to begin to read
                assert time.monotonic() < deadline, "not all of them were found to read nothing"
                time.sleep(0.05)

    assert_flat(world, trade)
    buyer.ws.close()


def test_two_thousand_hostile_bodies(world):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {world.keys['buyer']}"}
    # Spaces behind a body change nothing about it, and make it as large as one may be.
    bodies = {what: body.ljust(LARGE) for what, body in BODIES.items() if len(body) <= LARGE}
    rounds = -(-2_000 // len(bodies))

    def attack(_):
        for _ in range(rounds):
            for what, body in bodies.items():
                assert 400 <= world.send("POST", "/v1/orders", body, headers).status < 500, what

    assert_flat(world, attack)
