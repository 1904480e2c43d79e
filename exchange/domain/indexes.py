"""Look-ups made from the venue's state: never in a snapshot, never in the hash, rebuilt on restore."""

from bisect import insort
from collections import Counter
from typing import Any

from exchange.domain.commands import Task
from exchange.domain.fills import Deal
from exchange.domain.instrument import book_id
from exchange.domain.state import Bid, Obligation, Offer, State, TaskEntry


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
            self._index_task(state.tasks[number])

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
        self.block_owner: dict[int, int] = {}  # core block offer -> offer

    def index_offer(self, offer: Offer) -> None:
        """A new offer."""
        self.offer_numbers[offer.participant, offer.offer_id] = offer.number
        self.offers_of_participant.setdefault(offer.participant, set()).add(offer.number)
        self.offers_at_site.setdefault(offer.site, set()).add(offer.number)
        self.unplaced_offers.add(offer.number)
        if offer.block_id:
            self.block_owner[offer.block_id] = offer.number
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
        self.block_owner.pop(offer.block_id, None)
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
        self.waiting_of_firm: Counter[int] = Counter()
        self.waiting_of_chip: Counter[str] = Counter()

    def add_task(self, entry: TaskEntry) -> None:
        """A task that enters."""
        self.state.tasks[entry.number] = entry
        self._index_task(entry)

    def change_task(self, entry: TaskEntry, task: Task) -> None:
        """New terms of a waiting task."""
        self._count_task(entry.task, -1)
        entry.task = task
        self._count_task(task, 1)

    def forget_task(self, entry: TaskEntry) -> None:
        """A task that waits no longer."""
        del self.state.tasks[entry.number]
        del self.task_numbers[entry.task.participant, entry.task.client_order_id]
        self._count_task(entry.task, -1)

    def _index_task(self, entry: TaskEntry) -> None:
        self.task_numbers[entry.task.participant, entry.task.client_order_id] = entry.number
        self._count_task(entry.task, 1)

    def _count_task(self, task: Task, by: int) -> None:
        """RT8: per firm, and per first chip."""
        self.waiting_of_firm[self.state.participants[task.participant].firm] += by
        self.waiting_of_chip[task.chips[0].chip] += by
