"""Arguments of `submit` become one Command: ints of any size are welcome, and one that does not fit is a refusal.

Rules kept here: a value outside its field is refused with the reason of that field, the smallest reason of several,
and the event shows the nearest value that does fit. Nothing is ever wrapped around.
"""

from operator import index

from .enums import Op, RejectReason
from .records import Command
from .task_records import HEADS, TAILS

_U8, _U32, _U64 = (0, 2**8 - 1), (0, 2**32 - 1), (0, 2**64 - 1)
_I64 = (-(2**63), 2**63 - 1)

KNOWN_OPS = frozenset(Op)

_FIELDS = (  # in the order of the record, without `reserved`
    (_U8, RejectReason.UNKNOWN_OP),  # op
    (_U8, RejectReason.INVALID_FIELD),  # side
    (_U8, RejectReason.INVALID_FIELD),  # order_type
    (_U8, RejectReason.INVALID_FIELD),  # tif
    (_U8, RejectReason.INVALID_FIELD),  # stp
    (_U8, RejectReason.INVALID_FIELD),  # flags
    (_U32, RejectReason.UNKNOWN_BOOK),  # book
    (_U32, RejectReason.UNKNOWN_ACCOUNT),  # account
    (_U64, RejectReason.INVALID_FIELD),  # order_id
    (_I64, RejectReason.INVALID_PRICE),  # price
    (_I64, RejectReason.INVALID_QTY),  # qty
    (_I64, RejectReason.INVALID_FIELD),  # aux
    (_I64, RejectReason.INVALID_EXPIRY),  # expiry_ns
    (_U64, RejectReason.INVALID_FIELD),  # client_ref
)


def fit(*values: int) -> tuple[Command, int]:
    """The command and 0, or the nearest command that fits and the RejectReason of what did not."""
    fitted = []
    reasons = []
    for value, ((low, high), reason) in zip(values, _FIELDS, strict=True):
        value = index(value)
        if not low <= value <= high:
            reasons.append(reason)
            value = min(max(value, low), high)
        fitted.append(value)
    command = Command._make([*fitted[:6], 0, *fitted[6:]])
    if not reasons:
        return command, 0
    if command.op not in KNOWN_OPS:
        return command, int(RejectReason.UNKNOWN_OP)
    if command.op in HEADS or command.op in TAILS:  # a task is more than one record, so this comes first
        return command, int(RejectReason.INCOMPLETE)
    return command, int(min(reasons))
