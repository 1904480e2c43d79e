"""The venue's calendar and measures, from SetVenue: its days (in its own time zone) and its quantities."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exchange.domain.commands import SetVenue
from exchange.domain.events import Refused
from exchange.domain.units import MICRO, NS_PER_SECOND, div_half_even, format_scaled

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


class CalendarError(ValueError):
    """The venue's settings are missing, or name a time zone that this machine does not know."""


class Calendar:
    """Learns the settings from SetVenue; everything else here needs them and raises CalendarError without."""

    def __init__(self) -> None:
        self._settings: SetVenue | None = None
        self._zone: ZoneInfo | None = None
        self._day = date.min
        self._start_ns = self._end_ns = 0
        self._last_ns, self._last_text = -1, ""

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Takes the settings when they are accepted."""
        if type(command) is SetVenue and type(events[0]) is not Refused:
            self.configure(command)

    def configure(self, settings: SetVenue) -> None:
        """Takes the settings of a venue that has them already."""
        self._settings = settings
        try:
            self._zone = ZoneInfo(settings.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise CalendarError(f"time zone {settings.time_zone!r} is not known here: {error}") from error

    @property
    def settings(self) -> SetVenue:
        """The venue's settings."""
        if self._settings is None:
            raise CalendarError("the venue has no settings yet (SetVenue)")
        return self._settings

    # --- days and times ---

    def day(self, time_ns: int) -> date:
        """The venue's day that contains a time."""
        if not self._start_ns <= time_ns < self._end_ns:
            self._day = self._local(time_ns).date()
            self._start_ns, self._end_ns = self._midnight(self._day), self._midnight(self._day + _DAY)
        return self._day

    def day_start_ns(self, time_ns: int) -> int:
        """The first ns of the venue day that contains a time."""
        self.day(time_ns)
        return self._start_ns

    def day_end_ns(self, time_ns: int) -> int:
        """The first ns of the next venue day."""
        self.day(time_ns)
        return self._end_ns

    def day_span(self, day: date) -> tuple[int, int]:
        """The first ns of a venue day, and of the next one."""
        return self._midnight(day), self._midnight(day + _DAY)

    def text(self, time_ns: int) -> str:
        """RFC 3339 in the venue's time zone; a fraction of a second only where there is one, no digit lost."""
        if time_ns != self._last_ns:
            fraction = time_ns % NS_PER_SECOND
            digits = f".{fraction:09d}".rstrip("0") if fraction else ""
            whole = self._local(time_ns).isoformat()
            self._last_ns, self._last_text = time_ns, whole[:19] + digits + whole[19:]
        return self._last_text

    def _local(self, time_ns: int) -> datetime:
        if self._zone is None:
            raise CalendarError("the venue has no settings yet (SetVenue)")
        return (_EPOCH + timedelta(seconds=time_ns // NS_PER_SECOND)).astimezone(self._zone)

    def _midnight(self, day: date) -> int:
        assert self._zone is not None, "no day before SetVenue"
        local = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        return (local - _EPOCH) // _SECOND * NS_PER_SECOND

    # --- quantities ---

    def cards_text(self, lots: int) -> str:
        """Lots as cards."""
        return format_scaled(lots, self.settings.lots_per_card, 0)

    def card_hours_text(self, lot_periods: int) -> str:
        """Lots times periods as card-hours, no digit lost."""
        settings = self.settings
        micro, rest = divmod(lot_periods * settings.period_min * MICRO, 60 * settings.lots_per_card)
        assert rest == 0, (lot_periods, settings)
        return format_scaled(micro, MICRO, 1)

    def per_card_hour(self, amount_micro: int, lot_periods: int) -> int:
        """An amount spread over lots times periods, as micro-yuan per card-hour, half to even; 0 for nothing bought."""
        settings = self.settings
        if lot_periods == 0:
            return 0
        return div_half_even(amount_micro * 60 * settings.lots_per_card, lot_periods * settings.period_min)
