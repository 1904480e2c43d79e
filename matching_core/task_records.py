"""A task as 64-byte records: a head, then its terms, chips, regions and steps; how it is written and read.

Rules kept here: the continuation records stand in one order, lists have no gaps. Whether the values are fair is the
engine's to say.
"""

import re
from collections.abc import Sequence
from itertools import dropwhile
from typing import NamedTuple

from .enums import Op, RejectReason
from .limits import MAX_TASK_CHIPS, MAX_TASK_RECORDS, MAX_TASK_REGIONS, MAX_TASK_STEPS
from .records import Command, unpack_commands

HEADS = frozenset((Op.TASK, Op.TASK_AMEND))
TAILS = frozenset((Op.TASK_TERMS, Op.TASK_CHIPS, Op.TASK_REGIONS, Op.TASK_STEPS))
_ORDER = re.compile("TC+R*S*")
_LETTER: dict[int, str] = {Op.TASK_TERMS: "T", Op.TASK_CHIPS: "C", Op.TASK_REGIONS: "R", Op.TASK_STEPS: "S"}
_WORDS = ("order_id", "price", "qty", "aux", "expiry_ns", "client_ref")
_SIGNED = ("price", "qty", "aux", "expiry_ns")
_LOW, _ALL = 2**32 - 1, 2**64 - 1


class TaskTerms(NamedTuple):
    """What a task asks for; the field of the record behind each stands in docs/rules/core_records.md."""

    order_id: int
    account: int
    lane: int  # Lane
    shape: int  # Shape
    tif: int  # GTC: it waits, IOC: it never waits
    max_class: int  # slowest latency class accepted
    flags: int  # TaskFlag
    access_region: int  # 0: reach is not asked
    budget_micro: int
    lots: int  # on the first chip
    periods: int
    valid_until_ns: int  # 0: as long as it can be filled
    client_ref: int
    data_region: int
    max_rtt_us: int  # 0: any
    min_run: int  # split: least periods in a row
    first_period: int
    end_period: int  # exclusive
    data_mb: int
    min_fill: int  # bulk: least lot-periods of the first fill
    max_grid: int  # bulk: most lot-periods on grid power, 0 = any
    chips: tuple[tuple[int, int], ...]  # (chip, factor_ppm), the first choice first
    regions: tuple[int, ...] = ()  # ascending; none = any
    steps: tuple[tuple[int, int], ...] = ()  # RT9: (at_ns, budget_micro from then on); the first at 0


def pack_task(op: int, terms: TaskTerms) -> bytes:
    """The records of a task, head first; struct.error where a value does not fit its field."""
    words = [chip | factor << 32 for chip, factor in terms.chips]
    pairs = [low | high << 32 for low, high in zip(terms.regions[::2], (*terms.regions[1::2], 0), strict=False)]
    steps = [word for step in terms.steps for word in step]
    tail = [
        Command(Op.TASK_TERMS, book=terms.data_region, account=terms.max_rtt_us, order_id=terms.min_run,
                price=terms.first_period, qty=terms.end_period, aux=terms.data_mb, expiry_ns=terms.min_fill,
                client_ref=terms.max_grid),
        *_records_of(Op.TASK_CHIPS, words), *_records_of(Op.TASK_REGIONS, pairs), *_records_of(Op.TASK_STEPS, steps),
    ]  # fmt: skip
    head = Command(op, terms.lane, terms.shape, terms.tif, terms.max_class, terms.flags, len(tail), terms.access_region,
                   terms.account, terms.order_id, terms.budget_micro, terms.lots, terms.periods, terms.valid_until_ns,
                   terms.client_ref)  # fmt: skip
    return b"".join(record.pack() for record in (head, *tail))


def _records_of(op: int, words: list[int]) -> list[Command]:
    filled = [words[at : at + len(_WORDS)] for at in range(0, len(words), len(_WORDS))]
    return [
        Command(op, **{name: _as_signed(word) if name in _SIGNED else word for name, word in zip(_WORDS, six, strict=False)})
        for six in filled
    ]  # fmt: skip


def _as_signed(word: int) -> int:
    return word - 2**64 if word > _ALL >> 1 else word


def tail_of(batch: Sequence[Command], at: int) -> Sequence[Command] | None:
    """The continuation records of the head at that place; None unless exactly those follow that it announces."""
    count = batch[at].reserved
    tail = batch[at + 1 : at + 1 + count]
    if len(tail) != count or count > MAX_TASK_RECORDS:
        return None
    return tail if _ORDER.fullmatch("".join(_LETTER.get(record.op, "-") for record in tail)) else None


def read_task(records) -> TaskTerms | RejectReason:
    """The terms of a buffer that holds one task, or why it holds none."""
    batch = unpack_commands(memoryview(records).cast("B"))
    if not batch or batch[0].op not in HEADS or len(batch) != 1 + batch[0].reserved:
        return RejectReason.INCOMPLETE
    tail = tail_of(batch, 0)
    return RejectReason.INCOMPLETE if tail is None else read_terms(batch[0], tail)


def read_terms(head: Command, tail: Sequence[Command]) -> TaskTerms | RejectReason:
    """The terms of a head and its tail; INVALID_FIELD where a list has gaps or is too long, or a record announces others."""
    terms, by_op = tail[0], {op: [record for record in tail if record.op == op] for op in TAILS}
    chips = _words_of(by_op[Op.TASK_CHIPS])
    regions = _words_of(by_op[Op.TASK_REGIONS])
    steps = _steps_of(by_op[Op.TASK_STEPS])
    if chips is None or regions is None or steps is None:
        return RejectReason.INVALID_FIELD
    if any(record.reserved for record in tail) or len(chips) > MAX_TASK_CHIPS:
        return RejectReason.INVALID_FIELD
    pairs = [half for word in regions for half in (word & _LOW, word >> 32)]
    if pairs and pairs[-1] == 0:
        pairs.pop()
    if len(pairs) > MAX_TASK_REGIONS or 0 in pairs:
        return RejectReason.INVALID_FIELD
    return TaskTerms(
        head.order_id, head.account, head.side, head.order_type, head.tif, head.stp, head.flags, head.book, head.price,
        head.qty, head.aux, head.expiry_ns, head.client_ref, terms.book, terms.account, terms.order_id, terms.price,
        terms.qty, terms.aux, terms.expiry_ns, terms.client_ref, tuple((word & _LOW, word >> 32) for word in chips),
        tuple(pairs), steps,
    )  # fmt: skip


def _words_of(records: list[Command]) -> list[int] | None:
    """The words up to the end; None where a record is empty or a word stands behind a gap."""
    words = [getattr(record, name) & _ALL for record in records for name in _WORDS]
    kept = list(dropwhile(lambda word: word == 0, reversed(words)))[::-1]
    return None if 0 in kept or (records and len(kept) <= len(words) - len(_WORDS)) else kept


def _steps_of(records: list[Command]) -> tuple[tuple[int, int], ...] | None:
    """The pairs up to the end; None where a record is empty, a pair stands behind a gap, or there are too few or many."""
    pairs = [
        pair for r in records
        for pair in ((_as_signed(r.order_id), r.price), (r.qty, r.aux), (r.expiry_ns, _as_signed(r.client_ref)))
    ]  # fmt: skip
    kept = list(dropwhile(lambda pair: pair == (0, 0), reversed(pairs)))[::-1]
    if not records:
        return ()
    is_whole = (0, 0) not in kept and len(kept) > len(pairs) - 3
    return tuple(kept) if is_whole and 2 <= len(kept) <= MAX_TASK_STEPS + 1 else None
