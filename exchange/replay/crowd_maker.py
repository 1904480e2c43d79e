"""A market maker for a demo server: keeps a bid and an ask in the next hours of a few books, so that there is always a price.

Its middle moves a little with every step; it never bids into somebody else's ask. What it buys it keeps, what it sells it
delivers: it is a participant like the others, with a site and margin of its own.
"""

import secrets
from collections.abc import Awaitable
from typing import Any, NamedTuple, Protocol

from clients import AsyncClient
from exchange.adapters.draws import Draws
from exchange.adapters.reference_prices import list_price_micro, to_tick
from exchange.domain.commands import (
    AddParticipant,
    AddSite,
    AttestCapacity,
    Deposit,
    ListFamily,
    PostBond,
    SetVenue,
)
from exchange.domain.instrument import Periods
from exchange.domain.units import MICRO, NS_PER_DAY, NS_PER_MINUTE, parse_micro
from exchange.protocol.measures import Measures

MAKER = "market-maker"
FAMILIES = (
    ListFamily("A910B", "gansu-qingyang", "L10", "grid"),
    ListFamily("L40S", "hubei-wuhan", "L5", "grid"),
    ListFamily("H800", "guizhou-guian", "L10", "grid"),
)
CARDS, HOURS = 64, 6  # of a site; how many hours ahead have quotes
CASH_MICRO, BOND_MICRO = 50_000_000 * MICRO, 2_000_000 * MICRO
HALF_SPREAD_PERMILLE, SWING_PERMILLE = 40, 30
MOST_CARDS = 8
ATTESTED_DAYS = 400


class Call(Protocol):
    """Sends an operation with somebody's key; False where the exchange refuses."""

    def __call__(self, who: str, operation: str, **arguments: Any) -> Awaitable[bool]:
        """Raises NetworkError where it cannot be asked."""
        ...


class Quotes(NamedTuple):
    """What one step wants to stand in one book; prices in micro-yuan per card-hour."""

    family: ListFamily
    period: int
    bid_micro: int
    ask_micro: int
    bid_cards: int
    ask_cards: int

    def instrument(self, grid: Periods) -> str:
        """Code of the book."""
        family = self.family
        return f"{family.chip}/{family.region}/{family.latency_class}/{family.power}/{grid.code(self.period)}"


def _number(family: ListFamily) -> int:
    return FAMILIES.index(family) + 1


def site_of(family: ListFamily) -> str:
    """The maker's site for a family."""
    return f"site-{MAKER}-{_number(family)}"


def maker_setup(settings: SetVenue, now_ns: int) -> list[Any]:
    """Everything the operator does for it once: families, participant, money, sites, attested cards; then its bond."""
    period_ns = settings.period_min * NS_PER_MINUTE
    first_ns = now_ns // period_ns * period_ns
    last_ns = first_ns + ATTESTED_DAYS * NS_PER_DAY
    lots = CARDS * settings.lots_per_card
    return [
        *FAMILIES,
        AddParticipant(MAKER, MAKER),
        *(AddSite(site_of(family), MAKER, family.region) for family in FAMILIES),
        *(AttestCapacity(site_of(family), family.chip, lots, first_ns, last_ns) for family in FAMILIES),
        Deposit(MAKER, CASH_MICRO, "market maker"),
        PostBond(MAKER, BOND_MICRO),
    ]


def round_of(seed: int, settings: SetVenue, grid: Periods, number: int, now_ns: int) -> list[Quotes]:
    """The quotes of one round over all its books: a function of seed, round and hour."""
    first, found = grid.first_open(now_ns), []
    for family in FAMILIES:
        for period in range(first, first + HOURS):
            draws = Draws(seed, "maker", _number(family), period, number)
            swing = draws.between(-SWING_PERMILLE, SWING_PERMILLE)
            middle = list_price_micro(family.chip) * (1_000 + swing) // 1_000
            bid = middle * (1_000 - HALF_SPREAD_PERMILLE) // 1_000 // settings.tick_micro * settings.tick_micro
            ask = to_tick(middle * (1_000 + HALF_SPREAD_PERMILLE) // 1_000, settings.tick_micro)
            found.append(Quotes(family, period, bid, ask, draws.between(1, MOST_CARDS), draws.between(1, MOST_CARDS)))
    return found


def below_ask(bid_micro: int, best_ask: str | None, tick_micro: int) -> int:
    """The bid, or one tick below somebody's ask where it would trade; 0 or less: there is no room for one."""
    return bid_micro if best_ask is None else min(bid_micro, parse_micro(best_ask) - tick_micro)


class Maker:
    """Keeps the quotes; `call` sends an operation with its key and says whether the exchange took it."""

    def __init__(self, call: Call, measures: Measures, grid: Periods, seed: int) -> None:
        self._call, self._measures, self._grid, self._seed = call, measures, grid, seed
        self._round = 0
        self._quotes: list[Quotes] = []
        self._standing: dict[tuple[str, ListFamily, int], str] = {}  # (order or offer, book) -> its id

    async def step(self, client: AsyncClient, now_ns: int) -> None:
        """Renews one book; one after the other, round after round."""
        if not self._quotes:
            self._round += 1
            self._quotes = round_of(self._seed, self._measures.settings, self._grid, self._round, now_ns)
            self._standing = {key: name for key, name in self._standing.items() if key[2] >= self._quotes[0].period}
        quotes = self._quotes.pop()
        if self._grid.gate(quotes.period) <= now_ns:
            return
        depth = await client.depth(quotes.instrument(self._grid), levels=1)
        best_ask = format(depth.asks[0].price, "f") if depth.asks else None
        bid_micro = below_ask(quotes.bid_micro, best_ask, self._measures.settings.tick_micro)
        if bid_micro > 0:
            await self._stand("order", quotes, bid_micro, quotes.bid_cards)
        await self._stand("offer", quotes, quotes.ask_micro, quotes.ask_cards)

    async def _stand(self, kind: str, quotes: Quotes, price_micro: int, cards: int) -> None:
        """New terms for what stands in a book; a new one where nothing does, or where it was traded away."""
        id_field = "client_order_id" if kind == "order" else "offer_id"
        terms = {"price": self._measures.yuan(price_micro), "cards": str(cards)}
        key = (kind, quotes.family, quotes.period)
        if key in self._standing and await self._call(MAKER, f"amend_{kind}", **{id_field: self._standing[key]}, **terms):
            return
        # The hour and a number drawn by chance: after a restart of the crowd the names of before are taken.
        self._standing[key] = name = f"mm-{_number(quotes.family)}-{quotes.period}-{secrets.token_hex(4)}"
        if kind == "order":
            instrument = quotes.instrument(self._grid)
            await self._call(MAKER, "place_order", client_order_id=name, instrument=instrument, **terms)
            return
        family, grid, text = quotes.family, self._grid, self._measures.time_text
        await self._call(
            MAKER, "place_offer", offer_id=name, site=site_of(family), chip=family.chip, power=family.power,
            latency_class=family.latency_class, start=text(grid.start(quotes.period)),
            end=text(grid.start(quotes.period + 1)), **terms,
        )  # fmt: skip
