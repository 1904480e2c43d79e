"""Why the venue says no (stage 3) and why a task is not filled (stage 6). Wire code = stage x 100 + value."""

from enum import IntEnum

from matching_core.enums import DenyReason, RejectReason


class VenueReason(IntEnum):
    """Stage 3, on Refused; the first check that fails is told."""

    NOT_CONFIGURED = 1  # SetVenue, catalogue or tariff is missing
    ALREADY_CONFIGURED = 2
    EXPIRED_COMMAND = 3  # valid_until has passed in log time
    KEY_REUSED = 4  # same client id, other content
    TIME_BACKWARDS = 5
    INVALID_TEXT = 6  # ids: 1-36 ASCII characters
    INVALID_SETTING = 7
    INVALID_CATALOGUE = 8
    UNKNOWN_PARTICIPANT = 9
    UNKNOWN_SITE = 10
    UNKNOWN_CHIP = 11
    UNKNOWN_REGION = 12
    UNKNOWN_CLASS = 13
    UNKNOWN_POWER = 14
    UNKNOWN_INSTRUMENT = 15  # family not listed, or the period not open
    UNKNOWN_OFFER = 16
    UNKNOWN_ORDER = 17
    UNKNOWN_TASK = 18
    UNKNOWN_OBLIGATION = 19
    DUPLICATE_ID = 20
    INVALID_PRICE = 21  # zero, negative, off tick, too large
    INVALID_QTY = 22
    INVALID_WINDOW = 23  # not whole periods, empty, in the past, beyond what can be held
    INVALID_LATENCY = 24
    INVALID_SHAPE = 25
    INVALID_LANE = 26
    INVALID_MONEY = 27
    CAPACITY = 28  # RT1: more than the site has attested
    TOO_MANY_SELLS = 29  # RT1: at most 4 live sells per site, family and period
    TOO_MANY_WAITING = 30  # RT8
    INSUFFICIENT_FUNDS = 31
    SALES_STOPPED = 32  # HM5: the provider's margin is short
    MIXED_INDIVISIBLE = 33  # not given any more: asks of one site may differ in indivisible_ok
    INVALID_READING = 34
    NOT_DUE = 35  # settlement before the window's end, out of order, or again
    INVALID_BUDGET = 36
    VENUE_FULL = 37  # as many orders rest as the core was made for
    TOO_MANY_KEYS = 38  # as many client ids and idempotency keys of one participant are remembered as may be
    CERTIFICATES = 39  # green offers need certificates, and too few are free
    UNSIGNED_READING = 40  # the site's meter signs its readings, and this one has no signature


class TaskReason(IntEnum):
    """Stage 6: why a task is not filled (waiting) or has ended."""

    NO_REACH = 1  # nowhere within its latency limit, regions, class and power are these chips sold
    NO_TIME = 2  # the data cannot be there, or the hours do not fit before the deadline
    NO_DEPTH = 3  # no site has so many cards in every hour
    OVER_BUDGET = 4
    CANCELED = 5
    EXPIRED = 6


class Refusal(Exception):
    """A user's mistake: carries the code, a message for people and what to do next; nothing has changed."""

    def __init__(self, reason: VenueReason, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint


def wire_code(reason: IntEnum) -> int:
    """stage x 100 + value."""
    stage = {RejectReason: 1, DenyReason: 2, VenueReason: 3, TaskReason: 6}[type(reason)]
    return stage * 100 + reason.value
