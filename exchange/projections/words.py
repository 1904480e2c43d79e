"""Reasons and dimensions in plain words."""

_REASONS = {
    "NO_REACH": "nothing within the latency limit sells these chips",
    "NO_TIME": "the hours, or moving the data, do not fit before the deadline",
    "NO_DEPTH": "no site has so many cards in every hour",
    "OVER_BUDGET": "what is offered costs more than the cap or budget",
    "CANCELED": "canceled before it was filled",
    "EXPIRED": "time ran out",
    "": "not explained",
    "NOT_CONFIGURED": "the venue was not set up yet",
    "EXPIRED_COMMAND": "the request came after its own time limit",
    "KEY_REUSED": "the same client id was used before with other content",
    "INVALID_TEXT": "an id is empty, too long or not plain ASCII",
    "UNKNOWN_PARTICIPANT": "the participant is unknown",
    "UNKNOWN_CHIP": "the chip is not in the catalogue",
    "UNKNOWN_REGION": "the region is not in the catalogue",
    "DUPLICATE_ID": "a task of this name is waiting already",
    "INVALID_QTY": "the number of cards cannot be",
    "INVALID_WINDOW": "the hours do not fit between start and deadline, or lie in the past",
    "INVALID_LATENCY": "the latency limit cannot be",
    "INVALID_SHAPE": "this shape of task is not offered",
    "INVALID_LANE": "the lane is unknown",
    "INVALID_BUDGET": "cap or budget is missing, given twice or too large",
    "TOO_MANY_WAITING": "too many tasks of this firm or chip wait already",
    "INSUFFICIENT_FUNDS": "the buyer's free cash does not cover the hold",
}

_OF_BULK = {"NO_DEPTH": "nothing more is offered in the hours and regions it allows"}


def reason_in_words(name: str, shape: str = "") -> str:
    """A reason for people, of a task of this shape; an unknown one is spelled out from its name."""
    of_shape = _OF_BULK if shape == "bulk" else {}
    return of_shape.get(name) or _REASONS.get(name) or name.replace("_", " ").lower()
