"""Tables of what a seller tells the buyer of a lease, and nobody else: the last word of each."""

from sqlalchemy import Index

from exchange.adapters.table_base import LINEAR, Base, Row, int64, int_key, name_key, string, yes_no
from exchange.domain import events_delivery as ed


class LeaseAccess(Base, table=True):
    """How the buyer of a lease reaches the cards of one seller."""

    __tablename__ = "lease_accesses"
    lease: int = int_key()
    seller: str = name_key()
    buyer: str = string()
    seq: int = int64()
    ts_ns: int = int64()
    access: str = string()
    __table_args__ = (Index("lease_accesses_by_seq", "seq"), LINEAR)

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, event: ed.AccessGiven) -> Row:
        """AccessGiven."""
        return {
            "lease": event.lease, "seller": event.seller, "buyer": event.buyer, "seq": seq, "ts_ns": ts_ns,
            "access": event.access,
        }  # fmt: skip


class LeaseResult(Base, table=True):
    """What the work of a lease has put out at one seller."""

    __tablename__ = "lease_results"
    lease: int = int_key()
    seller: str = name_key()
    buyer: str = string()
    seq: int = int64()
    ts_ns: int = int64()
    exit_code: int = int64()
    output: str = string()
    is_final: bool = yes_no()
    __table_args__ = (Index("lease_results_by_seq", "seq"), LINEAR)

    @classmethod
    def from_event(cls, seq: int, ts_ns: int, event: ed.ResultReturned) -> Row:
        """ResultReturned."""
        return {
            "lease": event.lease, "seller": event.seller, "buyer": event.buyer, "seq": seq, "ts_ns": ts_ns,
            "exit_code": event.exit_code, "output": event.output, "is_final": event.is_final,
        }  # fmt: skip
