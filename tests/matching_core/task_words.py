"""A task as records, and records as a task: written from the layout alone, apart from `matching_core.task_records`."""

from __future__ import annotations

import struct

from task_market import Terms

from matching_core.enums import Op
from matching_core.records import Command, unpack_commands


def pack(op: int, t: Terms) -> bytes:
    """The records of a task."""
    pairs = [word for pair in t.steps for word in pair]
    regions = [*t.regions, 0]
    words = [
        (Op.TASK_CHIPS, [chip | factor << 32 for chip, factor in t.chips]),
        (Op.TASK_REGIONS, [regions[at] | regions[at + 1] << 32 for at in range(0, len(t.regions), 2)]),
        (Op.TASK_STEPS, pairs),
    ]
    tail = [Command(Op.TASK_TERMS, book=t.data_region, account=t.max_rtt_us, order_id=t.min_run, price=t.first_period,
                    qty=t.end_period, aux=t.data_mb, expiry_ns=t.min_fill, client_ref=t.max_grid).pack()]  # fmt: skip
    for kind, row in words:
        for at in range(0, len(row), 6):
            tail.append(_six(kind, row[at : at + 6]))
    head = Command(op, t.lane, t.shape, t.tif, t.max_class, t.flags, len(tail), t.access_region, t.account, t.order_id,
                   t.budget_micro, t.lots, t.periods, t.valid_until_ns, t.client_ref)  # fmt: skip
    return b"".join([head.pack(), *tail])


def _six(kind, words) -> bytes:
    six = [*words, 0, 0, 0, 0, 0, 0][:6]
    fit = struct.unpack("<QqqqqQ", struct.pack("<6Q", *(word % 2**64 for word in six)))
    return Command(kind, order_id=fit[0], price=fit[1], qty=fit[2], aux=fit[3], expiry_ns=fit[4], client_ref=fit[5]).pack()


def words_of(command: Command) -> list[int]:
    """The six words of a continuation record."""
    return [
        word % 2**64
        for word in (command.order_id, command.price, command.qty, command.aux, command.expiry_ns, command.client_ref)
    ]


def read(records: bytes) -> Terms:
    """The terms of well-formed records."""
    head, terms, *tail = unpack_commands(records)
    lists = {op: [] for op in (Op.TASK_CHIPS, Op.TASK_REGIONS, Op.TASK_STEPS)}
    for command in tail:
        lists[Op(command.op)] += words_of(command)
    chips = tuple((word % 2**32, word >> 32) for word in lists[Op.TASK_CHIPS] if word)
    regions = tuple(half for word in lists[Op.TASK_REGIONS] for half in (word % 2**32, word >> 32) if half)
    pairs = lists[Op.TASK_STEPS]
    steps = tuple(pair for pair in zip(pairs[::2], pairs[1::2], strict=True) if pair != (0, 0))
    return Terms(head.order_id, head.account, head.side, head.order_type, head.tif, head.stp, head.flags, head.book,
                 head.price, head.qty, head.aux, head.expiry_ns, head.client_ref, terms.book, terms.account,
                 terms.order_id, terms.price, terms.qty, terms.aux, terms.expiry_ns, terms.client_ref, chips, regions,
                 steps)  # fmt: skip
