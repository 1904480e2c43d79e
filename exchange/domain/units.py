"""Integer units, the named roundings, and decimal text to integers and back.

Money and prices are micro-yuan (10^-6 yuan), card quantities are lots (1/10 card by default), times are ns since 1970 UTC.
"""

import re
from datetime import date

MICRO = 1_000_000
PPM = 1_000_000
NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 3600 * NS_PER_SECOND
NS_PER_DAY = 24 * NS_PER_HOUR

FIRST_YEAR, LAST_YEAR = 2020, 2199  # the venue counts periods from 2020 on

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
_DECIMAL = re.compile(r"(-?)(\d{1,18})(?:\.(\d{1,9}))?", re.ASCII)


class UnitError(ValueError):
    """A text that is not a number this venue can hold; the message says what would be."""


def div_floor(numerator: int, denominator: int) -> int:
    """numerator over denominator, rounded towards minus infinity."""
    return numerator // denominator


def div_ceil(numerator: int, denominator: int) -> int:
    """numerator over denominator, rounded towards plus infinity."""
    return -(-numerator // denominator)


def div_half_even(numerator: int, denominator: int) -> int:
    """numerator over denominator, rounded to nearest, ties to even (denominator > 0)."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def parse_scaled(text: str, scale: int, what: str = "number") -> int:
    """Decimal text as an integer of 1/scale units (scale a power of ten); UnitError where it does not fit exactly."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise UnitError(f"{what} {text[:40]!r} is not a decimal number (digits, at most 18 before and 9 after the point)")
    sign, whole, fraction = match[1], match[2], match[3] or ""
    places = len(str(scale)) - 1
    kept, lost = fraction[:places], fraction[places:]
    if lost.strip("0"):
        raise UnitError(f"{what} {text!r} has more than {places} decimal places")
    value = int(whole) * scale + (int(kept.ljust(places, "0")) if kept else 0)
    return -value if sign else value


def parse_micro(text: str, what: str = "amount") -> int:
    """Decimal yuan as micro-yuan."""
    return parse_scaled(text, MICRO, what)


def format_scaled(value: int, scale: int, places: int) -> str:
    """An integer of 1/scale units as decimal text with at least `places` decimals and no digit lost."""
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), scale)
    digits = str(rest).rjust(len(str(scale)) - 1, "0").rstrip("0").ljust(places, "0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def format_micro(value: int, places: int = 2) -> str:
    """Micro-yuan as decimal yuan; at least two decimals, no digit lost."""
    return format_scaled(value, MICRO, places)


def parse_time_ns(text: str, first_year: int = FIRST_YEAR) -> int:
    """RFC 3339 text with Z or an offset as ns since 1970 UTC; UnitError for anything else."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise UnitError(f"{_shown(text)} is not a time; write it as 2026-01-05T08:00:00+08:00 or …Z")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    offset_hour, offset_minute = (int(match[10]), int(match[11])) if match[9] else (0, 0)
    if not first_year <= year <= LAST_YEAR:
        raise UnitError(f"{_shown(text)}: the year must lie in {first_year} to {LAST_YEAR}")
    if hour > 23 or minute > 59 or second > 59 or offset_hour > 23 or offset_minute > 59:
        raise UnitError(f"{_shown(text)}: no such hour, minute or second")
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        raise UnitError(f"{_shown(text)}: no such day") from None
    seconds = (hour * 60 + minute) * 60 + second
    offset_min = (offset_hour * 60 + offset_minute) * (-1 if match[9] == "-" else 1)
    fraction_ns = int((match[7] or "").ljust(9, "0"))
    return days * NS_PER_DAY + seconds * NS_PER_SECOND + fraction_ns - offset_min * NS_PER_MINUTE


def format_time(time_ns: int) -> str:
    """ns since 1970 as RFC 3339 in UTC, with nine decimals only where there is a fraction."""
    days, rest_ns = divmod(time_ns, NS_PER_DAY)
    seconds, fraction_ns = divmod(rest_ns, NS_PER_SECOND)
    day = date.fromordinal(_EPOCH_DAY + days).isoformat()
    fraction = f".{fraction_ns:09d}" if fraction_ns else ""
    return f"{day}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}Z"


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:40] + "...")
