"""Leases out of the rows of their obligations, and what their buyers have been told."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from exchange.adapters.tables import TABLES
from exchange.ports_delivery import AccessRow, HourState, LeaseRow, ObligationRow, ResultRow


class Mail(NamedTuple):
    """What sellers have told one buyer, by lease."""

    accesses: dict[int, list[AccessRow]]
    results: dict[int, list[ResultRow]]


def mail_of(connection: Connection, buyer: str | None, leases: Sequence[int]) -> Mail:
    """What this buyer was told of these leases; nobody else is shown it, the operator neither (buyer None)."""
    if buyer is None:
        return Mail({}, {})
    return Mail(
        _by_lease(connection, "lease_accesses", AccessRow, buyer, leases),
        _by_lease(connection, "lease_results", ResultRow, buyer, leases),
    )


def _by_lease(connection: Connection, name: str, kind: type[Any], buyer: str, leases: Sequence[int]) -> dict[int, list[Any]]:
    table = TABLES[name].c
    asked = select(*(table[field.name] for field in fields(kind))).where(table.lease.in_(leases), table.buyer == buyer)
    found: dict[int, list[Any]] = {}
    for row in connection.execute(asked.order_by(table.lease, table.seller)):
        found.setdefault(row.lease, []).append(kind(*row))
    return found


def lease_of(dues: list[ObligationRow], mail: Mail) -> LeaseRow:
    """A lease out of its obligations, of which made-up ones only lengthen it."""
    bought = [due for due in dues if not due.instead_of]
    first = min(dues, key=lambda due: (due.period_start_ns, due.obligation_id))
    lots: dict[int, int] = {}
    for due in dues:
        lots[due.period_start_ns] = lots.get(due.period_start_ns, 0) + due.lots
    bought = bought or dues
    return LeaseRow(
        first.lease, first.buyer, first.seller, first.site, first.instrument, first.task, max(lots.values()), len(lots),
        sum(due.lots for due in bought), first.period_start_ns, max(due.period_end_ns for due in dues),
        sum(due.cost_micro for due in bought), sum(due.fee_micro for due in bought),
        "open" if any(due.status == "open" for due in dues) else "ended",
        tuple(HourState(due.status, due.failing, due.delivered_lots, due.period_start_ns) for due in dues),
        tuple(mail.accesses.get(first.lease, ())), tuple(mail.results.get(first.lease, ())),
    )  # fmt: skip
