"""A provider's agent over the live market: in this process, or as `cpx delivery agent` in one of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from live_market import LiveMarket, china

from clients.models_delivery import Lease, Obligation

T = TypeVar("T")
WITHIN_S = 20.0
PYTHON = "python3"


def wait_for(what: Callable[[], T], within_s: float = WITHIN_S) -> T:
    """The first true answer."""
    until = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < until, "it has not come"
        time.sleep(0.02)
    return found


class Process:
    """`cpx delivery agent --json` and what it says."""

    def __init__(self, url: str, key: str, *options: str) -> None:
        self.said: list[dict[str, Any]] = []
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # python3 without detours
        self._process = subprocess.Popen(
            [sys.executable, "-m", "exchange.cli", "delivery", "agent", "--json", *options],
            env={**os.environ, "CPX_URL": url, "CPX_KEY": key, "PATH": path}, stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of the agent."""
        return self._process.pid

    def events(self, what: str) -> list[dict[str, Any]]:
        """What it has said of one kind."""
        return [line for line in list(self.said) if line["event"] == what]

    def wait(self, what: str, count: int = 1) -> dict[str, Any]:
        """The so-manieth event of a kind."""
        return wait_for(lambda: self.events(what)[count - 1 : count])[0]

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        """Its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(how)
        code = self._process.wait(WITHIN_S)
        self._reader.join(WITHIN_S)
        return code

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(json.loads(line))


@contextmanager
def agent(market: LiveMarket, *options: str, key: str | None = None) -> Iterator[Process]:
    """A running agent of the seller, killed at the end where it still runs."""
    process = Process(market.server.url, key or market.seller_key, *options)
    try:
        process.wait("ready")
        yield process
    finally:
        process.end(signal.SIGKILL)


def sell(market: LiveMarket, hour: int, cards: int = 4, hours: int = 1, **more: Any) -> None:
    """Cards of the seller's site from an hour of the venue's day on."""
    terms = {"site": "zw-1", "chip": "A910B", "latency_class": "L10", "price": "3.00", **more}
    market.client(terms.pop("key", market.seller_key)).offer(cards, start=china(hour), end=china(hour + hours), **terms)


def buy(market: LiveMarket, hour: int, work: str, hours: int = 1, cards: int = 4, **more: Any) -> str:
    """The id of a lease from an hour of the venue's day on, with work."""
    buyer = market.client(market.buyer_key)
    terms = {
        "cards": cards, "chips": ["A910B"], "hours": hours, "earliest_start": china(hour), "deadline": china(hour + hours),
        "access_region": "hubei-wuhan", "price_cap": "9.00", "client_order_id": market.new_id("w"), "work": work, **more,
    }  # fmt: skip
    placed = buyer.buy(**terms)
    assert placed.ack is not None and placed.ack.status == "FILLED", placed.ack
    name = terms["client_order_id"]
    return wait_for(lambda: [each.lease_id for each in buyer.leases() if each.client_order_id == name])[0]


def lease(market: LiveMarket, lease_id: str) -> Lease:
    """As its buyer sees it."""
    return next(each for each in market.client(market.buyer_key).leases() if each.lease_id == lease_id)


def result(market: LiveMarket, lease_id: str) -> Any:
    """The buyer's result of a lease, when it is there."""
    return wait_for(lambda: lease(market, lease_id).results)[-1]


def hours(market: LiveMarket, lease_id: str) -> list[Obligation]:
    """All hours of a lease, by start."""
    found = [each for each in market.client(market.buyer_key).obligations() if each.lease_id == lease_id]
    return sorted(found, key=lambda each: (each.period_start, each.obligation_id))


def to(market: LiveMarket, hour: int, minute: int = 0) -> None:
    """Moves the clock to a time of the venue's day, in one step."""
    market.operator.advance_time(china(hour).replace(":00:00", f":{minute:02}:00", 1))


def run(work: Any) -> Any:
    """A coroutine, to its end."""
    return asyncio.run(work)
