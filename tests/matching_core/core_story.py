"""The rules as stories: the text tables of tests/scenarios/matching, and one engine that plays them line by line.

A file holds stories; each begins with `# RULES: what it tells`. A line is `command -> outcome, outcome`; the outcomes
are all events of the command, in order. Names of orders and accounts are given numbers in the order in which they
appear. `key=value` sets a raw field. After every line the invariants are checked, and that a refused command has left
the state hash as it was (C8). `rules=2` on the engine line asks for an engine with that RULES_VERSION. The words about
tasks, which need `rules=3`, are in `task_story`.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

from task_story import TaskWords, book, called, moment

from matching_core.enums import (
    BookRule,
    Bucket,
    CallKind,
    CancelReason,
    DenyReason,
    EventFlag,
    ExpireReason,
    FixGrade,
    Kind,
    MassFilter,
    Op,
    OrderFlag,
    OrderType,
    Phase,
    RejectReason,
    Side,
    StpMode,
    TiePolicy,
    TimeInForce,
)

FOLDER = Path(__file__).resolve().parent.parent / "scenarios" / "matching"
SIDES = {"buy": Side.BUY, "sell": Side.SELL}
WITH_AUX = {"iceberg": OrderFlag.ICEBERG, "min": OrderFlag.MIN_QTY}
BARE = {"post": OrderFlag.POST_ONLY, "standby": OrderFlag.STANDBY, "indivisible": OrderFlag.INDIVISIBLE}
CALLS = {"opening": CallKind.OPENING, "closing": CallKind.CLOSING, "volatility": CallKind.VOLATILITY,
         "nocancel": CallKind.NO_CANCEL}  # fmt: skip
RULES = {"slide": BookRule.SLIDE, "fresh": BookRule.FRESH_PEAK, "limits": BookRule.LIMITS_ONLY,
         "lower": BookRule.TIE_LOWER}  # fmt: skip


class Tale(NamedTuple):
    """One story of a file."""

    file: str
    rules: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.file}:{'_'.join(self.rules)}"

    @property
    def needs(self) -> int:
        """The RULES_VERSION that an engine must have."""
        found = re.search(r"\brules=(\d+)", self.lines[0])
        return int(found[1]) if found else 1


def tales(folder: Path = FOLDER) -> list[Tale]:
    """Every story, by file, then as written."""
    found: list[Tale] = []
    for path in sorted(folder.glob("*.txt")):
        for part in re.split(r"^# (?=[A-Z]+\d+[^\n]*?:)", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            head, _, body = part.partition("\n")
            bare = (re.sub(r"#.*", "", line).strip() for line in body.splitlines())
            found.append(Tale(path.stem, tuple(head.partition(":")[0].split()), tuple(line for line in bare if line)))
    return found


class Story(TaskWords):
    """One engine, and the numbers behind the names of a story."""

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
            sizes.pop("rules", None)
            self.engine = self.engine_class(**sizes, **flags)
            return None
        before = self.engine.state_hash()
        said = getattr(self, f"do_{words[0]}")(words[1:])
        self.engine.check()
        if outcome.strip() != "?":
            assert said == outcome.strip(), f"{line}\n  said: {said}"
        if said.startswith(("rejected", "denied")):
            assert self.engine.state_hash() == before, f"C8: {line} has changed the state"
        return said

    # --- commands ---

    def submit(self, op, words, **fields):
        fields = {"book": 1} | fields
        words = list(words)
        while words:
            word = words.pop(0)
            if word == "by":
                fields["account"] = self.account(words.pop(0))
            elif word == "in":
                fields["book"] = book(words.pop(0))
            elif word == "gtd":
                fields |= {"tif": TimeInForce.GTD, "expiry_ns": moment(words.pop(0))}
            elif word in ("ioc", "fok", "day"):
                fields["tif"] = TimeInForce[word.upper()]
            elif word == "market":
                fields["order_type"] = OrderType.MARKET
            elif word == "stp":
                fields["stp"] = StpMode[words.pop(0).upper()]
            elif word in BARE:
                fields["flags"] = fields.get("flags", 0) | BARE[word]
            elif word in WITH_AUX:
                fields |= {"flags": fields.get("flags", 0) | WITH_AUX[word], "aux": int(words.pop(0))}
            elif word == "call":  # takes part in a call only, of that kind if one is named
                kind = CALLS[words.pop(0)] if words and words[0] in CALLS else 0
                fields |= {"flags": OrderFlag.AUCTION_ONLY, "aux": kind}
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
        return self.submit(Op.ADVANCE_TIME, [], aux=moment(words[0]))

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
        named = dict(zip(words[1::2], map(moment, words[2::2]), strict=True))
        return self.submit(Op.LIST_BOOK, [], book=book(words[0]), price=named.get("value", 1), qty=named.get("max", 0),
                           aux=named.get("group", 0), expiry_ns=named.get("gate", 0))  # fmt: skip

    def do_attest(self, words):
        return self.submit(
            Op.SET_CAPACITY, [], account=self.account(words[0]), aux=int(words[1]), qty=int(words[2])
        )

    def do_adjust(self, words):
        return self.submit(
            Op.ADJUST_SOLD, [], account=self.account(words[0]), aux=int(words[1]), qty=int(words[2])
        )

    def do_phase(self, words):
        phase, *rest = words
        flags = sum(CALLS[word] for word in rest if word in CALLS)
        rest = [f"expiry_ns={word[6:]}" if word.startswith("until=") else word for word in rest if word not in CALLS]
        return self.submit(Op.SET_PHASE, rest, aux=Phase[phase.upper()], flags=flags)

    def do_uncross(self, words):
        return self.submit(Op.UNCROSS, words[1:], aux=Phase[words[0].upper()])

    def do_rules(self, words):
        """Words of RULES, capped=ppm, midpoint, and collar= interval= end= stp=."""
        flags = sum(RULES[word] for word in words if word in RULES)
        named = dict(word.split("=") for word in words if "=" in word)
        tie = TiePolicy.CAPPED_PRESSURE if "capped" in named else TiePolicy["MIDPOINT" if "midpoint" in words else "REFERENCE"]
        return self.submit(Op.SET_BOOK, [], flags=flags, order_type=tie, price=int(named.get("capped", 0)),
                           stp=StpMode[named.get("stp", "none").upper()], qty=int(named.get("collar", 0)),
                           aux=int(named.get("interval", 0)), expiry_ns=moment(named.get("end", "0")),
                           book=book(named.get("in", "1")))  # fmt: skip

    def do_bands(self, words):
        named = {key: book(value) for key, value in (word.split("=") for word in words)}
        return self.submit(Op.SET_BANDS, [], book=named.get("in", 1), price=named.get("static", 0), qty=named.get("dynamic", 0),
                           aux=named.get("corridor", 0))  # fmt: skip

    def do_reference(self, words):
        return self.submit(Op.SET_REFERENCE, words[1:], price=int(words[0]))

    def do_fix(self, words):
        return self.submit(Op.SET_FIX, words[2:], price=int(words[0]), side=FixGrade[words[1]])

    def do_dayend(self, words):
        return self.submit(Op.SESSION_CLOSE, words, flags=MassFilter.BOOK if words else 0)

    def do_mass(self, words):
        """Any of: by ACCOUNT, firm N, in BOOK, side buy or sell."""
        fields = {"flags": 0}
        for key, value in zip(words[::2], words[1::2], strict=True):
            if key == "by":
                fields |= {"flags": fields["flags"] | MassFilter.ACCOUNT, "account": self.account(value)}
            elif key == "firm":
                fields |= {"flags": fields["flags"] | MassFilter.FIRM, "aux": int(value)}
            elif key == "in":
                fields |= {"flags": fields["flags"] | MassFilter.BOOK, "book": int(value)}
            else:
                fields |= {"flags": fields["flags"] | MassFilter.SIDE, "side": SIDES[value]}
        return self.submit(Op.MASS_CANCEL, [], **fields)

    def do_kill(self, words, op=Op.KILL):
        if words[0] == "firm":
            return self.submit(op, [], flags=MassFilter.FIRM, aux=int(words[1]))
        return self.submit(op, [], flags=MassFilter.ACCOUNT, account=self.account(words[0]))

    def do_lift(self, words):
        return self.do_kill(words, Op.LIFT)

    # --- questions ---

    def do_book(self, words):
        orders = self.engine.orders(book(words[0]) if words else 1)
        names = {number: name for name, number in self.orders.items()}

        def shown(order):
            return f" shows {order.shown}" if order.flags & OrderFlag.ICEBERG else ""

        return ", ".join(f"{names[o.order_id]} {o.price} x {o.leaves}{shown(o)}" for o in orders) or "empty"

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
        bought, sold = self.engine.position(self.account(words[0]), book(words[1]) if words[1:] else 1)
        return f"bought {bought} sold {sold}"

    def do_walk(self, words):
        account, first, count, qty = words
        costs = self.engine.site_walk(self.account(account), int(first), int(count), int(qty))
        return ", ".join(map(str, costs))

    def do_state(self, words):
        """The named fields of the book's state."""
        state = self.engine.book_state(1)
        return ", ".join(f"{word} {getattr(state, word)}" for word in words)

    def do_restart(self, words):
        before = self.engine.state_hash()
        self.engine = self.engine_class.restore(self.engine.snapshot())
        return "same" if self.engine.state_hash() == before else "different"

    # --- what happened, in words ---

    def tell(self, e):
        kind = Kind(e.kind)
        name = {number: name for name, number in self.orders.items()}.get(e.order_id, str(e.order_id))
        told = getattr(self, f"tell_{kind.name.lower()}", None)
        return told(e, name) if told else kind.name.lower()

    def tell_rejected(self, e, name):
        return f"rejected {RejectReason(e.reason).name}"

    def tell_denied(self, e, name):
        return f"denied {DenyReason(e.reason).name}"

    def tell_accepted(self, e, name):
        slid = f" at {e.price}" if e.flags & EventFlag.SLID else ""
        hidden = " hidden" if e.flags & EventFlag.HIDDEN else ""
        return f"accepted {name}{slid}{hidden}" + (f" hold {e.contra_leaves}" if e.contra_leaves else "")

    def tell_replaced(self, e, name):
        kept = " kept" if e.flags & EventFlag.KEPT_PRIORITY else ""
        kept += " own" if e.flags & EventFlag.SELF_TRADE else ""
        hold = f" hold {e.contra_leaves}" if e.contra_leaves else ""
        return f"replaced {name} {e.price} x {e.leaves} of {e.qty}{kept}{hold}"

    def tell_canceled(self, e, name):
        if e.flags & EventFlag.BLOCK:
            return self.tell_residue(e, name, True)
        freed = f" freed {e.contra_leaves}" if e.contra_leaves else ""
        return f"canceled {name} x {e.qty} {CancelReason(e.reason).name}{freed}"

    def tell_expired(self, e, name):
        if e.flags & EventFlag.BLOCK:
            return self.tell_residue(e, name, False)
        freed = f" freed {e.contra_leaves}" if e.contra_leaves else ""
        return f"expired {name} x {e.qty} {ExpireReason(e.reason).name}{freed}"

    def tell_trade(self, e, name):
        maker = next(name for name, number in self.orders.items() if number == e.contra_id)
        words = {EventFlag.TAKE: " take", EventFlag.AUCTION: " call", EventFlag.SELF_TRADE: " own", EventFlag.BLOCK: " block"}
        flags = "".join(word for flag, word in words.items() if e.flags & flag)
        return f"trade {name} {maker} {e.price} x {e.qty} left {e.leaves} {e.contra_leaves}{flags}{where(e)}"

    def tell_posted(self, e, name):
        return f"posted {name} cost {e.qty} fee {e.price}" + (f" freed {e.leaves}" if e.leaves else "")

    def tell_book_closed(self, e, name):
        return f"closed {called(e.book)}"

    def tell_book_gated(self, e, name):
        return f"gated {called(e.book)} with {e.qty} until {e.leaves}"

    def tell_replenished(self, e, name):
        return f"shows {name} {e.qty} of {e.leaves}"

    def tell_phase_set(self, e, name):
        calls = "".join(f" {word}" for word, flag in CALLS.items() if e.contra_id & flag)
        end = f" until {e.leaves}" if e.leaves else ""
        return f"phase {Phase(e.qty).name}-{Phase(e.price).name}{calls}{end}"

    def tell_uncrossed(self, e, name):
        return f"uncrossed {e.price} x {e.qty} surplus {e.leaves} in {e.order_id}"

    def tell_indicative(self, e, name):
        return f"would {e.price} x {e.qty} surplus {e.leaves}"

    def tell_call_extended(self, e, name):
        return f"extended {e.contra_id} for {e.price} x {e.qty} surplus {e.leaves}"

    def tell_mass_canceled(self, e, name):
        return f"mass_canceled {e.qty} x {e.leaves}"

    def tell_session_closed(self, e, name):
        return f"session_closed {e.qty} x {e.leaves}"

    def tell_killed(self, e, name):
        return f"killed {e.qty} x {e.leaves}"

    def tell_fix_set(self, e, name):
        return f"fix {e.price} {FixGrade(e.side).name} {e.contra_id}"

    def order(self, name):
        return self.orders.setdefault(name, len(self.orders) + 1)

    def account(self, name):
        return self.accounts.setdefault(name, len(self.accounts))


def where(e):
    """The book of a leg, where books are of families."""
    return f" in {called(e.book)}" if "/" in called(e.book) else ""


def play(engine_class, tale: Tale) -> None:
    """Every line of a story; AssertionError at the first that goes otherwise."""
    story = Story(engine_class)
    for line in tale.lines:
        story.run(line)


def main() -> int:
    """Play the stories of the rules that are named, on the reference engine: 0, or 1 with what one of them said."""
    from matching_core import ReferenceEngine

    wanted = [tale for tale in tales() if set(tale.rules) & set(sys.argv[1:])]
    if not wanted:
        print(f"no story of {sys.argv[1:]}")
        return 2
    for tale in wanted:
        try:
            play(ReferenceEngine, tale)
        except Exception as wrong:  # noqa: BLE001 - a canary may break in any way; it only has to be noticed
            print(f"{tale.name}: {type(wrong).__name__}: {wrong}")
            return 1
    print(f"{len(wanted)} stories went as written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
