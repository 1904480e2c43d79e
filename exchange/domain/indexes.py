"""Look-ups made from the venue's state: never in a snapshot, never in the hash, rebuilt on restore."""

from bisect import insort
from collections import Counter
from heapq import heapify
from typing import TYPE_CHECKING, Any, cast

from exchange.domain.instrument import book_id
from exchange.domain.routing import Eligible, eligible_families
from exchange.domain.state import Bid, Obligation, Offer, State, TaskEntry
from exchange.domain.tasks import DRAIN_ORDER, Deal

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


class Indexes:
    """Mixed into the venue: who owns which order, what waits where, what is due when."""

    state: State
    core: Any  # either engine: they have one interface

    def rebuild_indexes(self) -> None:
        """Everything from the state alone."""
        state = self.state
        self.account_numbers = {name: number for number, name in enumerate(state.accounts)}
        self.firm_numbers = {name: number for number, name in enumerate(state.firms)}
        self.family_numbers = {family.code: family.number for family in state.families}
        self.listed_books: set[int] = set(self.core.books())
        self._clear_offers()
        for number in sorted(state.offers):
            self.index_offer(state.offers[number])
        for number in sorted(state.offers):
            for period, ask in state.offers[number].open.items():
                if ask.order_id:
                    self.ask_owner[ask.order_id] = (number, period)
        self.bid_ids = {(bid.participant, bid.client_order_id): bid.order_id for bid in state.bids.values()}
        self.obligations_of_period: dict[int, set[int]] = {}
        self.obligations_of_lease: dict[int, set[int]] = {}
        for obligation in state.obligations.values():
            self.index_obligation(obligation)
        self._clear_tasks()
        for number in sorted(state.tasks):
            entry = state.tasks[number]
            self.index_task(entry, eligible_families(cast("Venue", self), entry.task))
        self.deaths = [(entry.dies_ns, number) for number, entry in state.tasks.items()]
        heapify(self.deaths)

    # --- offers ---

    def _clear_offers(self) -> None:
        self.offer_numbers: dict[tuple[str, str], int] = {}
        self.offers_of_participant: dict[str, set[int]] = {}
        self.offers_at_site: dict[str, set[int]] = {}
        self.unplaced_offers: set[int] = set()
        self.block_offers: set[int] = set()
        self.family_blocks: dict[int, list[int]] = {}  # family -> block offers in order of number
        self.family_sites: dict[int, list[str]] = {}  # family -> sites with live offers in it, by name
        self.ask_owner: dict[int, tuple[int, int]] = {}  # core order id -> (offer, period)

    def index_offer(self, offer: Offer) -> None:
        """A new offer."""
        self.offer_numbers[offer.participant, offer.offer_id] = offer.number
        self.offers_of_participant.setdefault(offer.participant, set()).add(offer.number)
        self.offers_at_site.setdefault(offer.site, set()).add(offer.number)
        self.unplaced_offers.add(offer.number)
        if offer.is_block:
            self.block_offers.add(offer.number)
            insort(self.family_blocks.setdefault(offer.family, []), offer.number)
        sites = self.family_sites.setdefault(offer.family, [])
        if offer.site not in sites:
            insort(sites, offer.site)

    def forget_offer(self, offer: Offer) -> None:
        """An offer of which nothing is open or to come; harmless when repeated."""
        if self.state.offers.pop(offer.number, None) is None:
            return
        del self.offer_numbers[offer.participant, offer.offer_id]
        self.offers_of_participant[offer.participant].discard(offer.number)
        self.offers_at_site[offer.site].discard(offer.number)
        self.unplaced_offers.discard(offer.number)
        if offer.is_block:
            self.block_offers.discard(offer.number)
            self.family_blocks[offer.family].remove(offer.number)
            if not self.family_blocks[offer.family]:
                del self.family_blocks[offer.family]
        if all(self.state.offers[number].family != offer.family for number in self.offers_at_site[offer.site]):
            self.family_sites[offer.family].remove(offer.site)
            if not self.family_sites[offer.family]:
                del self.family_sites[offer.family]

    def offers_of_site(self, site: str) -> list[Offer]:
        """Live offers of a site by number."""
        return [self.state.offers[number] for number in sorted(self.offers_at_site.get(site, ()))]

    def is_indivisible(self, site: str, family: int) -> bool:
        """BB1: whether the site's plain asks in a family take tasks without checkpoints."""
        mine = [offer for offer in self.offers_of_site(site) if offer.family == family and self._has_asks(offer)]
        return bool(mine) and all(offer.indivisible_ok for offer in mine)

    @staticmethod
    def _has_asks(offer: Offer) -> bool:
        return not offer.is_block or any(ask.order_id for ask in offer.open.values())

    def sells_to(self, site: str, firm: int) -> bool:
        """RT6: not to the own firm; HM5: not while the owner's margin is short."""
        owner = self.state.participants[self.state.sites[site].participant]
        return owner.firm != firm and not owner.is_stopped

    def ask_stamp(self, site: str, family: int, period: int) -> int:
        """Entry stamp of a site's best ask in a book: the last tie-break of RT2."""
        asks = self.core.site_asks(self.state.sites[site].account, book_id(family, period))
        return self.state.offers[self.ask_owner[asks[0][2]][0]].stamp if asks else 0

    def mark_dirty(self, family: int, period: int) -> None:
        """RT4: an ask is new or better here."""
        if family in self.waiting_in_family:
            self.state.dirty.setdefault(family, set()).add(period)

    def mark_residue(self, offer: Offer) -> None:
        """RT4, MB3: less of a block offer is left, so a smaller fill may be allowed in any of its open periods."""
        for period, ask in offer.open.items():
            if not ask.order_id:
                self.mark_dirty(offer.family, period)

    # --- bids ---

    def add_bid(self, bid: Bid) -> None:
        """A bid that has been accepted."""
        self.state.bids[bid.order_id] = bid
        self.bid_ids[bid.participant, bid.client_order_id] = bid.order_id

    def drop_bid(self, order_id: int) -> None:
        """A bid that has ended."""
        bid = self.state.bids.pop(order_id)
        del self.bid_ids[bid.participant, bid.client_order_id]

    def deal_of_bid(self, order_id: int) -> Deal:
        """What a trade needs to know of a plain bid."""
        bid = self.state.bids[order_id]
        return Deal(bid.participant, bid.client_order_id, f"order:{bid.client_order_id}", tariff=bid.tariff)

    # --- obligations ---

    def index_obligation(self, obligation: Obligation) -> None:
        """A new obligation."""
        self.obligations_of_period.setdefault(obligation.period, set()).add(obligation.number)
        self.obligations_of_lease.setdefault(obligation.lease, set()).add(obligation.number)

    def forget_obligation(self, obligation: Obligation) -> None:
        """A settled obligation."""
        del self.state.obligations[obligation.number]
        for index, key in ((self.obligations_of_period, obligation.period), (self.obligations_of_lease, obligation.lease)):
            index[key].discard(obligation.number)
            if not index[key]:
                del index[key]

    def obligations_of_seller(self, seller: str) -> list[Obligation]:
        """Open obligations of a provider by number."""
        return [due for _, due in sorted(self.state.obligations.items()) if due.seller == seller]

    @staticmethod
    def book_of(obligation: Obligation) -> int:
        """The book an obligation was traded in."""
        return book_id(obligation.family, obligation.period)

    # --- waiting tasks ---

    def _clear_tasks(self) -> None:
        self.task_numbers: dict[tuple[str, str], int] = {}
        self.task_families: dict[int, list[Eligible]] = {}
        self.waiting_in_family: dict[int, set[int]] = {}
        self.waiting_of_firm: Counter = Counter()
        self.waiting_of_chip: Counter = Counter()

    def index_task(self, entry: TaskEntry, families: list[Eligible]) -> None:
        """A task that waits now."""
        task = entry.task
        self.task_numbers[task.participant, task.client_order_id] = entry.number
        self.waiting_of_firm[self.state.participants[task.participant].firm] += 1
        self.waiting_of_chip[task.chips[0].chip] += 1
        self.index_families(entry, families)

    def index_families(self, entry: TaskEntry, families: list[Eligible]) -> None:
        """Where a waiting task may buy."""
        self.task_families[entry.number] = families
        for eligible in families:
            self.waiting_in_family.setdefault(eligible.family, set()).add(entry.number)

    def unindex_families(self, entry: TaskEntry) -> None:
        """Before the families of a waiting task change, or it leaves."""
        for eligible in self.task_families.pop(entry.number):
            waiting = self.waiting_in_family[eligible.family]
            waiting.discard(entry.number)
            if not waiting:
                del self.waiting_in_family[eligible.family]

    def unindex_task(self, entry: TaskEntry) -> None:
        """A task that waits no longer."""
        task = entry.task
        del self.task_numbers[task.participant, task.client_order_id]
        self.waiting_of_firm[self.state.participants[task.participant].firm] -= 1
        self.waiting_of_chip[task.chips[0].chip] -= 1
        self.unindex_families(entry)

    def drain_key(self, number: int) -> tuple[int, int]:
        """RT5: lane, then entry stamp."""
        entry = self.state.tasks[number]
        return DRAIN_ORDER[entry.task.lane], entry.stamp
