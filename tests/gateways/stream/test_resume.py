"""What a client is told that comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from here import Client, Live, live_market

from exchange.domain import commands as c


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_market(tmp_path_factory.mktemp("resume") / "cpx") as running:
        yield running


def rich(live: Live) -> str:
    """Somebody with money."""
    venue = live.exchange.handle.venue
    return max(venue.state.participants, key=lambda name: venue.core.balance(venue.account(name))[0])


def place(who: str, name: str, book: str, cents: int) -> c.PlaceOrder:
    return c.PlaceOrder(who, name, book, "buy", cents * 10_000, 1)


@pytest.mark.slow
def test_a_resumed_subscription_is_told_where_the_channel_is_now(live: Live) -> None:
    (book,) = live.instruments(1)
    who = live.do(lambda: rich(live))
    client = Client(live)
    client.ask("subscribe", channel="depth", instrument=book)
    old = client.next("snapshot")
    live.submit(place(who, "resume-1", book, 5), place(who, "resume-2", book, 6))
    again = Client(live)
    where = {"epoch": old["epoch"], "from_seq": old["seq"]}
    told = again.ask("subscribe", channel="depth", instrument=book, **where)["result"]
    now = live.rest_depth(book)["seq"]
    assert (told["is_resumed"], told["seq"]) == (True, now) and now > old["seq"]
    seq = old["seq"]
    while seq < told["seq"]:
        delta = again.next("delta")
        assert delta["prev_seq"] == seq
        seq = delta["seq"]
    nothing_missed = again.ask("subscribe", channel="depth", instrument=book, epoch=old["epoch"], from_seq=seq)["result"]
    assert (nothing_missed["is_resumed"], nothing_missed["seq"]) == (True, seq)
    again.close()
    client.close()


@pytest.mark.slow
def test_snapshots_and_resumes_are_counted_for_everybody_to_see(live: Live) -> None:
    (book,) = live.instruments(1)
    client = Client(live)
    client.ask("subscribe", channel="depth", instrument=book)
    old = client.next("snapshot")
    client.close()

    again = Client(live)
    before = again.ask("feed_integrity")["result"]
    told = again.ask("subscribe", channel="depth", instrument=book, epoch=old["epoch"], from_seq=old["seq"])["result"]
    assert told["is_resumed"]
    after_resume = again.ask("feed_integrity")["result"]
    assert again.ask("unsubscribe", channel="depth", instrument=book)["result"]
    told = again.ask("subscribe", channel="depth", instrument=book, epoch=old["epoch"] + 1, from_seq=old["seq"])["result"]
    assert not told["is_resumed"]
    again.next("snapshot")
    after_other_epoch = again.ask("feed_integrity")["result"]
    again.close()

    def since(now: dict[str, int], then: dict[str, int]) -> tuple[int, int, int]:
        return (
            now["resumed"] - then["resumed"], now["resumes_too_old"] - then["resumes_too_old"],
            now["snapshots"] - then["snapshots"],
        )  # fmt: skip

    assert since(after_resume, before) == (1, 0, 0)
    assert since(after_other_epoch, after_resume) == (0, 1, 1)
    assert before["connections"] >= 1 and after_other_epoch["messages"] > before["messages"]
