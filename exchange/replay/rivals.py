"""Two other ways to give out the same cards to the same tasks: what an exchange has to beat.

`nearest`: first come, first served at list price in the region nearest to the user that sells an accepted chip: the
earliest start that fits. `cheapest_hour`: every task goes where its first hour is cheapest, whatever moving its data
and its later hours cost. Both see what the exchange sees (arrival order, offers, capacity, reach, windows, data), pay
list prices, never go above a budget, keep a run on one site, try again when an offer comes, and do not mind minimum
blocks. Neither knows listing horizons, so each may book further ahead than the exchange.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from exchange.domain.catalogue import Catalogue, load
from exchange.domain.commands import PlaceOffer, SetVenue, SubmitTask, Task
from exchange.domain.instrument import Periods
from exchange.domain.money import task_budget
from exchange.domain.units import NS_PER_MINUTE, PPM, div_ceil
from exchange.replay.market_day import MarketDay

Key = tuple[str, str]  # participant, client_order_id


@dataclass(slots=True)
class Shelf:
    """What one site sells of one family: its offers, cheapest first within a period."""

    chip: str
    region: str
    latency_class: str
    power: str
    site: str
    offers: list["Stock"] = field(default_factory=list)


@dataclass(slots=True)
class Stock:
    """One offer and what is left of it."""

    offer: PlaceOffer
    first: int
    end: int
    sold: dict[int, int] = field(default_factory=dict)  # period -> lots

    def price_micro(self, period: int) -> int:
        """List price of a period, micro-yuan per card-hour."""
        prices = self.offer.period_prices_micro
        return prices[period - self.first] if prices else self.offer.price_micro

    def left(self, period: int) -> int:
        """Lots that can still be had in a period."""
        return self.offer.lots - self.sold.get(period, 0) if self.first <= period < self.end else 0


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a task got: delivered cost without fee, and how much of it moves data; micro-yuan."""

    cost_micro: int
    moving_micro: int
    lot_periods: int


@dataclass(frozen=True, slots=True)
class Place:
    """A shelf that a task may use, and what using it takes."""

    shelf: Shelf
    lots: int
    chip_place: int
    rtt_us: int
    moving_micro: int
    first: int
    last: int


class Rival:
    """One way to choose, over the rows of a day; `outcomes` says what every task that was filled paid."""

    def __init__(self, day: MarketDay, choose: Callable[["Rival", Task, list[Place]], tuple[Place, int] | None]) -> None:
        self._choose = choose
        self._settings: SetVenue = day.settings
        self._catalogue = load(day.catalogue, Catalogue())
        self._periods = Periods(day.settings.period_min * NS_PER_MINUTE, day.settings.gate_min * NS_PER_MINUTE)
        self._site_region = {site.site: site.region for site in day.sites}
        self._shelves: dict[tuple[str, ...], Shelf] = {}
        self._waiting: list[Task] = []
        self.outcomes: dict[Key, Purchase] = {}

    def run(self, day: MarketDay) -> dict[Key, Purchase]:
        """Every row in its order."""
        for now_ns, command in day.rows:
            if isinstance(command, PlaceOffer):
                self._put_up(command)
                self._waiting = [task for task in self._waiting if not self._try(task, now_ns)]
            elif isinstance(command, SubmitTask) and command.task.lots and not self._try(command.task, now_ns):
                self._waiting.append(command.task)
        return self.outcomes

    def _put_up(self, offer: PlaceOffer) -> None:
        region = self._site_region[offer.site]
        key = (offer.chip, region, offer.latency_class, offer.power, offer.site)
        shelf = self._shelves.setdefault(key, Shelf(*key))
        shelf.offers.append(Stock(offer, self._periods.at(offer.start_ns), self._periods.at(offer.end_ns)))

    def _try(self, task: Task, now_ns: int) -> bool:
        chosen = self._choose(self, task, self._places(task, now_ns))
        if chosen is None:
            return False
        place, start = chosen
        cost = sum(self._take(place, period) for period in range(start, start + task.periods))
        bought = Purchase(cost + place.moving_micro, place.moving_micro, place.lots * task.periods)
        self.outcomes[task.participant, task.client_order_id] = bought
        return True

    def _places(self, task: Task, now_ns: int) -> list[Place]:
        """Where a task may run at all, in order of first offer."""
        return [place for shelf in self._shelves.values() if (place := self._place(task, shelf, now_ns))]

    def _place(self, task: Task, shelf: Shelf, now_ns: int) -> Place | None:
        names = [item.chip for item in task.chips]
        if shelf.chip not in names or (task.allowed_regions and shelf.region not in task.allowed_regions):
            return None
        if task.min_green_ppm and shelf.power != "green":
            return None
        rtt_us = self._catalogue.rtt_us(task.access_region, shelf.region, shelf.latency_class)
        moving = self._catalogue.moving(task.data_mb, task.data_region, shelf.region)
        if rtt_us is None or (task.max_latency_us and rtt_us > task.max_latency_us) or moving is None:
            return None
        if task.checkpoint == "none" and not all(stock.offer.indivisible_ok for stock in shelf.offers):
            return None
        grid, chip_place = self._periods, names.index(shelf.chip)
        first = max(grid.first_from(task.earliest_start_ns), grid.first_open(now_ns), grid.first_from(now_ns + moving[1]))
        last = grid.at(task.deadline_ns) - task.periods
        lots = div_ceil(task.lots * PPM, task.chips[chip_place].factor_ppm)
        return Place(shelf, lots, chip_place, rtt_us, moving[0], first, last) if first <= last else None

    # --- what the choosers ask ---

    def starts(self, task: Task, place: Place) -> Iterator[tuple[int, int]]:
        """(start, list price of its first hour) wherever all cards are there in every hour, in order of time."""
        run = 0
        for period in range(place.first, place.last + task.periods):
            run = run + 1 if self._left(place.shelf, period) >= place.lots else 0
            if run >= task.periods:
                start = period - task.periods + 1
                yield start, min(stock.price_micro(start) for stock in place.shelf.offers if stock.left(start))

    def is_affordable(self, task: Task, place: Place, start: int) -> bool:
        """Whether the run and moving the data stay within the budget."""
        cost = sum(self._cost(place, period) for period in range(start, start + task.periods))
        return cost + place.moving_micro <= task_budget(task, self._settings)

    @staticmethod
    def _left(shelf: Shelf, period: int) -> int:
        return sum(stock.left(period) for stock in shelf.offers)

    def _legs(self, place: Place, period: int) -> Iterator[tuple[Stock, int]]:
        """The cheapest stock first, until all lots are there."""
        wanted = place.lots
        for stock in sorted(place.shelf.offers, key=lambda stock: stock.price_micro(period) if stock.left(period) else 0):
            taken = min(wanted, stock.left(period))
            if taken:
                wanted -= taken
                yield stock, taken

    def _value(self, price_micro: int, lots: int) -> int:
        return div_ceil(price_micro * lots * self._settings.period_min, 60 * self._settings.lots_per_card)

    def _cost(self, place: Place, period: int) -> int:
        return sum(self._value(stock.price_micro(period), lots) for stock, lots in self._legs(place, period))

    def _take(self, place: Place, period: int) -> int:
        cost = 0
        for stock, lots in list(self._legs(place, period)):
            stock.sold[period] = stock.sold.get(period, 0) + lots
            cost += self._value(stock.price_micro(period), lots)
        return cost


def nearest(rival: Rival, task: Task, places: list[Place]) -> tuple[Place, int] | None:
    """First fit in the nearest region that sells an accepted chip: earliest start, then chip, then site."""
    if not places:
        return None
    region = min((place.rtt_us, place.shelf.region) for place in places)[1]
    fits = [
        (start, place.chip_place, place.shelf.site, number)
        for number, place in enumerate(places)
        if place.shelf.region == region
        for start, _ in rival.starts(task, place)
        if rival.is_affordable(task, place, start)
    ]
    return (places[min(fits)[3]], min(fits)[0]) if fits else None


def cheapest_hour(rival: Rival, task: Task, places: list[Place]) -> tuple[Place, int] | None:
    """Where the first hour costs least, then the earliest, then chip, region and site; only then the whole is added up."""
    fits = sorted(
        (price, start, place.chip_place, place.shelf.region, place.shelf.site, number)
        for number, place in enumerate(places)
        for start, price in rival.starts(task, place)
    )
    for _, start, _, _, _, number in fits:
        if rival.is_affordable(task, places[number], start):
            return places[number], start
    return None


RIVALS = {"nearest": nearest, "cheapest_hour": cheapest_hour}


def run_rivals(day: MarketDay) -> dict[str, dict[Key, Purchase]]:
    """Name -> what each task that it filled paid; tasks of shape bulk are runs like the others here."""
    return {name: Rival(day, choose).run(day) for name, choose in RIVALS.items()}
