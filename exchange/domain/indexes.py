"""Look-ups made from the venue's state: never in a snapshot, never in the hash, rebuilt on restore."""

from bisect import insort
from collections import Counter
from typing import Any

from exchange.domain.commands import Task
from exchange.domain.fills import Deal
from exchange.domain.instrument import Periods, book_id
from exchange.domain.meters import watch
from exchange.domain.state import Bid, LeaseNote, Obligation, Offer, Repair, State, TaskEntry


class Indexes:
    """Mixed into the venue: who owns which order, what waits where, what is due when."""

    state: State
    core: Any  # either engine: they have one interface
    periods: Periods  # as soon as there are settings

    def rebuild_indexes(self) -> None:
        """Everything from the state alone."""
        state = self.state
        self.account_numbers = {name: number for number, name in enumerate(state.accounts)}
        self.firm_numbers = {name: number for number, name in enumerate(state.firms)}
        self.family_numbers = {family.code: family.number for family in state.families}
        self.trading_windows: dict[str, tuple[int, int, int, int]] = {}  # instrument -> family, period, opens, gate
        self.listed_books: set[int] = set(self.core.books())
        self._clear_offers()
        for number in sorted(state.offers):
            self.index_offer(state.offers[number])
        for number in sorted(state.offers):
            for period, ask in state.offers[number].open.items():
                if ask.order_id:
                    self.ask_owner[ask.order_id] = (number, period)
        self.short = {name for name, who in state.participants.items() if who.is_stopped}  # HM5
        self.bid_ids = {(bid.participant, bid.client_order_id): bid.order_id for bid in state.bids.values()}
        self.obligations_of_period: dict[int, set[int]] = {}
        self.obligations_of_lease: dict[int, set[int]] = {}
        self.lease_keys: dict[int, int] = {}  # first obligation -> Obligation.lease, where there is a note
        self.leases_of_seller: dict[str, set[int]] = {}  # first obligations of noted leases
        self.ended_leases: set[int] = set()  # by the command at hand: `leases.forget`
        self.watched: list[tuple[int, int]] = []  # heap of (when its meter may be silent, obligation): `meters`
        for lease in sorted(state.leases):
            self.index_lease(lease, state.leases[lease])
        self.certificate_ends = sorted((key[2], key) for key in state.certificates)  # a heap: their periods, in order
        self.obligations_of_task: dict[int, int] = {}  # the core's number -> how many are unsettled
        self.ended_tasks: set[int] = set()  # by the command at hand: `forget_terms`
        for obligation in state.obligations.values():
            self.index_obligation(obligation)
        self._clear_tasks()
        for number in sorted(state.tasks):
            self._index_task(state.tasks[number])
        self.repair_of: dict[int, int] = {}  # obligation -> the repair that waits for it
        for repair in state.repairs.values():
            self._index_repair(repair, 1)

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
        if obligation.task:
            self.obligations_of_task[obligation.task] = self.obligations_of_task.get(obligation.task, 0) + 1
        if obligation.heartbeat_s:
            watch(self.watched, self.periods, obligation)

    def forget_obligation(self, obligation: Obligation) -> None:
        """A settled obligation."""
        del self.state.obligations[obligation.number]
        for index, key in ((self.obligations_of_period, obligation.period), (self.obligations_of_lease, obligation.lease)):
            index[key].discard(obligation.number)
            if not index[key]:
                del index[key]
        if obligation.lease not in self.obligations_of_lease and obligation.lease in self.state.leases:
            self.ended_leases.add(obligation.lease)
        self.state.failing.pop(obligation.number, None)
        if obligation.task:
            self.obligations_of_task[obligation.task] -= 1
            if not self.obligations_of_task[obligation.task]:
                del self.obligations_of_task[obligation.task]
                self.ended_tasks.add(obligation.task)

    def index_lease(self, lease: int, note: LeaseNote) -> None:
        """A lease of which something is noted, or whose note has a seller more."""
        self.lease_keys[note.first] = lease
        for seller in note.sellers:
            self.leases_of_seller.setdefault(seller, set()).add(note.first)

    def forget_lease(self, lease: int, note: LeaseNote) -> None:
        """A lease of which nothing is owed any more."""
        assert self.lease_keys.pop(note.first) == lease
        for seller in note.sellers:
            self.leases_of_seller[seller].discard(note.first)

    def lease_of_reference(self, reference: str) -> int:
        """Obligation.lease of a lease as it is named on the wire, by its first obligation; 0 where there is none."""
        if not (reference.isascii() and reference.isdigit() and len(reference) < 17):
            return 0
        first = int(reference)
        return self.lease_keys.get(first) or (-first if -first in self.obligations_of_lease else 0)

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

    def forget_terms(self) -> None:
        """Drops the terms of tasks of which a command has settled the last that they had bought."""
        for number in self.ended_tasks:
            if number not in self.obligations_of_task:
                self.state.terms.pop(number, None)
        self.ended_tasks.clear()

    # --- waiting buy-ins ---

    def add_repair(self, repair: Repair) -> None:
        """A buy-in that enters the core."""
        self.state.repairs[repair.number] = repair
        self._index_repair(repair, 1)

    def forget_repair(self, repair: Repair) -> None:
        """A buy-in that has ended."""
        del self.state.repairs[repair.number]
        self._index_repair(repair, -1)

    def is_repaired(self, period: int) -> bool:
        """Whether a buy-in waits for a period."""
        obligations = self.state.obligations
        return any(obligations[repair.obligation].period == period for repair in self.state.repairs.values())

    def _index_repair(self, repair: Repair, by: int) -> None:
        """RT8: the core counts it among the tasks of the buyer's firm, and of the chip that failed."""
        due = self.state.obligations[repair.obligation]
        if by > 0:
            self.repair_of[due.number] = repair.number
        else:
            del self.repair_of[due.number]
        self.waiting_of_firm[self.state.participants[due.buyer].firm] += by
        self.waiting_of_chip[self.state.families[due.family - 1].chip] += by
