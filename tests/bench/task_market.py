"""Markets and tasks for `cpx bench tasks`: 64-byte records, made from a seed; nothing here is measured.

A market: chips x regions x latency classes x powers, every family with a book for every period, and in every book the
asks of the region's sites. Prices follow region, class, hour of the day and site; the next ask of a site is dearer.
Region r sees region s after |r - s| + 1 ms a class step; data moves at 10 Gbit/s for 0.10 yuan a gigabyte.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matching_core import COMMAND_DTYPE
from matching_core.enums import Bucket, Op, Side
from matching_core.limits import PERIOD_BITS
from matching_core.task_records import TaskTerms, pack_task

PERIOD_NS, GATE_NS = 3_600 * 10**9, 300 * 10**9
FIRST = 8  # the first period whose gate is ahead at NOW
NOW_NS = FIRST * PERIOD_NS - 2 * GATE_NS
VALUE = 1_000  # micro-yuan per tick and lot: 0.01 yuan a card-hour in tenths of a card
BUYER, FIRST_SITE = 1, 1_000
CARDS = (8, 16, 32, 64)
LOTS_PER_CARD = 10
MONEY = 3 * 10**18  # of all buyers together


@dataclass(frozen=True)
class Shape:
    """How large a market is; `levels` of a book are asks of its sites, dearest last, and bids where there are more."""

    chips: int = 2
    regions: int = 8
    classes: int = 4
    powers: int = 1
    sites: int = 3
    periods: int = 168
    asks_per_site: int = 4
    bids: int = 8
    is_flat: bool = False  # every first ask costs the same: lower bounds tell nothing

    @property
    def families(self) -> int:
        """How many families there are; their numbers start at 1."""
        return self.chips * self.regions * self.classes * self.powers


@dataclass(frozen=True)
class Family:
    """A family and what it is."""

    number: int
    chip: int
    region: int
    latency_class: int
    power: int


def families(shape: Shape) -> list[Family]:
    """By number."""
    found = []
    for number in range(shape.families):
        rest, power = divmod(number, shape.powers)
        rest, latency_class = divmod(rest, shape.classes)
        chip, region = divmod(rest, shape.regions)
        found.append(Family(number + 1, chip + 1, region + 1, latency_class, power))
    return found


def site_account(region: int, site: int) -> int:
    """The account of a region's site; sites from 0."""
    return FIRST_SITE + region * 100 + site


def rows(count: int, **columns: object) -> np.ndarray:
    """So many commands with these columns."""
    commands = np.zeros(count, COMMAND_DTYPE)
    for name, values in columns.items():
        commands[name] = values
    return commands


def set_up(shape: Shape, *, per_chip: int = 1 << 20, buyers: int = 1) -> np.ndarray:
    """Grid, families, reach, links, accounts with money, and every book listed at NOW."""
    parts = [
        rows(1, op=Op.SET_GRID, price=0, aux=PERIOD_NS, expiry_ns=GATE_NS, qty=1 << 20, client_ref=per_chip),
        rows(1, op=Op.ADVANCE_TIME, aux=NOW_NS),
    ]
    names = families(shape)
    parts.append(rows(
        len(names), op=Op.LIST_FAMILY, book=[f.number for f in names], account=[f.chip for f in names],
        aux=[f.region for f in names], price=[f.latency_class for f in names], side=[f.power for f in names],
    ))  # fmt: skip
    places = [(a, b, c) for a in range(1, shape.regions + 1) for b in range(1, shape.regions + 1) for c in range(shape.classes)]
    parts.append(rows(
        len(places), op=Op.SET_REACH, account=[a for a, _, _ in places], book=[b for _, b, _ in places],
        price=[c for _, _, c in places], qty=[1_000 * (abs(a - b) + 1) * (c + 1) for a, b, c in places],
    ))  # fmt: skip
    pairs = [(a, b) for a in range(1, shape.regions + 1) for b in range(1, shape.regions + 1) if a != b]
    parts.append(rows(
        len(pairs), op=Op.SET_LINK, account=[a for a, _ in pairs], book=[b for _, b in pairs], price=100_000, qty=10_000,
    ))  # fmt: skip
    sites = [site_account(region, site) for region in range(1, shape.regions + 1) for site in range(shape.sites)]
    people = [*range(BUYER, BUYER + buyers), *sites]
    parts.append(rows(len(people), op=Op.OPEN_ACCOUNT, account=people, book=people))
    parts.append(rows(
        buyers, op=Op.TRANSFER, account=0, side=Bucket.CASH, book=list(range(BUYER, BUYER + buyers)),
        order_type=Bucket.CASH, qty=MONEY // buyers,
    ))  # fmt: skip
    books = all_books(shape)
    gates = (books.astype(np.int64) & ((1 << PERIOD_BITS) - 1)) * PERIOD_NS - GATE_NS
    parts.append(rows(len(books), op=Op.LIST_BOOK, book=books, price=VALUE, expiry_ns=gates))
    return np.concatenate(parts)


def all_books(shape: Shape) -> np.ndarray:
    """Every book, family by family, its periods in order of time."""
    family = np.repeat(np.arange(1, shape.families + 1), shape.periods)
    period = np.tile(np.arange(FIRST, FIRST + shape.periods), shape.families)
    return (family << PERIOD_BITS | period).astype(np.uint32)


def base_prices(shape: Shape, seed: int) -> np.ndarray:
    """First ask of every (family, period, site), in ticks."""
    draws = np.random.default_rng(seed)
    if shape.is_flat:
        return np.full((shape.families, shape.periods, shape.sites), 800)
    family = draws.integers(500, 1_100, (shape.families, 1, 1))
    hour = (80 * np.sin(np.arange(shape.periods) * 2 * np.pi / 24)).astype(int)[None, :, None]
    noise = draws.integers(-60, 61, (shape.families, shape.periods, shape.sites))
    return np.maximum(1, family + hour + noise)


def asks(shape: Shape, seed: int, first_id: int) -> np.ndarray:
    """All asks; ids from first_id in order of family, period, site, level."""
    draws = np.random.default_rng(seed + 1)
    size = (shape.families, shape.periods, shape.sites, shape.asks_per_site)
    steps = np.cumsum(draws.integers(5, 40, size), axis=3) - 5
    if shape.is_flat:
        steps = np.broadcast_to(np.arange(shape.asks_per_site) * 10, size)
    prices = base_prices(shape, seed)[..., None] + steps
    lots = draws.integers(10, 41, size) * LOTS_PER_CARD if not shape.is_flat else np.full(size, 100)
    region = np.array([f.region for f in families(shape)])[:, None, None, None]
    account = np.broadcast_to(FIRST_SITE + region * 100 + np.arange(shape.sites)[None, None, :, None], size)
    books = np.broadcast_to(all_books(shape).reshape(shape.families, shape.periods)[:, :, None, None], size)
    count = int(np.prod(size))
    return rows(
        count, op=Op.NEW, side=Side.SELL, book=books.ravel(), account=account.ravel(), price=prices.ravel(),
        qty=lots.ravel(), order_id=first_id + np.arange(count),
    )  # fmt: skip


def bids(shape: Shape, first_id: int) -> np.ndarray:
    """So many levels of bids below all asks in every book: what else a book holds."""
    books = np.repeat(all_books(shape), shape.bids)
    level = np.tile(np.arange(shape.bids), shape.families * shape.periods)
    return rows(
        len(books), op=Op.NEW, side=Side.BUY, book=books, account=BUYER, price=1 + level, qty=LOTS_PER_CARD,
        order_id=first_id + np.arange(len(books)),
    )  # fmt: skip


def block_task(place: Shape, draws: np.random.Generator, order_id: int, **changes: object) -> TaskTerms:
    """A task that may use everything: both of two chips, all regions and classes, the whole window; IOC."""
    access = int(draws.integers(1, place.regions + 1))
    cards, hours = int(draws.choice(CARDS)), int(draws.integers(2, 25))
    lots = cards * LOTS_PER_CARD
    terms = TaskTerms(
        order_id=order_id, account=BUYER, lane=0, shape=0, tif=1, max_class=4, flags=0, access_region=access,
        budget_micro=2_000 * VALUE * lots * hours, lots=lots, periods=hours, valid_until_ns=0, client_ref=order_id,
        data_region=access, max_rtt_us=0, min_run=0, first_period=FIRST, end_period=FIRST + place.periods,
        data_mb=int(draws.integers(1, 200)) * 1_000, min_fill=0, max_grid=0, chips=((1, 1_000_000), (2, 800_000)),
    )  # fmt: skip
    return terms._replace(**changes)


def packed(terms: TaskTerms, op: int = Op.TASK) -> bytes:
    """The records of a task."""
    return pack_task(op, terms)
