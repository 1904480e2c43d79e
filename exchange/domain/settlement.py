"""Settlement of one delivery period: a pure function, leases in, lines and problems out (rules BB2-BB6, HM6, CA3).

Amounts are micro-yuan. Nothing here knows the venue: `settle_run` gathers the input and posts the lines.
"""

from dataclasses import dataclass
from typing import NamedTuple

from exchange.domain.units import PPM, div_ceil, div_floor


class Due(NamedTuple):
    """One obligation of a lease. accepted_lots is what counts as delivered (RD1); None = its period is still ahead.

    cost_micro is lots x price_per_lot, but less where only twelfths of a running period were bought (EM2): what is owed
    per lot then is that part of it.
    """

    number: int
    period: int
    lots: int
    accepted_lots: int | None
    cost_micro: int
    fee_micro: int
    moving_micro: int
    price_per_lot_micro: int  # price of one lot for the period
    ref_per_lot_micro: int  # BB6: reference price of one lot for the period
    cap_per_lot_micro: int  # BB4: max(price, fix at trade)
    lambda_ppm: int
    made_up_lots: int = 0  # BB2: of the failed ones, delivered in a later period instead
    seller: str = ""  # a spread block has two sites, of one seller or of two
    site: str = ""
    lease_lots: int = 0  # BB4, of a cover, which has a size of its own; 0 = that of the lease
    lease_moving_micro: int = 0


class Lease(NamedTuple):
    """What is not settled yet of one block (or one plain trade), in order of period and number."""

    number: int
    period: int  # the period that is being settled
    checkpoint: str  # hourly | none
    on_break: str  # continue | abandon
    dues: tuple[Due, ...]
    lots: int  # lot-periods of the whole lease, settled ones included
    moving_micro: int  # moving the data for the whole lease


class Line(NamedTuple):
    """What one obligation comes to. paid + fee + moving + refund + carried = what lay in escrow for it."""

    obligation: int
    status: str  # delivered | short | void | made_up
    delivered_lots: int
    lost_lots: int
    paid_micro: int  # to the provider's side, before shares
    fee_micro: int  # kept by the exchange
    moving_micro: int  # to the network
    refund_micro: int  # back to the buyer
    damages_micro: int  # owed by the provider to the buyer
    made_up_lots: int = 0
    carried_cost_micro: int = 0  # stays in escrow for the period that makes up
    carried_fee_micro: int = 0


def lost_lots(lease: Lease) -> dict[int, int]:
    """BB3: lots lost per obligation number, given what failed in the period being settled.

    Of a spread block that is abandoned, the site that delivered keeps the pay of this period (BB5); later ones are void.
    """
    now = [due for due in lease.dues if due.period == lease.period]
    failed = {due.number: lots for due in now if (lots := due.lots - (due.accepted_lots or 0) - due.made_up_lots) > 0}
    if not failed:
        return {}
    if lease.checkpoint == "none":
        return {due.number: due.lots - due.made_up_lots for due in lease.dues}
    if lease.on_break == "abandon":
        broke = {(due.seller, due.site) for due in now if due.number in failed}
        here = [due for due in now if (due.seller, due.site) in broke]
        gone = [due for due in lease.dues if due.period > lease.period or due in here]
        return {due.number: due.lots - due.made_up_lots for due in gone}
    return failed


def blamed(lease: Lease) -> dict[int, str]:
    """Who owes the damages of each obligation: its seller, but where he did not fail, the first who did (spread)."""
    now = [due for due in lease.dues if due.period == lease.period]
    broke = [due.seller for due in now if due.lots > (due.accepted_lots or 0) + due.made_up_lots]
    return {due.number: due.seller if not broke or due.seller in broke else broke[0] for due in lease.dues}


def settle(lease: Lease) -> list[Line]:
    """Lines of every obligation of the lease that this period decides; [] where nothing can be decided yet.

    A block without checkpoints is decided when it breaks or with its last period: until then everything stays in escrow.
    """
    if all(is_whole(due, lease.period) for due in lease.dues):
        return [
            Line(due.number, "delivered", due.lots, 0, due.cost_micro, due.fee_micro, due.moving_micro, 0, 0)
            for due in lease.dues
        ]
    lost = lost_lots(lease)
    last_period = max(due.period for due in lease.dues)
    if not lost and lease.checkpoint == "none" and lease.period < last_period:
        return []
    lines = []
    for due in lease.dues:
        decided = due.period == lease.period or due.number in lost or (lease.checkpoint == "none" and not lost)
        if decided:
            lines.append(_line(due, lost.get(due.number, 0), lease))
    return lines


def is_whole(due: Due, period: int) -> bool:
    """Whether an obligation of the period that is being settled was delivered in full: all in escrow for it is paid."""
    return due.accepted_lots == due.lots and due.period == period and not due.made_up_lots


def _line(due: Due, lost: int, lease: Lease) -> Line:
    kept = due.lots - lost - due.made_up_lots
    paid = div_floor(due.cost_micro * kept, due.lots)
    carried = div_floor(due.cost_micro * (kept + due.made_up_lots), due.lots) - paid
    fee = div_floor(due.fee_micro * kept, due.lots)
    carried_fee = div_floor(due.fee_micro * (kept + due.made_up_lots), due.lots) - fee
    refund = due.cost_micro - paid - carried + due.fee_micro - fee - carried_fee
    size, moving = (due.lease_lots, due.lease_moving_micro) if due.lease_lots else (lease.lots, lease.moving_micro)
    damages = _damages(due, lost) + div_floor(moving * lost, size)
    return Line(
        due.number, _status(due, lost), due.accepted_lots or 0, lost, paid, fee, due.moving_micro, refund, damages,
        due.made_up_lots, carried, carried_fee,
    )  # fmt: skip


def _status(due: Due, lost: int) -> str:
    if lost:
        return "short" if due.accepted_lots is not None else "void"
    return "made_up" if due.made_up_lots else "delivered"


def _damages(due: Due, lost: int) -> int:
    """BB4 without the part for moving data: rising price on everything lost, lambda on what failed, capped."""
    failed = min(lost, due.lots - due.accepted_lots - due.made_up_lots) if due.accepted_lots is not None else 0
    full_micro = due.lots * due.price_per_lot_micro  # what the whole period costs
    rise = div_floor(lost * max(0, due.ref_per_lot_micro - due.price_per_lot_micro) * due.cost_micro, full_micro)
    penalty = div_ceil(due.lambda_ppm * failed * due.cost_micro, PPM * due.lots)
    return min(rise + penalty, div_floor(lost * due.cap_per_lot_micro * due.cost_micro, full_micro))


@dataclass(frozen=True, slots=True)
class Sources:
    """HM6: what can pay a provider's damages after the lease's own margin."""

    payout_micro: int  # his pay of this run
    bond_micro: int


@dataclass(frozen=True, slots=True)
class Cover:
    """What each layer pays of one claim; cut = nobody does."""

    margin_micro: int
    payout_micro: int
    bond_micro: int
    fund_micro: int
    cut_micro: int


def waterfall(
    claims: list[tuple[str, int, int]], margins: dict[tuple[int, str], int], sources: dict[str, Sources], fund_micro: int
) -> list[Cover]:
    """HM6 for one run: claims (provider, lease, damages owed) in order, margins by lease and provider; covers in order.

    A claim draws on its lease's margin; what is left of a provider's claims shares his pay of this run, then his bond, pro
    rata; what is left of all claims shares the fund pro rata, rounded down, and the rest is cut: so a cut is pro rata too.
    """
    margin_left = dict(margins)
    drawn, open_of = [], dict.fromkeys(sources, 0)
    for provider, lease, owed in claims:
        margin = min(owed, margin_left[lease, provider])
        margin_left[lease, provider] -= margin
        drawn.append((provider, margin, owed - margin))
        open_of[provider] += owed - margin
    pay, bond_of = ({who: getattr(item, name) for who, item in sources.items()} for name in ("payout_micro", "bond_micro"))
    payouts = _pro_rata([(who, rest) for who, _, rest in drawn], pay, open_of)
    rests = [(who, rest - payout) for (who, _, rest), payout in zip(drawn, payouts, strict=True)]
    for (who, _, _), payout in zip(drawn, payouts, strict=True):
        open_of[who] -= payout
    bonds = _pro_rata(rests, bond_of, open_of)
    open_total = sum(rest for _, rest in rests) - sum(bonds)
    from_fund = min(fund_micro, open_total)
    covers = []
    for (_, margin, _), payout, (_, open_micro), bond in zip(drawn, payouts, rests, bonds, strict=True):
        rest = open_micro - bond
        fund = div_floor(from_fund * rest, open_total) if open_total else 0
        covers.append(Cover(margin, payout, bond, fund, rest - fund))
    return covers


def _pro_rata(claims: list[tuple[str, int]], purses: dict[str, int], open_of: dict[str, int]) -> list[int]:
    """What each claim gets of its provider's purse: by its part of what is open, all of the purse if that is not enough."""
    parts, seen, given = [], dict.fromkeys(purses, 0), dict.fromkeys(purses, 0)
    for who, rest in claims:
        total = open_of[who]
        seen[who] += rest
        part = div_floor(min(purses[who], total) * seen[who], total) - given[who] if total else 0
        given[who] += part
        parts.append(part)
    return parts


def split_shares(base_micro: int, shares_ppm: list[int]) -> tuple[list[int], int]:
    """CA3: each share of an amount rounded down, and what is left for the main recipient; the sum is exact."""
    parts = [div_floor(base_micro * ppm, PPM) for ppm in shares_ppm]
    return parts, base_micro - sum(parts)
