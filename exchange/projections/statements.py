"""Statements: per account and venue day, opening + lines = closing; and the parts of every delivered price (CA3).

A line is a move between two accounts, seen from one of them; who trades with himself reads both sides. What only changes
its purse (holds, margins, a refund out of escrow) is no line: it shows in how the closing balance is split.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from exchange.domain.commands import SetTariff
from exchange.domain.events import Settled
from exchange.domain.state import SYSTEM_ACCOUNTS
from exchange.projections.deliveries import Deliveries
from exchange.projections.ledger import EMPTY, DayClose, Ledger, Line, Purses
from exchange.projections.tape import Tape, instrument_parts

PARTS = ("compute", "region", "green", "moving", "fee")  # of a delivered price
_PART_OF_KIND = {
    "payout": "compute",
    "exchange_fee": "fee",
    "standby_fee": "fee",
    "moving_paid": "moving",
    "moving_share": "moving",
}

BY_PROVIDER = frozenset(("damages", "buy_in_margin"))  # kinds of move; the rest the buyer pays

# kind -> (as the payer reads it, as the payee reads it)
_WORDS = {
    "deposit": ("deposit by a participant", "deposit"),
    "withdrawal": ("withdrawal", "withdrawal by a participant"),
    "payout": ("compute, to the host", "compute delivered, net of shares"),
    "region": ("region share", "region share received"),
    "green": ("green share", "green share received"),
    "exchange_fee": ("exchange fee", "exchange fee received"),
    "standby_fee": ("emergency fee, to the standby seller", "half of the emergency fee (standby)"),
    "moving_paid": ("moving data, to the network", "moving data, received"),
    "moving_share": ("moving data, share", "moving data, share received"),
    "damages": ("damages paid", "damages received"),
    "buy_in_margin": ("security for a buy-in of the failed hour", "security of the failed seller, for a buy-in"),
    "buy_in_back": ("security that the buy-in did not need, given back", "security that the buy-in did not need, back"),
}


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line; amount_micro is positive for what came in. The buyer sees his task, the seller his offer.

    `lots` and `price_micro` belong to the obligation: the lots that were paid for, on damages those that were lost.
    """

    seq: int
    time_ns: int
    what: str
    counterparty: str
    obligation: int  # 0 = none
    reference: str
    instrument: str
    amount_micro: int
    lots: int = 0
    price_micro: int = 0  # 0 = no obligation


@dataclass(frozen=True, slots=True)
class Statement:
    """One account's day; opening and closing by purse."""

    account: str
    day: date
    opening: Purses
    closing: Purses
    lines: tuple[StatementLine, ...]

    @property
    def is_system(self) -> bool:
        """Whether it is no participant's (outside, exchange, network, fund)."""
        return self.account in SYSTEM_ACCOUNTS

    @property
    def opening_micro(self) -> int:
        """All purses at the day's start."""
        return sum(self.opening)

    @property
    def lines_micro(self) -> int:
        """Sum of the lines."""
        return sum(line.amount_micro for line in self.lines)

    @property
    def closing_micro(self) -> int:
        """All purses at the day's end."""
        return sum(self.closing)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a buyer paid on one obligation, by recipient; the parts add up to the delivered price (CA3)."""

    compute: int = 0
    region: int = 0
    green: int = 0
    moving: int = 0
    fee: int = 0

    @property
    def total(self) -> int:
        """The delivered price, fee included, micro-yuan."""
        return self.compute + self.region + self.green + self.moving + self.fee


def statements(ledger: Ledger, tape: Tape, deliveries: Deliveries) -> Iterator[Statement]:
    """Every account with activity on every day, days in order, accounts in the order in which money first reached them.

    AssertionError where opening + lines is not the closing. O(moves).
    """
    last: dict[int, Purses] = {}
    settled = {item.obligation_id: item for item in deliveries.settled}
    for close in ledger.days():
        lines = _lines_of_day(ledger, tape, settled, close)
        for number, closing in close.closing.items():
            opening = last.get(number, EMPTY)
            statement = Statement(
                ledger.accounts[number], close.day, opening, closing, tuple(lines.get(number, ()))
            )
            assert statement.opening_micro + statement.lines_micro == statement.closing_micro, statement
            last[number] = closing
            yield statement


def _lines_of_day(
    ledger: Ledger, tape: Tape, settled: dict[int, Settled], close: DayClose
) -> dict[int, list[StatementLine]]:
    found: dict[int, list[StatementLine]] = {}
    for index in range(close.first_line, close.end_line):
        line = ledger.line(index)
        item = settled.get(line.obligation)
        for side, account in enumerate((line.source, line.target)):
            found.setdefault(account, []).append(_seen_from(ledger, tape, line, side, item))
    return found


def _seen_from(ledger: Ledger, tape: Tape, line: Line, side: int, item: Settled | None) -> StatementLine:
    """A line as its payer (side 0) or payee (side 1) reads it."""
    own, other = (line.source, line.target) if side == 0 else (line.target, line.source)
    reference, instrument, price_micro = line.reference, "", 0
    trade = tape.by_obligation.get(line.obligation)
    if trade is not None:
        fact = trade.fact
        instrument, price_micro = tape.instrument(line.obligation), tape.price_micro(line.obligation)
        names = {fact.seller: f"offer {fact.offer_id}", fact.buyer: f"task {fact.task}"}
        is_provider_s_side = side == (0 if line.kind in BY_PROVIDER else 1)
        if fact.seller == fact.buyer and is_provider_s_side:
            names[fact.seller] = f"offer {fact.offer_id}"
        reference = names.get(ledger.accounts[own], "")
    seq, time_ns = ledger.moment(line)
    words = words_of(_word_key(ledger, tape, line))
    amount = line.amount_micro if side else -line.amount_micro
    return StatementLine(
        seq, time_ns, words[side], ledger.accounts[other], line.obligation, reference, instrument, amount,
        _lots(line, item), price_micro,
    )  # fmt: skip


def _lots(line: Line, item: Settled | None) -> int:
    """What a line is about: lost lots for damages, those that failed for a buy-in, else those that were paid for."""
    if item is None:
        return 0
    if line.kind.startswith("buy_in"):
        return item.lots
    return item.lost_lots if line.kind == "damages" else item.lots - item.lost_lots - item.made_up_lots


def _word_key(ledger: Ledger, tape: Tape, line: Line) -> str:
    return _share_part(ledger, tape, line) if line.kind == "share" else line.kind


def _share_part(ledger: Ledger, tape: Tape, line: Line) -> str:
    """Whether a share of the compute price is the region's or the green one, by the tariff stamped on the trade."""
    trade = tape.by_obligation.get(line.obligation)
    tariff = tape.tariffs.get(trade.fact.tariff_version) if trade else None
    if trade is None or tariff is None:
        return "region"
    return share_part(tariff, trade.fact.instrument, ledger.accounts[line.target])


def share_part(tariff: SetTariff, instrument: str, recipient: str) -> str:
    """Whether what a recipient gets of the compute price of an instrument is the region's share or the green one."""
    host = instrument_parts(instrument).region
    bases = {share.base for share in tariff.shares if share.recipient.replace("{host}", host) == recipient}
    return "green" if "green" in bases and "compute" not in bases else "region"


def words_of(kind: str) -> tuple[str, str]:
    """A kind of move (of a share: its part) as the payer and as the payee reads it."""
    return _WORDS.get(kind, (kind, kind))


def delivered_prices(ledger: Ledger, tape: Tape) -> dict[int, Delivered]:
    """Obligation -> what was paid on it so far, by recipient. O(lines)."""
    sums: dict[int, dict[str, int]] = {}
    for index in range(ledger.n_lines):
        line = ledger.line(index)
        part = _share_part(ledger, tape, line) if line.kind == "share" else _PART_OF_KIND.get(line.kind)
        if line.obligation and part:
            parts = sums.setdefault(line.obligation, dict.fromkeys(PARTS, 0))
            parts[part] += line.amount_micro
    return {obligation: Delivered(**parts) for obligation, parts in sums.items()}
