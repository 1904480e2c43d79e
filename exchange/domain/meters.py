"""Meters of sites: whose readings are signed, which send heartbeats, and which have fallen silent (RD1).

What counts for an obligation is the heartbeat of its site's meter when it was sold; the key is the one the site has now.
Signatures are verified where commands come in (`exchange.gateways`): here only their presence is checked.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from exchange.domain import failing
from exchange.domain.commands_delivery import SetMeter
from exchange.domain.events import Acknowledged
from exchange.domain.instrument import Periods
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Obligation
from exchange.domain.units import NS_PER_SECOND

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

BEATS = 3  # so many heartbeats may be missing
KEY_LETTERS = 64
SIGNATURE_LETTERS = 128
_HEX = frozenset("0123456789abcdef")


def is_hex(text: str, letters: int) -> bool:
    """Whether a text is so many lower-case hex digits."""
    return len(text) == letters and _HEX.issuperset(text)


def set_meter(v: Venue, command: SetMeter) -> None:
    """SetMeter: the key counts from now on, the heartbeat for what is sold from now on."""
    site = v.own_site(command.site, command.participant)
    if command.public_key_hex and not is_hex(command.public_key_hex, KEY_LETTERS):
        raise Refusal(VenueReason.INVALID_SETTING, f"an Ed25519 key is {KEY_LETTERS} lower-case hex digits")
    longest_s = v.settings.period_min * 60 // BEATS
    if not 0 <= command.heartbeat_s <= longest_s:
        raise Refusal(VenueReason.INVALID_SETTING, f"a heartbeat comes every 1 to {longest_s} seconds; 0 = none")
    site.meter_key, site.heartbeat_s = command.public_key_hex, command.heartbeat_s
    v.emit(Acknowledged("SetMeter", command.site))


def check_reading(v: Venue, due: Obligation, lots: int, signature: str) -> None:
    """What a meter asks of a reading, beyond what is asked of every one."""
    if due.number in v.state.failing:
        raise Refusal(VenueReason.INVALID_READING, f"the obligation has failed ({v.state.failing[due.number]})")
    if v.state.sites[due.site].meter_key and not is_hex(signature, SIGNATURE_LETTERS):
        raise Refusal(VenueReason.UNSIGNED_READING, f"the meter of {due.site} signs its readings", "sign it with its key")
    if due.heartbeat_s and due.reading.number and lots > due.reading.delivered_lots:
        message = f"{due.reading.delivered_lots} lots ran without a break so far, so {lots} cannot"
        raise Refusal(VenueReason.INVALID_READING, message)


def is_final(v: Venue, due: Obligation) -> bool:
    """Whether a reading that comes now speaks for the whole period: with heartbeats, one not long before its end."""
    patience_ns = BEATS * due.heartbeat_s * NS_PER_SECOND
    return not due.heartbeat_s or v.state.now_ns >= v.periods.start(due.period + 1) - patience_ns


# --- silence ---


def watch(watched: list[tuple[int, int]], periods: Periods, due: Obligation) -> None:
    """A new obligation at a site with heartbeats: it will be looked at when its meter has been silent too long.

    What is busted, covered or made up meanwhile goes when its time comes, so there are never more entries than sales of
    listed hours (`find_silent` passes over them).
    """
    heappush(watched, (silent_from_ns(periods, due), due.number))


def find_silent(v: Venue) -> None:
    """Marks running obligations whose meter has fallen silent, by number; O(those that are due, log of those watched)."""
    silent = set()
    while v.watched and v.watched[0][0] < v.state.now_ns:
        _, number = heappop(v.watched)
        due = v.state.obligations.get(number)
        if due is None or number in v.state.failing or due.reading.is_countersigned:
            continue
        from_ns = silent_from_ns(v.periods, due)  # later than when it was put here, where a reading has come
        if from_ns >= v.periods.start(due.period + 1):
            continue  # nobody waits for more: `is_final` decides
        if from_ns < v.state.now_ns:
            silent.add(number)
        else:
            heappush(v.watched, (from_ns, number))
    for number in sorted(silent):
        failing.mark(v, number, "silent")


def silent_from_ns(periods: Periods, due: Obligation) -> int:
    """The last moment at which an obligation may be without a further reading."""
    last_ns = max(periods.start(due.period), due.made_ns, due.reading.at_ns)
    return last_ns + BEATS * due.heartbeat_s * NS_PER_SECOND
