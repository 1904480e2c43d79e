"""What users may write for a time and a number, and the one text each becomes. A float is refused: 8.1 is not 8.10."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from clients.errors import InvalidRequest

NS_PER_S = 1_000_000_000
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_STEPS = re.compile(r"([+-])((?:\d{1,6}[wdhms])+)", re.ASCII)
_STEP = re.compile(r"(\d+)([wdhms])", re.ASCII)
_HOUR = re.compile(r"(?:(today|tomorrow)\s+)?(\d{1,2}):(\d{2})", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?", re.ASCII)


class Moment(NamedTuple):
    """Now, by the clock of the venue, and the zone in which it reads hours of the day."""

    now_ns: int
    zone: str


class H:
    """A time said from now on: `H("+2d")`, `H("+1h30m")`, `H("now")`, `H("22:00")`, `H("tomorrow 08:00")`.

    Counted from the venue's clock when the request is made, in whole seconds; an hour of the day is the next one in the
    venue's time zone. InvalidRequest where the text is none of these.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text.strip().lower()
        at = _HOUR.fullmatch(self.text)
        if at is not None and int(at[2]) < 24 and int(at[3]) < 60:
            return
        if self.text != "now" and _STEPS.fullmatch(self.text) is None:
            raise InvalidRequest(f"H({text!r}) is no time; write +2d, +1h30m, now, 22:00 or tomorrow 08:00")

    def __repr__(self) -> str:
        return f"H({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, H) and self.text == other.text

    def __hash__(self) -> int:
        return hash((H, self.text))

    def at(self, moment: Moment) -> datetime:
        """The aware datetime this is, seen from a moment."""
        now = datetime.fromtimestamp(moment.now_ns // NS_PER_S, UTC)
        if self.text == "now":
            return now
        hour = _HOUR.fullmatch(self.text)
        if hour is None:
            try:
                return now + self._distance()
            except OverflowError:
                raise InvalidRequest(f"{self!r} lies beyond every calendar; write a nearer time") from None
        local = now.astimezone(ZoneInfo(moment.zone))
        found = local.replace(hour=int(hour[2]), minute=int(hour[3]), second=0, microsecond=0)
        if hour[1] == "tomorrow" or (hour[1] is None and found <= local):
            found += timedelta(days=1)
        return found

    def _distance(self) -> timedelta:
        found = _STEPS.fullmatch(self.text)
        assert found is not None, self.text
        seconds = sum(int(count) * _SECONDS[unit] for count, unit in _STEP.findall(found[2]))
        return timedelta(seconds=-seconds if found[1] == "-" else seconds)


Timely = str | datetime | H
Number = int | str | Decimal


def time_text(value: Any, field: str, moment: Moment | None) -> str:
    """RFC 3339; TypeError for what is no time, or a datetime that does not say its zone."""
    if isinstance(value, H):
        if moment is None:
            raise InvalidRequest(f"{field}: {value!r} needs the venue's clock; give a datetime", field=field)
        return value.at(moment).isoformat()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError(f"{field}: the datetime {value} does not say its zone; give it a tzinfo")
        return value.isoformat()
    if isinstance(value, str):
        return value
    raise TypeError(f"{field}: {value!r} is no time; write a datetime with a zone, RFC 3339 text or H('+2d')")


def number_text(value: Any, field: str) -> str:
    """Decimal text of an int, a Decimal or text; TypeError for a float, InvalidRequest where it does not fit the wire."""
    if isinstance(value, float):
        raise TypeError(f"{field}: {value!r} is a float, which holds few decimals exactly; write '{value}'")
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise TypeError(f"{field}: {value!r} is no number; write an int, decimal text or a Decimal")
    if isinstance(value, Decimal):
        text = format(value, "f")
        if "." in text:
            text = text.rstrip("0").rstrip(".") or "0"
    else:
        text = str(value)
    if _NUMBER.fullmatch(text) is None:
        raise InvalidRequest(
            f"{field}: {text[:40]!r} does not fit; at most 18 digits before and 9 after the point, no exponent", field=field
        )
    return text


def rfc3339(time_ns: int) -> str:
    """UTC text of nanoseconds, in whole seconds."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
