"""A shutdown overtakes what was just put into a client's outbox: he is told why, and no fault is logged."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from here import Client, live_market
from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.slow  # a live exchange, or a market day


def test_a_shutdown_that_overtakes_messages_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), live_market(tmp_path / "cpx", 0) as live:
        clients = [Client(live) for _ in range(3)]
        numbers = [each.welcome["session"] for each in clients]
        cut_offs = live.do(lambda: [live.door._connections[number]._cut_off for number in numbers])
        protocols = [each.__self__.get_protocol() for each in cut_offs]

        def at_once() -> None:
            """What a busy loop does in one round: everybody's goodbye is queued, then the server closes its sockets."""
            live.exchange.say_goodbye()
            for each in protocols:
                each.shutdown()

        live.do(at_once)
        for each in clients:
            with pytest.raises(ConnectionClosed) as caught:
                each.receive()
            assert caught.value.rcvd is not None and caught.value.rcvd.code == 1012
    assert [record.getMessage() for record in caplog.records if record.name.startswith("cpx")] == []
