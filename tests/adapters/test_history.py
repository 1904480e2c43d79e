"""What is asked of the past: pages, filters, and that nobody sees more than his own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields

import pytest
import small_days
from store_contract import ALL, everything
from stored import Sample, filled

from exchange import ports_history
from exchange.adapters.history import History
from exchange.domain.commands import AmendOrder, CancelOrder, PlaceOrder
from exchange.domain.units import MICRO
from exchange.ports_history import ALWAYS, Page, Window

pytestmark = pytest.mark.slow  # a live exchange, or a market day

CODE = "H800/g/L10/grid/20261123T0"


@pytest.fixture(scope="module")
def history(sample: Sample, tmp_path_factory) -> Iterator[History]:
    """The sample day on SQLite."""
    store = filled(f"sqlite:///{tmp_path_factory.mktemp('history')}/a.db", sample.applied)
    yield History(store)
    store.close()


def stored_day(day, tmp_path) -> History:
    return History(filled(f"sqlite:///{tmp_path}/small.db", day.history))


# Every question that is asked with somebody's eyes, and whose a row is.
SCOPED = {
    "fills": lambda row: (row.buyer, row.seller),
    "orders": lambda row: (row.participant,),
    "tasks": lambda row: (row.participant,),
    "offers": lambda row: (row.participant,),
    "obligations": lambda row: (row.buyer, row.seller),
    "leases": lambda row: (row.buyer,),
    "transfers": lambda row: (row.from_account, row.to_account),
    "sites": lambda row: (row.participant,),
}
PUBLISHED = {  # see test_price_rows, test_corrected_prices
    "tape_of_open", "candle_starts", "candles", "prints", "instrument_prints", "fixed_periods", "weighed_fixes",
}  # fmt: skip
UNSCOPED = PUBLISHED | {"trades", "trades_since", "fixes", "participants", "answer", "due_facts"}  # public, or the operator's
# each has a test of its own below, next_move_ns in test_statement_sheets
BY_NAME = {"order", "task", "offer_hours", "readings", "statement", "balances", "green_use", "next_move_ns"}


def test_every_question_is_in_one_of_the_lists():
    questions = {name for name, _ in inspect.getmembers(ports_history.History, inspect.isfunction) if name[0] != "_"}
    assert questions == SCOPED.keys() | UNSCOPED | BY_NAME


def test_the_adapter_answers_every_question_as_the_port_has_it():
    for name in SCOPED.keys() | UNSCOPED | BY_NAME:
        assert str(inspect.signature(getattr(History, name))) == str(inspect.signature(getattr(ports_history.History, name)))


@pytest.mark.parametrize("question", SCOPED)
def test_nobody_sees_more_than_his_own(history: History, question: str):
    whose, ask = SCOPED[question], getattr(history, question)
    operator = everything(lambda page: ask(None, page=page))
    names = [row.participant for row in everything(lambda page: history.participants(page=page))]
    seen = 0
    for name in names[::3]:
        own = everything(lambda page, name=name: ask(name, page=page))
        assert all(name in whose(row) for row in own)
        assert [row.cursor for row in own] == [row.cursor for row in operator if name in whose(row)]
        seen += len(own)
    assert seen or question == "orders"  # the demo day has no plain bids: see below
    assert ask("nobody") == []


def test_the_other_side_s_names_stay_its_own(history: History):
    for rows in (history.fills(None, page=ALL), history.obligations(None, page=ALL)):
        assert rows and all(row.task and row.offer_id for row in rows)
    row = history.obligations(None)[0]
    (as_buyer,) = [due for due in history.obligations(row.buyer, page=ALL) if due.obligation_id == row.obligation_id]
    (as_seller,) = [due for due in history.obligations(row.seller, page=ALL) if due.obligation_id == row.obligation_id]
    assert (as_buyer.task, as_buyer.offer_id) == (row.task, "")
    assert (as_seller.task, as_seller.offer_id) == ("", row.offer_id)
    fill = history.fills(row.seller)[0]
    assert (fill.task, bool(fill.offer_id)) == ("", True)
    public = {field.name for field in fields(ports_history.PublicTrade)}
    assert not public & {"buyer", "seller", "task", "offer_id", "site", "obligation_id"}


def test_somebody_else_s_things_are_as_unknown_as_what_is_not_there(history: History):
    task = history.tasks(None, page=ALL)[0]
    assert history.task(task.participant, task.client_order_id) == task
    other = next(row.participant for row in history.participants() if row.participant != task.participant)
    assert history.task(other, task.client_order_id) is None is history.task(task.participant, "none")
    offer = next(row for row in history.offers(None, page=ALL) if row.sold_lots)
    assert history.offer_hours(offer.participant, offer.seq) == history.offer_hours(None, offer.seq) != []
    assert history.offer_hours(other, offer.seq) == []
    due = next(row for row in history.obligations(None, page=ALL) if row.delivered_lots)
    assert history.readings(due.buyer, due.obligation_id) == history.readings(due.seller, due.obligation_id) != []
    outsider = next(
        row.participant for row in history.participants() if row.participant not in (due.buyer, due.seller)
    )
    assert history.readings(outsider, due.obligation_id) == []


def test_pages_meet_without_gap_or_overlap_in_both_directions(history: History):
    for ask in (
        lambda page: history.trades(page=page),
        lambda page: history.transfers("exchange", page=page),
        lambda page: history.leases(None, page=page),
        lambda page: history.participants(page=page),
    ):
        whole = everything(ask)
        assert len(whole) > 60
        for newest_first in (False, True):
            rows, page = [], Page(limit=7, newest_first=newest_first)
            while found := ask(page):
                assert len(found) <= 7
                rows += found
                edge = {"before" if newest_first else "after": found[-1].cursor}
                page = Page(limit=7, newest_first=newest_first, **edge)
            assert rows == (whole[::-1] if newest_first else whole)
        assert ask(Page(after=whole[3].cursor, before=whole[9].cursor)) == whole[4:9]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_1_to_1000_rows(limit: int):
    with pytest.raises(ValueError, match="between 1 and 1000"):
        Page(limit=limit)


def test_filters_of_the_tape_and_the_fixes(history: History):
    tape = history.trades(page=ALL)
    some = tape[len(tape) // 2]
    chip, region = some.instrument.split("/")[:2]
    assert history.trades(instrument=some.instrument, page=ALL) == [t for t in tape if t.instrument == some.instrument]
    assert history.trades(chip=chip, region=region, page=ALL) == [
        t for t in tape if t.instrument.startswith(f"{chip}/{region}/")
    ]
    window = Window(some.ts_ns, tape[-1].ts_ns)
    assert history.trades(window=window, page=ALL) == [t for t in tape if some.ts_ns <= t.ts_ns < tape[-1].ts_ns] != []
    fixes = everything(lambda page: history.fixes(page=page))
    code = fixes[5].instrument
    assert history.fixes(instrument=code) == [f for f in fixes if f.instrument == code]
    of = dict(zip(("chip", "region", "latency_class", "power"), code.split("/"), strict=False))
    family = [f for f in fixes if f.instrument.startswith(code.rpartition("/")[0] + "/")]
    assert history.fixes(**of, page=ALL) == family and 0 < len(family) < len(fixes)
    window = Window(fixes[3].ts_ns, fixes[-1].ts_ns)
    assert everything(lambda page: history.fixes(window=window, page=page)) == [
        f for f in fixes if window.from_ns <= f.ts_ns < window.to_ns
    ]


def test_filters_by_status(history: History):
    tasks = everything(lambda page: history.tasks(None, page=page))
    for status in ("filled", "partly"):
        assert history.tasks(None, status=status, page=ALL) == [row for row in tasks if row.status == status]
    over = [row for row in tasks if row.status == "unfilled" and row.ending != "waiting"]
    assert history.tasks(None, status="unfilled", page=ALL) == over
    for ending in ("complete", "waiting", "expired", "canceled", "refused"):
        assert history.tasks(None, status=ending, page=ALL) == [row for row in tasks if row.ending == ending]
    offers = everything(lambda page: history.offers(None, page=page))
    for status in ("open", "ended"):
        assert history.offers(None, status=status, page=ALL) == [row for row in offers if row.status == status] != []
    dues = everything(lambda page: history.obligations(None, page=page))
    assert {row.status for row in dues} > {"delivered"}
    for status in {row.status for row in dues}:
        assert history.obligations(None, status=status, page=ALL) == [row for row in dues if row.status == status]
    middle = dues[len(dues) // 2]
    hour = Window(middle.period_start_ns, middle.period_end_ns)
    assert history.obligations(middle.buyer, role="buyer", window=hour) != []
    assert history.obligations(middle.buyer, role="seller", window=hour) == []


def test_leases_put_the_hours_of_a_block_together(history: History, sample: Sample):
    leases = {row.lease: row for row in everything(lambda page: history.leases(None, page=page))}
    dues = everything(lambda page: history.obligations(None, page=page))
    bought = [due for due in dues if not due.instead_of or due.lease == due.obligation_id]
    assert sum(row.lot_periods for row in leases.values()) == sum(due.lots for due in bought)
    filled_blocks = [
        record for record in sample.projections.tasks.records if record.ending == "complete" and record.task.shape == "block"
    ]
    assert filled_blocks
    by_task = {(row.buyer, row.task): row for row in leases.values()}
    for record in filled_blocks:
        lease = by_task[record.task.participant, record.task.client_order_id]
        assert lease.lot_periods == record.lot_periods and lease.periods >= record.task.periods
        assert (lease.cost_micro, lease.fee_micro) == (record.compute_micro, record.fee_micro)
        assert lease.instrument == record.instrument and lease.status == "ended"
    one = next(row for row in leases.values() if row.periods > 2)
    assert one.end_ns - one.start_ns >= 3 * 3_600 * 10**9
    inside = Window(one.start_ns + 1, one.start_ns + 2)
    assert one.lease in {row.lease for row in history.leases(None, window=inside, page=ALL)}
    assert one.lease not in {row.lease for row in history.leases(None, window=Window(one.end_ns), page=ALL)}
    assert history.leases(None, status="open") == [] != history.leases(None, status="ended")
    assert {row.lease for row in history.leases(one.seller, role="seller", page=ALL)} >= {one.lease}


def test_made_up_hours_belong_to_the_lease_that_they_cure(tmp_path):
    day = small_days.made_up_day()
    history = stored_day(day, tmp_path)
    (lease,) = history.leases("B1")
    dues = history.obligations("B1", page=ALL)
    cured = [due for due in dues if due.instead_of]
    assert len(cured) == 2 and {due.lease for due in dues} == {lease.lease}
    assert lease.lot_periods == sum(due.lots for due in dues if not due.instead_of) == 6 * 640
    for due in cured:
        failed = next(other for other in dues if other.obligation_id == due.instead_of)
        carried = failed.cost_micro + failed.fee_micro - failed.paid_micro - failed.kept_fee_micro - failed.refund_micro
        assert due.cost_micro + due.fee_micro == carried
    assert history.balances("B1").escrow == 0


def test_a_bid_from_entry_to_end(tmp_path):
    day = small_days.open_day()
    day.do(
        small_days.offer("P1", "o1", 10, 8),
        PlaceOrder("B1", "a", CODE + "1", "buy", 7 * MICRO, 4),
        PlaceOrder("B1", "b", CODE + "2", "buy", 8 * MICRO, 15),  # 10 are there
        PlaceOrder("B1", "c", "no/such/L1/grid/20261123T01", "buy", MICRO, 1),
        AmendOrder("B1", "a", 8 * MICRO, 6),
        CancelOrder("B1", "b"),
        PlaceOrder("b1", "a", CODE + "3", "buy", 5 * MICRO, 3),
    )
    history = stored_day(day, tmp_path)
    told = {
        name: (row.status, row.lots, row.leaves_lots, row.filled_lots, row.price_micro // MICRO)
        for name in "abc"
        if (row := history.order("B1", name))
    }
    assert told == {"a": ("filled", 6, 0, 6, 8), "b": ("canceled", 15, 0, 10, 8), "c": ("refused", 1, 0, 0, 1)}
    assert history.order("B1", "c").reason == "UNKNOWN_INSTRUMENT" and history.order("B1", "b").cost_micro == 8 * MICRO
    assert [row.client_order_id for row in history.orders("b1", status="live")] == ["a"] and history.orders("b1")[0].lots == 3
    assert history.order("P1", "a") is None and len(history.orders("B1")) == 3
    assert [row.client_order_id for row in history.orders(None, status="filled")] == ["a"]


def test_a_refused_namesake_does_not_hide_the_bid(tmp_path):
    day = small_days.open_day()
    place = PlaceOrder("B1", "a", CODE + "1", "buy", 7 * MICRO, 4)
    day.do(place, PlaceOrder("B1", "a", CODE + "1", "buy", 7 * MICRO, 5))
    history = stored_day(day, tmp_path)
    assert [row.status for row in history.orders("B1")] == ["accepted", "refused"]
    assert history.order("B1", "a").status == "accepted"
    day.do(small_days.task("t", lots=10), small_days.task("t", lots=20))
    assert stored_day(day, tmp_path).task("B1", "t").ending == "waiting"


def test_a_site_has_everything_attested_for_it(history: History, sample: Sample):
    sites = everything(lambda page: history.sites(None, page=page))
    assert {row.site for row in sites} == set(sample.venue.state.sites)
    assert all(row.attestations and row.attestations[0].lots > 0 for row in sites)
    assert history.sites(sites[0].participant) == [row for row in sites if row.participant == sites[0].participant]


def test_green_use_is_the_buyer_s_by_instrument_and_period(history: History):
    owed = [row for row in everything(lambda page: history.obligations(None, page=page)) if row.delivered_lots]
    everybody = history.green_use(None, ALWAYS)
    assert everybody and {row.buyer for row in everybody} == {row.buyer for row in owed}
    assert {(row.buyer, row.instrument, row.period_start_ns) for row in owed} <= {
        (row.buyer, row.instrument, row.period_start_ns) for row in everybody
    }
    assert len(everybody) == len({(row.buyer, row.instrument, row.period_start_ns) for row in everybody})
    for name in {row.buyer for row in everybody}:
        assert history.green_use(name, ALWAYS) == [row for row in everybody if row.buyer == name]
    first = min(row.period_start_ns for row in everybody)
    assert history.green_use(None, Window(first, first + 1)) == [row for row in everybody if row.period_start_ns == first]
    assert history.green_use("nobody", ALWAYS) == [] and all(row.load_wh > 0 for row in everybody)
