"""Times as people type and read them: `+2d`, `22:00`, `tomorrow` against the venue's clock and in its time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from exchange.cli.running import USAGE, fail

_SPAN = re.compile(r"\+(?=\d)(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?", re.ASCII)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
EXPECTED = "give +2d, +1h30m, 22:00, now, today, tomorrow, 2026-11-24 or 2026-11-24T12:00:00+08:00"


class VenueTime(NamedTuple):
    """The venue's own now and its time zone; relative words are counted from there, not from this machine's clock."""

    now_ns: int
    zone: tzinfo

    @property
    def now(self) -> datetime:
        """To the second, in the venue's zone."""
        return datetime.fromtimestamp(self.now_ns // 10**9, self.zone)


def venue_time(now_ns: int, time_zone: str) -> VenueTime:
    """In the venue's zone; in UTC where this machine does not know that zone."""
    from zoneinfo import ZoneInfo

    try:
        return VenueTime(now_ns, ZoneInfo(time_zone))
    except (OSError, ValueError, KeyError):
        return VenueTime(now_ns, UTC)


def moment(text: str, at: VenueTime, option: str, *, after: datetime | None = None) -> datetime:
    """What an option means; exit code 2 where it is no time. A time of day is the next one behind `after` (default: now)."""
    try:
        found = _moment(text, at, option, after)
        found.astimezone(UTC)
    except OverflowError:
        fail(f"{option} {text[:40]!r} lies beyond every calendar: {EXPECTED}", USAGE)
    return found


def _moment(text: str, at: VenueTime, option: str, after: datetime | None) -> datetime:
    words = text.strip().lower()
    if words == "now":
        return at.now
    if span := _SPAN.fullmatch(words):
        days, hours, minutes = (int(count or 0) for count in span.groups())
        return (at.now.astimezone(UTC) + timedelta(days=days, hours=hours, minutes=minutes)).astimezone(at.zone)
    if clock := _CLOCK.fullmatch(words):
        start = after or at.now
        found = start.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        return found if found > start else found + timedelta(days=1)
    if words in ("today", "tomorrow", "yesterday") or _DAY.fullmatch(words):
        return datetime.combine(day(text, at, option), datetime.min.time(), at.zone)
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        fail(f"{option} {text[:40]!r} is no time: {EXPECTED}", USAGE)
    return found if found.tzinfo else found.replace(tzinfo=at.zone)


def day(text: str, at: VenueTime, option: str) -> date:
    """A day of the venue; exit code 2 where the text is none."""
    shift = {"yesterday": -1, "today": 0, "tomorrow": 1}.get(text.strip().lower())
    if shift is not None:
        return at.now.date() + timedelta(days=shift)
    if _DAY.fullmatch(text.strip()):
        try:
            return date.fromisoformat(text.strip())
        except ValueError:
            pass  # the shape of a date, but no such day: said below
    return fail(f"{option} {text[:40]!r} is no day: give today, yesterday, tomorrow or a date like 2026-11-24", USAGE)


def shown(text: str | None, at: VenueTime) -> str:
    """A time of the server as the venue's people read it, with how far it is: `11-24 20:00 (in 3 h)`."""
    if not text:
        return ""
    found = datetime.fromisoformat(text).astimezone(at.zone)
    return f"{found:%m-%d %H:%M} ({distance(found, at.now)})"


def distance(moment: datetime, now: datetime) -> str:
    """`in 3 h`, `20 min ago`, `now`: the largest unit only, rounded down."""
    seconds = int((moment - now).total_seconds())
    count, unit = abs(seconds) // 60, "min"
    if count >= 48 * 60:
        count, unit = count // (24 * 60), "days"
    elif count >= 60:
        count, unit = count // 60, "h"
    if count == 0:
        return "now"
    return f"in {count} {unit}" if seconds > 0 else f"{count} {unit} ago"
