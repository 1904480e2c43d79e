"""A market day: everything that a run feeds into a venue, and how the parts follow from tasks and offers.

Money rules (docs/guides/files.md, "Who can pay"): a buyer deposits all its budgets with fees, a provider half of
what its offers are worth over one horizon, and a bond of a tenth of that; all rounded up to whole yuan.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exchange.adapters.market_files import OfferRow, TaskRow
from exchange.adapters.offer_rows import last_end_ns
from exchange.domain.commands import (
    AddParticipant,
    AddSite,
    AttestCapacity,
    Deposit,
    ListFamily,
    LoadCatalogue,
    PlaceOffer,
    PostBond,
    SetTariff,
    SetVenue,
    Task,
)
from exchange.domain.commands_green import IssueCertificates
from exchange.domain.money import task_budget, with_fee
from exchange.domain.units import MICRO, NS_PER_MINUTE, PPM, div_ceil

PROVIDER_SECURITY_PPM = 500_000
BOND_PPM = 100_000
MAX_DEPOSIT_MICRO = 4 * 10**15
FUND_MICRO = 1_000_000 * MICRO

OFFER_KIND, TASK_KIND, OUTAGE_KIND = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Outage:
    """A site delivers nothing in a window; announced_ns is when its AnnounceOutage stands in the rows, 0 = never."""

    site: str
    start_ns: int
    end_ns: int
    announced_ns: int = 0


class TimedRow(NamedTuple):
    """A command and when it comes."""

    time_ns: int
    command: object


@dataclass(frozen=True, slots=True)
class MarketDay:
    """One run: what is set up at start_ns, what comes at its time, what breaks; by end_ns all can be settled."""

    settings: SetVenue
    catalogue: LoadCatalogue
    tariff: SetTariff
    participants: tuple[AddParticipant | Deposit | PostBond, ...]
    sites: tuple[AddSite, ...]
    attestations: tuple[AttestCapacity, ...]
    families: tuple[ListFamily, ...]
    rows: tuple[TimedRow, ...]  # by time, then offers, tasks, outages, then place in their own list
    outages: tuple[Outage, ...]
    start_ns: int
    end_ns: int
    waste: tuple[
        tuple[str, str, int], ...
    ] = ()  # (participant, task, lot-minutes) paid for and not used: whole periods, lots
    pieces: tuple[
        tuple[str, str, str], ...
    ] = ()  # (participant, task, the first task of the same row) where a row became several tasks
    notes: tuple[str, ...] = ()  # how the day was made, for people
    certificates: tuple[IssueCertificates, ...] = ()  # green power behind its offers

    def setup(self) -> tuple[object, ...]:
        """The commands to apply at start_ns, in order."""
        head = (self.settings, self.catalogue, self.tariff)
        return (*head, *self.families, *self.participants, *self.sites, *self.attestations, *self.certificates)


def hold_micro(task: Task, venue: SetVenue, tariff: SetTariff) -> int:
    """Budget and fee: what the venue holds while the task waits."""
    fee_ppm = {"economy": tariff.fee_economy_ppm, "emergency": tariff.fee_emergency_ppm}
    return with_fee(fee_ppm.get(task.lane, tariff.fee_standard_ppm), task_budget(task, venue))


def offer_value_micro(offer: PlaceOffer, venue: SetVenue) -> int:
    """What an offer is worth at most over one horizon, micro-yuan; one that follows power where a kWh costs a yuan."""
    periods = (last_end_ns(offer) - offer.start_ns) // (venue.period_min * NS_PER_MINUTE)
    price = max(offer.period_prices_micro, default=offer.price_micro)
    price = offer.price_base_micro + offer.watts_per_card * 1_000 if offer.watts_per_card else price
    card_minutes = price * offer.lots * min(periods, venue.horizon_periods) * venue.period_min
    return div_ceil(card_minutes, 60 * venue.lots_per_card)


def whole_yuan(amount_micro: int) -> int:
    """An amount rounded up to whole yuan, at least one, at most what a deposit may be."""
    return min(MAX_DEPOSIT_MICRO, max(1, div_ceil(amount_micro, MICRO)) * MICRO)


def buyers(tasks: Iterable[Task], venue: SetVenue, tariff: SetTariff) -> dict[str, int]:
    """Buyer -> micro-yuan that all its tasks would hold, in order of first appearance."""
    need: dict[str, int] = {}
    for task in tasks:
        need[task.participant] = need.get(task.participant, 0) + hold_micro(task, venue, tariff)
    return need


def providers(offers: Iterable[PlaceOffer], venue: SetVenue) -> dict[str, int]:
    """Provider -> micro-yuan that all its offers are worth over one horizon, in order of first appearance."""
    worth: dict[str, int] = {}
    for offer in offers:
        worth[offer.participant] = worth.get(offer.participant, 0) + offer_value_micro(offer, venue)
    return worth


def emergency_buyers(tasks: Iterable[TaskRow]) -> frozenset[str]:
    """Who has a task in the emergency lane, and is therefore allowed it (EM5)."""
    return frozenset(row.command.task.participant for row in tasks if row.command.task.lane == "emergency")


def participant_commands(
    buyer_deposits: dict[str, int], provider_worth: dict[str, int], emergency: frozenset[str] = frozenset()
) -> tuple[AddParticipant | Deposit | PostBond, ...]:
    """The fund's opening money, then accounts and money by name; who buys and sells gets both deposits in one."""
    commands: list[AddParticipant | Deposit | PostBond] = [Deposit("fund", FUND_MICRO, "opening")]
    for name in sorted(buyer_deposits.keys() | provider_worth.keys()):
        security = provider_worth.get(name, 0) * PROVIDER_SECURITY_PPM // PPM
        bond = whole_yuan(security * BOND_PPM // PPM) if name in provider_worth else 0
        commands.append(AddParticipant(name, name, may_use_emergency=name in emergency))
        commands.append(Deposit(name, whole_yuan(buyer_deposits.get(name, 0) + security + bond), "opening"))
        if bond:
            commands.append(PostBond(name, bond))
    return tuple(commands)


def families_of(offers: Iterable[OfferRow]) -> tuple[ListFamily, ...]:
    """The families that offers use, in order of their codes."""
    used = {(row.command.chip, row.region, row.command.latency_class, row.command.power) for row in offers}
    return tuple(ListFamily(*family) for family in sorted(used))


def timed_rows(
    offers: Sequence[OfferRow], tasks: Sequence[TaskRow], others: Sequence[tuple[int, object]] = ()
) -> tuple[TimedRow, ...]:
    """All commands that come at a time, sorted by (time, kind, place in their own list)."""
    keyed: list[tuple[int, int, int, object]] = []
    keyed += [(row.submit_ns, OFFER_KIND, place, row.command) for place, row in enumerate(offers)]
    keyed += [(row.submit_ns, TASK_KIND, place, row.command) for place, row in enumerate(tasks)]
    keyed += [(time_ns, OUTAGE_KIND, place, command) for place, (time_ns, command) in enumerate(others)]
    keyed.sort(key=lambda item: item[:3])
    return tuple(TimedRow(time_ns, command) for time_ns, _, _, command in keyed)


def waste_of(tasks: Iterable[TaskRow]) -> tuple[tuple[str, str, int], ...]:
    """What rounding up to whole periods and lots makes buyers pay for, task by task, where it is anything."""
    named = ((row.command.task, row.waste_lot_minutes) for row in tasks)
    return tuple((task.participant, task.client_order_id, waste) for task, waste in named if waste)


def pieces_of(tasks: Iterable[TaskRow]) -> tuple[tuple[str, str, str], ...]:
    """Tasks that came from the same row of the same file as an earlier one."""
    first: dict[tuple[str, int], str] = {}
    pieces = []
    for row in tasks:
        task = row.command.task
        name = task.client_order_id
        origin = first.setdefault((row.file, row.line), name)
        if origin != name:
            pieces.append((task.participant, name, origin))
    return tuple(pieces)


def window(tasks: Sequence[TaskRow], offers: Sequence[OfferRow], venue: SetVenue) -> tuple[int, int]:
    """(start_ns, end_ns): from the first row's period to the last possible delivery, its dispute window, a period."""
    period_ns = venue.period_min * NS_PER_MINUTE
    starts = [row.submit_ns for row in tasks] + [row.submit_ns for row in offers]
    ends = [row.command.task.deadline_ns for row in tasks] or [last_end_ns(row.command) for row in offers]
    last_ns = div_ceil(max(starts + ends), period_ns) * period_ns
    return min(starts) // period_ns * period_ns, last_ns + venue.dispute_min * NS_PER_MINUTE + period_ns
