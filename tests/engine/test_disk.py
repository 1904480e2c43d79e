"""What happens when the disk says no, and when the process dies at any moment."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy import Aborted, FaultyDisk, ToyVenue, open_toy, segments, some_commands, write_journal

from exchange.adapters.journal_file import ABORT_CODE, Lock, open_log, read_commands
from exchange.domain.commands import Deposit
from exchange.engine.journal import BLOCK, JournalInUse, make_record

WRITER = Path(__file__).with_name("writer.py")
RECORD = [make_record(Deposit("a", 1))]


def writer(folder: Path, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, str(WRITER), str(folder), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(WRITER.parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def test_short_writes_are_continued(tmp_path):
    for chunk in (1, 7, 4095):
        folder = tmp_path / str(chunk)
        disk = FaultyDisk(chunk=chunk)
        sequencer, _ = open_toy(folder, disk=disk)
        sequencer.submit(some_commands(30))
        sequencer._log.close()
        assert [entry.command for entry in read_commands(folder)] == some_commands(30)
        assert disk.counts["pwrite"] > 2


def test_a_write_that_takes_nothing_is_an_error_not_a_loop(tmp_path):
    log = open_log(tmp_path, disk=(disk := FaultyDisk()), abort=raise_aborted)
    disk.pwrite = lambda fd, data, offset: 0
    with pytest.raises(Aborted):
        log.append(RECORD, 1)


def raise_aborted(message: str):
    raise Aborted(message)


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_an_error_of_write_or_sync_ends_the_process_and_is_never_tried_again(tmp_path, call, code):
    disk = FaultyDisk()
    log = open_log(tmp_path, disk=disk, abort=raise_aborted)
    log.append(RECORD, 1)
    disk.counts.clear()
    disk._call, disk._error = call, OSError(code, os.strerror(code))
    with pytest.raises(Aborted, match="cannot write seq 2"):
        log.append(RECORD, 2)
    counts = dict(disk.counts)
    assert counts[call] == 1
    for again in (lambda: log.append(RECORD, 3), log.roll):
        with pytest.raises(RuntimeError, match="takes nothing more"):
            again()
    assert disk.counts == counts, "not one more call on that file"
    log.close()
    assert [entry.seq for entry in read_commands(tmp_path)][:1] == [1]


@pytest.mark.parametrize("call", ["pwrite", "fsync", "replace"])
def test_an_error_while_a_segment_is_made_ends_the_process(tmp_path, call):
    for nth in (1, 2):
        disk = FaultyDisk()
        log = open_log(tmp_path / f"{nth}", disk=disk, abort=raise_aborted)
        log.append(RECORD, 1)
        disk.counts.clear()
        disk._call, disk._nth, disk._error = call, nth, OSError(errno.ENOSPC, "No space left on device")
        if (call, nth) in (("pwrite", 2), ("replace", 2)):
            log.roll()  # each is called once only
        else:
            with pytest.raises(Aborted, match="new segment"):
                log.roll()
        log.close()
        log = open_log(tmp_path / f"{nth}")
        assert log.next_seq == 2
        log.append(RECORD, 1)
        log.close()
        assert len(list(read_commands(tmp_path / f"{nth}"))) == 2
        assert not list(tmp_path.glob("*/journal/*.tmp"))


def test_the_first_segment_is_there_whole_or_not_at_all(tmp_path):
    for call in ("pwrite", "fsync", "replace"):
        disk = FaultyDisk(call, 1, OSError(errno.EIO, "Input/output error"))
        if call == "fsync":
            disk._nth = 3  # the two before it make the folders durable
        with pytest.raises(Aborted, match="first segment"):
            open_log(tmp_path / call, disk=disk, abort=raise_aborted)
        assert segments(tmp_path / call) == []
        log = open_log(tmp_path / call)
        assert log.next_seq == 1
        log.close()


def test_what_is_read_at_start_is_synced_before_anything_is_built_on_it(tmp_path):
    write_journal(tmp_path, [some_commands(3)])
    disk = FaultyDisk("fsync", 1, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(Aborted, match="last segment"):
        open_log(tmp_path, disk=disk, abort=raise_aborted)
    open_log(tmp_path).close()


@pytest.mark.parametrize("how", [(), ("live",)])
def test_a_real_process_on_a_full_disk_ends_with_75_and_loses_no_answer(tmp_path, how):
    process = writer(tmp_path, 0, 3000, 10 * BLOCK + 1000, *how)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == ABORT_CODE == 75
    assert b"cpx: cannot write seq" in errors and b"File too large" in errors
    answered = int(output.split()[-1])
    logged = [entry.command for entry in read_commands(tmp_path)]
    if how:  # a frame may be on the disk already and not answered for yet
        assert 20 < answered <= len(logged) <= answered + 20
    else:
        assert len(logged) == answered, "the frame that did not fit is torn, and only that one"
    assert logged == some_commands(len(logged))
    sequencer, found = open_toy(tmp_path)
    assert found.end.torn_bytes > 0
    assert sequencer.submit([Deposit("a", 1)])[0].seq == len(logged) + 1


def kill_and_check(folder: Path, rounds: int, seed: int, *how: str) -> None:
    """Kills writers at random moments; every answered command must be in the journal, in order."""
    generator = random.Random(seed)
    answered = 0
    for _ in range(rounds):
        process = writer(folder, answered, 20_000 if how else 100_000, 0, *how)
        assert process.stdout is not None
        first_line = process.stdout.readline()
        assert first_line == b"open\n", process.communicate()[1]
        answered = int(process.stdout.readline())  # it has begun
        time.sleep(generator.random() * 0.15)  # the moment of the kill is the point of this test
        process.send_signal(signal.SIGKILL)
        lines = process.communicate()[0].split(b"\n")[:-1]  # what follows the last line end is no answer
        answered = int(lines[-1]) if lines else answered
        logged = [entry.command for entry in read_commands(folder)]
        assert len(logged) >= answered, f"seed {seed}: an answered command is missing"
        assert logged == some_commands(len(logged))
        answered = len(logged)
    # However often it was killed, the venue is the one that ran through.
    replayed = ToyVenue()
    for seq, command in enumerate(some_commands(answered), start=1):
        record = make_record(command)
        key = record.header.idem_key
        has_key = any(key)
        replayed.apply(seq, command, idem_key=key if has_key else b"", body_hash=record.body_hash if has_key else b"")
    sequencer, _ = open_toy(folder)
    assert sequencer.venue.state_hash() == replayed.state_hash()


@pytest.mark.slow
@pytest.mark.parametrize("how", [(), ("live",)])
def test_no_answered_command_is_lost_when_the_process_is_killed(tmp_path, how):
    kill_and_check(tmp_path, 5, 11, *how)


@pytest.mark.soak
def test_no_answered_command_is_lost_in_a_hundred_kills(tmp_path):
    kill_and_check(tmp_path, rounds=100, seed=12)


@pytest.mark.slow
def test_a_second_process_is_refused_and_told_what_to_do(tmp_path):
    sequencer, _ = open_toy(tmp_path)
    process = writer(tmp_path, 0, 1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 73
    assert f"in use by process {os.getpid()}: stop that process, or choose another folder" in errors.decode()
    with pytest.raises(JournalInUse):
        open_log(tmp_path)
    sequencer.close()
    assert writer(tmp_path, 0, 1).wait(timeout=60) == 0


def test_a_reader_is_kept_out_while_a_venue_writes_and_readers_share(tmp_path):
    sequencer, _ = open_toy(tmp_path)
    with pytest.raises(JournalInUse):
        Lock(tmp_path / "journal", shared=True)
    sequencer.close()
    first, second = Lock(tmp_path / "journal", shared=True), Lock(tmp_path / "journal", shared=True)
    with pytest.raises(JournalInUse):
        open_log(tmp_path)
    first.release()
    second.release()
    open_log(tmp_path).close()


def test_a_refused_start_lets_go_of_the_folder(tmp_path):
    write_journal(tmp_path, [some_commands(3)] * 2)
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[BLOCK + 50] ^= 1
    path.write_bytes(data)
    for _ in range(2):
        with pytest.raises(Exception, match="cut .* to 4096 bytes"):
            open_log(tmp_path)
