"""The rules as stories: every tests/scenarios/matching/*.txt runs on both engines, line by line.

A line is `command -> outcome, outcome`; the outcomes are all events of the command, in order. Names of orders and
accounts are given numbers in the order in which they appear. `key=value` sets a raw field. After every line the
invariants are checked, and that a refused command has left the state hash as it was (C8).
"""

import re
from pathlib import Path

import pytest

from matching_core.enums import (
    Bucket,
    CancelReason,
    DenyReason,
    EventFlag,
    ExpireReason,
    Kind,
    Op,
    RejectReason,
    Side,
    TimeInForce,
)

FOLDER = Path(__file__).parent.parent / "scenarios" / "matching"
SCENARIOS = sorted(FOLDER.glob("*.txt"))
SIDES = {"buy": Side.BUY, "sell": Side.SELL}


class Story:
    """One engine, and the numbers behind the names of a scenario."""

    def __init__(self, engine_class):
        self.engine_class = engine_class
        self.engine = None
        self.orders = {}
        self.accounts = {"outside": 0}

    def run(self, line):
        command, _, outcome = line.partition("->")
        words = command.split()
        if words[0] == "engine":
            flags = {word: True for word in words[1:] if "=" not in word}
            sizes = {key: int(value) for key, value in (word.split("=") for word in words[1:] if "=" in word)}
            self.engine = self.engine_class(**sizes, **flags)
            return
        before = self.engine.state_hash()
        said = getattr(self, f"do_{words[0]}")(words[1:])
        self.engine.check()
        assert said == outcome.strip(), f"{line}\n  said: {said}"
        if said.startswith(("rejected", "denied")):
            assert self.engine.state_hash() == before, f"C8: {line} has changed the state"

    # --- commands ---

    def submit(self, op, words, **fields):
        fields = {"book": 1} | fields
        words = list(words)
        while words:
            word = words.pop(0)
            if word == "by":
                fields["account"] = self.account(words.pop(0))
            elif word == "in":
                fields["book"] = int(words.pop(0))
            elif word == "gtd":
                fields |= {"tif": TimeInForce.GTD, "expiry_ns": int(words.pop(0))}
            elif word in ("ioc", "fok"):
                fields["tif"] = TimeInForce[word.upper()]
            else:
                key, value = word.split("=")
                fields[key] = int(value)
        return ", ".join(self.tell(event) for event in self.engine.submit(op, **fields)) or "nothing"

    def do_new(self, words):
        name, side, price, _, qty, *rest = words
        return self.submit(
            Op.NEW, rest, order_id=self.order(name), side=SIDES[side], price=int(price), qty=int(qty)
        )

    def do_cancel(self, words):
        return self.submit(Op.CANCEL, words[1:], order_id=self.order(words[0]))

    def do_reduce(self, words):
        name, _, qty, *rest = words
        return self.submit(Op.REDUCE, rest, order_id=self.order(name), qty=int(qty))

    def do_replace(self, words, op=Op.REPLACE):
        name, price, _, qty, *rest = words
        return self.submit(op, rest, order_id=self.order(name), price=int(price), qty=int(qty))

    def do_amend(self, words):
        return self.do_replace(words, Op.AMEND)

    def do_take(self, words):
        name, price, _, qty, _, site, *rest = words
        return self.submit(Op.TAKE, rest, order_id=self.order(name), price=int(price), qty=int(qty),
                           aux=self.account(site))  # fmt: skip

    def do_clock(self, words):
        return self.submit(Op.ADVANCE_TIME, [], aux=int(words[0]))

    def do_open(self, words):
        return self.submit(Op.OPEN_ACCOUNT, [], account=self.account(words[0]), book=int(words[2]))

    def do_pay(self, words):
        (source, purse), (target, to_purse) = words[0].split("."), words[1].split(".")
        return self.submit(Op.TRANSFER, [], account=self.account(source), book=self.account(target),
                           side=Bucket[purse.upper()], order_type=Bucket[to_purse.upper()],
                           qty=int(words[2]))  # fmt: skip

    def do_fee(self, words):
        return self.submit(Op.SET_FEE, [], side=int(words[0]), price=int(words[1]))

    def do_list(self, words):
        named = dict(zip(words[1::2], map(int, words[2::2]), strict=True))
        return self.submit(Op.LIST_BOOK, [], book=int(words[0]), price=named.get("value", 1), qty=named.get("max", 0),
                           aux=named.get("group", 0), expiry_ns=named.get("gate", 0))  # fmt: skip

    def do_attest(self, words):
        return self.submit(
            Op.SET_CAPACITY, [], account=self.account(words[0]), aux=int(words[1]), qty=int(words[2])
        )

    def do_adjust(self, words):
        return self.submit(
            Op.ADJUST_SOLD, [], account=self.account(words[0]), aux=int(words[1]), qty=int(words[2])
        )

    # --- questions ---

    def do_book(self, words):
        orders = self.engine.orders(int(words[0]) if words else 1)
        names = {number: name for name, number in self.orders.items()}
        return ", ".join(f"{names[o.order_id]} {o.price} x {o.leaves}" for o in orders) or "empty"

    def do_depth(self, words):
        bids, asks = self.engine.depth(int(words[0]) if words else 1)
        return "; ".join(", ".join(f"{p} x {q} ({n})" for p, q, n in side) or "none" for side in (bids, asks))

    def do_purse(self, words):
        balance = self.engine.balance(self.account(words[0]))
        return (
            ", ".join(f"{purse.name.lower()} {balance[purse]}" for purse in Bucket if balance[purse])
            or "nothing"
        )

    def do_capacity(self, words):
        attested, is_open, sold = self.engine.capacity(self.account(words[0]), int(words[1]))
        return f"attested {attested} open {is_open} sold {sold}"

    def do_position(self, words):
        bought, sold = self.engine.position(self.account(words[0]), int(words[1]) if words[1:] else 1)
        return f"bought {bought} sold {sold}"

    def do_walk(self, words):
        account, first, count, qty = words
        costs = self.engine.site_walk(self.account(account), int(first), int(count), int(qty))
        return ", ".join(map(str, costs))

    def do_restart(self, words):
        before = self.engine.state_hash()
        self.engine = self.engine_class.restore(self.engine.snapshot())
        return "same" if self.engine.state_hash() == before else "different"

    # --- what happened, in words ---

    def tell(self, e):
        name = {number: name for name, number in self.orders.items()}.get(e.order_id, str(e.order_id))
        kind = Kind(e.kind)
        hold = f" hold {e.contra_leaves}" if e.contra_leaves else ""
        freed = f" freed {e.contra_leaves}" if e.contra_leaves else ""
        if kind == Kind.REJECTED:
            return f"rejected {RejectReason(e.reason).name}"
        if kind == Kind.DENIED:
            return f"denied {DenyReason(e.reason).name}"
        if kind == Kind.ACCEPTED:
            return f"accepted {name}{hold}"
        if kind == Kind.REPLACED:
            kept = " kept" if e.flags & EventFlag.KEPT_PRIORITY else ""
            return f"replaced {name} {e.price} x {e.leaves} of {e.qty}{kept}{hold}"
        if kind == Kind.CANCELED:
            return f"canceled {name} x {e.qty} {CancelReason(e.reason).name}{freed}"
        if kind == Kind.EXPIRED:
            return f"expired {name} x {e.qty} {ExpireReason(e.reason).name}{freed}"
        if kind == Kind.TRADE:
            maker = next(name for name, number in self.orders.items() if number == e.contra_id)
            took = " take" if e.flags & EventFlag.TAKE else ""
            return f"trade {name} {maker} {e.price} x {e.qty} left {e.leaves} {e.contra_leaves}{took}"
        if kind == Kind.POSTED:
            return f"posted {name} cost {e.qty} fee {e.price}" + (f" freed {e.leaves}" if e.leaves else "")
        if kind == Kind.BOOK_CLOSED:
            return f"closed {e.book}"
        return kind.name.lower()

    def order(self, name):
        return self.orders.setdefault(name, len(self.orders) + 1)

    def account(self, name):
        return self.accounts.setdefault(name, len(self.accounts))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_story_goes_as_written(engine_class, path):
    story = Story(engine_class)
    for line in path.read_text().splitlines():
        line = re.sub(r"#.*", "", line).strip()
        if line:
            story.run(line)


def test_there_is_a_story_for_every_rule_in_force():
    told = " ".join(path.read_text().partition("\n")[0] for path in SCENARIOS)
    rules = (
        "C6 C7 C8 L1 L2 L3 L4 I1 I2 F1 F4 F5 T1 T3 T5 AM1 AM2 AM3 AM4 AM5 AM6 AM7 AM8 X1 X4 RT1 HM2 HM3 K2"
    ).split()
    assert [rule for rule in rules if not re.search(rf"\b{rule}\b", told)] == []
