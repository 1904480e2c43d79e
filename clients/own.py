"""What one holds, owes and has: leases, obligations, positions, money, statements."""

from collections.abc import AsyncGenerator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from clients.core import Core
from clients.models import Ack
from clients.models_delivery import Account, Holds, Lease, Obligation, Statement
from clients.models_green import Certificate, GreenShare
from clients.models_statements import LineDetail, StatementDay, StatementFile
from clients.times import Number, Timely
from clients.twin import both, both_iter, both_list


class Position(NamedTuple):
    """What is still to be received and delivered in one instrument, in cards, and what it cost or brings, in yuan."""

    instrument: str
    period_start: datetime
    bought: Decimal
    sold: Decimal
    paid: Decimal
    earned: Decimal


class Own:
    """One's own delivery and money. `participant` is needed only with a key of the operator."""

    _core: Core

    @both_list
    async def leases(self, *, status: str | None = None, participant: str | None = None) -> AsyncGenerator[Lease]:
        """What was bought, purchase by purchase, newest first; status open or ended."""
        async for row in self._core.pages("leases", Lease, {"status": status, "participant": participant}):
            yield row

    @both_list
    async def obligations(
        self, *, status: str | None = None, side: str | None = None, from_time: Timely | None = None,
        to_time: Timely | None = None, participant: str | None = None,
    ) -> AsyncGenerator[Obligation]:  # fmt: skip
        """What is delivered hour by hour, newest first; status open, delivered, short, void or made_up; side buy or sell."""
        given = {
            "status": status, "side": side, "from_time": from_time, "to_time": to_time, "participant": participant,
        }  # fmt: skip
        async for row in self._core.pages("obligations", Obligation, given):
            yield row

    @both
    async def positions(self, *, participant: str | None = None) -> tuple[Position, ...]:
        """All that is still to be received and delivered, by period and instrument."""
        found: dict[str, Position] = {}
        for side in ("buy", "sell"):
            given = {"status": "open", "side": side, "participant": participant}
            async for row in self._core.pages("obligations", Obligation, given):
                zero = Decimal(0)
                known = found.get(row.instrument) or Position(row.instrument, row.period_start, zero, zero, zero, zero)
                if side == "buy":
                    known = known._replace(bought=known.bought + row.cards, paid=known.paid + row.cost)
                else:
                    known = known._replace(sold=known.sold + row.cards, earned=known.earned + row.cost)
                found[row.instrument] = known
        return tuple(sorted(found.values(), key=lambda each: (each.period_start, each.instrument)))

    # --- green power ---

    @both_list
    async def certificates(self, *, participant: str | None = None) -> AsyncGenerator[Certificate]:
        """Green power one holds for periods that are not over: issued = free + pledged + retired."""
        async for row in self._core.pages("certificates", Certificate, {"participant": participant}):
            yield row

    @both_list
    async def green_share(self, day: str | date, *, participant: str | None = None) -> AsyncGenerator[GreenShare]:
        """How green the settled deliveries of a day were, by region; with a key of the operator by buyer and region."""
        given = {"day": _day_text(day), "participant": participant}
        async for row in self._core.pages("green_share", GreenShare, given):
            yield row

    # --- money ---

    @both
    async def account(self, *, participant: str | None = None) -> Account:
        """The purses: free cash, held, in escrow, margin, bond."""
        return await self._core.ask("account", Account, {"participant": participant})

    @both
    async def holds(self, *, participant: str | None = None) -> Holds:
        """What is held, and for what; the amounts add up to `held`."""
        return await self._core.ask("holds", Holds, {"participant": participant})

    @both
    async def statement(self, day: str | date, *, participant: str | None = None) -> Statement:
        """One day: opening, every line, closing; `2026-11-24` or a date, of the venue's time zone."""
        return await self._core.ask("statement", Statement, {"day": _day_text(day), "participant": participant})

    @both_iter
    async def statements(
        self, first: str | date, last: str | date, *, participant: str | None = None
    ) -> AsyncGenerator[Statement]:
        """The statements of several days, in order."""
        day, end = date.fromisoformat(_day_text(first)), date.fromisoformat(_day_text(last))
        while day <= end:
            yield await self._core.ask("statement", Statement, {"day": day.isoformat(), "participant": participant})
            day += timedelta(days=1)

    @both_list
    async def statement_days(self, *, participant: str | None = None) -> AsyncGenerator[StatementDay]:
        """Days that are over, oldest first, with the hashes that chain them and when they were confirmed."""
        async for row in self._core.pages("statement_days", StatementDay, {"participant": participant}):
            yield row

    @both
    async def statement_line(self, day: str | date, line_id: str, *, participant: str | None = None) -> LineDetail:
        """One line of a day with the trade, the readings and the fix it comes from."""
        given = {"day": _day_text(day), "line_id": line_id, "participant": participant}
        return await self._core.ask("statement_line", LineDetail, given)

    @both
    async def statement_file(
        self, day: str | date, format: str, *, language: str = "en", tax: Number | None = None, participant: str | None = None
    ) -> StatementFile:
        """A day as a file: csv, parquet, html, pdf, xlsx, focus-csv, beancount, camt053, invoice, …; `content` has the bytes.

        language: en or zh, of html and pdf; tax: percent, of invoice lines.
        """
        given = {
            "day": _day_text(day), "format": format, "language": language, "tax": None if tax is None else str(tax),
            "participant": participant,
        }  # fmt: skip
        return await self._core.ask("statement_file", StatementFile, given)

    @both
    async def confirm_statement(self, day: str | date, hash: str, *, participant: str | None = None) -> StatementDay:
        """Agrees with a day that is over, named by the hash of its statement; again changes nothing."""
        given = {"day": _day_text(day), "hash": hash, "participant": participant}
        return await self._core.ask("confirm_statement", StatementDay, given)

    @both
    async def post_bond(
        self, amount: Number, *, participant: str | None = None, idempotency_key: str | None = None
    ) -> Ack:
        """Free cash becomes standing security."""
        given = {"amount": amount, "participant": participant}
        return await self._core.do("post_bond", given, idempotency_key=idempotency_key)


def _day_text(day: str | date) -> str:
    if isinstance(day, datetime) or not isinstance(day, str | date):
        raise TypeError(f"{day!r} is no day; write '2026-11-24' or a date")
    return day if isinstance(day, str) else day.isoformat()
