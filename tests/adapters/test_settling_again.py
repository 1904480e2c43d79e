"""A settlement run that is killed anywhere and begun again: same commands, events, rows and statements, each once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from keep_settling import go_on, opened, script
from stored import dump

from exchange.adapters.journal_file import read_commands
from exchange.adapters.store import Store, default_url
from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.domain.venue import Venue
from exchange.protocol.codec import encode

HERE = Path(__file__).resolve().parent
AFTER = (c.SettlePeriod, c.BuyIn, c.BustTrade, c.AdjustTrade)


@pytest.fixture(scope="module")
def commands() -> list:
    return script()


@pytest.fixture(scope="module")
def whole(commands, tmp_path_factory) -> tuple[Path, bytes]:
    """The run that nobody disturbed, and the hash over its events."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, go_on(folder, commands)


def left_by(folder: Path) -> tuple[bytes, list, dict[str, bytes]]:
    """Rows, commands in the journal, statements."""
    store = Store.open(default_url(folder), bytes(16))
    rows = dump(store)
    store.close()
    logged = [encode(item.command) for item in read_commands(folder)]
    files = {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "statements").rglob("*") if path.is_file()}
    return rows, logged, files


def test_the_script_has_everything_that_can_befall_a_trade(commands):
    venue, seen = Venue(), Counter()
    for seq, command in enumerate(commands, 1):
        for event in venue.apply(seq, command):
            seen[type(event).__name__] += 1
            if type(event) is e.Settled:
                seen[event.status] += 1
    wanted = ("BoughtIn", "TradeBusted", "TradeAdjusted", "DeliveryFailed", "short", "delivered")
    assert min(seen[name] for name in wanted) > 0, seen


def places_of(commands: list) -> list[int]:
    """So many commands were applied: directly before and behind every settlement, buy-in and correction."""
    return sorted({place + more for place, command in enumerate(commands) if type(command) in AFTER for more in (0, 1)})


def begin_again(place: int, folder: Path, commands: list, whole, wanted, rng: Random) -> None:
    """A run that ended behind so many commands, its rows behind it or not, half a frame at the end of its journal or not."""
    folder.mkdir()
    before, store = opened(folder)
    before.submit(commands[:place])
    if rng.random() < 0.5:
        store.flush()
    store.close()
    before.close_log()
    if rng.random() < 0.5:
        (file,) = (folder / "journal").glob("*.wal")
        with file.open("ab") as torn:
            torn.write(b"\0" * rng.randrange(1, 40))
    assert go_on(folder, commands, every=20) == whole[1], place
    assert left_by(folder) == wanted, place
    shutil.rmtree(folder)


@pytest.mark.slow
def test_begun_again_around_one_command_of_each_kind(commands, whole, tmp_path):
    wanted, rng = left_by(whole[0]), Random(1)
    kinds = {type(command): place for place, command in enumerate(commands) if type(command) in AFTER}
    assert len(kinds) == len(AFTER)
    for place in kinds.values():
        for more in (0, 1):
            begin_again(place + more, tmp_path / f"{place}-{more}", commands, whole, wanted, rng)


@pytest.mark.soak
def test_begun_again_around_every_such_command(commands, whole, tmp_path):
    wanted, rng = left_by(whole[0]), Random(2)
    for place in places_of(commands):
        begin_again(place, tmp_path / str(place), commands, whole, wanted, rng)


@pytest.mark.slow
def test_killed_ten_times(whole, tmp_path):
    rng, kills, lines = Random(2), 0, 0
    while True:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "keep_settling.py"), str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=HERE,
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(rng.randrange(1, 60) if kills < 10 else 1_000_000):
            line = process.stdout.readline()
            lines += 1
            if not line or line == "end\n":
                break
        if line == "end\n":
            assert process.wait() == 0
            break
        process.kill()
        process.wait()
        process.stdout.close()
        kills += 1
        assert kills <= 10
    assert kills >= 5 and lines > 100
    assert left_by(tmp_path) == left_by(whole[0])
