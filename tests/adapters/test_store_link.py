"""The database in a process of its own, on SQLite: the contract, what only a file can have happen to it, and the pauses."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from link_contract import PATIENCE_S, LinkContract, give, records_of, until_seen, with_link
from stored import EXCHANGE_ID, Sample, dump, filled

from exchange.adapters import store_process
from exchange.adapters.store import Store
from exchange.adapters.store_frames import (
    Frames,
    Hello,
    Status,
    applied_frame,
    applied_of,
    hello_frame,
    hurry_frame,
    status_of,
)
from exchange.adapters.store_link import StoreLink
from exchange.adapters.store_process import RowWriter
from exchange.protocol.codec import event_bytes

pytestmark = pytest.mark.slow  # a live exchange, or a market day


@pytest.fixture
def fresh_url(tmp_path):
    """A new file per call."""
    count = iter(range(1000))
    return lambda: f"sqlite:///{tmp_path}/{next(count)}.db"


class TestOnSqlite(LinkContract):
    """Everything of the contract, on files."""


def test_a_closed_database_is_one_file_and_a_lock(tmp_path, sample: Sample):
    async def story(link: StoreLink) -> None:
        give(link, records_of(sample)[:500])
        assert await link.wait_for(500, PATIENCE_S)
        with link.reader.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM transfers")

    with_link(f"sqlite:///{tmp_path}/a.db", story)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "a.db.lock"]


@pytest.mark.slow
def test_a_locked_file_is_tried_again_while_the_market_goes_on(tmp_path, sample: Sample):
    async def story(link: StoreLink) -> None:
        rival = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        rival.execute("BEGIN IMMEDIATE")
        give(link, records_of(sample))
        await until_seen(lambda: "locked" in link.problem)
        assert link.pending == len(sample.applied) and not link.is_behind
        rival.execute("ROLLBACK")
        rival.close()
        assert await link.wait_for(len(sample.applied), PATIENCE_S)
        await until_seen(lambda: link.problem == "")

    with_link(f"sqlite:///{tmp_path}/a.db", story)
    same = filled(f"sqlite:///{tmp_path}/b.db", sample.applied)
    assert dump(Store.open(f"sqlite:///{tmp_path}/a.db", EXCHANGE_ID)) == dump(same)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_stops_the_store_and_not_the_market(tmp_path, sample: Sample):
    small, records = tmp_path / "small", records_of(sample)
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")

    async def story(link: StoreLink) -> None:
        give(link, records)
        await until_seen(lambda: "full" in link.problem or "I/O" in link.problem)
        assert link.pending and not link.is_behind
        with link.reader.connect() as connection:  # and it can be read meanwhile
            assert connection.exec_driver_sql("SELECT seq FROM offset_row").scalar_one() == link.offset
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        assert await link.wait_for(len(records), PATIENCE_S)

    try:
        with_link(f"sqlite:///{small}/a.db", story)
        same = filled(f"sqlite:///{tmp_path}/b.db", sample.applied)
        store = Store.open(f"sqlite:///{small}/a.db", EXCHANGE_ID)
        assert dump(store) == dump(same)
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


# --- the process itself, in a thread ---


class Talk:
    """The server's end of a process that runs in a thread."""

    def __init__(self, ours: socket.socket) -> None:
        self.ours, self._frames, self._told = ours, Frames(), []
        ours.settimeout(PATIENCE_S)

    def next(self) -> Status:
        """The process's next word."""
        while not self._told:
            data = self.ours.recv(1 << 16)
            assert data, "it ended"
            self._told += [status_of(body) for _, body in self._frames.feed(data)]
        return self._told.pop(0)


@contextmanager
def talking(codes: list[int]) -> Iterator[Talk]:
    """A process in a thread; its exit code is put into the list."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=lambda: codes.append(RowWriter(theirs).run()))
    thread.start()
    try:
        yield Talk(ours)
    finally:
        ours.close()
        thread.join(PATIENCE_S)
        theirs.close()
        assert not thread.is_alive()


def test_it_writes_at_once_when_idle_and_when_somebody_waits(fresh_url, sample: Sample, monkeypatch):
    monkeypatch.setattr(store_process, "PAUSE_S", 1_000.0)
    frames, codes, url = [applied_frame(*told) for told in records_of(sample)[:30]], [], fresh_url()
    with talking(codes) as talk:
        talk.ours.sendall(hello_frame(Hello(url, EXCHANGE_ID)))
        assert talk.next() == Status(0, False, "")
        talk.ours.sendall(frames[0])  # it has written nothing for long: no pause
        assert talk.next() == Status(1, False, "")
        talk.ours.sendall(b"".join(frames[1:20]))
        talk.ours.sendall(hurry_frame())
        assert talk.next() == Status(20, False, "")
        talk.ours.sendall(b"".join(frames[20:]))  # and what is in the middle of a pause is written at the end
        talk.ours.shutdown(socket.SHUT_WR)
        assert talk.next() == Status(30, False, "")
    assert codes == [0] and Store.open(url, EXCHANGE_ID).offset == 30


def test_many_commands_are_several_transactions(fresh_url, sample: Sample, monkeypatch):
    monkeypatch.setattr(store_process, "MAX_BATCH", 100)
    codes, data = [], b"".join(applied_frame(*told) for told in records_of(sample)[:1_000])
    with talking(codes) as talk:
        talk.ours.sendall(hello_frame(Hello(fresh_url(), EXCHANGE_ID)) + data)
        talk.ours.shutdown(socket.SHUT_WR)
        offsets = [talk.next().offset]
        while offsets[-1] < 1_000:
            offsets.append(talk.next().offset)
    assert len(offsets) >= 3 and sorted(offsets) == offsets and codes == [0]


def test_half_a_frame_at_the_end_is_no_command(fresh_url, sample: Sample):
    codes, url, frames = [], fresh_url(), [applied_frame(*told) for told in records_of(sample)[:2]]
    with talking(codes) as talk:
        talk.ours.sendall(hello_frame(Hello(url, EXCHANGE_ID)) + frames[0] + frames[1][:-1])
    assert codes == [0] and Store.open(url, EXCHANGE_ID).offset == 1


def test_a_database_that_cannot_be_used_is_told_with_its_exit_code(tmp_path):
    codes = []
    with talking(codes) as talk:
        talk.ours.sendall(hello_frame(Hello(f"sqlite:///{tmp_path}/none/a.db", EXCHANGE_ID)))
        told = talk.next()
        assert told.is_final and "does the folder exist" in told.problem
    assert codes == [69]


def test_a_server_that_ends_before_it_says_anything_is_no_fault():
    codes = []
    with talking(codes):
        pass
    assert codes == [0]


def test_frames_come_out_as_they_went_in_however_they_are_cut(sample: Sample):
    records, frames, found = records_of(sample)[:200], Frames(), []
    data = b"".join(applied_frame(*told) + hurry_frame() for told in records)
    for at in range(0, len(data), 7):
        found += [body for _, body in frames.feed(data[at : at + 7])]
    assert found[1::2] == [b""] * 200
    for body, applied in zip(found[::2], sample.applied, strict=False):
        seq, ts_ns, command, events = applied_of(body)
        assert (seq, ts_ns, command) == applied[:3] and event_bytes(events) == event_bytes(applied[3])
