"""Every code that a command, a task or a request can be answered with: (code, name, stage)."""

from typing import NamedTuple

from exchange.domain.reasons import TaskReason, VenueReason, wire_code
from exchange.protocol.errors import STAGE, DoorReason
from matching_core.enums import DenyReason, RejectReason

STAGE_NAMES = {1: "core", 2: "risk", 3: "venue", 6: "task", STAGE: "door"}


class ReasonCode(NamedTuple):
    """One code; stage by its name."""

    code: int
    name: str
    stage: str


def _all() -> list[ReasonCode]:
    codes = [
        ReasonCode(wire_code(reason), reason.name, "")
        for kind in (RejectReason, DenyReason, VenueReason, TaskReason)
        for reason in kind
    ]
    codes += [ReasonCode(STAGE * 100 + reason.value, reason.name, "") for reason in DoorReason]
    return [code._replace(stage=STAGE_NAMES[code.code // 100]) for code in sorted(codes)]


REASON_CODES = tuple(_all())
KEY_REUSED_BY_VENUE = wire_code(VenueReason.KEY_REUSED)  # never seen on the wire: the doors answer it as their own
