"""ledger.beancount: the venue's books as double entry that `bean-check` accepts, or says where they do not hold.

Signs are the exchange's: money at the bank is an asset; what it keeps for participants, the network operator and the
default fund is a liability; its fees are income. So every amount is minus the venue's. One transaction per command,
net per account: holds and their release stay inside Free and do not show. Balances are asserted exactly (`~ 0`) at the
end of every day for what was touched, and at the end for every account, there from the venue's own balances.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Any, TextIO

from exchange.adapters.exporters.writing import whole_file
from exchange.domain.commands import SettlePeriod, SubmitTask
from exchange.domain.units import MICRO, format_scaled
from exchange.projections import Projections
from exchange.projections.ledger import EMPTY, GROUP_OF_BUCKET, GROUPS, DayClose, Entry

SYSTEM = {
    "outside": "Assets:Bank",
    "exchange": "Income:Fees",
    "network": "Liabilities:Network",
    "fund": "Liabilities:Fund",
}
_DAY = timedelta(days=1)
_KEPT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


def component(name: str) -> str:
    """A participant id as part of an account name; different ids give different parts.

    Letters and digits stay, `-` becomes `--`, any other byte `-` and two hexadecimal digits. A part must begin with a
    capital or digit: a small first letter is written large and `-lc` put behind; before anything else stands an X, and
    `-sy` behind.
    """
    parts = [
        c if c in _KEPT else "--" if c == "-" else "".join(f"-{b:02X}" for b in c.encode()) for c in name
    ]
    text = "".join(parts)
    if name[:1] in _KEPT:
        first = name[0]
        return first.upper() + text[1:] + "-lc" if first.islower() else text
    return f"X{text}-sy"


def account_name(name: str, group: int) -> str:
    """The beancount account of an account's group of purses; system accounts are one each."""
    return SYSTEM.get(name) or f"Liabilities:Participants:{component(name)}:{GROUPS[group]}"


def write_ledger(projections: Projections, path: Path, venue_balances: dict[str, tuple[int, ...]]) -> Path:
    """Writes the ledger; the path. O(entries + days x accounts touched)."""
    with whole_file(path) as file:
        _Writer(projections, venue_balances, file).write()
    return path


class _Writer:
    """One ledger on its way into one file."""

    def __init__(self, projections: Projections, balances: dict[str, tuple[int, ...]], file: TextIO) -> None:
        self._calendar, self._ledger = projections.calendar, projections.ledger
        self._balances, self._file = balances, file
        self._names = [
            tuple(account_name(name, group) for group in range(len(GROUPS))) for name in self._ledger.accounts
        ]

    def write(self) -> None:
        """Head, opened accounts, transactions day by day, assertions."""
        days = self._ledger.days()
        title = f"{self._calendar.settings.name}: ledger of the exchange"
        self._file.write(f'option "title" {_quoted(title)}\noption "operating_currency" "CNY"\n')
        if not days:
            return
        self._open_accounts(days[0].day)
        closed = 0
        for entry in self._ledger.entries():
            day = self._calendar.day(entry.time_ns)
            while days[closed].day < day:
                self._assert_day(days[closed])
                closed += 1
            self._transaction(day, entry)
        for close in days[closed:-1]:
            self._assert_day(close)
        self._assert_end(days[-1].day)

    def _open_accounts(self, day: date) -> None:
        write = self._file.write
        write("\n; account parts and the ids they stand for\n")
        for name in self._ledger.accounts:
            if name not in SYSTEM:
                write(f"; {component(name)} = {_quoted(name)}\n")
        write("\n")
        names = self._all_accounts()
        opened = dict.fromkeys(account_name(name, group) for name in names for group in range(len(GROUPS)))
        for account in opened:
            write(f"{day} open {account} CNY\n")

    def _transaction(self, day: date, entry: Entry) -> None:
        if not entry.postings:
            return
        command = entry.command
        lines = [
            f"\n{day} * {_quoted(type(command).__name__)} {_quoted(self._about(command))}\n  seq: {entry.seq}\n"
        ]
        if entry.obligations:
            lines.append(f'  obligations: "{entry.obligations}"\n')
        for number, group, amount in entry.postings:
            lines.append(f"  {self._names[number][group]}  {_yuan(-amount)} CNY\n")
        self._file.write("".join(lines))

    def _about(self, command: Any) -> str:
        """Who asked, and his own name for it."""
        if type(command) is SettlePeriod:
            return "period from " + self._calendar.text(command.period_start_ns)
        source = command.task if type(command) is SubmitTask else command
        names = ("participant", "client_order_id", "offer_id", "instrument", "reference")
        return " ".join(text for name in names if (text := getattr(source, name, "")))

    def _assert_day(self, close: DayClose) -> None:
        self._file.write("\n")
        for number, purses in close.closing.items():
            self._assert(close.day, self._ledger.accounts[number], purses)

    def _assert_end(self, day: date) -> None:
        self._file.write("\n; every account at the end, from the venue's own balances\n")
        for name in self._all_accounts():
            self._assert(day, name, self._balances.get(name, EMPTY))

    def _assert(self, day: date, name: str, purses: tuple[int, ...]) -> None:
        for account, amount in _grouped(name, purses).items():
            self._file.write(f"{day + _DAY} balance {account}  {_yuan(-amount)} ~ 0 CNY\n")

    def _all_accounts(self) -> list[str]:
        """Those that money has touched, and any other for which the venue claims some."""
        claimed = [name for name, purses in self._balances.items() if any(purses)]
        return list(dict.fromkeys([*self._ledger.accounts, *claimed]))


def _grouped(name: str, purses: tuple[int, ...]) -> dict[str, int]:
    """Beancount account -> amount, for the purses of one account."""
    sums: dict[str, int] = {}
    for bucket, amount in enumerate(purses):
        account = account_name(name, GROUP_OF_BUCKET[bucket])
        sums[account] = sums.get(account, 0) + amount
    return sums


def _yuan(micro: int) -> str:
    return format_scaled(micro, MICRO, 6)


def _quoted(text: str) -> str:
    """A beancount string; control characters become blanks."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'
