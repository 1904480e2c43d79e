"""The venue's measures on the wire: cards, hours, yuan and times as text, lots, periods, micro-yuan and ns inside.

Every conversion is exact. A text that does not fit whole lots or periods is INVALID_FIELD, with the nearest ones as hint.
"""

from functools import lru_cache

from exchange.domain import units
from exchange.domain.commands import SetVenue
from exchange.domain.units import (
    MICRO,
    NS_PER_MINUTE,
    PPM,
    UnitError,
    format_micro,
    format_scaled,
    parse_scaled,
)
from exchange.protocol.errors import DoorError, DoorReason

NANO = 1_000_000_000
FIRST_YEAR = 1970  # what is too early for the venue is the venue's to say
_INT64 = 1 << 63
_CACHED = 1 << 14


def invalid(field: str, detail: str, hint: str = "") -> DoorError:
    """INVALID_FIELD, to be raised."""
    return DoorError(DoorReason.INVALID_FIELD, detail, field=field, hint=hint)


@lru_cache(maxsize=_CACHED)
def scaled(text: str, scale: int, field: str) -> int:
    """Decimal text as an integer of 1/scale units; DoorError where it is no number or has too many decimals."""
    try:
        value = parse_scaled(text, scale, field)
    except UnitError as error:
        raise invalid(field, str(error), _nearest_of(text, scale)) from None
    if not -_INT64 <= value < _INT64:
        raise invalid(field, f"{text} is too large")
    return value


def _nearest_of(text: str, scale: int) -> str:
    try:
        below = parse_scaled(text, NANO) * scale // NANO
    except UnitError:
        return ""
    return f"nearest: {format_scaled(below, scale, 0)}, {format_scaled(below + 1, scale, 0)}"


def price_micro(text: str, field: str = "price") -> int:
    """Yuan per card-hour as micro-yuan; the tick is the venue's to check."""
    return scaled(text, MICRO, field)


def money_micro(text: str, field: str = "amount") -> int:
    """Yuan as micro-yuan."""
    return scaled(text, MICRO, field)


@lru_cache(maxsize=_CACHED)
def yuan(micro: int) -> str:
    """Micro-yuan as yuan, at least two decimals; also of prices."""
    return format_micro(micro)


def latency_us(text: str, field: str) -> int:
    """Milliseconds as microseconds."""
    return scaled(text, 1_000, field)


def ms_text(us: int) -> str:
    """Microseconds as milliseconds."""
    return format_scaled(us, 1_000, 0)


def data_mb(text: str, field: str) -> int:
    """GB as MB."""
    return scaled(text, 1_000, field)


def gb_text(mb: int) -> str:
    """MB as GB."""
    return format_scaled(mb, 1_000, 0)


def milli(text: str, field: str) -> int:
    """PFLOPS-hours as thousandths."""
    return scaled(text, 1_000, field)


def milli_text(thousandths: int) -> str:
    """Thousandths as PFLOPS-hours."""
    return format_scaled(thousandths, 1_000, 0)


def ppm(text: str, field: str) -> int:
    """A share or factor as parts per million."""
    return scaled(text, PPM, field)


def ppm_text(parts: int) -> str:
    """Parts per million as a share or factor."""
    return format_scaled(parts, PPM, 0)


@lru_cache(maxsize=_CACHED)
def time_ns(text: str, field: str = "time") -> int:
    """RFC 3339 as ns since 1970 UTC."""
    try:
        found = units.parse_time_ns(text, FIRST_YEAR)
    except UnitError as error:
        raise invalid(field, str(error)) from None
    if found < 0:
        raise invalid(field, f"{text} lies before 1970")
    return found


@lru_cache(maxsize=1024)
def time_text(ns: int) -> str:
    """ns since 1970 as RFC 3339 in UTC."""
    return units.format_time(ns)


class Measures:
    """The conversions that depend on the settings of one venue; the others are here as well, for one address of all."""

    price_micro = staticmethod(price_micro)
    money_micro = staticmethod(money_micro)
    yuan = staticmethod(yuan)
    latency_us = staticmethod(latency_us)
    ms_text = staticmethod(ms_text)
    data_mb = staticmethod(data_mb)
    gb_text = staticmethod(gb_text)
    milli = staticmethod(milli)
    milli_text = staticmethod(milli_text)
    ppm = staticmethod(ppm)
    ppm_text = staticmethod(ppm_text)
    time_ns = staticmethod(time_ns)
    time_text = staticmethod(time_text)

    def __init__(self, settings: SetVenue) -> None:
        self.settings = settings
        self.period_ns = settings.period_min * NS_PER_MINUTE
        self._lots_per_card = settings.lots_per_card
        # The same texts and numbers come again and again; what does not fit is not kept.
        self.cards_text = lru_cache(maxsize=_CACHED)(self._cards_text)
        self._whole = lru_cache(maxsize=_CACHED)(self._to_whole)

    # --- cards ---

    def lots(self, text: str, field: str = "cards") -> int:
        """Cards as lots."""
        return self._whole(text, self._lots_per_card, 1, field)

    def _cards_text(self, lots: int) -> str:
        """Lots as cards."""
        return format_scaled(lots, self._lots_per_card, 0)

    # --- hours ---

    def periods(self, text: str, field: str = "hours") -> int:
        """Hours as periods."""
        return self._whole(text, 60, self.settings.period_min, field)

    def hours_text(self, periods: int) -> str:
        """Periods as hours."""
        return _ratio_text(periods * self.settings.period_min, 60)

    # --- cards times hours ---

    def lot_periods(self, text: str, field: str = "card_hours") -> int:
        """Card-hours as lots times periods."""
        return self._whole(text, 60 * self._lots_per_card, self.settings.period_min, field)

    def card_hours_text(self, lot_periods: int) -> str:
        """Lots times periods as card-hours."""
        return _ratio_text(lot_periods * self.settings.period_min, 60 * self._lots_per_card)

    @staticmethod
    def _to_whole(text: str, numerator: int, denominator: int, field: str) -> int:
        """A text times numerator over denominator, which must be a whole number of 64 bits."""
        try:
            value, rest = divmod(parse_scaled(text, NANO, field) * numerator, denominator * NANO)
        except UnitError as error:
            raise invalid(field, str(error)) from None
        if rest:
            near = " and ".join(_ratio_text(whole * denominator, numerator) for whole in (value, value + 1))
            step = _ratio_text(denominator, numerator)
            raise invalid(field, f"{text} is no multiple of {step}", f"the nearest are {near}")
        if not -_INT64 <= value < _INT64:
            raise invalid(field, f"{text} is too large")
        return value


def _ratio_text(numerator: int, denominator: int) -> str:
    """A fraction as decimal text; every measure of a venue has an end within nine decimals."""
    value, rest = divmod(numerator * NANO, denominator)
    assert rest == 0, (numerator, denominator)
    return format_scaled(value, NANO, 0)
