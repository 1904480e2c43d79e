"""A real exchange in a process of its own, opened for trading by the SDK alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from clients import Client
from exchange.testing.server import Server, running_server

DAY = "2026-11-24"
FAMILY = "A910B/gansu-qingyang/L10/grid"
CATALOGUE: dict[str, Any] = {
    "chips": [
        {"code": code, "family": "ai", "fp16_gflops": 320_000, "memory_gb": 64, "watts": 310} for code in ("A910B", "H800")
    ],
    "regions": [
        {"code": "hubei-wuhan", "name": "Wuhan", "kind": "edge"},
        {"code": "gansu-qingyang", "name": "Qingyang", "kind": "cluster"},
    ],
    "reach": [
        {"access_region": "hubei-wuhan", "host_region": "gansu-qingyang", "latency_class": "L10", "rtt_us": 9000},
    ],
    "links": [
        {"from_region": here, "to_region": there, "price_per_gb": "0.01", "mbit_per_s": 10_000}
        for here in ("hubei-wuhan", "gansu-qingyang")
        for there in ("hubei-wuhan", "gansu-qingyang")
    ],
}  # fmt: skip


def china(hour: int, day: str = DAY) -> str:
    """A full hour of the venue's zone as RFC 3339."""
    return f"{day}T{hour:02}:00:00+08:00"


def instrument(hour: int) -> str:
    """The instrument that is delivered from this hour of the venue's day on."""
    assert hour >= 8, hour
    return f"{FAMILY}/20261124T{hour - 8:02}"


@dataclass
class LiveMarket:
    """A server and clients of its operator, a buyer and a seller; `new_id` gives each test ids of its own."""

    server: Server
    operator: Client
    buyer_key: str
    seller_key: str
    stack: ExitStack
    numbers: Any = field(default_factory=itertools.count)

    def new_id(self, what: str = "t") -> str:
        """An id nobody has used."""
        return f"{what}-{next(self.numbers)}"

    def client(self, key: str, **options: Any) -> Client:
        """A client that is closed at the end."""
        return self.stack.enter_context(Client(options.pop("url", self.server.url), key, **options))

    def tick(self, minutes: int = 1) -> None:
        """The clock moves, and what waits is tried again."""
        self.operator.advance_time(self.operator.venue().ts + timedelta(minutes=minutes))

    def new_participant(self, money: int = 10_000, scopes: tuple[str, ...] = ("read", "trade")) -> str:
        """The key of somebody new."""
        name = self.new_id("p")
        self.operator.add_participant(name)
        if money:
            self.operator.deposit(name, money)
        return self.operator.create_key(scopes, participant=name).secret


def open_market(operator: Client) -> None:
    """From an empty venue to one where a buyer and a seller may trade."""
    operator.call("set_venue", name="Test", time_zone="Asia/Shanghai")
    operator.call("load_catalogue", **CATALOGUE)
    operator.advance_time(china(0))
    operator.call(
        "set_tariff", version=1, effective=china(0, "2026-11-01"), fee_standard_ppm=10_000, fee_economy_ppm=5_000,
        fee_emergency_ppm=20_000,
    )  # fmt: skip
    operator.list_family("A910B", "gansu-qingyang", "L10")
    for name in ("buyer", "seller"):
        operator.add_participant(name)
        operator.deposit(name, 1_000_000)
    operator.add_site("zw-1", participant="seller", region="gansu-qingyang")
    operator.attest_capacity("zw-1", chip="A910B", cards=10_000, start=china(0), end=china(0, "2026-12-01"))


@contextmanager
def live_market(folder: Path, *options: str) -> Iterator[LiveMarket]:
    """The market, stopped at the end."""
    with ExitStack() as stack:
        server = stack.enter_context(running_server(folder, "--clock", "manual", *options))
        operator = stack.enter_context(Client(server.url, server.operator_key))
        open_market(operator)
        buyer = operator.create_key(["read", "trade"], participant="buyer").secret
        seller = operator.create_key(["read", "trade", "provide"], participant="seller").secret
        yield LiveMarket(server, operator, buyer, seller, stack)
