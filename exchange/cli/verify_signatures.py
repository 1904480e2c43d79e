"""The signatures of readings, verified once more from the journal alone: the doors did it before they were numbered."""

from __future__ import annotations

from typing import Any

from exchange.domain.commands import SubmitReading
from exchange.domain.commands_delivery import SetMeter
from exchange.domain.events import ReadingTaken, Refused

MAX_NAMED = 20


class Signatures:
    """Follows a replay; a signature must be by a key that its site's meter had then or earlier.

    Earlier ones count, since a reading is verified at the door and a new key may be numbered before it.
    """

    def __init__(self, venue: Any) -> None:
        """venue: the one that is replayed, of which nothing is asked before a meter is set."""
        self._venue = venue
        self._keys: dict[str, list[str]] = {}
        self.verified = 0
        self.wrong = 0
        self.named: list[str] = []

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """One applied command."""
        kind = type(command)
        if kind is SetMeter and type(events[0]) is not Refused:
            keys = self._keys.setdefault(command.site, [])
            if command.public_key_hex and command.public_key_hex not in keys:
                keys.append(command.public_key_hex)
        elif kind is SubmitReading and command.signature and any(type(event) is ReadingTaken for event in events):
            self._check(seq, command)

    def _check(self, seq: int, reading: SubmitReading) -> None:
        site = self._venue.state.sites[self._venue.state.obligations[reading.obligation_id].site]
        if not site.meter_key:
            return  # nobody asks for a signature there
        from exchange.gateways.signatures import is_signed
        from exchange.protocol.signed import reading_text

        text = reading_text(site.name, reading.obligation_id, reading.number, reading.delivered_lots)
        self.verified += 1
        if not any(is_signed(key, text, reading.signature) for key in reversed(self._keys[site.name])):
            self.wrong += 1
            if self.wrong <= MAX_NAMED:
                self.named.append(f"reading at seq {seq}: its signature is not that of the meter of {site.name} over {text}")
