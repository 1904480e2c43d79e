"""What every database has to do: the suite runs on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path

import pytest
import small_days
import worlds
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from stored import EXCHANGE_ID, Sample, dump, feed, filled

from exchange.adapters.history import History
from exchange.adapters.journal_file import open_sequencer
from exchange.adapters.store import OtherWriter, Store, StoreBehind, StoreError
from exchange.domain.commands import AdvanceTime, PlaceOrder, SetFix, SettlePeriod, SetVenue, Withdraw
from exchange.domain.events import (
    Acknowledged,
    FixSet,
    MarginShort,
    Moved,
    PeriodSettled,
    ReadingTaken,
    Refused,
    Replayed,
    Settled,
)
from exchange.domain.units import MICRO
from exchange.domain.venue import Venue
from exchange.ports_history import Page, Window
from exchange.projections.statements import statements

T0, HOUR = small_days.T0, small_days.H
HERE = Path(__file__).resolve().parent
ALL = Page(limit=1000)


def everything(ask):
    """Every row of a question, page by page."""
    rows, page = [], ALL
    while found := ask(page=page):
        rows += found
        page = Page(after=found[-1].cursor, limit=1000)
    return rows


def margin_day():
    """P1's margin falls short: all it offers leaves, hours that are not listed yet as well, and no event names those."""
    day = small_days.open_day(SetVenue("test", horizon_periods=12))
    day.do(
        small_days.offer("P1", "o1", 10, 8),
        small_days.offer("P1", "late", 10, 8, start_ns=T0 + 50 * HOUR, end_ns=T0 + 60 * HOUR),
        small_days.offer("P2", "o2", 10, 9),
        PlaceOrder("B1", "b", "H800/g/L10/grid/20261123T01", "buy", 8 * MICRO, 10),
    )
    day.do(Withdraw("P1", day.balances()["P1"][0], "all of it"))
    events = day.do(SetFix("H800/g/L10/grid/20261123T01", 90 * MICRO, "A", "x"))
    assert MarginShort in map(type, events) and {o.participant for o in day.venue.state.offers.values()} == {"P2"}
    return day


def jumping_day():
    """The clock jumps over hours that never came to be listed: their offers end without a word."""
    day = small_days.open_day(SetVenue("test", horizon_periods=12))
    for name, first, end in (("o1", 1, 13), ("far", 50, 60), ("farther", 90, 120), ("over", 10, 90)):
        day.do(small_days.offer("P1", name, 10, 8, start_ns=T0 + first * HOUR, end_ns=T0 + end * HOUR))
    day.do(AdvanceTime(T0 + 100 * HOUR))
    assert [offer.offer_id for offer in day.venue.state.offers.values()] == ["farther"]
    day.do(AdvanceTime(T0 + 118 * HOUR), PlaceOrder("B1", "last", "H800/g/L10/grid/20261127T23", "buy", 8 * MICRO, 10))
    assert not day.venue.state.offers
    return day


def namesakes_day():
    """A task and a bid of one buyer under one name, both live: each trade belongs to the right one."""
    day = small_days.open_day()
    day.do(
        small_days.task("x", lots=20, periods=1),
        PlaceOrder("B1", "x", "H800/g/L10/grid/20261123T12", "buy", 9 * MICRO, 30),  # later than the task's deadline
        small_days.offer("P1", "o1", 10, 8, start_ns=T0 + 12 * HOUR, end_ns=T0 + 13 * HOUR),
        small_days.offer("P1", "o2", 20, 8, start_ns=T0 + 2 * HOUR, end_ns=T0 + 3 * HOUR),
        AdvanceTime(T0 + 2),  # waiting tasks have their turn
        small_days.offer("P1", "o3", 20, 8, start_ns=T0 + 12 * HOUR, end_ns=T0 + 13 * HOUR),
    )
    assert len(day.trades()) == 3 and not day.venue.state.tasks and not day.venue.state.bids
    return day


def terms(line):
    """What a statement line is about, in words and figures that files and tables share."""
    return line.reference, line.instrument, line.lots, line.price_micro


def small_day_histories():
    """Days with bids, amendments, blocks, shorts, make-ups and own trades."""
    days = [small_days.full_day(), small_days.made_up_day()]
    return [(day.history, day) for day in days]


def venue_view(venue, told):
    """What lives on in a venue, as the tables should have it; recipients that never got anything are in no event."""
    state = venue.state
    bids = {}
    for bid in state.bids.values():
        order = venue.core.order(bid.order_id)
        bids[bid.participant, bid.client_order_id] = (order.leaves, order.qty - order.leaves, order.qty)
    leases = {}
    for due in state.obligations.values():
        leases.setdefault(due.lease, set()).add(due.number)
    return {
        "offers": {
            (offer.participant, offer.offer_id): (offer.lots, {p: ask.lots for p, ask in offer.open.items()})
            for offer in state.offers.values()
        },
        "bids": bids,
        "tasks": {
            (entry.task.participant, entry.task.client_order_id): venue.core.task(number).filled
            for number, entry in state.tasks.items()
        },
        "dues": {
            due.number: (due.buyer, due.seller, due.site, due.lots, due.cost_micro, due.fee_micro, due.instead_of)
            for due in state.obligations.values()
        },
        "leases": sorted(map(sorted, leases.values())),
        "participants": set(state.participants) & told,
        "sites": {site.name: (site.participant, site.region) for site in state.sites.values()},
    }


def stored_view(history, venue):
    """The same out of the tables."""
    offers = {}
    for row in everything(lambda page: history.offers(None, status="open", page=page)):
        hours = {hour.period_start_ns: hour for hour in history.offer_hours(None, row.seq)}
        live = venue.state.offers[venue.offer_numbers[row.participant, row.offer_id]]
        open_lots = {}
        for period in live.open:
            hour = hours.get(venue.periods.start(period))
            open_lots[period] = hour.open_lots if hour else row.lots
            assert hour is None or not hour.is_over
        offers[row.participant, row.offer_id] = (row.lots, open_lots)
    dues = everything(lambda page: history.obligations(None, status="open", page=page))
    leases = {}
    for due in dues:
        leases.setdefault(due.lease, set()).add(due.obligation_id)
    return {
        "offers": offers,
        "bids": {
            (row.participant, row.client_order_id): (row.leaves_lots, row.filled_lots, row.lots)
            for row in everything(lambda page: history.orders(None, status="live", page=page))
        },
        "tasks": {
            (row.participant, row.client_order_id): row.lot_periods
            for row in everything(lambda page: history.tasks(None, status="waiting", page=page))
        },
        "dues": {
            due.obligation_id: (
                due.buyer, due.seller, due.site, due.lots, due.cost_micro, due.fee_micro, due.instead_of,
            )
            for due in dues
        },
        "leases": sorted(map(sorted, leases.values())),
        "participants": {row.participant for row in everything(lambda page: history.participants(page=page))},
        "sites": {
            row.site: (row.participant, row.region) for row in everything(lambda page: history.sites(None, page=page))
        },
    }  # fmt: skip


class StoreContract:
    """A subclass names its database by the fixture `fresh_url`: a new, empty one per call."""

    @pytest.fixture
    def whole_day(self, fresh_url, sample: Sample) -> History:
        """Of the sample; filled once for all who only read it."""
        if "_whole_day" not in vars(type(self)):
            type(self)._whole_day = History(filled(fresh_url(), sample.applied))
        return vars(type(self))["_whole_day"]

    # --- the rows are those of the other read models ---

    def test_trades_and_tasks_are_those_of_the_projections(self, whole_day: History, sample: Sample):
        tape = [(t.seq, t.index, t.time_ns, t.fact) for t in sample.projections.tape.trades]
        fills = everything(lambda page: whole_day.fills(None, page=page))
        names = [field.name for field in fields(tape[0][3])]
        ours = [(f.seq, f.place, f.ts_ns, *(getattr(f, name) for name in names)) for f in fills]
        assert ours == [(*head, *(getattr(fact, name) for name in names)) for *head, fact in tape]
        since = tape[len(tape) // 2][2]
        assert whole_day.trades_since(since) == [(ts, fact) for _, _, ts, fact in tape if ts >= since]

        records = sample.projections.tasks.records
        rows = everything(lambda page: whole_day.tasks(None, page=page))
        assert len(rows) == len(records) > 100
        for row, record in zip(rows, records, strict=True):
            same = ("seq entered_ns ending reason binding is_of_entry message lot_periods compute_micro "
                    "moving_micro fee_micro waited_ns instrument status").split()  # fmt: skip
            assert [getattr(row, name) for name in same] == [getattr(record, name) for name in same]
            assert row.relaxations.count('"dimension"') == len(record.relaxations)
        assert {row.ending for row in rows} >= {"complete", "expired", "refused"}

    def test_settlements_fixes_and_readings_are_what_was_reported(self, whole_day: History, sample: Sample):
        events = [event for *_, events in sample.applied for event in events]
        dues = {due.obligation_id: due for due in everything(lambda page: whole_day.obligations(None, page=page))}
        settled = [event for event in events if type(event) is Settled]
        assert len(settled) == len(dues) > 100
        for event in settled:
            due = dues[event.obligation_id]
            assert (due.status, due.delivered_lots, due.lost_lots, due.paid_micro, due.refund_micro) == (
                event.status, event.delivered_lots, event.lost_lots, event.paid_micro, event.refund_micro,
            )  # fmt: skip
            assert (due.kept_fee_micro, due.moving_micro, due.damages_micro, due.damages_cut_micro) == (
                event.fee_micro, event.moving_micro, event.damages_micro, event.damages_cut_micro,
            )  # fmt: skip
        fixes = everything(lambda page: whole_day.fixes(page=page))
        assert [FixSet(f.instrument, f.price_micro, f.grade, f.inputs_hash) for f in fixes] == [
            event for event in events if type(event) is FixSet
        ]
        taken = [event for event in events if type(event) is ReadingTaken]
        ours = [row for number in sorted(dues) for row in whole_day.readings(None, number)]
        told = [ReadingTaken(r.obligation_id, r.number, r.delivered_lots, r.is_countersigned, r.is_disputed) for r in ours]
        assert sorted(map(repr, told)) == sorted(map(repr, taken)) != []

    def test_the_sums_over_transfers_are_the_venue_s_balances(self, whole_day: History, sample: Sample):
        for number, name in enumerate(sample.venue.state.accounts):
            purses = whole_day.balances(name)
            theirs = tuple(sample.venue.core.balance(number))
            assert tuple(getattr(purses, field.name) for field in fields(purses)) == theirs

    def test_statements_are_those_of_the_files(self, whole_day: History, sample: Sample):
        self.compare_statements(whole_day, sample.applied, sample.projections)

    @pytest.mark.parametrize("place", range(2))
    def test_small_days_have_the_statements_of_the_files(self, fresh_url, place: int):
        applied, day = small_day_histories()[place]
        self.compare_statements(History(filled(fresh_url(), applied)), applied, day.projections)

    def compare_statements(self, history, applied, projections):
        calendar = projections.calendar
        starts = {}
        for _, ts_ns, _, _ in applied:
            if ts_ns > 0 and calendar.day(ts_ns) not in starts:
                starts[calendar.day(ts_ns)] = (calendar._midnight(calendar.day(ts_ns)), calendar.day_end_ns(ts_ns))
        seen = 0
        for wanted in statements(projections.ledger, projections.tape, projections.deliveries):
            found = history.statement(wanted.account, Window(*starts[wanted.day]))
            assert tuple(getattr(found.opening, f.name) for f in fields(found.opening)) == wanted.opening
            assert tuple(getattr(found.closing, f.name) for f in fields(found.closing)) == wanted.closing
            assert [
                (line.seq, line.ts_ns, line.counterparty, line.amount_micro, line.obligation_id, *terms(line))
                for line in found.lines
            ] == [
                (line.seq, line.time_ns, line.counterparty, line.amount_micro, line.obligation, *terms(line))
                for line in wanted.lines
            ]
            assert found.opening.total_micro + sum(line.amount_micro for line in found.lines) == found.closing.total_micro
            seen += len(found.lines)
        assert seen

    def test_every_answer_can_be_given_again(self, whole_day: History, sample: Sample):
        for seq, _, command, events in sample.applied[::7]:
            is_kept = not isinstance(command, AdvanceTime) and type(events[0]) is not Replayed
            kept = [event for event in events if type(event) in (PeriodSettled, Refused) or type(command) is not SettlePeriod]
            assert whole_day.answer(seq) == (kept if is_kept else None)
        assert whole_day.answer(10**9) is None

    # --- what lives on, command by command, with new starts in between ---

    @pytest.mark.parametrize("seed", range(4))
    def test_what_lives_on_is_what_lives_in_the_venue(self, fresh_url, seed: int):
        self.compare_lives(fresh_url(), worlds.run(seed, 60).log, seed)

    @pytest.mark.parametrize("place", range(2))
    def test_what_lives_on_in_small_days_too(self, fresh_url, place: int):
        applied, _ = small_day_histories()[place]
        self.compare_lives(fresh_url(), [command for _, _, command, _ in applied], place, every=5)

    @pytest.mark.parametrize("make", [margin_day, jumping_day, namesakes_day])
    def test_what_lives_on_when_no_event_says_so(self, fresh_url, make):
        self.compare_lives(fresh_url(), [command for _, _, command, _ in make().history], 1)

    def compare_lives(self, url, commands, seed, every=1):
        venue, draw, told = Venue(max_orders=5_000), random.Random(seed), set()
        store = Store.open(url, EXCHANGE_ID)
        for seq, command in enumerate(commands, 1):
            events = venue.apply(seq, command)
            store.on_command(seq, venue.now_ns, command, events)
            told |= {event.to_account for event in events if type(event) is Moved}
            told |= {event.reference for event in events if type(event) is Acknowledged and event.command == "AddParticipant"}
            if draw.random() < 0.1:
                store.flush()
                store.close()
                store = Store.open(url, EXCHANGE_ID)
            if seq % every == 0 and venue.state.settings is not None:
                store.flush()
                assert stored_view(History(store), venue) == venue_view(venue, told), (seq, command)
        store.close()

    # --- exactly once ---

    @pytest.mark.slow
    def test_batches_and_new_starts_leave_no_trace(self, fresh_url, sample: Sample, rows: bytes):
        assert dump(filled(fresh_url(), sample.applied, every=37)) == rows
        url = fresh_url()
        for end in (1_000, 1_500, 2_600, 4_000, len(sample.applied)):
            store = filled(url, sample.applied[:end])
            store.close()
        again = filled(url, sample.applied)  # all of it once more
        again.flush()
        assert dump(again) == rows and again.offset == len(sample.applied)

    def test_the_journal_makes_the_same_rows(self, fresh_url, sample: Sample, rows: bytes):
        store = Store.open(fresh_url(), EXCHANGE_ID)
        sequencer, _ = open_sequencer(copied(sample.folder), Venue, Venue.restore, on_replay=store.on_replay)
        store.flush()
        assert store.offset == sequencer.seq == len(sample.applied)
        assert dump(store) == rows
        store.check_against(sequencer.seq)
        sequencer.close()

    def test_a_transaction_that_fails_leaves_nothing_and_is_done_once(self, fresh_url, sample: Sample, rows, monkeypatch):
        store = filled(fresh_url(), sample.applied[:2_000])
        before = dump(store)
        write, calls = Store._write, []

        def broken(self, connection, due):
            write(self, connection, due)
            calls.append(due.seq)
            raise OSError("cut off behind the last row")

        monkeypatch.setattr(Store, "_write", broken)
        with pytest.raises(OSError, match="cut off"):
            feed(store, sample.applied[2_000:3_000])
        assert dump(store) == before and store.offset == 2_000 and store.pending == 1_000 and calls == [3_000]
        monkeypatch.undo()
        feed(store, sample.applied[3_000:])
        assert dump(store) == rows

    def test_a_commit_whose_answer_was_lost_is_not_repeated(self, fresh_url, sample: Sample, rows: bytes):
        url = fresh_url()
        store, twin = filled(url, sample.applied[:2_000]), filled(url, ())
        feed(twin, sample.applied[2_000:3_000])  # as if the commit had come through, and only its answer had not
        feed(store, sample.applied[2_000:3_000])
        feed(store, sample.applied[3_000:])
        assert dump(store) == rows

    def test_a_second_exchange_on_the_same_tables_is_noticed(self, fresh_url, sample: Sample):
        url = fresh_url()
        store, other = filled(url, sample.applied[:100]), filled(url, ())
        feed(other, sample.applied[100:150])
        before = dump(store)
        with pytest.raises(OtherWriter, match="second exchange"):
            feed(store, sample.applied[100:200])
        assert store.offset == 100 and dump(store) == before

    @pytest.mark.parametrize("times", [pytest.param(4, marks=pytest.mark.slow), pytest.param(10, marks=pytest.mark.soak)])
    def test_killed_in_a_transaction_so_many_times(self, fresh_url, sample: Sample, rows: bytes, tmp_path, times: int):
        url, draw = fresh_url(), random.Random(7)
        pickled = tmp_path / "day.pickle"
        pickled.write_bytes(pickle.dumps(sample.applied))
        command = [sys.executable, str(HERE / "keep_writing.py"), url, str(pickled), EXCHANGE_ID.hex(), "20"]
        kills = 0
        while kills < times:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            for _ in range(draw.randrange(1, 26)):
                line = process.stdout.readline()
                assert line and line != "end\n"
            process.kill()  # most of its time goes into the transaction that follows the line
            process.wait()
            process.stdout.close()
            kills += 1
            store = Store.open(url, EXCHANGE_ID)
            assert store.offset >= int(line)
            assert History(store).trades_since(0) == [
                (t.time_ns, t.fact) for t in sample.projections.tape.trades if t.seq <= store.offset
            ]
            store.close()
        assert dump(filled(url, sample.applied)) == rows

    # --- readers, and what it says of itself ---

    def test_readers_see_whole_commands_while_it_writes(self, fresh_url, sample: Sample):
        store, stop, faults = Store.open(fresh_url(), EXCHANGE_ID), threading.Event(), []
        history = History(store)

        def read():
            while not stop.is_set():
                found = history.statement("outside", Window())
                fund = history.balances("fund")
                if found.opening.total_micro + sum(line.amount_micro for line in found.lines) != found.closing.total_micro:
                    faults.append(found)
                if fund.total_micro < 0 or any(row.lots <= 0 for row in history.fills(None)):
                    faults.append(fund)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        feed(store, sample.applied, every=200)
        stop.set()
        for thread in threads:
            thread.join()
        assert not faults and store.offset == len(sample.applied)

    def test_a_question_sees_one_moment_and_can_write_nothing(self, fresh_url, sample: Sample):
        store = filled(fresh_url(), sample.applied[:1_000])
        count = text("SELECT count(*) FROM transfers")
        with store.reader.connect() as connection:
            before = connection.execute(count).scalar_one()
            feed(store, sample.applied[1_000:2_000])
            assert connection.execute(count).scalar_one() == before > 0
        with store.reader.connect() as connection:
            assert connection.execute(count).scalar_one() > before
            with pytest.raises(DBAPIError):
                connection.execute(text("DELETE FROM transfers"))

    def test_a_gap_is_refused(self, fresh_url, sample: Sample):
        store = filled(fresh_url(), sample.applied[:10])
        with pytest.raises(StoreBehind, match="11 to 11"):
            store.on_command(*sample.applied[11])
        assert "11 to 11" in store.problem and store.offset == 10
        with pytest.raises(StoreBehind):
            store.on_command(*sample.applied[10])

    def test_a_fault_of_ours_stops_the_store_and_writes_nothing_half(self, fresh_url, sample: Sample):
        store = filled(fresh_url(), sample.applied[:2_000])
        before = dump(store)
        strange = (2_001, 1, object(), [Settled(10**9, 0, "a", "b", "c", 1, 1, 0, "delivered", 0, 0, 0, 0, 0, 0)])
        store.on_command(*strange)
        with pytest.raises(KeyError):
            store.flush()
        assert "seq 2001" in store.problem and store.pending == 1
        with pytest.raises(StoreBehind):
            store.flush()
        store.close()
        assert dump(store) == before

    # --- whose database it is ---

    def test_a_database_newer_than_the_journal_is_refused(self, fresh_url, sample: Sample):
        store = filled(fresh_url(), sample.applied[:50])
        store.check_against(50)
        with pytest.raises(StoreError, match="up to 50, the journal ends with 49") as caught:
            store.check_against(49)
        assert caught.value.exit_code == 78 and "move the database away" in str(caught.value)

    def test_another_exchange_s_database_is_refused_and_left_alone(self, fresh_url, sample: Sample):
        url = fresh_url()
        store = filled(url, sample.applied[:50])
        before = dump(store)
        with pytest.raises(StoreError, match="belongs to another exchange") as caught:
            Store.open(url, bytes(16))
        assert caught.value.exit_code == 78 and EXCHANGE_ID.hex() in str(caught.value)
        assert dump(store) == before

    def test_tables_of_another_release_are_made_anew_with_a_note(self, fresh_url, sample: Sample, rows: bytes):
        url = fresh_url()
        store = filled(url, sample.applied[:500])
        with store._writer.begin() as connection:
            connection.execute(text("UPDATE offset_row SET schema_version = 99"))
            connection.execute(text("CREATE TABLE of_a_later_release (x BIGINT)"))
            connection.execute(text("DROP TABLE fixes"))
        store.close()
        again = Store.open(url, EXCHANGE_ID)
        assert again.offset == 0 and "schema 99" in again.notes[0]
        feed(again, sample.applied)
        assert dump(again) == rows
        assert Store.open(url, EXCHANGE_ID).notes == []


def copied(folder: Path) -> Path:
    """The journal alone, so that everything is replayed."""
    import shutil
    import tempfile

    target = Path(tempfile.mkdtemp(dir=folder.parent))
    shutil.copytree(folder / "journal", target / "journal")
    return target
