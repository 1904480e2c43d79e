"""In which state a lease or an hour of it is: one word, made of what the tables know and of the time.

offered -> sold -> delivering -> delivered | short | failed; or covered, made_up, void, busted. `offered` is an offer's own
state: a lease begins with the sale.
"""

from collections.abc import Collection

OPEN = "open"
_ENDED = ("busted", "void", "made_up", "covered", "delivered")  # where all hours are the same, so is the lease


def hour_state(status: str, failing: str, delivered_lots: int, period_start_ns: int, now_ns: int) -> str:
    """The state of one obligation; status as settled, or open."""
    if status == OPEN:
        return "failed" if failing else "delivering" if period_start_ns <= now_ns else "sold"
    return "failed" if status == "short" and not delivered_lots else status


def lease_state(states: Collection[str]) -> str:
    """The state of a lease by those of its hours: running hours first, then what is to come, then what became of it."""
    kinds = set(states) - {"busted"} or {"busted"}  # a trade that is none any more says nothing of the others
    if "delivering" in kinds:
        return "delivering"
    if "sold" in kinds:
        return "sold" if kinds <= {"sold", "failed"} else "delivering"
    for name in _ENDED:
        if kinds <= {name}:
            return name
    if kinds <= {"failed", "void"}:
        return "failed"
    return "short" if kinds & {"short", "failed", "void"} else "delivered"
