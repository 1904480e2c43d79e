"""What every database has to do when its rows are made in a process of their own: on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest
import uvloop
from stored import EXCHANGE_ID, Sample, dump, feed, filled

from exchange.adapters import store_link
from exchange.adapters.store import Store, StoreBehind, StoreUnavailable
from exchange.adapters.store_link import StoreLink
from exchange.domain.commands import AdvanceTime
from exchange.domain.events import Settled
from exchange.engine.journal import Record, make_record
from exchange.protocol.codec import event_bytes

PATIENCE_S = 60.0
HERE = Path(__file__).resolve().parent
Told = tuple[int, int, Record, bytes]


def records_of(sample: Sample) -> list[Told]:
    """What a record sink gets on that day."""
    return [(seq, ts_ns, make_record(command), event_bytes(events)) for seq, ts_ns, command, events in sample.applied]


def give(link: StoreLink, records: Iterable[Told]) -> None:
    """In one go, without letting the loop run."""
    for told in records:
        link.on_record(*told)


async def until_seen(condition: Callable[[], bool]) -> None:
    """Returns when a condition holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


def with_link(
    url: str, story: Callable[[StoreLink], Awaitable[None]], make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> None:
    """Runs a story with a link that is open, on the loop that the server has, and closes it."""

    async def run() -> None:
        link = StoreLink(Store.open(url, EXCHANGE_ID, lock_wait_s=PATIENCE_S))
        await link.start()
        try:
            await story(link)
        finally:
            await link.close()

    with asyncio.Runner(loop_factory=make_loop or uvloop.new_event_loop) as runner:
        runner.run(run())


class LinkContract:
    """Fixture `fresh_url`: the URL of a new, empty database per call."""

    @pytest.mark.parametrize("make_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
    def test_the_rows_are_those_of_a_store_in_one_s_own_process(self, fresh_url, sample: Sample, rows: bytes, make_loop):
        url, records = fresh_url(), records_of(sample)

        async def story(link: StoreLink) -> None:
            for place, told in enumerate(records):
                link.on_record(*told)
                if place % 97 == 0:
                    await asyncio.sleep(0)
                if place % 1_009 == 0:
                    assert await link.wait_for(told[0], PATIENCE_S)
            assert await link.wait_for(len(records), PATIENCE_S)
            assert (link.offset, link.pending, link.problem, link.is_behind) == (len(records), 0, "", False)
            assert (link._held_bytes, link._waiters, len(link._sent)) == (0, {}, 0)

        with_link(url, story, make_loop)
        assert dump(Store.open(url, EXCHANGE_ID)) == rows

    def test_what_was_taken_is_stored_when_it_is_closed(self, fresh_url, sample: Sample):
        url, records = fresh_url(), records_of(sample)

        async def story(link: StoreLink) -> None:
            give(link, records)

        with_link(url, story)
        assert Store.open(url, EXCHANGE_ID).offset == len(records)

    def test_who_waits_is_woken_or_told_in_time(self, fresh_url, sample: Sample):
        records = records_of(sample)[:300]

        async def story(link: StoreLink) -> None:
            assert await link.wait_for(0, 0)
            early = asyncio.create_task(link.wait_for(100, PATIENCE_S))
            late = asyncio.create_task(link.wait_for(301, 0.2))
            await asyncio.sleep(0)
            assert len(link._waiters) == 2
            give(link, records)
            assert await early and await link.wait_for(300, PATIENCE_S)
            assert not await late and link._waiters == {}
            os.kill(link.pid, signal.SIGSTOP)
            link.on_record(301, 1, make_record(AdvanceTime(1)), event_bytes(()))
            try:
                assert not await link.wait_for(301, 0.05)
            finally:
                os.kill(link.pid, signal.SIGCONT)
            assert await link.wait_for(301, PATIENCE_S)

        with_link(fresh_url(), story)

    def test_signals_that_stop_the_server_do_not_stop_it(self, fresh_url, sample: Sample):
        async def story(link: StoreLink) -> None:
            pid = link.pid
            assert os.getpgid(pid) != os.getpgid(0)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)
            give(link, records_of(sample)[:10])
            assert await link.wait_for(10, PATIENCE_S) and link.pid == pid

        with_link(fresh_url(), story)

    # --- when one of the two dies ---

    def test_a_process_that_is_killed_is_replaced_and_nothing_is_missing_or_doubled(self, fresh_url, sample: Sample, rows):
        url, records = fresh_url(), records_of(sample)

        async def story(link: StoreLink) -> None:
            done = 0
            for middle, end in ((700, 1_900), (1_901, 3_000), (3_700, len(records))):
                give(link, records[done:middle])
                assert await link.wait_for(middle, PATIENCE_S)
                pid = link.pid
                give(link, records[middle:end])
                await asyncio.sleep(0.01)  # on their way, or being written
                os.kill(pid, signal.SIGKILL)
                await until_seen(lambda: "signal 9" in link.problem)
                assert not link.is_behind
                assert await link.wait_for(end, PATIENCE_S)
                await until_seen(lambda: link.pid not in (0, pid) and not link.problem)  # noqa: B023 - awaited here
                done = end

        with_link(url, story)
        assert dump(Store.open(url, EXCHANGE_ID)) == rows

    def test_when_processes_keep_dying_the_next_start_catches_up(self, fresh_url, sample: Sample, rows: bytes, monkeypatch):
        monkeypatch.setattr(store_link, "MAX_RESTARTS", 1)
        url, records = fresh_url(), records_of(sample)

        async def story(link: StoreLink) -> None:
            give(link, records[:100])
            assert await link.wait_for(100, PATIENCE_S)
            monkeypatch.setattr(store_link, "PROCESS", "exchange.adapters.no_such_process")
            os.kill(link.pid, signal.SIGKILL)
            give(link, records[100:200])
            waiting = asyncio.create_task(link.wait_for(200, PATIENCE_S))
            await until_seen(lambda: link.is_behind)
            assert not await waiting and not await link.wait_for(150, PATIENCE_S)
            assert "restart the server" in link.problem and link.offset == 100
            with pytest.raises(StoreBehind, match="stays at seq 200"):
                link.on_record(*records[200])

        with_link(url, story)
        again = Store.open(url, EXCHANGE_ID, lock_wait_s=PATIENCE_S)
        assert again.offset == 100
        feed(again, sample.applied)
        assert dump(again) == rows
        again.close()

    @pytest.mark.parametrize("times", [pytest.param(2, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.soak)])
    def test_a_server_that_is_killed_leaves_whole_transactions_and_no_second_writer(
        self, fresh_url, sample, rows: bytes, tmp_path, times: int
    ):
        url, draw = fresh_url(), random.Random(11)
        pickled = tmp_path / "day.pickle"
        pickled.write_bytes(pickle.dumps(records_of(sample)))
        command = [sys.executable, str(HERE / "keep_linking.py"), url, str(pickled), EXCHANGE_ID.hex(), "20"]
        for _ in range(times):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            for _ in range(draw.randrange(1, 30)):
                line = process.stdout.readline()
                assert line and line != "end\n"
            process.kill()
            process.wait()
            process.stdout.close()
            store = Store.open(url, EXCHANGE_ID, lock_wait_s=PATIENCE_S)  # its process may still write
            assert store.offset >= int(line)
            offset = store.offset
            feed(store, sample.applied[: offset + 5])
            store.close()
            assert store.offset == min(offset + 5, len(sample.applied))
        assert dump(filled(url, sample.applied)) == rows

    def test_only_one_writes_at_a_time(self, fresh_url):
        url = fresh_url()

        async def story(link: StoreLink) -> None:
            with pytest.raises(StoreUnavailable, match="another process writes into") as caught:
                await asyncio.to_thread(Store.open, url, EXCHANGE_ID, lock_wait_s=0.1)
            assert caught.value.exit_code == 69

        with_link(url, story)
        Store.open(url, EXCHANGE_ID, lock_wait_s=0).close()
        Store.open(url, EXCHANGE_ID, lock_wait_s=0).close()

    # --- when it takes no more ---

    def test_what_waits_has_a_bound_and_the_market_goes_on(self, fresh_url, sample: Sample, monkeypatch):
        monkeypatch.setattr(store_link, "MAX_HELD", 400_000)
        url, records = fresh_url(), records_of(sample)

        async def story(link: StoreLink) -> None:
            os.kill(link.pid, signal.SIGSTOP)  # like a database that does not answer
            try:
                with pytest.raises(StoreBehind, match="commands wait"):
                    give(link, records)
                taken = link.pending
                assert link.is_behind and 100 < taken < len(records) and link._held_bytes < 500_000
                with pytest.raises(StoreBehind):
                    link.on_record(*records[taken])
                assert not await link.wait_for(taken + 1, PATIENCE_S)
            finally:
                os.kill(link.pid, signal.SIGCONT)
            assert await link.wait_for(taken, PATIENCE_S)  # what it took is still good
            assert link.is_behind and link.offset == taken and link._held_bytes == 0

        with_link(url, story)

    def test_a_gap_is_refused(self, fresh_url, sample: Sample):
        records = records_of(sample)

        async def story(link: StoreLink) -> None:
            give(link, records[:10])
            with pytest.raises(StoreBehind, match="11 to 11"):
                link.on_record(*records[11])
            give(link, records[:10])  # those that it has are passed over
            assert link.is_behind and await link.wait_for(10, PATIENCE_S)

        with_link(fresh_url(), story)

    def test_a_fault_of_ours_is_told_and_no_other_process_tries(self, fresh_url, sample: Sample):
        url, records = fresh_url(), records_of(sample)
        strange = Settled(10**9, 0, "a", "b", "c", 1, 1, 0, "delivered", 0, 0, 0, 0, 0, 0)

        async def story(link: StoreLink) -> None:
            give(link, records[:2_000])
            assert await link.wait_for(2_000, PATIENCE_S)
            link.on_record(2_001, 1, make_record(AdvanceTime(1)), event_bytes([strange]))
            assert not await link.wait_for(2_001, PATIENCE_S)
            assert link.is_behind and "AdvanceTime at seq 2001: KeyError" in link.problem
            await until_seen(lambda: link.pid == 0)

        with_link(url, story)
        assert dump(Store.open(url, EXCHANGE_ID)) == dump(filled(fresh_url(), sample.applied[:2_000]))

    def test_somebody_else_s_rows_are_noticed(self, fresh_url, sample: Sample):
        url, records = fresh_url(), records_of(sample)

        async def story(link: StoreLink) -> None:
            give(link, records[:100])
            assert await link.wait_for(100, PATIENCE_S)
            other = await asyncio.to_thread(filled, url, sample.applied[:150])
            give(link, records[100:200])
            assert not await link.wait_for(200, PATIENCE_S)
            assert link.is_behind and "second exchange" in link.problem and link.offset == 100
            other.close()

        with_link(url, story)

    def test_a_process_that_cannot_start_is_told(self, fresh_url, monkeypatch):
        monkeypatch.setattr(store_link, "PROCESS", "exchange.adapters.no_such_process")
        url = fresh_url()
        with pytest.raises(StoreUnavailable, match="exit code 1"):
            with_link(url, lambda link: asyncio.sleep(0))
        Store.open(url, EXCHANGE_ID, lock_wait_s=0).close()
