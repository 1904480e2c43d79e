"""What a damaged journal may lose: the one frame that nobody was answered for, and never anything else."""

from __future__ import annotations

import hashlib
import random
import shutil
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import open_toy, segments, some_commands, task, write_journal

from exchange.adapters.journal_file import list_segments, open_log, read_commands
from exchange.domain.commands import Deposit, LoadCatalogue, Region
from exchange.engine.journal import (
    BLOCK,
    MAX_FRAME_BODY,
    NO_CHAIN,
    Expected,
    JournalError,
    JournalMissing,
    SegmentHeader,
    Unreadable,
    build_frame,
    build_segment_header,
    make_record,
    parse_frame,
    parse_segment_header,
    split_into_frames,
)
from exchange.engine.recovery import LogReader
from exchange.ports import Envelope
from exchange.protocol.codec import CodecError

SALT = 0x1234_5678_9ABC_DEF0
FRAMES = [some_commands(3), some_commands(40, 3), some_commands(2, 43), some_commands(30, 45)]


class Bytes:
    """A segment in memory."""

    def __init__(self, data: bytes, name: str = f"{1:020d}.wal") -> None:
        self.data, self.name = data, name

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def in_memory(frames=FRAMES, salt: int = SALT) -> tuple[bytes, list[int]]:
    """A segment of these frames, and where each frame begins (and the last one ends)."""
    data = build_segment_header(SegmentHeader(b"E" * 16, 1, 1, salt))
    chain, seq, starts = NO_CHAIN, 1, [BLOCK]
    for commands in frames:
        frame, chain = build_frame([make_record(c) for c in commands], seq, 1, seq, salt, chain)
        data, seq = data + frame, seq + len(commands)
        starts.append(len(data))
    return data, starts


def read_back(data: bytes) -> tuple[list, int]:
    """(commands, torn bytes) of a segment."""
    reader = LogReader([Bytes(data)])
    commands = [logged.command for logged in reader.commands()]
    return commands, reader.end.torn_bytes


ALL = [command for commands in FRAMES for command in commands]
WITHOUT_LAST = ALL[: -len(FRAMES[-1])]


def test_what_is_written_is_read_back_with_numbers_and_times():
    reader = LogReader([Bytes(in_memory()[0])])
    logged = list(reader.commands())
    assert [entry.command for entry in logged] == ALL
    assert [entry.seq for entry in logged] == list(range(1, len(ALL) + 1))
    assert [entry.ts_ns for entry in logged][:4] == [1, 1, 1, 4]
    assert reader.end.next_seq == len(ALL) + 1
    assert reader.end.torn_bytes == 0


def test_the_bytes_of_a_frame_have_not_changed_unnoticed():
    assert hashlib.sha256(in_memory()[0]).hexdigest() == GOLDEN_SEGMENT


GOLDEN_SEGMENT = "f357fc4c2b3d9bcd6f7db35b1b9950122d20036b26740973b005db3c7e23854b"


def test_a_frame_lies_on_whole_blocks_and_says_its_length_at_both_ends():
    data, starts = in_memory()
    for start, end in pairwise(starts):
        assert start % BLOCK == end % BLOCK == 0
        assert data[start + 4 : start + 8] == data[end - 4 : end] == (end - start).to_bytes(4, "little")


@pytest.mark.slow
def test_a_torn_tail_of_any_length_drops_exactly_the_last_frame():
    data, starts = in_memory()
    for length in range(starts[-2], starts[-1]):
        commands, torn = read_back(data[:length])
        assert commands == WITHOUT_LAST
        assert torn == 0 if length == starts[-2] else 0 < torn <= length - starts[-2] + BLOCK


def test_a_torn_tail_with_any_block_missing_drops_exactly_the_last_frame():
    # Blocks of one write reach the disk in any order; the rest of the file may read as zeros.
    data, starts = in_memory()
    first, last = starts[-2], starts[-1]
    blocks = range(first, last, BLOCK)
    assert len(blocks) > 1
    for pattern in range(2 ** len(blocks) - 1):
        torn = bytearray(data)
        for index, start in enumerate(blocks):
            if not pattern >> index & 1:
                torn[start : start + BLOCK] = bytes(BLOCK)
        assert read_back(bytes(torn))[0] == WITHOUT_LAST


def flip_is_harmless(data: bytes, starts: list[int], bit: int) -> None:
    """A flip in the last frame is a torn tail or refused; anywhere else it is refused."""
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    try:
        commands, torn = read_back(bytes(flipped))
    except JournalError as error:
        assert error.exit_code == 78
        assert error.repair
        return
    assert bit // 8 >= starts[-2], f"bit {bit} was not noticed"
    assert commands == WITHOUT_LAST
    assert torn


def interesting_bits(starts: list[int]) -> list[int]:
    """All bits of the segment header's fields, of frame heads and trailers."""
    places = [range(80), range(BLOCK - 8, BLOCK)]
    for start, end in pairwise(starts):
        places += [range(start, start + 72 + 48), range(end - 24, end)]
    return [8 * byte + bit for place in places for byte in place for bit in range(8)]


def test_single_flipped_bits_are_noticed():
    data, starts = in_memory()
    bits = interesting_bits(starts)
    generator = random.Random(4)
    for bit in generator.sample(bits, 800) + [generator.randrange(8 * len(data)) for _ in range(400)]:
        flip_is_harmless(data, starts, bit)


@pytest.mark.soak
def test_every_flipped_bit_of_headers_and_of_the_last_two_frames_is_noticed():
    data, starts = in_memory()
    for bit in [*range(8 * BLOCK), *range(8 * starts[-3], 8 * len(data))]:
        flip_is_harmless(data, starts, bit)


def test_a_flip_in_the_middle_is_refused_with_seq_and_offset():
    data, starts = in_memory()
    for index, seq in ((0, 1), (1, 4), (2, 44)):
        flipped = bytearray(data)
        flipped[starts[index] + 100] ^= 4
        with pytest.raises(JournalError) as caught:
            read_back(bytes(flipped))
        assert (caught.value.seq, caught.value.offset) == (seq, starts[index])
        assert f"truncate -s {starts[index]}" in str(caught.value)


def test_two_damaged_frames_at_the_end_are_more_than_a_torn_tail():
    data, starts = in_memory()
    flipped = bytearray(data)
    for start in starts[-3:-1]:
        flipped[start + 100] ^= 1
    with pytest.raises(JournalError, match="no torn write"):
        read_back(bytes(flipped))


def test_more_garbage_than_one_frame_leaves_is_refused():
    data, starts = in_memory()
    damaged = data[: starts[-2] + 100] + b"?" + data[starts[-2] + 101 :]
    with pytest.raises(JournalError, match="more than one torn write"):
        read_back(damaged + b"x" * BLOCK)


def test_zeros_after_the_last_frame_are_unused_space():
    data, _ = in_memory()
    assert read_back(data + bytes(10 * BLOCK)) == (ALL, 0)
    assert read_back(data + bytes(5)) == (ALL, 0)


def test_stale_frames_with_another_salt_are_ignored():
    data, starts = in_memory()
    old, old_starts = in_memory([*FRAMES, *FRAMES], salt=SALT ^ 1)
    for end in starts:
        commands, torn = read_back(data[:end] + old[old_starts[starts.index(end)] :])
        assert commands == ALL[: len(commands)]
        assert torn == 0
    # Torn over stale: only the first block of a long new frame came through.
    commands, torn = read_back(data[: starts[-2] + BLOCK] + old[old_starts[5] :])
    assert commands == WITHOUT_LAST
    assert torn == BLOCK


def test_a_frame_in_the_place_of_another_is_refused():
    data, starts = in_memory()
    frames = [data[start:end] for start, end in pairwise(starts)]
    for order in ([0, 2, 1, 3], [0, 0, 1, 2, 3], [0, 2, 3], [1, 2, 3], [0, 1, 2, 3, 3], [0, 1, 3]):
        with pytest.raises(JournalError) as caught:
            read_back(data[:BLOCK] + b"".join(frames[index] for index in order))
        assert caught.value.offset >= BLOCK


def test_a_forged_history_breaks_the_chain():
    # Every checksum is right, only an earlier command is another one.
    forged = [[Deposit("P0", 1_000_000)] + FRAMES[0][1:], *FRAMES[1:]]
    data, starts = in_memory()
    other, other_starts = in_memory(forged)
    assert starts == other_starts
    with pytest.raises(JournalError, match="hash chain"):
        read_back(other[: starts[1]] + data[starts[1] :])


def test_a_frame_whose_time_or_epoch_goes_back_is_refused():
    records = [make_record(Deposit("a", 1))]
    for epoch, ts_ns in ((1, 10), (2, 9)):
        frame, _ = build_frame(records, 5, epoch, ts_ns, SALT, NO_CHAIN)
        with pytest.raises(JournalError, match="backwards"):
            parse_frame(frame, Expected(5, SALT, NO_CHAIN, 2, 10), "s", 0)


@given(st.binary(max_size=3 * BLOCK))
def test_arbitrary_bytes_give_commands_or_a_journal_error(noise):
    head = in_memory([])[0]
    frame = in_memory()[0][BLOCK:]
    for data in (noise, head + noise, head[: len(noise)] + noise, head + frame + noise, head + noise + frame):
        try:
            commands, _ = read_back(data)
        except JournalError:
            continue
        assert commands == ALL[: len(commands)]


@given(st.data())
def test_a_frame_with_a_right_checksum_and_any_content_gives_a_frame_or_a_journal_error(data):
    # Whatever passes the CRC is still not trusted: counts and lengths are checked before they are used.
    frame = bytearray(build_frame([make_record(c) for c in some_commands(4)], 1, 1, 1, SALT, NO_CHAIN)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(8, 72 + 4 * 48 - 1))
        frame[position] = data.draw(st.integers(0, 255))
    frame[-8:-4] = crc32(frame[:-8]).to_bytes(4, "little")
    try:
        parsed = parse_frame(bytes(frame), Expected(1, SALT, NO_CHAIN, 0, -(2**63)), "s", BLOCK)
    except (JournalError, Unreadable):
        return
    assert len(parsed.records) == 4


def test_a_right_checksum_over_a_wrong_frame_is_not_enough():
    records = [make_record(command) for command in some_commands(4)]
    expected = Expected(1, SALT, NO_CHAIN, 0, 0)
    sound = build_frame(records, 1, 1, 1, SALT, NO_CHAIN)[0]
    cases = (
        (8, (2).to_bytes(8, "little"), "begins with seq 2"),
        (16, (0).to_bytes(4, "little"), "not of this format"),
        (16, (1025).to_bytes(4, "little"), "not of this format"),
        (16, (1000).to_bytes(4, "little"), "do not fit"),
        (20, b"\1", "flags 1"),
        (48, (7).to_bytes(8, "little"), "durable seq 7"),
        (72, b"\xff\xff\xff\xff", "beyond its end"),
        (72 + 4 * 48 + 3, b"\1", "hash is not that of its commands"),
        (len(sound) - 25, b"\1", "between the commands and the frame's end"),
        (len(sound) - 24, bytes(16), "hash is not that of its commands"),
    )
    for position, change, complaint in cases:
        frame = bytearray(sound)
        frame[position : position + len(change)] = change
        frame[-8:-4] = crc32(frame[:-8]).to_bytes(4, "little")
        with pytest.raises(JournalError, match=complaint):
            parse_frame(bytes(frame), expected, "s", BLOCK)


def test_a_segment_that_continues_another_history_is_refused_even_if_empty():
    data, _ = in_memory()
    for chain, epoch in ((b"X" * 16, 1), (None, 0)):
        reader = LogReader([Bytes(data)])
        list(reader.frames())
        seq, right = reader.end.next_seq, reader.end.chain
        header = SegmentHeader(b"E" * 16, seq, epoch, SALT, chain or right)
        following = Bytes(build_segment_header(header), f"{seq:020d}.wal")
        with pytest.raises(JournalError, match="does not continue|older"):
            list(LogReader([Bytes(data), following]).frames())


def test_an_unknown_command_in_a_sound_frame_is_refused_with_its_seq():
    record = make_record(Deposit("a", 1))
    unknown = record._replace(header=record.header._replace(type=999))
    data = build_segment_header(SegmentHeader(b"E" * 16, 1, 1, SALT))
    data += build_frame([record, unknown], 1, 1, 1, SALT, NO_CHAIN)[0]
    with pytest.raises(JournalError, match="newer") as caught:
        read_back(data)
    assert caught.value.seq == 2


def test_groups_hold_at_most_1024_commands_and_256_kib():
    small = [make_record(Deposit("a", number)) for number in range(2500)]
    assert [len(group) for group in split_into_frames(small)] == [1024, 1024, 452]
    middle = [make_record(Deposit("a", 1, "x" * 100_000)) for _ in range(5)]
    assert [len(group) for group in split_into_frames(middle)] == [2, 2, 1]
    regions = tuple(Region(f"R{n}", "name", "", "edge", n, n) for n in range(6000))
    large = make_record(LoadCatalogue((), regions, (), ()))
    assert large.size > MAX_FRAME_BODY
    assert [len(group) for group in split_into_frames([small[0], large, small[1]])] == [1, 1, 1]
    assert list(split_into_frames([])) == []


def test_an_envelope_that_does_not_fit_is_refused_before_anything_is_written():
    for envelope in (
        Envelope(idem_key=b"short"),
        Envelope(idem_key=bytes(17)),
        Envelope(idem_key="x" * 16),
        Envelope(valid_until_ns=2**63),
        Envelope(account=-1),
        Envelope(session=2**64),
    ):
        with pytest.raises(CodecError, match="envelope"):
            make_record(Deposit("a", 1), envelope)


# Whole folders


@pytest.fixture(scope="module")
def five_segments(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_journal(folder, [some_commands(20, 20 * n) for n in range(10)], segment_bytes=3 * BLOCK)
    assert len(segments(folder)) >= 5
    return folder


@pytest.fixture
def run(five_segments, tmp_path) -> Path:
    return Path(shutil.copytree(five_segments, tmp_path / "run"))


def refused(folder: Path) -> JournalError:
    """The error that both the reader and the writer give, who change nothing."""
    before = {path: path.read_bytes() for path in segments(folder)}
    with pytest.raises(JournalError) as reading:
        list(read_commands(folder))
    for opened in (open_log, open_toy):
        with pytest.raises(JournalError) as writing:
            opened(folder)
        assert str(writing.value) == str(reading.value)
    assert {path: path.read_bytes() for path in segments(folder)} == before
    assert reading.value.exit_code == 78
    assert reading.value.repair
    return reading.value


def test_a_whole_folder_is_read_in_order(run):
    assert [entry.command for entry in read_commands(run)] == some_commands(200)
    assert list(read_commands(run / "journal")) == list(read_commands(run))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_deleted_segment_is_refused(run, index):
    segments(run)[index].unlink()
    assert "missing" in str(refused(run))


def test_a_deleted_last_segment_is_refused_where_a_snapshot_knows_of_it(tmp_path):
    frames = [some_commands(20, 20 * n) for n in range(4)]
    write_journal(tmp_path, frames, segment_bytes=3 * BLOCK, keep_snapshots=True)
    for path in segments(tmp_path)[-2:]:
        path.unlink()
    with pytest.raises(JournalError, match="answered commands are missing"):
        open_toy(tmp_path)


def test_swapped_segments_are_refused(run):
    first, second, *_ = segments(run)
    spare = first.with_suffix(".spare")
    first.rename(spare)
    second.rename(first)
    spare.rename(second)
    assert "renamed" in str(refused(run))


def test_a_segment_with_a_name_that_is_none_is_refused(run):
    last = segments(run)[-1]
    last.rename(last.with_name("copy.wal"))
    assert "no name of a segment" in str(refused(run))


def test_a_segment_of_another_venue_is_refused(run, tmp_path):
    other = tmp_path / "other"
    write_journal(other, [some_commands(20, 20 * n) for n in range(10)], segment_bytes=3 * BLOCK)
    shutil.copy(segments(other)[2], segments(run)[2])
    assert "another venue" in str(refused(run))


def test_a_cut_segment_in_the_middle_is_refused(run):
    middle = segments(run)[1]
    data = middle.read_bytes()
    middle.write_bytes(data[:-1])
    assert refused(run).segment == middle.name
    middle.write_bytes(data + bytes(BLOCK))
    assert refused(run).segment == middle.name
    middle.write_bytes(data[:BLOCK])
    assert refused(run)


def test_a_damaged_segment_header_is_refused(run):
    for path in (segments(run)[0], segments(run)[-1]):
        data = bytearray(path.read_bytes())
        data[40] ^= 1
        path.write_bytes(data)
        assert "header" in str(refused(run))
        data[40] ^= 1
        path.write_bytes(data[:100])
        assert refused(run)
        path.write_bytes(b"")
        assert refused(run)
        path.write_bytes(data)
    assert list(read_commands(run))


def test_a_newer_format_is_refused_by_name():
    block = bytearray(build_segment_header(SegmentHeader(b"E" * 16, 1, 1, SALT)))
    block[8] = 2
    block[-4:] = crc32(block[:-4]).to_bytes(4, "little")
    with pytest.raises(JournalError, match="newer one"):
        parse_segment_header(bytes(block), f"{1:020d}.wal")


def test_an_empty_folder_has_no_journal(tmp_path):
    with pytest.raises(JournalMissing):
        list(read_commands(tmp_path))
    assert list_segments(tmp_path) == []


def test_a_torn_tail_is_cut_kept_aside_and_written_over(tmp_path):
    write_journal(tmp_path, FRAMES)
    (path,) = segments(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    sequencer, found = open_toy(tmp_path)
    assert found.end.torn_bytes > 0
    assert "never answered" in found.notes[0]
    assert path.stat().st_size == found.end.offset, "a shorter frame must not leave the rest of a longer one"
    (kept,) = (tmp_path / "journal").glob("*.torn")
    assert whole[found.end.offset :].startswith(kept.read_bytes())
    assert [entry.command for entry in read_commands(tmp_path)] == WITHOUT_LAST
    assert sequencer.submit([task(999)])[0].seq == len(WITHOUT_LAST) + 1
    sequencer.close()
    assert [entry.command for entry in read_commands(tmp_path)] == [*WITHOUT_LAST, task(999)]
    _, found = open_toy(tmp_path)
    assert found.end.epoch == 2
