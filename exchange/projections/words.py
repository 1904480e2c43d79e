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
    "TOO_MANY_KEYS": "too many names of tasks and orders of the buyer are remembered already",
}

_OF_BULK = {"NO_DEPTH": "nothing more is offered in the hours and regions it allows"}


def reason_in_words(name: str, shape: str = "") -> str:
    """A reason for people, of a task of this shape; an unknown one is spelled out from its name."""
    of_shape = _OF_BULK if shape == "bulk" else {}
    return of_shape.get(name) or _REASONS.get(name) or name.replace("_", " ").lower()


# Of a code, for the catalogue of errors; docs/reasons.md says the same (a test compares them).
_MEANINGS = {
    101: "no such operation in this release",
    102: "the book is not listed, or its gate has closed",
    103: "the account is not open, or may not trade",
    104: "side, type, time in force, flag, purse or table is out of range or not in this release",
    105: "zero, negative, too large or off the tick",
    106: "zero, negative, too large, or not what the rule allows",
    107: "price times quantity does not fit the money type",
    108: "an expiry that is not ahead",
    109: "not in this trading phase",
    110: "the id is live already",
    111: "no such live order of yours",
    112: "log time never goes back",
    113: "account or book exists",
    114: "the engine holds as many orders as it was made for",
    115: "the site does not offer so much at this price",
    116: "the limit is too far from the reference price",
    117: "post-only, and it would trade at once",
    201: "free cash does not cover the hold, margin or amount",
    202: "RT1: more than the site has attested",
    203: "RT1: four live sells per site and book",
    204: "an account would hold more than money can count",
    205: "the account or its firm is blocked by the kill switch",
    301: "settings, catalogue or tariff are missing",
    302: "SetVenue came before",
    303: "valid_until has passed in log time",
    304: "the client id was used with other content",
    305: "log time never goes back",
    306: "ids are 1 to 36 printable ASCII characters",
    307: "a setting or tariff is out of range",
    308: "a row of the catalogue is wrong; the message names it",
    309: "no such participant",
    310: "no such site of yours",
    311: "not in the catalogue",
    312: "not in the catalogue, or hosts nothing",
    313: "no such latency class there (CA1)",
    314: "grid or green",
    315: "the family is not listed, or the period not open",
    316: "no such live offer of yours",
    317: "no such live order of yours",
    318: "no such waiting task of yours",
    319: "no such open obligation of yours",
    320: "the id is live already",
    321: "zero, negative, too large or off the tick",
    322: "zero, negative, too large, or not what the rule allows",
    323: "not whole periods, empty, past, or too long",
    324: "0 (any) to 1000 s",
    325: "shape, side or combination that is not offered",
    326: "emergency, standard or economy",
    327: "an amount that is not positive or too large",
    328: "RT1: more than the site has attested",
    329: "RT1: four live sells per site and book",
    330: "RT8: the firm or the chip has no room for another waiting task",
    331: "free cash does not cover the hold, margin or amount",
    332: "HM5: margin is short; deposit money",
    333: "BB1: offers of a site in one family must agree on indivisible_ok",
    334: "outside the window, above what was sold, or an old number",
    335: "the window is open, or periods are out of order",
    336: "exactly one of price cap and budget, positive",
    337: "as many orders rest as the core was made for; try again when some have ended",
    338: "100,000 client ids and idempotency keys of this participant are remembered already; it was not executed",
    601: "nothing within the latency limit sells these chips",
    602: "the data cannot be there, or the hours do not fit before the deadline",
    603: "no site has so many cards in every hour",
    604: "what is offered costs more than the cap or budget",
    605: "the buyer took it back",
    606: "time ran out",
}


def meaning_of(code: int) -> str:
    """What a code of stages 1 to 6 means; KeyError for one that there is not."""
    return _MEANINGS[code]
