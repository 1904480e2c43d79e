"""Every statement of a venue out of its database, in one pass: the files that a run's exporters write, byte for byte.

The exporters have all of a run in memory; here rows come in the order of their numbers and lines go to their files as they
come, so that a day of any size needs what its open accounts need and no more.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from exchange.adapters.exporters.csv_files import INDEX, LINES, PURSE_WORDS, FileNames, listed_statements
from exchange.adapters.exporters.writing import text_cell, whole_file, write_rows, yuan_cell
from exchange.adapters.statement_rows import lots_of
from exchange.adapters.tables import TABLES
from exchange.domain.commands import SetTariff
from exchange.domain.state import SYSTEM_ACCOUNTS
from exchange.engine.collecting import uncollected
from exchange.projections.calendar import Calendar
from exchange.projections.ledger import BUCKETS, OBLIGATION_KINDS, PAID_KINDS
from exchange.projections.statements import BY_PROVIDER, share_part, words_of

BUFFERED_LINES = 20_000  # taken before some go to their files
BODY_LINES = 500  # of an account, kept in memory
FETCHED_ROWS = 10_000  # at a time
_AT_ONCE = 500  # ids in one question
_REFERENCE = "obligation:"
_USUAL = OBLIGATION_KINDS - {"damages", "buy_in", "buy_in_margin", "buy_in_back"}


def write_statements(
    connection: Connection, calendar: Calendar, tariffs: Mapping[int, SetTariff], folder: Path
) -> int:
    """A file per participant and day with activity, and index.csv over all accounts; how many lines they have.

    As `exporters.csv_files.write_statements`; the calendar has the venue's settings, tariffs are by version.
    """
    stale, days = listed_statements(folder), _Days(calendar, tariffs, folder)
    with uncollected(), connection.engine.connect() as beside:  # while the moves are being read
        for moves in _moves(connection):
            days.take(moves, _dues(beside, moves))
    days.close()
    for path in sorted(stale.difference(days.files)):
        path.unlink(missing_ok=True)
    write_rows(folder / "index.csv", days.index)
    return days.n_lines


def _moves(connection: Connection) -> Iterator[Sequence[Any]]:
    """Every move in order, many at a time."""
    move = TABLES["transfers"].c
    asked = select(
        move.ts_ns, move.from_account, move.from_bucket, move.to_account, move.to_bucket, move.amount_micro, move.kind,
        move.reference,
    ).order_by(move.seq, move.place)  # fmt: skip
    yield from connection.execution_options(yield_per=FETCHED_ROWS).execute(asked).partitions()


def _dues(connection: Connection, moves: Sequence[Any]) -> dict[str, Any]:
    """What is known of the obligations that moves settle, by reference."""
    due, found = TABLES["obligations"].c, {}
    wanted = sorted({int(row[7][len(_REFERENCE) :]) for row in moves if row[6] in OBLIGATION_KINDS and _REFERENCE in row[7]})
    asked = select(
        due.obligation_id, due.buyer, due.seller, due.task, due.offer_id, due.instrument, due.price_micro, due.tariff_version,
        due.status, due.lots, due.lost_lots, due.made_up_lots,
    )  # fmt: skip
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        for row in connection.execute(asked.where(due.obligation_id.in_(some))):
            found[f"{_REFERENCE}{row[0]}"] = row
    return found


class _Account:
    """What is known of one account; lines of the day at hand go to `body` when there are many."""

    __slots__ = ("body", "is_system", "is_touched", "lines", "lines_micro", "n_lines", "name", "opening", "purses", "quoted")

    def __init__(self, name: str) -> None:
        self.name, self.quoted, self.is_system = name, _quoted(name), name in SYSTEM_ACCOUNTS
        self.purses = dict.fromkeys(BUCKETS, 0)
        self.begin_day()

    def begin_day(self) -> None:
        self.opening, self.lines_micro, self.n_lines, self.is_touched = sum(self.purses.values()), 0, 0, False
        self.lines: list[str] = []
        self.body: Path | None = None


class _Known(NamedTuple):
    """What the lines of one obligation have in common."""

    due: Any
    buyer: str
    seller: str
    number: str
    task: str  # as its buyer knows it
    offer: str  # as its seller knows it
    instrument: str
    buyer_end: str  # what follows the other party's name where he pays for what was delivered, as he reads it
    seller_end: str
    other_end: str


class _Days:
    """Takes the moves in order; writes the files of a day when the first move of the next one comes."""

    def __init__(self, calendar: Calendar, tariffs: Mapping[int, SetTariff], folder: Path) -> None:
        self.index: list[list[str]] = [INDEX]
        self.files: set[Path] = set()
        self.n_lines = 0
        self._calendar, self._tariffs, self._folder = calendar, tariffs, folder
        self._names = FileNames()
        self._accounts: dict[str, _Account] = {}  # in the order in which money first reached them
        self._day, self._end_ns = date.min, 0
        self._measured = lru_cache(1 << 12)(self._measures)
        self._share_words = lru_cache(1 << 12)(self._words_of_share)

    def take(self, moves: Sequence[Any], dues: Mapping[str, Any]) -> None:
        """The next moves, and what is known of the obligations that they settle."""
        accounts, time, last_ns, n_kept = self._accounts, "", -1, 0
        known: dict[str, _Known] = {}
        for ts_ns, source, from_bucket, target, to_bucket, amount, kind, reference in moves:
            if ts_ns != last_ns:
                if ts_ns >= self._end_ns:
                    self.close()
                    self._day, self._end_ns = self._calendar.day(ts_ns), self._calendar.day_end_ns(ts_ns)
                time, last_ns = self._calendar.text(ts_ns), ts_ns
            payer, payee = accounts.get(source) or self._open(source), accounts.get(target) or self._open(target)
            payer.is_touched = payee.is_touched = True
            payer.purses[from_bucket] -= amount
            payee.purses[to_bucket] += amount
            if payer is payee and kind not in PAID_KINDS:
                continue
            text = yuan_cell(amount)
            due = dues.get(reference) if kind in OBLIGATION_KINDS else None
            if due is None:
                (out, into), name = _words(kind), _quoted(reference)
                out_end = into_end = f",,{name},,,,,"
            else:
                item = known.get(reference)
                if item is None:
                    item = known[reference] = self._known_of(due)
                out, into = self._share_words(due[7], due[5], target) if kind == "share" else _words(kind)
                if kind in _USUAL and source == item.buyer:
                    out_end = item.buyer_end
                    if target == item.seller:
                        into_end = item.seller_end
                    else:
                        into_end = out_end if target == source else item.other_end
                else:
                    out_end, into_end = self._ends(item, kind, source, target)
            payer.lines.append(f"{time},{out},{payee.quoted}{out_end}-{text}\n")
            payer.lines_micro -= amount
            payer.n_lines += 1
            payee.lines.append(f"{time},{into},{payer.quoted}{into_end}{text}\n")
            payee.lines_micro += amount
            payee.n_lines += 1
            n_kept += 2
            if n_kept >= BUFFERED_LINES:
                self.empty()
                n_kept = 0
        self.empty()

    def _open(self, name: str) -> _Account:
        account = self._accounts[name] = _Account(name)
        return account

    def _known_of(self, due: Any) -> _Known:
        number, buyer, seller, task, offer, instrument, price, _, status, lots, lost, made_up = due
        about = self._measured(lots_of("payout", status, lots, lost, made_up), price)
        names = _quoted(f"task {task}"), _quoted(f"offer {offer}"), ""
        end = f",{_quoted(instrument)},{about},"
        ends = [f",{number},{name}{end}" for name in names]
        return _Known(due, buyer, seller, str(number), names[0], names[1], _quoted(instrument), *ends)

    def _ends(self, item: _Known, kind: str, source: str, target: str) -> tuple[str, str]:
        """What follows the other party's name in the line of an obligation, as payer and as payee read it."""
        _, buyer, seller, _, _, _, price, _, status, lots, lost, made_up = item.due
        about = self._measured(lots_of(kind, status, lots, lost, made_up), price)
        end, is_provider_paying = f",{item.instrument},{about},", kind in BY_PROVIDER
        names = []
        for own, is_provider_s_side in ((source, is_provider_paying), (target, not is_provider_paying)):
            if own == buyer and not (own == seller and is_provider_s_side):
                names.append(item.task)
            else:
                names.append(item.offer if own == seller else "")
        return f",{item.number},{names[0]}{end}", f",{item.number},{names[1]}{end}"

    def _words_of_share(self, tariff: int, instrument: str, target: str) -> tuple[str, str]:
        known = self._tariffs.get(tariff)
        return _words("region" if known is None else share_part(known, instrument, target))

    def _measures(self, lots: int, price_micro: int) -> str:
        """Cards, card-hours and price of an obligation's line."""
        if not price_micro:
            return ",,"
        return f"{self._calendar.cards_text(lots)},{self._calendar.card_hours_text(lots)},{yuan_cell(price_micro)}"

    def empty(self) -> None:
        """Lines that are kept go to files beside the ones that they will be part of, where there are many."""
        for account in self._accounts.values():
            if account.is_system:
                account.lines.clear()
            elif len(account.lines) >= BODY_LINES:
                is_first = account.body is None  # what a killed run has left there is not ours
                account.body = account.body or self._path(account.name).with_suffix(".lines.tmp")
                account.body.parent.mkdir(parents=True, exist_ok=True)
                with account.body.open("w" if is_first else "a", **_AS_TEXT) as file:
                    file.writelines(account.lines)
                account.lines.clear()

    def _path(self, account: str) -> Path:
        return self._folder / self._day.isoformat() / f"{self._names.of(account)}.csv"

    def close(self) -> None:
        """Writes the day at hand."""
        day = self._day.isoformat()
        for name, account in self._accounts.items():
            if not account.is_touched:
                continue
            purses = tuple(account.purses.values())
            assert account.opening + account.lines_micro == sum(purses), (day, name)
            path = None if account.is_system else self._path(name)
            if path is not None:
                self._write(path, account)
                self.files.add(path)
            amounts = (account.opening, account.lines_micro, sum(purses), *purses)
            self.index.append([
                day, text_cell(name), "participant" if path else name, *map(yuan_cell, amounts), str(account.n_lines),
                f"{day}/{path.name}" if path else "",
            ])  # fmt: skip
            self.n_lines += account.n_lines
            account.begin_day()

    def _write(self, path: Path, account: _Account) -> None:
        with whole_file(path) as file:
            csv.writer(file, lineterminator="\n").writerows(self._head(account))
            if account.body is not None:
                with account.body.open(**_AS_TEXT) as body:
                    shutil.copyfileobj(body, file, 1 << 20)
                account.body.unlink()
            file.writelines(account.lines)

    def _head(self, account: _Account) -> Iterator[list[object]]:
        settings = self._calendar.settings
        yield ["statement of", text_cell(account.name)]
        yield ["venue", text_cell(settings.name)]
        yield ["day", self._day.isoformat(), settings.time_zone]
        yield ["opening balance", yuan_cell(account.opening), "yuan"]
        yield ["sum of the lines", yuan_cell(account.lines_micro), "yuan"]
        yield ["closing balance", yuan_cell(sum(account.purses.values())), "yuan"]
        for words, amount in zip(PURSE_WORDS, account.purses.values(), strict=True):
            yield [f"of which {words}", yuan_cell(amount), "yuan"]
        yield ["number of lines", account.n_lines]
        yield []
        yield list(LINES)


_AS_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}


@lru_cache(1 << 14)
def _quoted(text: str) -> str:
    """A text as a cell between two commas."""
    made = io.StringIO(newline="")
    csv.writer(made, lineterminator="\n").writerow(("", text_cell(text)))
    return made.getvalue()[1:-1]


@lru_cache(64)
def _words(kind: str) -> tuple[str, str]:
    paid, got = words_of(kind)
    return _quoted(paid), _quoted(got)
