"""Questions to the live venue about delivery: what a provider has to run, and who signs the readings of an obligation.

Every function reads and changes nothing.
"""

from bisect import bisect_right

from exchange.domain.state import LeaseNote, Obligation
from exchange.domain.venue import Venue
from exchange.protocol import answers_delivery as d
from exchange.protocol.measures import Measures


def dispatches(v: Venue, seller: str, after: int, limit: int, m: Measures) -> tuple[tuple[d.Dispatch, ...], int]:
    """(dispatches of leases numbered above `after`, that of the last where there are more, else 0); one for each site."""
    firsts = sorted(v.leases_of_seller.get(seller, ()))
    items: list[d.Dispatch] = []
    start = bisect_right(firsts, after)
    for place, first in enumerate(firsts[start:], start):
        lease = v.lease_keys[first]
        sites: dict[str, list[Obligation]] = {}
        for number in sorted(v.obligations_of_lease[lease]):
            due = v.state.obligations[number]
            if due.seller == seller:
                sites.setdefault(due.site, []).append(due)
        items += [_dispatch(v, v.state.leases[lease], dues, m) for dues in sites.values()]
        if len(items) >= limit and place + 1 < len(firsts):
            return tuple(items), first
    return tuple(items), 0


def _dispatch(v: Venue, note: LeaseNote, dues: list[Obligation], m: Measures) -> d.Dispatch:
    dues = sorted(dues, key=lambda due: (due.period, due.number))
    first = dues[0]
    return d.Dispatch(
        lease_id=str(note.first), counterparty=first.buyer, site=first.site, chip=v.state.families[first.family - 1].chip,
        instrument=v.instrument_code(first.family, first.period),
        hours=tuple(
            d.DispatchHour(
                obligation_id=due.number, period_start=m.time_text(v.periods.start(due.period)), cards=m.cards_text(due.lots),
                reading=due.reading.number, failing=v.state.failing.get(due.number, ""), sold=m.time_text(due.made_ns),
            )
            for due in dues
        ),
        data_region=note.data_region, data_gb=m.gb_text(note.data_mb), work=note.work,
        heartbeat_s=max(due.heartbeat_s for due in dues), is_signed=bool(v.state.sites[first.site].meter_key),
        has_access=first.seller in note.accesses, is_finished=first.seller in note.finished,
    )  # fmt: skip


def meter_of(v: Venue, obligation_id: int, seller: str) -> tuple[str, str] | None:
    """(site, public key of its meter) of an open obligation of this seller, where its readings are signed."""
    due = v.state.obligations.get(obligation_id)
    if due is None or due.seller != seller or not (key := v.state.sites[due.site].meter_key):
        return None
    return due.site, key
