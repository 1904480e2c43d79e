"""What one settlement run asks again and again and works out once: shares of a tariff, codes, the later sales of a firm."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from exchange.domain.state import Obligation

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

Shares = list[tuple[str, int]]  # (recipient, ppm)


class Memo:
    """Of one run; sales are read off the venue when a period of them is first asked for."""

    def __init__(self, v: Venue) -> None:
        self._v = v
        self._compute: dict[tuple[int, int, str], Shares] = {}
        self._moving: dict[tuple[int, int, str], Shares] = {}
        self._codes: dict[tuple[int, int], str] = {}
        self._sales: dict[int, dict[tuple[int, int], tuple[list[int], list[int]]]] = {}

    def compute(self, due: Obligation) -> Shares:
        """Shares of its compute price, green ones too where its family is green, by the tariff of the trade."""
        key = (due.tariff, due.family, due.site)
        found = self._compute.get(key)
        if found is None:
            is_green = self._v.state.families[due.family - 1].power == "green"
            found = self._compute[key] = self._of(due, "compute") + (self._of(due, "green") if is_green else [])
        return found

    def moving(self, due: Obligation) -> Shares:
        """Shares of what is paid for moving its data."""
        key = (due.tariff, due.family, due.site)
        found = self._moving.get(key)
        if found is None:
            found = self._moving[key] = self._of(due, "moving")
        return found

    def _of(self, due: Obligation, base: str) -> Shares:
        v, tariff = self._v, self._v.tariff_version(due.tariff)
        host = v.state.sites[due.site].region
        recipients = [(share.recipient.replace("{host}", host), share.ppm) for share in tariff.shares if share.base == base]
        return [(v.recipient(name), ppm) for name, ppm in recipients]

    def code(self, due: Obligation) -> str:
        """The code of its instrument."""
        key = (due.family, due.period)
        if key not in self._codes:
            self._codes[key] = self._v.instrument_code(*key)
        return self._codes[key]

    def highest_later(self, due: Obligation) -> int:
        """BB6: the highest price in ticks at which its firm sold the same hour after it; 0 = it sold none."""
        if due.period not in self._sales:
            self._sales[due.period] = self._sales_of(due.period)
        firm = self._v.state.participants[due.seller].firm
        numbers, highest = self._sales[due.period].get((due.family, firm), ((), ()))
        place = bisect_right(numbers, due.number)
        return highest[place] if place < len(numbers) else 0

    def _sales_of(self, period: int) -> dict[tuple[int, int], tuple[list[int], list[int]]]:
        """(family, firm) -> numbers of what it sold, and the highest price in ticks from each of them on."""
        v = self._v
        found: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
        for number in sorted(v.obligations_of_period.get(period, ()), reverse=True):
            sold = v.state.obligations[number]
            if sold.instead_of and not sold.is_cover:
                continue
            numbers, highest = found.setdefault((sold.family, v.state.participants[sold.seller].firm), ([], []))
            numbers.append(number)
            highest.append(max(sold.price_ticks, highest[-1] if highest else 0))
        for numbers, highest in found.values():
            numbers.reverse()
            highest.reverse()
        return found
