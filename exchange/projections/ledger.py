"""The money of the venue rebuilt from `Moved` alone: purses, day closings, statement lines and net entries per command.

Rules kept here: the sum over everything is 0 and only `outside` may be below 0 (asserted at the end of every day); what
is kept per event are a few integers in flat arrays, so that a run of a million moves stays small.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from exchange.domain.events import MadeUp, Moved, Settled, Traded
from exchange.domain.events_settlement import BoughtIn, BuyInEnded, BuyInWaits, TradeAdjusted, TradeBusted
from exchange.projections.calendar import Calendar

BUCKETS = ("cash", "held", "escrow", "margin", "bond")
BUCKET_NUMBERS = {name: number for number, name in enumerate(BUCKETS)}
Purses = tuple[int, int, int, int, int]
EMPTY: Purses = (0, 0, 0, 0, 0)

# The beancount view of the five purses: what is free to use or only set aside, what is escrowed, what is security.
GROUPS = ("Free", "Escrow", "Security")
GROUP_OF_BUCKET = (0, 0, 1, 2, 2)

# What names an obligation, for the entry of its command.
_OF_OBLIGATIONS = frozenset((Traded, Settled, MadeUp, BoughtIn, BuyInEnded, BuyInWaits, TradeAdjusted, TradeBusted))

# Lines even where payer and payee are the same account (a bid that met the own ask, a share of one's own hours).
PAID_KINDS = frozenset(("payout", "share", "exchange_fee", "standby_fee", "moving_share", "moving_paid", "damages"))
OBLIGATION_KINDS = PAID_KINDS | {"refund", "buy_in", "buy_in_margin", "buy_in_back"}


class Line(NamedTuple):
    """A move between accounts (numbers of `Ledger.accounts`); obligation 0 and reference "" where there is none."""

    entry: int
    source: int
    target: int
    amount_micro: int
    obligation: int
    kind: str
    reference: str


class Entry(NamedTuple):
    """What one command did to the groups of purses: (account, group, net amount), zero ones left out."""

    seq: int
    time_ns: int
    command: Any
    obligations: str  # numbers of the obligations that it made or settled, separated by blanks
    postings: list[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class DayClose:
    """A venue day with activity: what every account that was touched had at its end, and its range of lines."""

    day: date
    closing: dict[int, Purses]
    first_line: int
    end_line: int


class Ledger:
    """Balances, lines and entries; `check` asserts the sum."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self.accounts: list[str] = []
        self._numbers: dict[str, int] = {}
        self._purses: list[list[int]] = []
        self._closed: list[DayClose] = []
        self._day: date | None = None
        self._day_end_ns = self._day_first_line = 0
        self._touched: set[int] = set()
        # lines, one item each
        self._line_entry, self._line_amount, self._line_obligation = array("q"), array("q"), array("q")
        self._line_source, self._line_target = array("i"), array("i")
        self._line_kind: list[str] = []
        self._line_reference: dict[int, str] = {}
        # entries, one item each; postings of entry i are from start[i] on
        self._entry_seq, self._entry_time, self._entry_start = array("q"), array("q"), array("q")
        self._entry_command: list[Any] = []
        self._entry_obligations: list[str] = []
        self._posting_group, self._posting_amount = array("i"), array("q")

    # --- what comes in ---

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Books every move of a command; O(moves)."""
        net: dict[int, int] = {}
        obligations: list[int] = []
        n_lines = len(self._line_kind)
        for event in events:
            kind = type(event)
            if kind is Moved:
                if ts_ns >= self._day_end_ns:
                    self._begin_day(ts_ns)
                self._book(event, net)
            elif kind in _OF_OBLIGATIONS:
                obligations.append(event.obligation_id)
        if len(self._line_kind) > n_lines or any(net.values()):
            self._add_entry(seq, ts_ns, command, obligations, net)

    def _book(self, move: Moved, net: dict[int, int]) -> None:
        numbers = self._numbers
        source = numbers.get(move.from_account)
        if source is None:
            source = self._open(move.from_account)
        target = numbers.get(move.to_account)
        if target is None:
            target = self._open(move.to_account)
        from_bucket, to_bucket = BUCKET_NUMBERS[move.from_bucket], BUCKET_NUMBERS[move.to_bucket]
        amount = move.amount_micro
        self._purses[source][from_bucket] -= amount
        self._purses[target][to_bucket] += amount
        self._touched.add(source)
        self._touched.add(target)
        if source != target or move.kind in PAID_KINDS:
            self._add_line(source, target, move)
        from_group, to_group = (
            3 * source + GROUP_OF_BUCKET[from_bucket],
            3 * target + GROUP_OF_BUCKET[to_bucket],
        )
        if from_group != to_group:
            net[from_group] = net.get(from_group, 0) - amount
            net[to_group] = net.get(to_group, 0) + amount

    def _open(self, name: str) -> int:
        number = self._numbers[name] = len(self.accounts)
        self.accounts.append(name)
        self._purses.append([0, 0, 0, 0, 0])
        return number

    def _add_line(self, source: int, target: int, move: Moved) -> None:
        obligation, kind, reference = 0, move.kind, move.reference
        # Only the venue writes references of these kinds; a depositor may write what he likes into his.
        if kind in OBLIGATION_KINDS and reference.startswith("obligation:"):
            obligation = int(reference[11:])
        elif reference:
            self._line_reference[len(self._line_kind)] = reference
        self._line_entry.append(len(self._entry_seq))
        self._line_source.append(source)
        self._line_target.append(target)
        self._line_amount.append(move.amount_micro)
        self._line_obligation.append(obligation)
        self._line_kind.append(kind)

    def _add_entry(
        self, seq: int, ts_ns: int, command: Any, obligations: list[int], net: dict[int, int]
    ) -> None:
        self._entry_seq.append(seq)
        self._entry_time.append(ts_ns)
        self._entry_command.append(command)
        self._entry_obligations.append(" ".join(map(str, obligations)))
        self._entry_start.append(len(self._posting_group))
        for group in sorted(net):
            if net[group]:
                self._posting_group.append(group)
                self._posting_amount.append(net[group])

    def _begin_day(self, ts_ns: int) -> None:
        self.check()
        open_day = self._open_day()
        if open_day is not None:
            self._closed.append(open_day)
        self._touched.clear()
        self._day, self._day_end_ns = self._calendar.day(ts_ns), self._calendar.day_end_ns(ts_ns)
        self._day_first_line = len(self._line_kind)

    def _open_day(self) -> DayClose | None:
        if self._day is None:
            return None
        closing = {number: self._tuple(number) for number in sorted(self._touched)}
        return DayClose(self._day, closing, self._day_first_line, len(self._line_kind))

    # --- what can be asked ---

    def _tuple(self, number: int) -> Purses:
        cash, held, escrow, margin, bond = self._purses[number]
        return cash, held, escrow, margin, bond

    def balance(self, name: str) -> Purses:
        """(cash, held, escrow, margin, bond) of an account; zeros for one that no money has touched."""
        number = self._numbers.get(name)
        return EMPTY if number is None else self._tuple(number)

    def check(self) -> None:
        """AssertionError where money was made or lost, or a purse other than outside's is below 0. O(accounts)."""
        total = 0
        for name, purses in zip(self.accounts, self._purses, strict=True):
            total += sum(purses)
            assert name == "outside" or min(purses) >= 0, ("ledger", name, purses)
        assert total == 0, ("ledger", total)

    def days(self) -> list[DayClose]:
        """Every day with activity in order of time, the last one as it stands."""
        open_day = self._open_day()
        return [*self._closed, open_day] if open_day is not None else []

    @property
    def n_lines(self) -> int:
        """Lines so far."""
        return len(self._line_kind)

    def line(self, index: int) -> Line:
        """One line, 0 ... n_lines - 1, in order of events."""
        return Line(
            self._line_entry[index], self._line_source[index], self._line_target[index], self._line_amount[index],
            self._line_obligation[index], self._line_kind[index], self._line_reference.get(index, ""),
        )  # fmt: skip

    def moment(self, line: Line) -> tuple[int, int]:
        """(seq, time_ns) of a line."""
        return self._entry_seq[line.entry], self._entry_time[line.entry]

    def entries(self) -> Iterator[Entry]:
        """Every command that moved money between groups of purses, in order."""
        ends = [*self._entry_start[1:], len(self._posting_group)]
        for index, end in enumerate(ends[: len(self._entry_seq)]):
            span = range(self._entry_start[index], end)
            postings = [
                (*divmod(self._posting_group[place], 3), self._posting_amount[place]) for place in span
            ]
            yield Entry(
                self._entry_seq[index], self._entry_time[index], self._entry_command[index],
                self._entry_obligations[index], postings,
            )  # fmt: skip

    def differences(self, venue_balances: dict[str, tuple[int, ...]]) -> list[str]:
        """Accounts for which the venue's own balances say something else; [] is as it should be."""
        names = sorted({*self.accounts, *venue_balances})
        pairs = [(name, self.balance(name), tuple(venue_balances.get(name, EMPTY))) for name in names]
        return [
            f"{name}: the events say {ours}, the venue {theirs}"
            for name, ours, theirs in pairs
            if ours != theirs
        ]
