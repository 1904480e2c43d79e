"""Integer units, the named roundings, and decimal text to integers and back.

Money and prices are micro-yuan (10^-6 yuan), card quantities are lots (1/10 card by default), times are ns since 1970 UTC.
"""

import re

MICRO = 1_000_000
PPM = 1_000_000
NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 3600 * NS_PER_SECOND
NS_PER_DAY = 24 * NS_PER_HOUR

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
