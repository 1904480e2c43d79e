"""What is told to whom: everything of his own, nothing of anybody else's; and the status of an ack."""

import msgspec
import pytest
import small_days as days
from demo_sample import Sample

from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.domain import events_delivery as ed
from exchange.domain import events_green as eg
from exchange.domain import events_settlement as es
from exchange.domain.state import SYSTEM_ACCOUNTS
from exchange.domain.units import parse_micro
from exchange.protocol import present
from exchange.protocol import private as p
from exchange.protocol.measures import Measures
from exchange.protocol.present import ack, private_events, private_events_of, public_trades
from exchange.protocol.strict_json import encode

pytestmark = pytest.mark.slow  # a live exchange, or a market day

HOURLY = Measures(c.SetVenue("v"))
CODE = "H800/g/L10/grid/20261123T0"


@pytest.fixture(scope="module")
def full() -> days.Day:
    """A small day in which everything happens."""
    return days.full_day()


BOTH = (
    e.Traded, e.Settled, e.MadeUp, ed.DeliveryFailed, es.BuyInWaits, es.BoughtIn, es.BuyInEnded, es.Curtailed, es.TradeBusted,
    es.TradeAdjusted,
)  # fmt: skip


def views(applied, m):
    """(seq, command, events, participant -> view) of every command."""
    for seq, ts_ns, command, events in applied:
        yield seq, command, events, private_events(seq, ts_ns, command, events, m)


def parties_of(event, command) -> set[str]:
    """Whose an event is, said apart from the code under test."""
    kind = type(event)
    if kind is e.Moved:
        return {event.from_account, event.to_account} - {"outside"}
    if kind in BOTH:
        return {event.buyer, event.seller}
    if kind is ed.Dispatched:
        return {event.seller}
    if kind in (ed.AccessGiven, ed.ResultReturned):
        return {event.buyer}
    if kind in (e.Refused, e.Replayed, e.FixSet, e.PeriodSettled, es.CurtailmentOrdered):
        return set()
    if kind in (e.Acknowledged, e.ReadingTaken):
        return {getattr(command, "participant", "")}
    return {event.participant}


def check_day(applied, m) -> set[type]:
    seen = set()
    for _, command, events, told in views(applied, m):
        counts: dict[str, int] = {}
        for event in events:
            both = type(event) in BOTH and event.buyer == event.seller
            for who in parties_of(event, command):
                counts[who] = counts.get(who, 0) + 1 + both
        assert {who: len(view) for who, view in told.items()} == counts
        for who, view in told.items():
            assert [each.participant for each in view] == [who] * len(view)
            assert [each.index for each in view] == list(range(len(view)))
            seen |= {type(each) for each in view}
    return seen


def test_everybody_is_told_of_what_names_him_once_and_in_order(sample, full):
    kinds = check_day(sample.applied, Measures(sample.settings)) | check_day(full.history, HOURLY)
    kinds |= check_day(days.made_up_day().history, HOURLY) | check_day(days.cured_day().history, HOURLY)
    kinds |= check_day(days.told_day().history, HOURLY)
    assert kinds >= set(p.PrivateEvent.__args__) - {p.MarginUpdate}  # of which not every seed has one


SYSTEM = frozenset(SYSTEM_ACCOUNTS)  # what is the exchange's own may stand beside a name


def leaks(applied, m, everybody: set[str]) -> list[str]:
    """Names of others in a view that are not the other side of an own trade or transfer, and names of their things."""
    found, owner_of = [], {}
    for _, _, command, _ in applied:
        task = getattr(command, "task", command)
        for name in ("client_order_id", "offer_id"):
            if hasattr(task, name):
                owner_of.setdefault(getattr(task, name), set()).add(task.participant)
    for seq, _, _, told in views(applied, m):
        for who, view in told.items():
            for each in view:
                plain = msgspec.to_builtins(each)
                others = {plain.pop("counterparty", "")} | {who, ""}
                for text in texts_of(plain):
                    thing = text.partition(":")[2] or text
                    is_anothers = who != thing and who not in owner_of.get(thing, {who}) | SYSTEM
                    is_own = who in owner_of.get(text, ())
                    if (text in everybody - others and not is_own) or is_anothers:
                        found.append(f"seq {seq}: {who} is told {text!r} in {each}")
    return found


def texts_of(value) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [text for item in items for text in texts_of(item)]


def test_nobody_is_told_of_others(sample, full):
    cured = days.cured_day().history
    for applied, m in ((sample.applied, Measures(sample.settings)), (full.history, HOURLY), (cured, HOURLY)):
        everybody = {command.participant for _, _, command, _ in applied if type(command) is c.AddParticipant}
        assert len(everybody) >= 4
        assert leaks(applied, m, everybody) == []


def test_the_search_for_leaks_finds_one(full, monkeypatch):
    def told_to_all(event, around):
        return tuple(("B1", make) for _, make in _offer_placed(event, around))

    _offer_placed = present._SHOWN[e.OfferPlaced]
    monkeypatch.setitem(present._SHOWN, e.OfferPlaced, told_to_all)
    assert leaks(full.history, HOURLY, {"B1", "b1", "P1", "P2"})


def test_counterparties_are_those_of_own_trades_or_of_the_exchange(sample):
    partners: dict[str, set[str]] = {}
    m = Measures(sample.settings)
    participants = {command.participant for command in sample.commands if type(command) is c.AddParticipant}
    for _, _, events, told in views(sample.applied, m):
        for event in events:
            if type(event) is e.Traded:
                partners.setdefault(event.buyer, set()).add(event.seller)
                partners.setdefault(event.seller, set()).add(event.buyer)
        for who in told.keys() & participants:
            named = {each.counterparty for each in told[who] if type(each) in (p.MoneyUpdate, p.Fill)} & participants
            assert named <= partners.get(who, set())


def test_the_money_that_is_told_adds_up_to_the_purses(sample):
    purses: dict[str, dict[str, int]] = {}
    for _, _, _, told in views(sample.applied, Measures(sample.settings)):
        for who, view in told.items():
            mine = purses.setdefault(who, dict.fromkeys(("cash", "held", "escrow", "margin", "bond"), 0))
            for each in view:
                if type(each) is p.MoneyUpdate:
                    for bucket, sign in ((each.from_bucket, -1), (each.to_bucket, 1)):
                        if bucket:
                            mine[bucket] += sign * parse_micro(each.amount)
    venue = sample.venue
    for name in venue.state.participants:
        told_of = tuple(purses[name].values()) if name in purses else (0,) * 5
        assert told_of == venue.core.balance(venue.account(name)), name


def test_one_view_is_the_one_among_all(sample):
    m = Measures(sample.settings)
    for seq, ts_ns, command, events in sample.applied[-400:]:
        told = private_events(seq, ts_ns, command, events, m)
        for who in [*told, "nobody"]:
            assert private_events_of(who, seq, ts_ns, command, events, m) == told.get(who, ())
        some = sorted(told)[:2]
        assert private_events(seq, ts_ns, command, events, m, only=some).keys() == set(some)


def test_a_reading_is_told_to_both_where_the_parties_are_known(full):
    seq, ts_ns, command, events = next(item for item in full.history if type(item[2]) is c.SubmitReading)
    told = private_events(seq, ts_ns, command, events, HOURLY, parties=lambda number: ("B1", command.participant))
    assert told.keys() == {"B1", command.participant}
    assert told["B1"][0].obligation_id == command.obligation_id


def test_trades_are_told_without_names(sample):
    m = Measures(sample.settings)
    count = 0
    participants = set(sample.venue.state.participants)
    for seq, ts_ns, _, events in sample.applied:
        trades = public_trades(seq, ts_ns, events, m)
        count += len(trades)
        assert [trade.trade_id for trade in trades] == [f"{seq}-{place}" for place in range(len(trades))]
        for trade in trades:
            assert not participants & set(texts_of(msgspec.to_builtins(trade)))
    assert count == sum(type(event) is e.Traded for *_, events in sample.applied for event in events) > 100


def test_fills_carry_the_ids_of_the_public_trades(full):
    for seq, ts_ns, command, events in full.history:
        public = [trade.trade_id for trade in public_trades(seq, ts_ns, events, HOURLY)]
        told = private_events(seq, ts_ns, command, events, HOURLY)
        bought = [each.trade_id for view in told.values() for each in view if type(each) is p.Fill and each.side == "buy"]
        assert sorted(bought) == sorted(public)


# --- acks ---


def acked(day: days.Day, command, participant: str = "B1"):
    day.do(command)
    seq, ts_ns, command, events = day.history[-1]
    return ack(seq, 3, ts_ns, command, events, HOURLY, participant)


@pytest.fixture
def open_day() -> days.Day:
    day = days.open_day()
    day.do(days.offer("P1", "o1", 640, 8))
    return day


def test_the_status_of_tasks(open_day):
    filled = acked(open_day, days.task("t1"))
    assert (filled.status, filled.seq, filled.epoch, filled.code) == ("FILLED", len(open_day.history), 3, 0)
    assert [type(each) for each in filled.events].count(p.Fill) == 6
    waiting = acked(open_day, days.task("t2"))
    assert (waiting.status, waiting.reason, waiting.code) == ("WAITING", "NO_DEPTH", 603)
    assert acked(open_day, c.CancelTask("B1", "t2")).status == "CANCELED"
    open_day.do(c.AllowEmergency("B1", True))
    at_once = acked(open_day, days.task("t3", lane="emergency", lots=900, periods=2))
    assert (at_once.status, at_once.reason) == ("CANCELED", "NO_DEPTH")
    bulk = days.task("t4", buyer="b1", shape="bulk", lots=2_000, periods=9, deadline_ns=days.T0 + 13 * days.H)
    assert acked(open_day, bulk, "b1").status == "PARTLY_FILLED"


def test_the_status_of_orders(open_day):
    def order(name: str, price: int, lots: int, **more) -> c.PlaceOrder:
        return c.PlaceOrder("B1", name, f"{CODE}5", "buy", price * 1_000_000, lots, **more)

    assert acked(open_day, order("a", 7, 10)).status == "ACCEPTED"
    assert acked(open_day, order("b", 8, 10)).status == "FILLED"
    assert acked(open_day, order("c", 8, 1_000)).status == "PARTLY_FILLED"
    assert acked(open_day, order("d", 8, 10, tif="FOK")).status == "CANCELED"
    assert acked(open_day, c.AmendOrder("B1", "a", 6_000_000, 20)).status == "ACCEPTED"
    assert acked(open_day, c.AmendOrder("B1", "c", 8_000_000, 500)).status == "CANCELED"  # less than is filled
    assert acked(open_day, c.CancelOrder("B1", "a")).status == "CANCELED"
    assert acked(open_day, c.WithdrawOffer("P1", "o1"), "P1").status == "CANCELED"


def test_an_ack_says_nothing_of_older_tasks_that_the_command_filled(open_day):
    """A waiting task of the same buyer takes what was offered; the new order comes after it."""
    open_day.do(days.task("big", lots=700))
    open_day.do(days.offer("P2", "o2", 700, 7))
    placed = acked(open_day, c.PlaceOrder("B1", "big", f"{CODE}9", "buy", 1_000_000, 10))
    assert placed.status == "ACCEPTED"


def test_refusals_are_denials_where_money_or_room_is_missing(open_day):
    poor = acked(open_day, days.task("t1", lots=900_000))
    assert (poor.status, poor.code, poor.reason) == ("DENIED", 331, "INSUFFICIENT_FUNDS")
    assert poor.message and poor.hint and poor.events == ()
    full = acked(open_day, days.offer("P1", "o2", 5_000, 8), "P1")
    assert (full.status, full.reason) == ("DENIED", "CAPACITY")
    wrong = acked(open_day, days.task("t2", access_region="nowhere"))
    assert (wrong.status, wrong.reason) == ("REJECTED", "UNKNOWN_REGION")


def test_an_ack_shows_the_sender_his_own_and_the_operator_all(open_day):
    open_day.do(days.task("t1"))
    item = open_day.history[-1]
    own, everybodys = ack(item[0], 1, *item[1:], HOURLY, "B1"), ack(item[0], 1, *item[1:], HOURLY, "")
    assert {each.participant for each in own.events} == {"B1"}
    assert {each.participant for each in everybodys.events} == {"B1", "P1"}
    assert len(everybodys.events) > len(own.events)


def test_what_concerns_everybody_is_not_in_the_operators_ack(sample):
    m = Measures(sample.settings)
    for seq, ts_ns, command, events in sample.applied:
        if type(command) in present.FOR_ALL and type(events[:1]) is not e.Refused:
            told = ack(seq, 1, ts_ns, command, events, m, "")
            assert len(told.events) <= 1 and len(encode(told)) < 1_000


def test_every_kind_of_event_is_shown_or_left_out_on_purpose():
    rooms = (e, ed, eg, es)
    kinds = {
        kind for room in rooms for kind in vars(room).values()
        if isinstance(kind, type) and kind.__module__ == room.__name__
    }  # fmt: skip
    parts = {e.Relaxation, e.Explanation, e.FilledPart, ed.DispatchedHour}
    assert kinds - parts == present._SHOWN.keys() | set(present.NOT_SHOWN)


def test_every_view_is_json(sample: Sample):
    m = Measures(sample.settings)
    decoder = msgspec.json.Decoder(p.PrivateEvent)
    for _, _, _, told in views(sample.applied[-300:], m):
        for view in told.values():
            for each in view:
                assert decoder.decode(encode(each)) == each


def test_a_fill_tells_its_parts_and_an_amendment_its_hold_and_place(open_day):
    filled = acked(open_day, days.task("t1", shape="split", min_run=2))
    (update,) = (each for each in filled.events if type(each) is p.TaskUpdate and each.status == "filled")
    assert [(part.site, part.hours, part.cards, part.is_block) for part in update.parts] == [("s1", "6", "64", False)]
    assert sum(parse_micro(part.cost) for part in update.parts) == parse_micro(update.compute)
    assert acked(open_day, days.task("t2", periods=4, price_cap_micro=5_000_000)).status == "WAITING"
    amended = acked(open_day, c.AmendTask(days.task("t2", periods=4, price_cap_micro=4_000_000).task))
    assert amended.status == "WAITING"
    (told,) = (each for each in amended.events if type(each) is p.TaskUpdate and each.status == "amended")
    assert (told.keeps_place, told.budget) == (True, "1024.00") and parse_micro(told.hold) > parse_micro(told.budget)
    dearer = acked(open_day, c.AmendTask(days.task("t2", periods=4, price_cap_micro=8_000_000).task))
    assert dearer.status == "FILLED"
    assert not next(each for each in dearer.events if type(each) is p.TaskUpdate).keeps_place


def test_a_plain_buy_that_takes_better_is_told_as_the_task_it_is(open_day):
    def better(name: str, price: int, **more) -> c.PlaceOrder:
        return c.PlaceOrder("B1", name, f"{CODE}5", "buy", price * 1_000_000, 10, or_better=True, **more)

    assert acked(open_day, better("a", 8)).status == "FILLED"
    assert acked(open_day, better("b", 7)).status == "WAITING"
    assert acked(open_day, better("c", 7, tif="IOC")).status == "CANCELED"
    assert acked(open_day, c.CancelTask("B1", "b")).status == "CANCELED"
