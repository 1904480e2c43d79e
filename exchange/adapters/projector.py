"""Applied commands become rows: new ones, and new values of those that live on.

What lives on (open offers, live bids, waiting tasks, open obligations) is kept in memory as the rows themselves and read
back from the tables at a start. So the rows after a command depend on the commands up to it only, never on how they were
batched or how often the process began anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from exchange.adapters import lease_tables as lt
from exchange.adapters import market_tables as m
from exchange.adapters import tables as t
from exchange.adapters.candle_rows import INTERVAL_OF, MINUTES_OF, candle_of_row
from exchange.adapters.offer_book import OfferBook
from exchange.adapters.table_base import Row, json_text
from exchange.domain import commands as c
from exchange.domain import commands_delivery as cd
from exchange.domain import events as e
from exchange.domain import events_delivery as ed
from exchange.domain import events_settlement as es
from exchange.domain.better import task_of
from exchange.domain.instrument import Periods
from exchange.domain.reasons import VenueReason
from exchange.domain.repairs import WHOLE
from exchange.domain.state import SYSTEM_ACCOUNTS
from exchange.domain.units import NS_PER_MINUTE, div_floor
from exchange.projections.candles import Candle, Grid, OpenCandles
from exchange.protocol.codec import event_bytes

BUY_IN_REFERENCE = "buy_in:"
KEY_REUSED = VenueReason.KEY_REUSED.name
TRADE_KIND, TASK_REFERENCE = "trade", "task:"


@dataclass(slots=True)
class Batch:
    """The rows of some commands: `added` stay as they are, `changed` by key are the latest values."""

    added: dict[str, list[Row]] = field(default_factory=dict)
    changed: dict[str, dict[Any, Row]] = field(default_factory=dict)

    def add(self, table: str, row: Row) -> None:
        """A row that never changes."""
        self.added.setdefault(table, []).append(row)

    def change(self, table: str, key: Any, row: Row) -> None:
        """A row that is new or has new values; the same object may be changed again before it is written."""
        self.changed.setdefault(table, {})[key] = row


@dataclass(slots=True)
class _Command:
    """The command at hand, and what its earlier events mean for its later ones."""

    seq: int
    ts_ns: int
    command: Any
    moves: int = 0
    trades: int = 0
    paid_for: str = ""  # reference of the last payment for a trade: tells a task's trade from a bid's
    leases: dict[tuple[str, str], int] = field(default_factory=dict)  # task -> first obligation of its block
    settled: dict[int, tuple[Row, e.Settled]] = field(default_factory=dict)


def _answer_to_keep(command: Any, events: Sequence[Any]) -> Sequence[Any]:
    """What somebody who asks again is told: of a settlement its sum, since the rest of it stands in the tables.

    The clock has nothing to tell.
    """
    if events and type(events[0]) is e.Refused:
        return events
    if type(command) is c.AdvanceTime:
        return ()
    if type(command) in (cd.GiveAccess, cd.ReturnResult):  # what was told stands in the tables, the buyer's alone
        return events[:1]
    if type(command) is c.SettlePeriod:
        return [event for event in events if type(event) is e.PeriodSettled]
    return events


class Projector:
    """Feed `take` with every command in order; take the rows with `cut`."""

    def __init__(self) -> None:
        self._batch = Batch()
        self._settings: Row = {}
        self._known: set[str] = set(SYSTEM_ACCOUNTS)
        self._orders: dict[tuple[str, str], Row] = {}
        self._tasks: dict[tuple[str, str], Row] = {}
        self._obligations: dict[int, Row] = {}
        self._offers = OfferBook(self._note)
        self._candles: OpenCandles | None = None
        self._drawn: dict[tuple[int, str, int], Candle] = {}  # candles that changed since the last cut
        self._now = _Command(0, 0, None)
        self._by_event: dict[type, Callable[[Any], None]] = {
            e.Moved: self._moved, e.Traded: self._traded, e.OrderChanged: self._order_changed,
            e.TaskAccepted: self._task_accepted, e.TaskFilled: self._task_filled, e.TaskWaiting: self._task_waiting,
            e.TaskEnded: self._task_ended, e.TaskAmended: self._task_amended,
            e.OfferPlaced: self._offer_placed, e.OfferEnded: self._offers.end_hour,
            e.OfferSkipped: self._offers.skip_hour, e.MarginShort: self._offers.stop_seller,
            e.ReadingTaken: self._reading_taken, e.FixSet: self._fix_set, e.Settled: self._settled,
            ed.DeliveryFailed: self._delivery_failed, ed.AccessGiven: self._access_given,
            ed.ResultReturned: self._result_returned,
            e.MadeUp: self._made_up, e.Acknowledged: self._acknowledged, es.BoughtIn: self._bought_in,
            es.TradeBusted: self._busted, es.TradeAdjusted: self._adjusted,
        }  # fmt: skip
        self._by_command: dict[type, Callable[[Any], None]] = {
            c.SetVenue: self._set_venue, c.AddParticipant: self._add_participant, c.AddSite: self._add_site,
            c.AttestCapacity: self._attest, c.AmendOffer: self._offers.amend, c.WithdrawOffer: self._offers.withdraw,
        }  # fmt: skip

    def load(self, connection: Connection) -> None:
        """Reads back what lives on, into an empty projector."""

        def rows(table: str, **where: Any) -> list[Row]:
            columns = t.TABLES[table].c
            asked = select(t.TABLES[table]).where(*(columns[name] == value for name, value in where.items()))
            return [dict(row) for row in connection.execute(asked).mappings()]

        for settings in rows("settings"):
            self._configure(settings)
        self._load_candles(connection)
        self._known |= {row["participant"] for row in rows("participants")}
        self._orders = {(row["participant"], row["client_order_id"]): row for row in rows("orders", is_live=True)}
        self._tasks = {(row["participant"], row["client_order_id"]): row for row in rows("tasks", ending="waiting")}
        self._obligations = {row["obligation_id"]: row for row in rows("obligations", status="open")}
        offers = rows("offers", status="open")
        hours = {row["seq"]: rows("offer_hours", offer_seq=row["seq"]) for row in offers}
        self._offers.load(offers, hours)

    def _load_candles(self, connection: Connection) -> None:
        """The newest candle of every family and interval: only those can change."""
        if self._candles is None:
            return
        table = t.TABLES["candles"].c
        newest = select(table.interval_min, table.family, func.max(table.start_ns)).group_by(table.interval_min, table.family)
        is_newest = tuple_(table.interval_min, table.family, table.start_ns).in_(newest)
        for row in connection.execute(select(t.TABLES["candles"]).where(is_newest)).mappings():
            self._candles.put(row["family"], INTERVAL_OF[row["interval_min"]], candle_of_row(row))

    def cut(self) -> Batch:
        """What has come together since the last cut."""
        for (minutes, family, start_ns), candle in self._drawn.items():
            self._note("candles", (minutes, family, start_ns), t.CandleOf.from_trades(family, minutes, candle))
        self._drawn.clear()
        batch, self._batch = self._batch, Batch()
        return batch

    def take(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any]) -> None:
        """One applied command; O(events)."""
        first = type(events[0]) if events else None
        if first is e.Replayed or (first is e.Refused and events[0].reason == KEY_REUSED):
            return  # what that name stands for came earlier, and nothing has changed
        answer = _answer_to_keep(command, events)
        if answer:
            self._batch.add("answers", {"seq": seq, "ts_ns": ts_ns, "events": event_bytes(answer)})
        self._now = _Command(seq, ts_ns, command)
        if first is e.Refused:
            self._refused(events[0])
            return
        self._offers.begin(seq, ts_ns)
        for event in events:
            handler = self._by_event.get(type(event))
            if handler is not None:
                handler(event)
        self._offers.finish()

    def _note(self, table: str, key: Any, row: Row) -> None:
        self._batch.change(table, key, row)

    # --- the operator's commands ---

    def _acknowledged(self, event: e.Acknowledged) -> None:
        handler = self._by_command.get(type(self._now.command))
        if handler is not None:
            handler(self._now.command)

    def _set_venue(self, command: c.SetVenue) -> None:
        row = t.Setting.from_event(self._now.seq, self._now.ts_ns, command)
        self._batch.add("settings", row)
        self._configure(row)

    def _configure(self, settings: Row) -> None:
        self._settings = settings
        self._offers.configure(settings["period_min"] * NS_PER_MINUTE, settings["gate_min"] * NS_PER_MINUTE)
        self._candles = OpenCandles(Grid.of(c.SetVenue(settings["name"], settings["time_zone"])))

    @property
    def _period_ns(self) -> int:
        return self._settings["period_min"] * NS_PER_MINUTE

    def _add_participant(self, command: c.AddParticipant) -> None:
        self._known.add(command.participant)
        self._batch.add("participants", t.Participant.from_event(self._now.seq, self._now.ts_ns, command))

    def _add_site(self, command: c.AddSite) -> None:
        self._batch.add("sites", t.Site.from_event(self._now.seq, self._now.ts_ns, command))

    def _attest(self, command: c.AttestCapacity) -> None:
        self._batch.add("attestations", t.Attestation.from_event(self._now.seq, self._now.ts_ns, command))

    def _refused(self, event: e.Refused) -> None:
        """Bids and tasks are on record even when refused: their owner looks for them under his own name."""
        now, command = self._now, self._now.command
        if type(command) is c.PlaceOrder:
            self._batch.change("orders", now.seq, m.Order.from_event(now.seq, now.ts_ns, command, event))
        elif type(command) is c.SubmitTask:
            self._batch.change("tasks", now.seq, m.Task.from_event(now.seq, now.ts_ns, command.task, event))

    # --- money and trades ---

    def _moved(self, event: e.Moved) -> None:
        now = self._now
        if event.kind == TRADE_KIND:
            now.paid_for = event.reference
        if event.to_account not in self._known:
            self._known.add(event.to_account)
            row = t.Participant.from_move(now.seq, now.moves, now.ts_ns, event.to_account)
            self._batch.add("participants", row)
        self._batch.add("transfers", t.Transfer.from_event(now.seq, now.moves, now.ts_ns, event))
        now.moves += 1

    def _traded(self, event: e.Traded) -> None:
        now = self._now
        self._batch.add("trades", m.Trade.from_event(now.seq, now.trades, now.ts_ns, event))
        self._draw_candles(event)
        now.trades += 1
        lease, is_joint, buyer, instead_of = event.obligation_id, False, (event.buyer, event.task), 0
        if now.paid_for.startswith(BUY_IN_REFERENCE):
            failed = self._obligations[int(now.paid_for.removeprefix(BUY_IN_REFERENCE))]
            instead_of, is_joint = failed["obligation_id"], failed["is_joint"]
            lease = failed["lease"] if is_joint else lease
        elif now.paid_for.startswith(TASK_REFERENCE):
            is_joint = self._tasks[buyer]["shape"] != "bulk"
            if is_joint:
                lease = now.leases.setdefault(buyer, lease)
        else:
            self._fill_order(self._orders[buyer], event)
        row = m.Obligation.from_event(now.seq, now.ts_ns, event, self._period_ns, lease, is_joint) | {"instead_of": instead_of}
        self._obligations[event.obligation_id] = row
        self._note("obligations", event.obligation_id, row)
        self._offers.sell(event)

    def _draw_candles(self, event: e.Traded) -> None:
        now, family = self._now, event.instrument.rpartition("/")[0]
        assert self._candles is not None
        place = (now.seq, now.trades)
        for interval, candle in self._candles.add(family, now.ts_ns, place, event.price_micro, event.lots):
            self._drawn[MINUTES_OF[interval], family, candle.start_ns] = candle

    # --- bids ---

    def _order_changed(self, event: e.OrderChanged) -> None:
        now, key = self._now, (event.participant, event.client_order_id)
        if event.status == "accepted":
            row = self._orders[key] = m.Order.from_event(now.seq, now.ts_ns, now.command, event)
        elif event.status == "replaced":
            row = self._orders[key]
            row["price_micro"], row["leaves_lots"] = event.price_micro, event.leaves_lots
            row["lots"] = row["filled_lots"] + event.leaves_lots
        else:
            row = self._orders.pop(key)
            row["status"], row["reason"], row["leaves_lots"], row["is_live"] = event.status, event.reason, 0, False
        self._changed("orders", row)

    def _fill_order(self, row: Row, event: e.Traded) -> None:
        row["leaves_lots"] -= event.lots
        row["filled_lots"] += event.lots
        row["cost_micro"] += event.cost_micro
        row["fee_micro"] += event.fee_micro
        row["status"] = "partly"
        if row["leaves_lots"] == 0:
            row["status"], row["is_live"] = "filled", False
            del self._orders[row["participant"], row["client_order_id"]]
        self._changed("orders", row)

    def _changed(self, table: str, row: Row) -> None:
        row["changed_seq"], row["changed_ns"] = self._now.seq, self._now.ts_ns
        self._note(table, row["seq"], row)

    # --- tasks ---

    def _task_accepted(self, event: e.TaskAccepted) -> None:
        settings = self._settings
        periods = Periods(self._period_ns, settings["gate_min"] * NS_PER_MINUTE)
        row = m.Task.from_event(self._now.seq, self._now.ts_ns, task_of(self._now.command, periods), event)
        self._tasks[event.participant, event.client_order_id] = row
        self._changed("tasks", row)

    def _task_amended(self, event: e.TaskAmended) -> None:
        row = self._tasks[event.participant, event.client_order_id]
        row |= m.Task.amended_by(self._now.command.task, event)
        self._changed("tasks", row)

    def _task_filled(self, event: e.TaskFilled) -> None:
        key = (event.participant, event.client_order_id)
        row = self._tasks[key]
        row["lot_periods"] += event.lot_periods
        row["compute_micro"] += event.compute_micro
        row["moving_micro"] += event.moving_micro
        row["fee_micro"] += event.fee_micro
        row["waited_ns"] = event.waited_ns
        row["instrument"] = row["instrument"] or event.instrument
        row["status"] = "partly"
        if event.is_complete:
            row |= {"status": "filled", "ending": "complete", "reason": "", "binding": "", "relaxations": "[]"}
            del self._tasks[key]
        self._changed("tasks", row)

    def _task_waiting(self, event: e.TaskWaiting) -> None:
        row = self._tasks[event.participant, event.client_order_id]
        self._explain(row, event.explanation)
        self._changed("tasks", row)

    def _task_ended(self, event: e.TaskEnded) -> None:
        row = self._tasks.pop((event.participant, event.client_order_id))
        row["ending"], row["waited_ns"] = event.status, self._now.ts_ns - row["entered_ns"]
        self._explain(row, event.explanation)
        self._changed("tasks", row)

    @staticmethod
    def _explain(row: Row, why: e.Explanation) -> None:
        """What binds is told only where there is a step for it, as in the files."""
        dimensions = {step.dimension for step in why.relaxations}
        row["reason"], row["relaxations"] = why.reason, json_text(why.relaxations)
        row["binding"] = why.binding if why.binding in dimensions else ""
        row["is_of_entry"] = why.is_of_entry

    # --- offers, delivery ---

    def _offer_placed(self, event: e.OfferPlaced) -> None:
        now = self._now
        self._offers.place(m.Offer.from_event(now.seq, now.ts_ns, now.command, event, self._period_ns))

    def _reading_taken(self, event: e.ReadingTaken) -> None:
        now = self._now
        disputed = now.command.delivered_lots if type(now.command) is c.DisputeReading else -1
        self._batch.add("readings", t.Reading.from_event(now.seq, now.ts_ns, event, disputed))

    def _delivery_failed(self, event: ed.DeliveryFailed) -> None:
        row = self._obligations[event.obligation_id]
        row["failing"] = event.reason
        self._note("obligations", event.obligation_id, row)

    def _access_given(self, event: ed.AccessGiven) -> None:
        row = lt.LeaseAccess.from_event(self._now.seq, self._now.ts_ns, event)
        self._batch.change("lease_accesses", (event.lease, event.seller), row)

    def _result_returned(self, event: ed.ResultReturned) -> None:
        row = lt.LeaseResult.from_event(self._now.seq, self._now.ts_ns, event)
        self._batch.change("lease_results", (event.lease, event.seller), row)

    def _fix_set(self, event: e.FixSet) -> None:
        self._batch.add("fixes", t.Fix.from_event(self._now.seq, self._now.ts_ns, event))

    def _settled(self, event: e.Settled) -> None:
        row = self._obligations.pop(event.obligation_id)
        row |= m.Obligation.settled_by(self._now.seq, self._now.ts_ns, event)
        self._note("obligations", event.obligation_id, row)
        self._now.settled[event.obligation_id] = (row, event)

    def _made_up(self, event: e.MadeUp) -> None:
        """The failed lots' part of cost and fee goes over: what was neither paid nor refunded when they were settled."""
        failed, line = self._now.settled[event.instead_of]
        per_lot_micro = div_floor(
            failed["price_micro"] * self._settings["period_min"], 60 * self._settings["lots_per_card"]
        )
        cost_micro = event.lots * per_lot_micro
        owed_micro = failed["cost_micro"] + failed["fee_micro"]
        fee_micro = owed_micro - line.paid_micro - line.fee_micro - line.refund_micro - cost_micro
        row = m.Obligation.from_made_up(self._now.seq, self._now.ts_ns, event, failed, cost_micro, fee_micro)
        self._obligations[event.obligation_id] = row
        self._note("obligations", event.obligation_id, row)

    def _bought_in(self, event: es.BoughtIn) -> None:
        """What is covered in part is owed for the rest of its lots, or of its hour; what is covered in full is settled next."""
        row = self._obligations[event.obligation_id]
        if event.escrow_micro < row["cost_micro"] + row["fee_micro"]:
            row["lots"] -= event.lots if event.twelfths == WHOLE else 0
            row["cost_micro"] -= event.escrow_micro - event.escrow_fee_micro
            row["fee_micro"] -= event.escrow_fee_micro
            self._note("obligations", event.obligation_id, row)

    def _busted(self, event: es.TradeBusted) -> None:
        row = self._obligations.pop(event.obligation_id)
        self._correct(event, row)
        row |= m.Obligation.busted_by(self._now.seq, self._now.ts_ns, event)
        self._note("obligations", event.obligation_id, row)

    def _correct(self, event: es.TradeBusted | es.TradeAdjusted, row: Row) -> None:
        self._note("corrections", event.obligation_id, m.Correction.from_event(self._now.seq, event, row))

    def _adjusted(self, event: es.TradeAdjusted) -> None:
        row = self._obligations[event.obligation_id]
        self._correct(event, row)
        row["price_micro"], row["cost_micro"], row["fee_micro"] = event.price_micro, event.cost_micro, event.fee_micro
        self._note("obligations", event.obligation_id, row)
