"""The tables of the SQL projection, and the first values of their rows.

Everything in them follows from the commands that were applied and from their events. A `from_event` gives the columns
of a new row; rows that live on are kept up to date by `projector`. Amounts, prices, times and quantities are whole
numbers (micro-yuan, ns since 1970 UTC, lots), names are text, and an absent one is 0 or "".
"""

from sqlalchemy import Index, MetaData, Table

from exchange.adapters import lease_tables, market_tables  # noqa: F401 - their classes are tables as well
from exchange.adapters.table_base import (
    LINEAR,
    Base,
    Row,
    binary,
    int64,
    int_key,
    json_text,
    name_key,
    parts_of,
    string,
    yes_no,
)
from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.projections.candles import Candle

SCHEMA_VERSION = 5  # raised with every change of the tables or of what is in them: a database of another one is made again


class OffsetRow(Base, table=True):
    """How far the tables have come, and whose they are; one row, written together with what it speaks of."""

    __tablename__ = "offset_row"
    id: int = int_key()
    exchange_id: str = string()
    schema_version: int = int64()
    seq: int = int64()
    ts_ns: int = int64()


class Setting(Base, table=True):
    """The venue's settings, as SetVenue gave them."""

    __tablename__ = "settings"
    seq: int = int_key()
    ts_ns: int = int64()
    name: str = string()
    time_zone: str = string()
    period_min: int = int64()
    gate_min: int = int64()
    lots_per_card: int = int64()
    body: str = string()

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, command: c.SetVenue) -> Row:
        """SetVenue was acknowledged."""
        return {
            "seq": seq, "ts_ns": ts_ns, "name": command.name, "time_zone": command.time_zone,
            "period_min": command.period_min, "gate_min": command.gate_min, "lots_per_card": command.lots_per_card,
            "body": json_text(command),
        }  # fmt: skip


class Participant(Base, table=True):
    """Who takes part, and who only receives shares."""

    __tablename__ = "participants"
    participant: str = name_key()
    seq: int = int64()
    place: int = int64()
    ts_ns: int = int64()
    firm: str = string()
    alpha_ppm: int = int64()
    is_recipient: bool = yes_no()
    __table_args__ = (Index("participants_by_seq", "seq", "place", unique=True),)

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, command: c.AddParticipant) -> Row:
        """AddParticipant was acknowledged."""
        return {
            "participant": command.participant, "seq": seq, "place": 0, "ts_ns": ts_ns, "firm": command.firm,
            "alpha_ppm": command.alpha_ppm, "is_recipient": False,
        }  # fmt: skip

    @classmethod
    def from_move(cls, seq: int, place: int, ts_ns: int, name: str) -> Row:
        """A recipient of shares got money for the first time: that opened its account."""
        return {
            "participant": name, "seq": seq, "place": place, "ts_ns": ts_ns, "firm": name, "alpha_ppm": 0,
            "is_recipient": True,
        }  # fmt: skip


class Site(Base, table=True):
    """Data centres and their owners."""

    __tablename__ = "sites"
    site: str = name_key()
    seq: int = int64()
    ts_ns: int = int64()
    participant: str = string()
    region: str = string()
    __table_args__ = (Index("sites_by_participant", "participant", "seq"),)

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, command: c.AddSite) -> Row:
        """AddSite was acknowledged."""
        return {
            "site": command.site, "seq": seq, "ts_ns": ts_ns, "participant": command.participant, "region": command.region,
        }  # fmt: skip


class Attestation(Base, table=True):
    """The operator's words on capacity, each as it was given."""

    __tablename__ = "attestations"
    seq: int = int_key()
    ts_ns: int = int64()
    site: str = string()
    chip: str = string()
    lots: int = int64()
    start_ns: int = int64()
    end_ns: int = int64()
    __table_args__ = (Index("attestations_by_site", "site", "seq"), LINEAR)

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, command: c.AttestCapacity) -> Row:
        """AttestCapacity was acknowledged."""
        return {
            "seq": seq, "ts_ns": ts_ns, "site": command.site, "chip": command.chip, "lots": command.lots,
            "start_ns": command.start_ns, "end_ns": command.end_ns,
        }  # fmt: skip


class Reading(Base, table=True):
    """Readings, countersignatures and disputes, each as it came."""

    __tablename__ = "readings"
    seq: int = int_key()
    ts_ns: int = int64()
    obligation_id: int = int64()
    number: int = int64()
    delivered_lots: int = int64()
    is_countersigned: bool = yes_no()
    is_disputed: bool = yes_no()
    disputed_lots: int = int64()
    __table_args__ = (Index("readings_by_obligation", "obligation_id", "seq"), LINEAR)

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, event: e.ReadingTaken, disputed_lots: int) -> Row:
        """ReadingTaken; disputed_lots is the buyer's figure where this is his dispute, else -1."""
        return {
            "seq": seq, "ts_ns": ts_ns, "obligation_id": event.obligation_id, "number": event.number,
            "delivered_lots": event.delivered_lots, "is_countersigned": event.is_countersigned,
            "is_disputed": event.is_disputed, "disputed_lots": disputed_lots,
        }  # fmt: skip


class Fix(Base, table=True):
    """Every fix that was set."""

    __tablename__ = "fixes"
    seq: int = int_key()
    ts_ns: int = int64()
    instrument: str = string()
    chip: str = string()
    region: str = string()
    latency_class: str = string()
    power: str = string()
    period: str = string()
    price_micro: int = int64()
    grade: str = string()
    inputs_hash: str = string()
    __table_args__ = (
        Index("fixes_by_instrument", "instrument", "seq"), Index("fixes_by_chip", "chip", "region", "seq"),
        Index("fixes_by_time", "ts_ns"), Index("fixes_by_period", "period", "chip", "region"), LINEAR,
    )  # fmt: skip

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, event: e.FixSet) -> Row:
        """FixSet."""
        parts = parts_of(event.instrument)
        return {
            "seq": seq, "ts_ns": ts_ns, "instrument": event.instrument, "chip": parts.chip, "region": parts.region,
            "latency_class": parts.latency_class, "power": parts.power, "period": parts.period,
            "price_micro": event.price_micro, "grade": event.grade, "inputs_hash": event.inputs_hash,
        }  # fmt: skip


class CandleOf(Base, table=True):
    """Candles of families; weighted (price x lots) is a whole number as text, since it may need more than 64 bits."""

    __tablename__ = "candles"
    interval_min: int = int_key()
    family: str = name_key()
    start_ns: int = int_key()
    chip: str = string()
    region: str = string()
    open_micro: int = int64()
    high_micro: int = int64()
    low_micro: int = int64()
    close_micro: int = int64()
    lots: int = int64()
    weighted: str = string()
    trades: int = int64()
    first_seq: int = int64()
    first_place: int = int64()
    last_seq: int = int64()
    last_place: int = int64()
    __table_args__ = (Index("candles_by_chip", "interval_min", "chip", "start_ns"), LINEAR)

    @classmethod
    def from_trades(cls, family: str, interval_min: int, candle: Candle) -> Row:
        """A candle as it is after its latest trade."""
        parts = parts_of(f"{family}/")
        return {
            "interval_min": interval_min, "family": family, "start_ns": candle.start_ns, "chip": parts.chip,
            "region": parts.region, "open_micro": candle.open_micro, "high_micro": candle.high_micro,
            "low_micro": candle.low_micro, "close_micro": candle.close_micro, "lots": candle.lots,
            "weighted": str(candle.weighted), "trades": candle.trades, "first_seq": candle.first[0],
            "first_place": candle.first[1], "last_seq": candle.last[0], "last_place": candle.last[1],
        }  # fmt: skip


class Transfer(Base, table=True):
    """Every move of money; the sums over them are the balances."""

    __tablename__ = "transfers"
    seq: int = int_key()
    place: int = int_key()
    ts_ns: int = int64()
    from_account: str = string()
    from_bucket: str = string()
    to_account: str = string()
    to_bucket: str = string()
    amount_micro: int = int64()
    kind: str = string()
    reference: str = string()
    __table_args__ = (
        Index("transfers_by_payer", "from_account", "ts_ns"), Index("transfers_by_payee", "to_account", "ts_ns"),
        LINEAR,
    )  # fmt: skip

    @classmethod
    def from_event(cls, seq: int, place: int, ts_ns: int, event: e.Moved) -> Row:
        """Moved; place = its place among the moves of its command."""
        return {
            "seq": seq, "place": place, "ts_ns": ts_ns, "from_account": event.from_account,
            "from_bucket": event.from_bucket, "to_account": event.to_account, "to_bucket": event.to_bucket,
            "amount_micro": event.amount_micro, "kind": event.kind, "reference": event.reference,
        }  # fmt: skip


class Answer(Base, table=True):
    """What was answered, for those who ask again."""

    __tablename__ = "answers"
    seq: int = int_key()
    ts_ns: int = int64()
    events: bytes = binary()


METADATA: MetaData = Base.metadata

TABLES: dict[str, Table] = dict(METADATA.tables)
