"""When something of ours breaks: what a client is told, what the log holds. The exchange runs inside the test."""

import asyncio
import json
import logging
import os
import signal

import pytest

from exchange.gateways.limits import DoorLimits
from exchange.server import Exchange, ServeSettings

pytestmark = pytest.mark.slow  # a live exchange, or a market day

PLENTY = DoorLimits(keyless_rate=10_000, keyless_burst=10_000)


class Inside:
    """Requests straight into the ASGI app of an open exchange."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.bearer = (b"authorization", f"Bearer {exchange.operator_key()}".encode())

    async def ask(self, method, path, body=b"", *headers):
        """(status, headers, data)."""
        sent, kind = [], (b"content-type", b"application/json")
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": b"", "headers": [self.bearer, *([kind] if body else []), *headers], "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80), "scheme": "http", "root_path": "", "state": {},
        }  # fmt: skip

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        await self.exchange.app(scope, receive, send)
        return (
            sent[0]["status"],
            dict(sent[0]["headers"]),
            json.loads(b"".join(part["body"] for part in sent[1:])),
        )


def within(tmp_path, story):
    """Runs a story with an open exchange, and closes it."""

    async def run():
        exchange = await Exchange.open(ServeSettings(tmp_path / "exchange", clock="manual", limits=PLENTY))
        try:
            await story(Inside(exchange))
        finally:
            await exchange.close()

    asyncio.run(run())


MOVE = json.dumps({"to": "2026-11-24T00:00:00Z"}).encode()


def test_a_venue_that_stops_says_so_at_every_door(tmp_path, monkeypatch):
    async def story(inside):
        assert (await inside.ask("GET", "/v1/health"))[0] == 200
        venue = inside.exchange.handle.venue
        monkeypatch.setattr(type(venue), "apply", lambda *_: 1 // 0)
        status, _, told = await inside.ask("POST", "/v1/clock", MOVE)
        assert (status, told["reason"], told["definite"], told["retryable"]) == (
            503,
            "OUTCOME_UNKNOWN",
            False,
            True,
        )
        status, _, told = await inside.ask("POST", "/v1/clock", MOVE)
        assert (status, told["reason"], told["definite"]) == (503, "HALTED", True)
        status, headers, told = await inside.ask("GET", "/v1/health")
        assert (status, told["status"]) == (503, "halted") and headers[b"content-type"] == b"application/json"
        assert "ZeroDivision" not in json.dumps(told)

    within(tmp_path, story)


def test_tables_that_stand_still_are_told_as_behind(tmp_path, monkeypatch):
    async def story(inside):
        monkeypatch.setattr(type(inside.exchange._store), "is_behind", property(lambda _: True))
        status, _, told = await inside.ask("GET", "/v1/health")
        assert (status, told["status"]) == (503, "behind")

    within(tmp_path, story)


def test_the_process_of_the_tables_is_killed_and_the_market_goes_on(tmp_path):
    async def story(inside):
        async def health_until(wanted):
            async with asyncio.timeout(60):
                while (told := (await inside.ask("GET", "/v1/health"))[2])["status"] != wanted:
                    await asyncio.sleep(0.005)
            return told

        store = inside.exchange._store
        await health_until("ok")
        os.kill(store.pid, signal.SIGKILL)
        told = await health_until("behind")
        assert told["problems"] == ["the tables are behind the market"]
        status, _, ack = await inside.ask("POST", "/v1/clock", MOVE)
        assert status == 200 and ack["status"] == "ACCEPTED"
        told = await health_until("ok")
        assert await store.wait_for(ack["seq"], 60) and store.offset == ack["seq"] == told["seq"]

    within(tmp_path, story)


def test_a_fault_of_ours_is_a_500_with_a_name_and_one_line_in_the_log(tmp_path, monkeypatch, caplog):
    async def story(inside):
        bearer = inside.bearer[1].decode()

        async def broken(*_, **__):
            raise RuntimeError("the boiler")

        monkeypatch.setattr("exchange.gateways.dispatch.Dispatcher.run", broken)
        with caplog.at_level(logging.ERROR, "cpx.rest"):
            status, headers, told = await inside.ask("GET", "/v1/venue")
        assert (status, told["reason"], told["definite"]) == (500, "INTERNAL", False)
        assert (
            headers[b"content-type"] == b"application/problem+json" and b"x-content-type-options" in headers
        )
        assert "boiler" not in json.dumps(told) and "Traceback" not in json.dumps(told)
        lines = [json.loads(record.message) for record in caplog.records if record.name == "cpx.rest"]
        assert len(lines) == 1 and lines[0]["trace_id"] == told["trace_id"] == headers[b"x-trace-id"].decode()
        assert (lines[0]["operation"], lines[0]["error"], lines[0]["message"]) == (
            "venue",
            "RuntimeError",
            "the boiler",
        )
        assert bearer not in caplog.text and bearer.split("_")[-1] not in caplog.text

    within(tmp_path, story)
