"""The lane view (DI5): what a need could use in one period, merged from books and block offers; indicative, no book itself.

A need is an access region, a limit in ms, accepted chips, a power and a period. What is eligible is decided as for a task
(K1): a faster class serves a slower need, green serves grid, a chip only where it was named. Prices are the providers' own:
the cost of moving data is in none of them. The public sees no more here than in the books and the list of offers.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from exchange.domain.catalogue import Catalogue
from exchange.domain.commands import Task, TaskChip
from exchange.domain.eligible import Eligible, eligible_families
from exchange.domain.instrument import book_id, is_instrument_open
from exchange.domain.units import PPM
from exchange.domain.venue import Venue
from exchange.protocol import answers as a
from exchange.protocol import requests as r
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.fields import MAX_LIST
from exchange.protocol.measures import Measures, invalid

ANY, GREEN = "any", "green"
_PARTS = 5
LEVELS = 100  # that the channel tells; a question may ask for more


class Need(NamedTuple):
    """What somebody looks for; max_latency_us 0 = any."""

    access_region: str
    max_latency_us: int
    chips: tuple[str, ...]
    is_green: bool
    period: int


class Level(NamedTuple):
    """Lots at one price of one book or block offer; the fields in this order are the order of the view."""

    ticks: int
    chip_place: int
    rtt_us: int
    instrument: str
    site: str  # "" in a book
    offer: int  # number of the block offer, 0 in a book
    lots: int
    min_lots: int
    min_periods: int
    family: str

    @property
    def is_block(self) -> bool:
        """Whether it is a block offer, with a minimum (MB1)."""
        return self.offer != 0


# --- needs and their names ---


def need_of(v: Venue, m: Measures, asked: r.LaneView) -> Need:
    """The need of a question; DoorError for one that cannot be."""
    if asked.access_region not in v.state.catalogue.regions:
        raise invalid("access_region", f"region {asked.access_region[:36]!r} is not in the catalogue")
    _check_chips(v.state.catalogue, asked.chips)
    limit_us = m.latency_us(asked.max_latency_ms, "max_latency_ms") if asked.max_latency_ms is not None else 0
    green_ppm = m.ppm(asked.min_green, "min_green") if asked.min_green is not None else 0
    if asked.max_latency_ms is not None and limit_us <= 0:
        raise invalid("max_latency_ms", "the limit is not above 0", "leave it out for any")
    if green_ppm < 0:
        raise invalid("min_green", "the share is below 0")
    chips = tuple(dict.fromkeys(asked.chips))
    return Need(asked.access_region, limit_us, chips, green_ppm > 0, _period_of(v, m, asked.period_start))


def topic_of(v: Venue, m: Measures, need: Need) -> str:
    """The name of a need's view on the socket: access/limit in ms or any/chips/any or green/period."""
    limit = m.ms_text(need.max_latency_us) if need.max_latency_us else ANY
    power = GREEN if need.is_green else ANY
    return "/".join((need.access_region, limit, ",".join(need.chips), power, v.periods.code(need.period)))


def need_of_topic(v: Venue, m: Measures, topic: str) -> Need:
    """The need that has this name; DoorError NOT_FOUND where it is none, or its period is not open."""
    parts = topic.split("/")
    if len(parts) != _PARTS or parts[3] not in (ANY, GREEN):
        hint = "access region/ms or any/chips with commas/any or green/period, as `topic` of GET /v1/lane says"
        raise DoorError(DoorReason.NOT_FOUND, f"{topic[:80]!r} is no lane", field="instrument", hint=hint)
    access_region, limit, chips, power, code = parts
    period = v.periods.parse(code)
    if period is None or not _is_open(v, period):
        raise DoorError(DoorReason.NOT_FOUND, f"period {code[:20]!r} is not open", field="instrument")
    asked = r.LaneView(
        access_region=access_region, chips=tuple(chips.split(",")), period_start=m.time_text(v.periods.start(period)),
        max_latency_ms=None if limit == ANY else limit, min_green="1" if power == GREEN else None,
    )  # fmt: skip
    try:
        need = need_of(v, m, asked)
    except DoorError as no:
        raise DoorError(DoorReason.NOT_FOUND, f"no such lane: {no.detail}", field="instrument", hint=no.hint) from None
    if topic_of(v, m, need) != topic:
        raise DoorError(DoorReason.NOT_FOUND, f"this lane is called {topic_of(v, m, need)[:200]}", field="instrument")
    return need


def _check_chips(catalogue: Catalogue, chips: tuple[str, ...]) -> None:
    if not 0 < len(chips) <= MAX_LIST:
        raise invalid("chips", f"{len(chips)} chips are named", f"name 1 to {MAX_LIST}")
    for place, chip in enumerate(chips):
        if chip not in catalogue.chips:
            raise invalid(f"chips[{place}]", f"chip {chip[:36]!r} is not in the catalogue")


def _is_open(v: Venue, period: int) -> bool:
    return is_instrument_open(v.periods, period, v.now_ns, v.settings.horizon_periods)


def _period_of(v: Venue, m: Measures, text: str) -> int:
    start_ns = m.time_ns(text, "period_start")
    grid = v.periods
    period = grid.at(start_ns)
    if grid.start(period) != start_ns:
        near = f"{m.time_text(grid.start(period))} and {m.time_text(grid.start(period + 1))}"
        raise invalid("period_start", f"{text} is not the start of a period", f"the nearest are {near}")
    if not _is_open(v, period):
        first, last = grid.first_open(v.now_ns), grid.at(v.now_ns) + v.settings.horizon_periods
        span = f"{m.time_text(grid.start(first))} to {m.time_text(grid.start(last))}"
        raise invalid("period_start", f"{text} is closed or not listed yet", f"open are {span}")
    return period


# --- the merge ---


def usable_families(v: Venue, need: Need) -> list[Eligible]:
    """K1: the families that serve a need, by number."""
    start_ns = v.periods.start(need.period)
    smallest = Task(
        participant="", client_order_id="", access_region=need.access_region, max_latency_us=need.max_latency_us,
        chips=tuple(TaskChip(chip) for chip in need.chips), lots=1, periods=1, earliest_start_ns=start_ns,
        deadline_ns=start_ns + v.periods.period_ns, min_green_ppm=PPM if need.is_green else 0,
    )  # fmt: skip
    return eligible_families(v, smallest)


def levels_of(v: Venue, period: int, families: list[Eligible], most: int) -> list[Level]:
    """The cheapest levels of these families in a period, at most so many."""
    found: list[Level] = []
    for each in families:
        found += _of_book(v, each, period, most)
        found += _of_blocks(v, each, period)
    found.sort()
    return found[:most]


def _of_book(v: Venue, e: Eligible, period: int, most: int) -> Iterator[Level]:
    book = book_id(e.family, period)
    if book not in v.listed_books:
        return
    _, asks = v.core.depth(book, most)
    instrument, family = v.instrument_code(e.family, period), v.state.families[e.family - 1].code
    for ticks, lots, _ in asks:
        yield Level(ticks, e.chip_place, e.rtt_us, instrument, "", 0, lots, 1, 1, family)


def _of_blocks(v: Venue, e: Eligible, period: int) -> Iterator[Level]:
    """MB1: what is left of block offers stands outside the books; an ask with an order is in its book already."""
    for number in v.family_blocks.get(e.family, ()):
        offer = v.state.offers[number]
        ask = offer.open.get(period)
        if ask is not None and ask.order_id == 0:
            yield Level(
                offer.price_ticks(period), e.chip_place, e.rtt_us, v.instrument_code(e.family, period), offer.site, number,
                ask.lots, min(offer.min_lots, ask.lots), offer.min_periods, v.state.families[e.family - 1].code,
            )  # fmt: skip


def level_answers(v: Venue, m: Measures, levels: list[Level]) -> tuple[a.LaneLevel, ...]:
    """The levels as they are told, each with the cards up to there."""
    told, total = [], 0
    tick = v.settings.tick_micro
    for level in levels:
        total += level.lots
        told.append(a.LaneLevel(
            price=m.yuan(level.ticks * tick), cards=m.cards_text(level.lots), total_cards=m.cards_text(total),
            instrument=level.instrument, family=level.family, site=level.site, is_block=level.is_block,
            min_cards=m.cards_text(level.min_lots), min_hours=m.hours_text(level.min_periods), rtt_ms=m.ms_text(level.rtt_us),
        ))  # fmt: skip
    return tuple(told)


def lane_answer(v: Venue, m: Measures, asked: r.LaneView, stamp: dict[str, Any]) -> a.Lane:
    """The answer to a question; stamp: epoch, seq and time. DoorError for a need that cannot be."""
    need = need_of(v, m, asked)
    levels = levels_of(v, need.period, usable_families(v, need), asked.levels)
    return a.Lane(
        **stamp, topic=topic_of(v, m, need), period_start=m.time_text(v.periods.start(need.period)),
        items=level_answers(v, m, levels),
    )  # fmt: skip
