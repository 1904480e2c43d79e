"""Balances, holds, capacity and positions of the reference engine.

Rules kept here: HM2 (a buy's hold covers price and fee, a trade moves them from HELD to ESCROW, the rest is freed),
RT1 (open + sold never above attested). Money only moves; it is never made. The five purses of an account together
never exceed MAX_MONEY_MICRO, so no move inside an account can overflow.
"""

from collections.abc import Iterator

from ..enums import Bucket, DenyReason, MassFilter
from ..limits import MAX_MONEY_MICRO, OUTSIDE_ACCOUNT
from .state import Account, Capacity, LiveOrder, Position, add_capped, fee_micro


class Ledger:
    """Everything that the core knows about accounts."""

    def __init__(self) -> None:
        self.accounts: dict[int, Account] = {OUTSIDE_ACCOUNT: Account(firm=0)}
        self.capacities: dict[tuple[int, int], Capacity] = {}  # (account, group)
        self.positions: dict[tuple[int, int], Position] = {}  # (account, book)
        self.killed: set[tuple[int, int]] = set()  # X3: (MassFilter.ACCOUNT, account) and (MassFilter.FIRM, firm)

    def may_trade(self, account: int) -> bool:
        """Whether this account is open and may place orders; the world outside may not."""
        return account != OUTSIDE_ACCOUNT and account in self.accounts

    def is_blocked(self, account: int) -> bool:
        """X3: whether the account or its firm has been killed and not lifted."""
        if not self.killed:
            return False
        entry = self.accounts.get(account)
        is_firm_killed = entry is not None and (int(MassFilter.FIRM), entry.firm) in self.killed
        return is_firm_killed or (int(MassFilter.ACCOUNT), account) in self.killed

    # --- money ---

    def resize_hold(self, account: int, change_micro: int) -> None:
        """Move change_micro from CASH to HELD for open orders; a negative change frees."""
        entry = self.accounts[account]
        entry.purses[Bucket.CASH] -= change_micro
        entry.purses[Bucket.HELD] += change_micro
        entry.order_holds += change_micro

    def free_held(self, account: int) -> int:
        """What HELD has above the holds of open orders: the venue's own holds for waiting tasks."""
        entry = self.accounts[account]
        return entry.purses[Bucket.HELD] - entry.order_holds

    def post(self, buy: LiveOrder, cost_micro: int) -> int:
        """Pay cost and fee of one fill from HELD into ESCROW; returns the fee. The split into fills does not matter."""
        paid_before = fee_micro(buy.fee_ppm, buy.done_micro)
        buy.done_micro += cost_micro
        fee = fee_micro(buy.fee_ppm, buy.done_micro) - paid_before
        purses = self.accounts[buy.account].purses
        purses[Bucket.HELD] -= cost_micro + fee
        purses[Bucket.ESCROW] += cost_micro + fee
        return fee

    def why_transfer_denied(self, source: int, source_purse: int, to: int, to_purse: int, amount: int) -> int:
        """0 if the amount may move; else a DenyReason. Only OUTSIDE's CASH may go below zero."""
        is_outside_cash = source == OUTSIDE_ACCOUNT and source_purse == Bucket.CASH
        available = self.accounts[source].purses[source_purse]
        if source_purse == Bucket.HELD:
            available = self.free_held(source)  # holds of open orders are not the venue's to move
        if available < amount and not is_outside_cash:
            return DenyReason.INSUFFICIENT_FUNDS
        if available - amount < -MAX_MONEY_MICRO:
            return DenyReason.BALANCE_OVERFLOW
        target = self.accounts[to].purses
        if to == OUTSIDE_ACCOUNT:
            too_much = target[to_purse] + amount > MAX_MONEY_MICRO
        else:
            too_much = to != source and sum(target) + amount > MAX_MONEY_MICRO
        return DenyReason.BALANCE_OVERFLOW if too_much else 0

    # --- capacity and positions ---

    def capacity(self, account: int, group: int) -> Capacity:
        """The capacity record; an empty one if nothing was attested."""
        return self.capacities.get((account, group)) or Capacity()

    def has_room(self, account: int, group: int, more_lots: int) -> bool:
        """RT1: whether more_lots can be offered on top of what is open and sold."""
        record = self.capacity(account, group)
        return record.open + record.sold + more_lots <= record.attested

    def resize_open(self, account: int, group: int, change_lots: int) -> None:
        """Count live sells up or down; books without a group are not counted."""
        if group:
            self.capacities[account, group].open += change_lots

    def position(self, account: int, book: int) -> Position:
        """The position record of (account, book), made on first use."""
        return self.positions.setdefault((account, book), Position())

    def asks(self, account: int, book: int) -> list[LiveOrder]:
        """The live sells of one account in one book, best price first, then first come."""
        position = self.positions.get((account, book))
        return sorted(position.asks, key=lambda ask: (ask.price, ask.stamp)) if position else []

    def count_trade(self, buyer: int, seller: int, book: int, group: int, lots: int) -> None:
        """Both positions grow; the seller's open lots become sold ones."""
        bought = self.position(buyer, book)
        bought.bought = add_capped(bought.bought, lots)
        sold = self.position(seller, book)
        sold.sold = add_capped(sold.sold, lots)
        if group:
            record = self.capacities[seller, group]
            record.open -= lots
            record.sold += lots

    def drop_book(self, book: int) -> None:
        """Forget the positions of a closed book."""
        self.positions = {key: record for key, record in self.positions.items() if key[1] != book}

    def drop_group(self, group: int) -> None:
        """Forget the capacity of a group whose last book closed."""
        self.capacities = {key: record for key, record in self.capacities.items() if key[1] != group}

    # --- the canonical rows of a snapshot ---

    def capacity_rows(self) -> Iterator[tuple[int, int, int, int]]:
        """(account, group, attested, sold) in order, without empty records."""
        for key, record in sorted(self.capacities.items()):
            if record.attested or record.sold:
                yield (*key, record.attested, record.sold)

    def position_rows(self) -> Iterator[tuple[int, int, int, int]]:
        """(account, book, bought, sold) in order, without empty records."""
        for key, record in sorted(self.positions.items(), key=lambda item: item[0]):
            if record.bought or record.sold:
                yield (*key, record.bought, record.sold)
