"""Faults that a review has found in what acks, health and windows say: each of these failed once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

sys.path.append(str(Path(__file__).resolve().parent))

from test_dispatch import HOURLY, OPERATOR, ORDER, SETUP, Market, market, of, until  # noqa: E402 - its folder is known only now

from exchange.domain import commands as c  # noqa: E402
from exchange.protocol.errors import DoorReason  # noqa: E402
from exchange.protocol.operations import OPERATIONS  # noqa: E402

SECOND = 10**9


def test_an_ack_without_a_key_has_the_time_of_its_command_too(tmp_path):
    async def test(x: Market) -> None:
        await x.run(of("B1"), "place_order", **ORDER)
        results: list[Any] = []
        before_ns, frames = x.handle.now_ns, x.handle.stats.frames
        for who, name, args in (
            (of("B1"), "cancel_order", {"client_order_id": ORDER["client_order_id"]}),
            (OPERATOR, "advance_time", {"to": HOURLY.time_text(before_ns + SECOND)}),
        ):
            operation = OPERATIONS[name]
            x.dispatcher.command_nowait(who, operation, msgspec.convert(args, operation.args), results.append)
        await until(lambda: len(results) == 2)
        assert x.handle.stats.frames == frames + 1
        assert [each.ts_ns for each in results] == [str(before_ns), str(before_ns + SECOND)]
        assert {event.ts_ns for event in results[0].events} == {str(before_ns)}

    market(tmp_path, test)


def test_a_settlement_asked_again_says_what_it_said(tmp_path):
    async def test(x: Market) -> None:
        await x.run(OPERATOR, "advance_time", to=HOURLY.time_text(x.handle.now_ns + 3 * 3600 * SECOND))
        asked = {"period_start": HOURLY.time_text(x.handle.now_ns // (3600 * SECOND) * 3600 * SECOND - 3 * 3600 * SECOND)}
        first = await x.run(OPERATOR, "settle_period", _key="s1", **asked)
        assert (first.status, first.events[0].reference) == ("ACCEPTED", "0 obligations")
        again = await x.run(OPERATOR, "settle_period", _key="s1", **asked)
        assert again == msgspec.structs.replace(first, replayed=True)

    market(tmp_path, test)


def test_valid_until_reaches_no_further_than_keys_are_kept(tmp_path):
    """Else a command could run again after its key was forgotten."""

    async def test(x: Market) -> None:
        now_ns, hour_ns = x.handle.now_ns, 3600 * SECOND
        far = await x.refusal(of("B1"), "place_order", _until=HOURLY.time_text(now_ns + 2 * hour_ns + SECOND), **ORDER)
        assert (far.reason, far.field) == (DoorReason.VALID_UNTIL_TOO_FAR, "valid_until")
        good = await x.run(of("B1"), "place_order", _until=HOURLY.time_text(now_ns + 2 * hour_ns), **ORDER)
        assert good.status == "ACCEPTED"

    async def set_up(x: Market) -> None:
        sent = list(SETUP)
        sent[1] = c.SetVenue("test", idempotency_retention_ns=2 * 3600 * SECOND)
        await x.send(*sent)
        await test(x)

    market(tmp_path, set_up, is_open=False)


def test_health_says_that_market_data_has_stopped_while_the_market_goes_on(tmp_path, monkeypatch):
    async def test(x: Market) -> None:
        assert (await x.run(OPERATOR, "health")).status == "ok"
        assert (await x.run(of("B1"), "depth", instrument=ORDER["instrument"])).bids == ()
        with monkeypatch.context() as broken:
            broken.setattr(x.market_data, "_step_all", lambda touched: 1 // 0)
            assert (await x.run(of("B1"), "place_order", **ORDER)).status == "ACCEPTED"
            await until(lambda: x.market_data.is_broken)
        health = await x.run(OPERATOR, "health")
        assert health.status == "behind" and any("market data" in problem for problem in health.problems)
        no = await x.refusal(of("B1"), "depth", instrument=ORDER["instrument"])
        assert (no.reason, no.retry_after_s) == (DoorReason.BEHIND, 10), "an old book is not shown as a live one"
        assert (await x.run(of("B1"), "orders")).items[0].client_order_id == ORDER["client_order_id"]

    market(tmp_path, test)


def test_a_name_used_with_other_content_is_not_shown_in_place_of_the_order(tmp_path):
    async def test(x: Market) -> None:
        await x.run(of("B1"), "place_order", **ORDER)
        other = await x.refusal(of("B1"), "place_order", **ORDER | {"cards": "2"})
        assert other.reason is DoorReason.KEY_REUSED
        (shown,) = (await x.run(of("B1"), "orders")).items
        assert (shown.cards, shown.status) == ("1", "live")

    market(tmp_path, test)
