"""The words of stories about tasks: families, links, block offers, tasks, drains, and what is asked and told about them.

A book of a family is written family/period (`1/4`), a run of them `1/2..5` (both ends inside). Times are ns, or hours,
minutes and seconds (`1h55m`). A task is `task NAME LOTS x PERIODS of CHIP[,CHIP*FACTOR_PPM] by ACCOUNT budget MICRO in
FIRST..END` and any of the words in `TaskWords.terms`.
"""

import re

from matching_core.enums import (
    CancelReason,
    ExpireReason,
    Lane,
    Op,
    OrderFlag,
    Power,
    Shape,
    TaskFlag,
    TimeInForce,
)
from matching_core.limits import PERIOD_BITS, PPM
from matching_core.task_records import TaskTerms, pack_task

UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9}
LANES = {lane.name.lower(): lane for lane in Lane}
SHAPES = {shape.name.lower(): shape for shape in Shape}
NUMBERS = {
    "access": "access_region", "rtt": "max_rtt_us", "class": "max_class", "ref": "client_ref", "run": "min_run",
    "least": "min_fill", "grid": "max_grid",
}  # fmt: skip


def moment(word):
    """Nanoseconds of a number, or of hours, minutes and seconds."""
    if re.fullmatch(r"-?\d+", word):
        return int(word)
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", word))


def clock(time_ns):
    """A moment as hours, minutes and seconds, if it is whole seconds."""
    seconds, rest = divmod(time_ns, 10**9)
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return str(time_ns) if rest or time_ns <= 0 else "".join(f"{n}{unit}" for n, unit in parts if n)


def book(word):
    """The number of a book, plain or as family/period."""
    family, _, period = word.rpartition("/")
    return int(family or 0) << PERIOD_BITS | int(period)


def called(number):
    """How a book is written."""
    family, period = number >> PERIOD_BITS, number & ((1 << PERIOD_BITS) - 1)
    return f"{family}/{period}" if family else str(period)


def run_of(word):
    """The books of `family/first..last`."""
    family, first, last = re.fullmatch(r"(\d+)/(\d+)\.\.(\d+)", word).groups()
    return [int(family) << PERIOD_BITS | period for period in range(int(first), int(last) + 1)]


class TaskWords:
    """What a story of the core can say about tasks."""

    # --- commands ---

    def do_grid(self, words):
        named = dict(zip(words[1::2], words[2::2], strict=True))
        return self.submit(Op.SET_GRID, [], price=moment(named.get("origin", "0")), aux=moment(words[0]),
                           expiry_ns=moment(named.get("gate", "0")), qty=int(named.get("firm", 200)),
                           client_ref=int(named.get("chip", 4096)))  # fmt: skip

    def do_family(self, words):
        named = dict(zip(words[1::2], words[2::2], strict=True))
        return self.submit(Op.LIST_FAMILY, [], book=int(words[0]), account=int(named["chip"]), aux=int(named["region"]),
                           price=int(named.get("class", 0)), side=Power[named.get("power", "grid").upper()])  # fmt: skip

    def do_reach(self, words):
        named = dict(zip(words[1::2], words[2::2], strict=True))
        access, host = words[0].split("-")
        return self.submit(Op.SET_REACH, [], account=int(access), book=int(host), price=int(named.get("class", 0)),
                           qty=int(named["rtt"]))  # fmt: skip

    def do_link(self, words):
        named = dict(zip(words[1::2], words[2::2], strict=True))
        source, target = words[0].split("-")
        return self.submit(Op.SET_LINK, [], account=int(source), book=int(target), price=int(named.get("price", 0)),
                           qty=int(named["mbit"]), aux=int(named.get("capacity", 0)))  # fmt: skip

    def do_hours(self, words):
        """LIST_BOOK of a run of books, each with the gate of its period."""
        named = dict(zip(words[1::2], words[2::2], strict=True))
        grid = self.grid_of(named)
        said = [
            self.submit(Op.LIST_BOOK, [], book=number, price=int(named.get("value", 1)), aux=int(named.get("group", 0)),
                        expiry_ns=(number & 0xFFFFF) * grid[0] - grid[1])
            for number in run_of(words[0])
        ]  # fmt: skip
        return f"{len(said)} x {said[0]}" if len(set(said)) == 1 else ", ".join(said)

    def grid_of(self, named):
        """(length of a period, gate before it) of the grid that a story has set, or of the words each and before."""
        return moment(named.get("each", "1h")), moment(named.get("before", "5m"))

    def do_block(self, words):
        """block NAME by ACCOUNT in 1/2..5 min LOTS x PERIODS, and: notice TIME, ref NUMBER, indivisible."""
        name, _, account, _, where, _, least, _, periods, *rest = words
        numbers = run_of(where)
        fields = {"order_id": self.order(name), "account": self.account(account), "book": numbers[0], "qty": int(least),
                  "aux": int(periods), "price": (numbers[-1] & 0xFFFFF) + 1}  # fmt: skip
        while rest:
            word = rest.pop(0)
            if word == "indivisible":
                fields["flags"] = OrderFlag.INDIVISIBLE
            elif word == "notice":
                fields["expiry_ns"] = moment(rest.pop(0))
            elif word == "ref":
                fields["client_ref"] = int(rest.pop(0))
            else:
                key, value = word.split("=")
                fields[key] = int(value)
        return self.submit(Op.BLOCK_OPEN, [], **fields)

    def do_residue(self, words):
        """residue NAME by ACCOUNT in 1/2 PRICE x LOTS, or in a run of books."""
        name, _, account, _, where, price, _, lots, *rest = words
        numbers = run_of(where) if ".." in where else [book(where)]
        said = [
            self.submit(Op.BLOCK_SET, rest, order_id=self.order(name), account=self.account(account), book=number,
                        price=int(price), qty=int(lots))
            for number in numbers
        ]  # fmt: skip
        return ", ".join(said)

    def do_unblock(self, words):
        return self.submit(Op.BLOCK_CLOSE, words[1:], order_id=self.order(words[0]))

    def do_task(self, words, op=Op.TASK):
        before = len(self.records(op, words)) // 64
        events = self.engine.process(self.records(op, words), self.engine.next_seq, 1)
        assert len({event.seq for event in events}) == 1 and before > 2
        return ", ".join(self.tell(event) for event in events)

    def do_retask(self, words):
        return self.do_task(words, Op.TASK_AMEND)

    def do_untask(self, words):
        return self.submit(Op.TASK_CANCEL, words[1:], order_id=self.order(words[0]))

    def do_drain(self, words):
        return self.submit(Op.DRAIN, [], qty=int(words[0]) if words else 0)

    def do_raw(self, words):
        """One record alone, with the number of its operation."""
        return self.submit(int(words[0]), words[1:])

    def records(self, op, words):
        return pack_task(op, TaskTerms(**self.terms(list(words))))

    def terms(self, words):
        """The fields of a task in words."""
        name, lots, _, periods, _, chips, *rest = words
        found = {
            "order_id": self.order(name), "lots": int(lots), "periods": int(periods), "lane": 0, "shape": 0, "tif": 0,
            "max_class": 4, "flags": 0, "access_region": 0, "valid_until_ns": 0, "client_ref": 0, "data_region": 0,
            "max_rtt_us": 0, "min_run": 0, "data_mb": 0, "min_fill": 0, "max_grid": 0,
            "chips": tuple((int(chip), int(factor or PPM)) for chip, _, factor in (c.partition("*") for c in chips.split(","))),
        }  # fmt: skip
        while rest:
            word = rest.pop(0)
            if word == "by":
                found["account"] = self.account(rest.pop(0))
            elif word == "budget":
                found["budget_micro"] = int(rest.pop(0))
            elif word == "in":
                first, end = rest.pop(0).split("..")
                found |= {"first_period": int(first), "end_period": int(end)}
            elif word in LANES:
                found["lane"] = LANES[word]
                found["tif"] = TimeInForce.IOC if word == "emergency" else found["tif"]
            elif word in SHAPES:
                found["shape"] = SHAPES[word]
            elif word == "ioc":
                found["tif"] = TimeInForce.IOC
            elif word in ("green", "indivisible"):
                found["flags"] |= TaskFlag[word.upper()]
            elif word == "until":
                found["valid_until_ns"] = moment(rest.pop(0))
            elif word == "regions":
                found["regions"] = tuple(int(region) for region in rest.pop(0).split(","))
            elif word == "data":  # data MB from REGION
                found |= {"data_mb": int(rest.pop(0)), "data_region": int(rest[1])}
                del rest[:2]
            elif word == "steps":  # steps 300,1h:400,2h:500
                pairs = (step.rpartition(":") for step in rest.pop(0).split(","))
                found["steps"] = tuple((moment(at or "0"), int(budget)) for at, _, budget in pairs)
            elif word in NUMBERS:
                found[NUMBERS[word]] = int(rest.pop(0))
            else:
                key, value = word.split("=")
                found[key] = int(value)
        return found

    # --- questions ---

    def do_route(self, words):
        """What a task of these words would take now; `limit MICRO` first for another limit than its own."""
        limit = int(words[1]) if words[0] == "limit" else None
        try:
            route = self.engine.find_task(self.records(Op.TASK, words if limit is None else words[2:]), limit)
        except ValueError as refused:
            return f"refused {refused}"
        if route is None:
            return "none"
        names = {number: name for name, number in self.accounts.items()}
        orders = {number: name for name, number in self.orders.items()}
        sources = [
            f"{names[part.account]}{'.' + orders[part.block_id] if part.block_id else ''}/{part.family} x {part.lots}"
            for part in route.parts
        ]
        periods = " ".join(map(str, route.periods))
        return f"{route.compute_micro} + {route.moving_micro} from {', '.join(sources)} in {periods}"

    def do_waiting(self, words):
        names = {number: name for name, number in self.orders.items()}
        return " ".join(names[task_id] for task_id in self.engine.tasks()) or "nobody"

    def do_about(self, words):
        """The named fields of a waiting task."""
        view = self.engine.task(self.order(words[0]))
        return "gone" if view is None else ", ".join(f"{word} {getattr(view, word)}" for word in words[1:])

    def do_due(self, words):
        names = {number: name for name, number in self.orders.items()}
        return " ".join(names[task_id] for task_id in self.engine.tasks_due(moment(words[0]))) or "nobody"

    def do_offer(self, words):
        view = self.engine.block_offer(self.order(words[0]))
        if view is None:
            return "gone"
        return ", ".join(f"{period}: {price} x {lots}" for period, price, lots in view.residues) or "empty"

    def do_dirty(self, words):
        return " ".join(called(number) for number in self.engine.dirty()) or "clean"

    def do_load(self, words):
        source, target = words[0].split("-")
        return " ".join(
            str(self.engine.link_load(int(source), int(target), int(period))) for period in words[1:]
        )

    # --- what happened, in words ---

    def tell_task_waiting(self, e, name):
        return f"waits {name} for {e.qty} up to {e.price} until {clock(e.leaves)} held {e.contra_leaves}"

    def tell_task_filled(self, e, name):
        left = f" left {e.leaves}" if e.leaves else ""
        freed = f" freed {e.contra_leaves}" if e.contra_leaves else ""
        return f"filled {name} {e.qty} for {e.price} in {called(e.book)}{left}{freed}"

    def tell_data_moved(self, e, name):
        return f"moved {name} {e.price} MB to {e.book} for {e.qty} in {clock(e.leaves)}"

    def tell_drained(self, e, name):
        return f"drained {e.qty}" + (" and more" if e.leaves else "")

    def tell_task_stepped(self, e, name):
        return f"stepped {name} to {e.price}"

    def tell_block_opened(self, e, name):
        return f"opened {name}"

    def tell_block_changed(self, e, name):
        return f"{called(e.book)} of {name} {e.price} x {e.qty} was {e.leaves}"

    def tell_block_closed(self, e, name):
        return f"over {name}"

    def tell_residue(self, e, name, is_canceled):
        """How a residue of a block offer ended."""
        reason = (CancelReason if is_canceled else ExpireReason)(e.reason).name
        return (
            f"{'canceled' if is_canceled else 'expired'} {name} {called(e.book)} {e.price} x {e.qty} {reason}"
        )
