"""What was sent twice, or came too late, is told and done by every reader of the journal as it was the first time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small_days
from stored import EXCHANGE_ID

from exchange.adapters.history import History
from exchange.adapters.journal_file import SnapshotFolder, list_snapshots, open_sequencer, read_commands
from exchange.adapters.offer_book import OfferBook
from exchange.adapters.report_job import write_reports
from exchange.adapters.store import Store
from exchange.app import open_folder
from exchange.domain import commands as c
from exchange.domain.events import PeriodSettled, Refused, Replayed
from exchange.domain.venue import Venue
from exchange.engine.snapshot import SnapshotRefused
from exchange.ports import Envelope
from exchange.ports_history import Page

T0, HOUR = small_days.T0, small_days.H
WIRE = Envelope(idem_key=b"bank-17".ljust(16))
MONEY = c.Deposit("B1", 11_000_000, "bank 17")
LATE = Envelope(idem_key=b"late".ljust(16), valid_until_ns=T0)
BID = c.PlaceOrder("B1", "b1", "H800/g/L10/grid/20261123T05", "buy", 8_000_000, 10)
BASE = [command for _, _, command, _ in small_days.open_day().history]
# A wire sent twice, a deposit that comes too late, a bid sent twice and once with other content under its name.
SENT: list[Any] = [*BASE, (MONEY, WIRE), (MONEY, WIRE), (c.Deposit("B1", 7_000_000, "too late"), LATE), BID, BID]
SENT.append(c.PlaceOrder("B1", "b1", BID.instrument, "buy", 8_000_000, 20))


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A folder that a live venue has left behind, without snapshots."""
    folder = tmp_path / "served"
    sequencer, _ = open_sequencer(folder, Venue, Venue.restore)
    told = sequencer.submit(SENT)
    kinds = [type(answer.events[0]) for answer in told[len(BASE) :]]
    assert kinds[1:3] == [Replayed, Refused] and kinds[-2:] == [Replayed, Refused]
    assert told[-1].events[0].reason == "KEY_REUSED"
    sequencer.close()
    for snapshot in list_snapshots(folder / "snapshots"):
        snapshot.path.unlink()
    return folder


def cash(venue: Any) -> int:
    return venue.core.balance(venue.account("B1"))[0]


def test_reports_tell_of_a_deposit_once_though_it_was_sent_twice(served: Path, tmp_path: Path) -> None:
    write_reports(served, tmp_path / "out", len(SENT))
    ledger = (tmp_path / "out" / "ledger.beancount").read_text()
    assert ledger.count("bank 17") == 1 and "too late" not in ledger


def test_a_run_on_a_served_folder_does_nothing_twice_and_leaves_the_right_keys(served: Path) -> None:
    run = open_folder(served)
    answers = run.submit([logged.command for logged in read_commands(served)])
    run.finish()
    live = cash(run.venue)
    run.close()
    assert live == 10**12 + 11_000_000 - run.venue.core.balance(run.venue.account("B1"))[1]
    assert [type(answer.events[0]) for answer in answers[-2:]] == [Replayed, Refused]
    sequencer, found = open_sequencer(served, Venue, Venue.restore)
    try:
        assert found is not None and found.snapshot_seq == len(SENT), "its last snapshot is used"
        for again in ((MONEY, WIRE), BID):
            assert type(sequencer.submit([again])[0].events[0]) is Replayed
        assert cash(sequencer.venue) == live
    finally:
        sequencer.close()


def test_a_snapshot_that_loses_a_key_does_not_count(tmp_path: Path) -> None:
    venue = Venue()
    for seq, command in enumerate(BASE, 1):
        venue.apply(seq, command)
    venue.apply(len(BASE) + 1, MONEY, idem_key=WIRE.idem_key or b"", body_hash=b"h" * 16)

    def forgetful(blob: bytes) -> Venue:
        loaded = Venue.restore(blob)
        loaded.keys.used.clear()
        return loaded

    for restore, is_kept in ((forgetful, False), (Venue.restore, True)):
        folder = SnapshotFolder(tmp_path, EXCHANGE_ID, restore)
        taken = folder.take(venue, seq=len(BASE) + 1, epoch=1, chain=bytes(16), event_hash=bytes(16))
        if is_kept:
            folder.keep(taken)
        else:
            with pytest.raises(SnapshotRefused, match="does not load to what it was taken of"):
                folder.keep(taken)
        assert bool(list_snapshots(tmp_path)) == is_kept


def stored(folder: Path, submissions: list[Any]) -> History:
    """The tables after these submissions."""
    store = Store.open(f"sqlite:///{folder}/exchange.db", EXCHANGE_ID)
    sequencer, _ = open_sequencer(folder / "journal-of-it", Venue, Venue.restore, (store.on_command,))
    sequencer.submit(submissions)
    sequencer.close()
    store.flush()
    assert not store.problem and not sequencer.problems
    return History(store)


def test_a_name_that_was_used_before_makes_no_row_of_its_own(tmp_path: Path) -> None:
    task, name = small_days.task("t1", price_cap_micro=1_000_000), Page(limit=100)
    other = small_days.task("t1", price_cap_micro=2_000_000)
    history = stored(tmp_path, [*SENT, task, task, other])
    (order,) = history.orders("B1", page=name)
    assert (order.lots, order.status) == (10, "accepted")
    (row,) = history.tasks("B1", page=name)
    assert row.ending == "waiting" and history.answer(len(SENT) + 3) is None
    assert history.tasks("B1", status="unfilled", page=name) == [], "it still waits"
    assert history.tasks("B1", status="waiting", page=name) == [row]
    day = small_days.Day()
    day.do(*BASE, task)
    no = Refused("SubmitTask", "t1", 304, "KEY_REUSED", "this client id was used with other content", "use a new client id")
    day.projections.on_command(99, day.venue.now_ns, other, [no])
    assert [record.ending for record in day.projections.tasks.records] == ["waiting"], "nor in the reports"


def test_the_sum_of_a_settlement_can_be_told_again(tmp_path: Path) -> None:
    ahead = [c.AdvanceTime(T0 + 3 * HOUR), c.SettlePeriod(T0)]
    history = stored(tmp_path, [*BASE, *ahead])
    (told,) = history.answer(len(BASE) + 2) or ()
    assert type(told) is PeriodSettled and told.obligations == 0
    assert history.answer(len(BASE) + 1) is None


def test_what_is_said_of_an_offer_that_is_over_here_changes_nothing() -> None:
    noted: list[tuple[str, Any]] = []
    book = OfferBook(lambda table, key, row: noted.append((table, dict(row))))
    book.configure(HOUR, HOUR // 12)
    row = {"seq": 1, "participant": "P1", "offer_id": "o1", "start_ns": T0, "end_ns": T0 + HOUR, "periods": 1, "lots": 5,
           "price_micro": 1, "period_prices": "[]", "standby": False, "status": "open", "ended_seq": 0,
           "ended_ns": 0}  # fmt: skip
    book.begin(1, T0 - HOUR)
    book.place(row)
    book.finish()
    book.begin(2, T0)
    book.finish()
    assert noted[-1][1]["status"] == "ended" and noted[-1][1]["ended_seq"] == 2
    told = len(noted)
    book.begin(3, T0 + 3)
    book.amend(c.AmendOffer("P1", "o1", 9, 8))
    book.finish()
    book.begin(4, T0 + 4)
    book.withdraw(c.WithdrawOffer("P1", "o1"))
    book.finish()
    assert len(noted) == told and (row["ended_seq"], row["lots"]) == (2, 5)
