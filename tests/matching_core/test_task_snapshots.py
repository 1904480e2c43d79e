"""Snapshots with tasks: every table comes back as it was, and a row that no command could have made is refused."""

import random
import struct

import pytest
from core_story import Story

from matching_core import image, loading
from matching_core.enums import Op

LINES = """
engine check_funds
open T firm 1
open U firm 2
open P firm 3
open Q firm 0
pay outside.cash T.cash 900000
pay outside.cash U.cash 900000
fee 0 3333
fee 1 5000
grid 1h gate 5m firm 50 chip 60
family 1 chip 7 region 3 class 1
family 2 chip 8 region 4 class 2 power green
reach 5-3 class 1 rtt 4000
reach 5-4 class 2 rtt 9000
link 2-3 price 100 mbit 1000 capacity 700
link 2-4 price 50 mbit 10
hours 1/1..6 group 1 value 3
hours 2/1..6 group 2 value 2
attest P 1 1000
attest P 2 1000
attest Q 1 1000
new p1 sell 10 x 8 by P in 1/1 indivisible
new p2 sell 11 x 8 by P in 1/2
block b by P in 1/2..5 min 3 x 2 notice 30m indivisible
residue b by P in 1/2..3 20 x 9
block c by Q in 1/1..4 min 1 x 1 ref 99
residue c by Q in 1/2..3 30 x 4
task m 30 x 1 of 7,8 by T budget 3000 in 1..6 data 600 from 2 bulk ref 5
task s 2 x 2 of 7,8*500000 by U budget 20 in 1..6 economy steps 5,30m:9,2h:20 regions 3,4 access 5 rtt 9000
task d 9 x 3 of 8 by U budget 500 in 2..6 split run 2 indivisible until 3h
task x 9 x 1 of 8 by T budget 40 in 2..6 spread data 20 from 2 green
task r 8 x 2 of 7 by U budget 90 in 1..6 repair
clock 30m
task k 8 x 2 of 7 by T budget 90 in 1..6
new p3 sell 9 x 2 by P in 1/4
new q1 sell 9 x 1 by Q in 1/5
drain 1
new q2 sell 9 x 1 by Q in 1/2
""".split("\n")


@pytest.fixture
def tasks_class(engine_class):
    """An engine that knows tasks."""
    if engine_class.RULES_VERSION < 3:
        pytest.skip("needs an engine with rules version 3")
    return engine_class


def busy(tasks_class):
    """An engine in the middle of a drain, with something in every table."""
    story = Story(tasks_class)
    for line in LINES:
        if line:
            assert not (story.run(f"{line} -> ?") or "").startswith(("rejected", "denied")), line
    return story


def test_everything_comes_back_as_it_was_and_goes_on_alike(tasks_class, reference_class):
    story, twin = busy(tasks_class), busy(tasks_class)
    blob = story.engine.snapshot()
    sections = image.decode(blob)
    assert [tag for tag in image.TASK_ROWS if not sections[tag]] == []
    assert blob == busy(reference_class).engine.snapshot()
    twin.engine = tasks_class.restore(blob)
    assert twin.engine.snapshot() == blob
    assert [twin.engine.task(key) for key in twin.engine.tasks()] == [story.engine.task(key) for key in story.engine.tasks()]
    for name in ("b", "c"):
        key = story.order(name)
        assert twin.engine.block_offer(key) == story.engine.block_offer(key) is not None
    assert (twin.engine.dirty(), twin.engine.link_load(2, 3, 0)) == (story.engine.dirty(), 600)
    for line in ("new z sell 8 x 9 by P in 1/5", "drain 1", "drain", "clock 1h54m", "new y sell 2 x 9 by P in 2/4",
                 "new w sell 2 x 9 by P in 2/5", "clock 2h", "drain", "kill U", "clock 6h"):  # fmt: skip
        assert story.run(f"{line} -> ?") == twin.run(f"{line} -> ?"), line
    assert story.engine.snapshot() == twin.engine.snapshot()


def test_an_engine_without_tasks_refuses_them_and_one_with_tasks_reads_older_blobs(tasks_class):
    blob = busy(tasks_class).engine.snapshot()
    for version in (1, 2):
        with pytest.raises(ValueError, match="rules that this engine does not know"):
            loading.read(blob, version)
    older = tasks_class()
    for fields in ({"op": Op.NEW, "order_id": 1, "price": 5, "qty": 5}, {"op": Op.SET_REFERENCE, "price": 7}):
        older.submit(**fields)
        sections = image.decode(older.snapshot())
        assert not set(sections) & set(image.TASK_ROWS)
        assert tasks_class.restore(older.snapshot()).snapshot() == older.snapshot()


@pytest.mark.parametrize("tag", image.TASK_ROWS)
def test_rows_out_of_order_or_doubled_or_missing_are_refused_or_sound(tasks_class, tag):
    sections = image.decode(busy(tasks_class).engine.snapshot())
    size = image.TASK_ROWS[tag].size
    rows = [sections[tag][at : at + size] for at in range(0, len(sections[tag]), size)]
    wrong = [[*rows, rows[-1]], [rows[0], *rows], *([rows[::-1]] if len(rows) > 1 and tag not in ("TASK", "TSKC") else [])]
    for each in wrong:
        with pytest.raises(ValueError, match="snapshot"):
            tasks_class.restore(image.encode(sections | {tag: b"".join(each)}))
    if tag not in ("RCHS", "LNKU", "LINK", "BLKR", "DIRT", "DRNF", "TSKR"):
        with pytest.raises(ValueError, match="snapshot"):
            tasks_class.restore(image.encode(sections | {tag: b""}))


NEVER = {  # field of a TASK row -> values that it cannot have here
    "order_id": (0, 2**63), "budget_micro": (0, 10**18 + 1), "limit_micro": (0, -1, 10**18), "lots": (0, -1, 10**12 + 1),
    "data_mb": (-1, 10**12 + 1), "min_fill": (-1, 10**12), "max_grid": (-1, 10**12), "valid_until_ns": (-1, 1),
    "dies_ns": (0, -1), "filled": (-1, 10**12), "grid_filled": (-1, 10**12), "spent_micro": (-1, 10**17),
    "notional_micro": (-1, 10**17), "account": (0, 77), "access_region": (4096,), "data_region": (4096,),
    "max_rtt_us": (10**9 + 1,), "end_period": (0, 2**20), "periods": (0, 1025), "min_run": (1025,), "fee_ppm": (10**6 + 1,),
    "lane": (2, 4), "shape": (4,), "tif": (1, 2), "max_class": (5,), "flags": (4,), "woken": (3,), "next_step": (4,),
    "zero": (1,),
}  # fmt: skip


@pytest.mark.parametrize("field", NEVER)
def test_a_task_row_that_no_command_could_have_made_is_refused(tasks_class, field):
    sections = image.decode(busy(tasks_class).engine.snapshot())
    layout = image.TASK_ROWS["TASK"]
    rows = [list(row) for row in layout.iter_unpack(sections["TASK"])]
    place = image.TASK_FIELDS.index(field)
    for row in rows:
        right = row[place]
        for value in NEVER[field]:
            row[place] = value
            with pytest.raises(ValueError, match="snapshot"):
                tasks_class.restore(image.encode(sections | {"TASK": b"".join(layout.pack(*each) for each in rows)}))
        row[place] = right
    assert tasks_class.restore(image.encode(sections)).snapshot()


def test_a_forged_table_with_good_checksums_is_refused_or_sound(tasks_class):
    """Whoever rewrites the checksums meets the invariants; what passes them can be used."""
    sections = image.decode(busy(tasks_class).engine.snapshot())
    chance = random.Random(11)
    refused = 0
    for _ in range(600):
        tag = chance.choice(sorted(image.TASK_ROWS))
        layout = image.TASK_ROWS[tag]
        rows = [list(row) for row in layout.iter_unpack(sections[tag])]
        row = chance.choice(rows)
        place = chance.randrange(len(row))
        row[place] = chance.choice((0, 1, 2, 4, 255, 2**20, row[place] + 1, abs(row[place] - 1), row[place] * 2, -1, 2**62))
        try:
            forged = b"".join(layout.pack(*each) for each in rows)
        except struct.error:
            continue
        try:
            restored = tasks_class.restore(image.encode(sections | {tag: forged}))
        except ValueError:
            refused += 1
            continue
        restored.check()
        for fields in ({"op": Op.DRAIN}, {"op": Op.ADVANCE_TIME, "aux": 9 * 10**12}, {"op": Op.DRAIN}):
            restored.submit(**fields)
            restored.check()
    assert 200 < refused < 590
