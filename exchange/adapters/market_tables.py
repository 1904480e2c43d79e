"""The tables of the market: offers, bids, tasks, trades and what they oblige to. First values as `tables` says."""

from sqlalchemy import Index

from exchange.adapters.table_base import (
    LINEAR,
    Base,
    Row,
    clean_text,
    int64,
    int_key,
    json_text,
    parts_of,
    string,
    yes_no,
)
from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.domain import events_settlement as es


class Offer(Base, table=True):
    """Offers; lots are per period, sold and ended ones are summed over the periods."""

    __tablename__ = "offers"
    seq: int = int_key()
    ts_ns: int = int64()
    participant: str = string()
    offer_id: str = string()
    site: str = string()
    chip: str = string()
    region: str = string()
    latency_class: str = string()
    power: str = string()
    lots: int = int64()
    periods: int = int64()
    start_ns: int = int64()
    end_ns: int = int64()
    price_micro: int = int64()
    period_prices: str = string()
    min_lots: int = int64()
    min_periods: int = int64()
    indivisible_ok: bool = yes_no()
    notice_min: int = int64()
    standby: bool = yes_no()
    price_base_micro: int = int64()
    watts_per_card: int = int64()
    is_block: bool = yes_no()
    status: str = string()
    sold_lots: int = int64()
    ended_lots: int = int64()
    ended_seq: int = int64()
    ended_ns: int = int64()
    __table_args__ = (
        Index("offers_by_participant", "participant", "seq"), Index("offers_by_status", "status", "seq"), LINEAR,
    )  # fmt: skip

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, command: c.PlaceOffer, event: e.OfferPlaced, period_ns: int) -> Row:
        """OfferPlaced; periods whose gate had passed before are left out of the window. A standing offer has 0 periods."""
        start_ns = command.end_ns - event.periods * period_ns if event.periods else command.start_ns
        prices = command.period_prices_micro[-event.periods :]
        return {
            "seq": seq, "ts_ns": ts_ns, "participant": event.participant, "offer_id": event.offer_id, "site": event.site,
            "chip": event.chip, "region": event.region, "latency_class": event.latency_class, "power": event.power,
            "lots": event.lots, "periods": event.periods, "start_ns": start_ns, "end_ns": command.end_ns,
            "price_micro": 0 if prices else command.price_micro, "period_prices": json_text(prices),
            "min_lots": command.min_lots, "min_periods": command.min_periods, "indivisible_ok": command.indivisible_ok,
            "notice_min": command.notice_min, "standby": command.standby, "price_base_micro": command.price_base_micro,
            "watts_per_card": command.watts_per_card, "is_block": event.is_block, "status": "open", "sold_lots": 0,
            "ended_lots": 0, "ended_seq": 0, "ended_ns": 0,
        }  # fmt: skip


class OfferHour(Base, table=True):
    """Periods of offers in which something was sold or ended; the other ones stand as their offer says."""

    __tablename__ = "offer_hours"
    offer_seq: int = int_key()
    period_start_ns: int = int_key()
    open_lots: int = int64()
    sold_lots: int = int64()
    ended_lots: int = int64()
    is_over: bool = yes_no()
    reason: str = string()
    __table_args__ = (LINEAR,)


class Order(Base, table=True):
    """Plain bids, refused ones too."""

    __tablename__ = "orders"
    seq: int = int_key()
    ts_ns: int = int64()
    participant: str = string()
    client_order_id: str = string()
    instrument: str = string()
    tif: str = string()
    expiry_ns: int = int64()
    status: str = string()
    price_micro: int = int64()
    lots: int = int64()
    leaves_lots: int = int64()
    filled_lots: int = int64()
    cost_micro: int = int64()
    fee_micro: int = int64()
    reason: str = string()
    message: str = string()
    changed_seq: int = int64()
    changed_ns: int = int64()
    is_live: bool = yes_no()
    __table_args__ = (
        Index("orders_by_participant", "participant", "seq"),
        Index("orders_by_client_order_id", "participant", "client_order_id", "seq"),
        Index("orders_by_status", "status", "seq"), LINEAR,
    )  # fmt: skip

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, command: c.PlaceOrder, event: e.OrderChanged | e.Refused) -> Row:
        """OrderChanged(accepted), or Refused."""
        is_live = isinstance(event, e.OrderChanged)
        return {
            "seq": seq, "ts_ns": ts_ns, "participant": clean_text(command.participant),
            "client_order_id": clean_text(command.client_order_id), "instrument": clean_text(command.instrument),
            "tif": clean_text(command.tif), "expiry_ns": command.expiry_ns,
            "status": "accepted" if is_live else "refused", "price_micro": command.price_micro, "lots": command.lots,
            "leaves_lots": command.lots if is_live else 0, "filled_lots": 0, "cost_micro": 0, "fee_micro": 0,
            "reason": event.reason, "message": clean_text("" if isinstance(event, e.OrderChanged) else event.message),
            "changed_seq": seq, "changed_ns": ts_ns, "is_live": is_live,
        }  # fmt: skip


class Task(Base, table=True):
    """Tasks, refused ones too; amounts are what the fills came to."""

    __tablename__ = "tasks"
    seq: int = int_key()
    entered_ns: int = int64()
    participant: str = string()
    client_order_id: str = string()
    lane: str = string()
    shape: str = string()
    body: str = string()
    status: str = string()
    ending: str = string()
    reason: str = string()
    binding: str = string()
    relaxations: str = string()
    is_of_entry: bool = yes_no()
    message: str = string()
    budget_micro: int = int64()
    hold_micro: int = int64()
    lot_periods: int = int64()
    compute_micro: int = int64()
    moving_micro: int = int64()
    fee_micro: int = int64()
    waited_ns: int = int64()
    instrument: str = string()
    changed_seq: int = int64()
    changed_ns: int = int64()
    __table_args__ = (
        Index("tasks_by_participant", "participant", "seq"),
        Index("tasks_by_client_order_id", "participant", "client_order_id", "seq"),
        Index("tasks_by_status", "status", "seq"), Index("tasks_by_ending", "ending", "seq"), LINEAR,
    )  # fmt: skip

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, task: c.Task, event: e.TaskAccepted | e.Refused) -> Row:
        """TaskAccepted, or Refused."""
        is_in = isinstance(event, e.TaskAccepted)
        return {
            "seq": seq, "entered_ns": ts_ns, "participant": clean_text(task.participant),
            "client_order_id": clean_text(task.client_order_id), "lane": clean_text(task.lane),
            "shape": clean_text(task.shape), "body": json_text(task), "status": "unfilled",
            "ending": "waiting" if is_in else "refused",
            "reason": "" if isinstance(event, e.TaskAccepted) else event.reason, "binding": "", "relaxations": "[]",
            "is_of_entry": False, "message": clean_text("" if isinstance(event, e.TaskAccepted) else event.message),
            "budget_micro": event.budget_micro if isinstance(event, e.TaskAccepted) else 0,
            "hold_micro": event.hold_micro if isinstance(event, e.TaskAccepted) else 0,
            "lot_periods": 0, "compute_micro": 0, "moving_micro": 0, "fee_micro": 0, "waited_ns": 0, "instrument": "",
            "changed_seq": seq, "changed_ns": ts_ns,
        }  # fmt: skip

    @classmethod
    def amended_by(cls, task: c.Task, event: e.TaskAmended) -> Row:
        """What TaskAmended changes."""
        return {
            "shape": clean_text(task.shape), "body": json_text(task), "budget_micro": event.budget_micro,
            "hold_micro": event.hold_micro,
        }  # fmt: skip


class Trade(Base, table=True):
    """Trades; (seq, place) is the trade's id."""

    __tablename__ = "trades"
    seq: int = int_key()
    place: int = int_key()
    ts_ns: int = int64()
    obligation_id: int = int64()
    buyer: str = string()
    seller: str = string()
    site: str = string()
    instrument: str = string()
    chip: str = string()
    region: str = string()
    latency_class: str = string()
    power: str = string()
    period_start_ns: int = int64()
    lots: int = int64()
    price_micro: int = int64()
    cost_micro: int = int64()
    fee_micro: int = int64()
    task: str = string()
    offer_id: str = string()
    is_block: bool = yes_no()
    tariff_version: int = int64()
    __table_args__ = (
        Index("trades_by_instrument", "instrument", "seq", "place"), Index("trades_by_chip", "chip", "region", "seq", "place"),
        Index("trades_by_time", "ts_ns"), Index("trades_by_buyer", "buyer", "seq", "place"),
        Index("trades_by_seller", "seller", "seq", "place"), LINEAR,
    )  # fmt: skip

    @classmethod
    def from_event(cls, seq: int, place: int, ts_ns: int, event: e.Traded) -> Row:
        """Traded; place = its place among the trades of its command."""
        parts = parts_of(event.instrument)
        return {
            "seq": seq, "place": place, "ts_ns": ts_ns, "obligation_id": event.obligation_id, "buyer": event.buyer,
            "seller": event.seller, "site": event.site, "instrument": event.instrument, "chip": parts.chip,
            "region": parts.region, "latency_class": parts.latency_class, "power": parts.power,
            "period_start_ns": event.period_start_ns, "lots": event.lots, "price_micro": event.price_micro,
            "cost_micro": event.cost_micro, "fee_micro": event.fee_micro, "task": event.task,
            "offer_id": event.offer_id, "is_block": event.is_block, "tariff_version": event.tariff_version,
        }  # fmt: skip


class Correction(Base, table=True):
    """Trades that were busted or given another price, by obligation; published prices leave them out, or take the new one."""

    __tablename__ = "corrections"
    obligation_id: int = int_key()
    trade_seq: int = int64()
    trade_ns: int = int64()
    family: str = string()
    chip: str = string()
    region: str = string()
    price_micro: int = int64()
    seq: int = int64()
    __table_args__ = (Index("corrections_by_time", "trade_ns"), LINEAR)

    @classmethod
    def from_event(cls, seq: int, event: es.TradeBusted | es.TradeAdjusted, trade: Row) -> Row:
        """TradeBusted (price 0) or TradeAdjusted; trade = the row of its obligation."""
        parts = parts_of(event.instrument)
        return {
            "obligation_id": event.obligation_id, "trade_seq": trade["seq"], "trade_ns": trade["ts_ns"],
            "family": event.instrument.rpartition("/")[0], "chip": parts.chip, "region": parts.region,
            "price_micro": 0 if isinstance(event, es.TradeBusted) else event.price_micro, "seq": seq,
        }  # fmt: skip


class Obligation(Base, table=True):
    """What providers owe buyers, period by period, and what became of it."""

    __tablename__ = "obligations"
    obligation_id: int = int_key()
    seq: int = int64()
    ts_ns: int = int64()
    lease: int = int64()
    is_joint: bool = yes_no()
    instead_of: int = int64()
    buyer: str = string()
    seller: str = string()
    site: str = string()
    instrument: str = string()
    period_start_ns: int = int64()
    period_end_ns: int = int64()
    lots: int = int64()
    price_micro: int = int64()
    cost_micro: int = int64()
    fee_micro: int = int64()
    task: str = string()
    offer_id: str = string()
    tariff_version: int = int64()
    status: str = string()
    delivered_lots: int = int64()
    lost_lots: int = int64()
    made_up_lots: int = int64()
    paid_micro: int = int64()
    kept_fee_micro: int = int64()
    moving_micro: int = int64()
    refund_micro: int = int64()
    damages_micro: int = int64()
    damages_cut_micro: int = int64()
    settled_seq: int = int64()
    settled_ns: int = int64()
    load_wh: int = int64()
    green_wh: int = int64()
    failing: str = string()
    __table_args__ = (
        Index("obligations_by_buyer", "buyer", "obligation_id"), Index("obligations_by_seller", "seller", "obligation_id"),
        Index("obligations_by_lease", "lease"), Index("obligations_by_period", "period_start_ns"),
        Index("obligations_by_status", "status", "obligation_id"), LINEAR,
    )  # fmt: skip

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, event: e.Traded, period_ns: int, lease: int, is_joint: bool) -> Row:
        """Traded; is_joint = it stands and falls with the other obligations of its lease."""
        return {
            "obligation_id": event.obligation_id, "seq": seq, "ts_ns": ts_ns, "lease": lease, "is_joint": is_joint,
            "instead_of": 0, "buyer": event.buyer, "seller": event.seller, "site": event.site,
            "instrument": event.instrument, "period_start_ns": event.period_start_ns,
            "period_end_ns": event.period_start_ns + period_ns, "lots": event.lots, "price_micro": event.price_micro,
            "cost_micro": event.cost_micro, "fee_micro": event.fee_micro, "task": event.task,
            "offer_id": event.offer_id, "tariff_version": event.tariff_version, **_UNSETTLED,
        }  # fmt: skip

    @classmethod
    def from_made_up(cls, seq: int, ts_ns: int, event: e.MadeUp, failed: Row, cost_micro: int, fee_micro: int) -> Row:
        """MadeUp, with the row of the obligation whose failed lots it takes over."""
        period_ns = failed["period_end_ns"] - failed["period_start_ns"]
        return {
            **failed, **_UNSETTLED, "obligation_id": event.obligation_id, "seq": seq, "ts_ns": ts_ns,
            "lease": failed["lease"] if failed["is_joint"] else event.obligation_id, "instead_of": event.instead_of,
            "instrument": event.instrument, "period_start_ns": event.period_start_ns,
            "period_end_ns": event.period_start_ns + period_ns, "lots": event.lots, "cost_micro": cost_micro,
            "fee_micro": fee_micro,
        }  # fmt: skip

    @classmethod
    def settled_by(cls, seq: int, ts_ns: int, event: e.Settled) -> Row:
        """The columns that Settled decides."""
        return {
            "status": event.status, "delivered_lots": event.delivered_lots, "lost_lots": event.lost_lots,
            "made_up_lots": event.made_up_lots, "paid_micro": event.paid_micro, "kept_fee_micro": event.fee_micro,
            "moving_micro": event.moving_micro, "refund_micro": event.refund_micro, "damages_micro": event.damages_micro,
            "damages_cut_micro": event.damages_cut_micro, "settled_seq": seq, "settled_ns": ts_ns,
            "load_wh": event.load_wh, "green_wh": event.green_wh,
        }  # fmt: skip

    @classmethod
    def busted_by(cls, seq: int, ts_ns: int, event: es.TradeBusted) -> Row:
        """The columns that TradeBusted decides; what came back stands as the refund."""
        back = event.cost_micro + event.fee_micro + event.moving_micro
        return {"status": "busted", "refund_micro": back, "settled_seq": seq, "settled_ns": ts_ns}


_UNSETTLED: Row = {
    "status": "open", "delivered_lots": 0, "lost_lots": 0, "made_up_lots": 0, "paid_micro": 0, "kept_fee_micro": 0,
    "moving_micro": 0, "refund_micro": 0, "damages_micro": 0, "damages_cut_micro": 0, "settled_seq": 0, "settled_ns": 0,
    "load_wh": 0, "green_wh": 0, "failing": "",
}  # fmt: skip
