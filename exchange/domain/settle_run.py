"""The settlement run of one period: gathers what `settlement` needs, posts what it answers (BB2-BB6, HM6, CA3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain import green, make_up, money, settlement
from exchange.domain.books import adjust_sold
from exchange.domain.commands import SettlePeriod
from exchange.domain.delivery import accepted_lots, lambda_ppm
from exchange.domain.events import PeriodSettled, Settled
from exchange.domain.instrument import book_id
from exchange.domain.money import Moves
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.settle_memo import Memo
from exchange.domain.settlement import Cover, Due, Lease, Line, Sources
from exchange.domain.state import Obligation
from exchange.domain.units import NS_PER_MINUTE, div_floor
from matching_core.enums import Bucket

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

NOTHING = Cover(0, 0, 0, 0, 0)
CASH, ESCROW, MARGIN, BOND = Bucket.CASH, Bucket.ESCROW, Bucket.MARGIN, Bucket.BOND


def run(v: Venue, command: SettlePeriod) -> None:
    """SettlePeriod: once per period, in order, after the dispute window."""
    v.require_tradable()
    state, period = v.state, v.periods.at(command.period_start_ns) if v.is_time(command.period_start_ns) else -1
    if period < 0 or v.periods.start(period) != command.period_start_ns:
        raise Refusal(VenueReason.INVALID_WINDOW, "not the start of a period")
    if state.now_ns < v.periods.start(period + 1) + v.settings.dispute_min * NS_PER_MINUTE:
        raise Refusal(VenueReason.NOT_DUE, "the dispute window is still open", "settle it later")
    if period < state.settled_end or any(state.settled_end <= p < period for p in v.obligations_of_period):
        raise Refusal(VenueReason.NOT_DUE, "this period is settled, or an earlier one is not")
    cures, memo, moves = make_up.find(v, period), Memo(v), money.Moves(v)
    decided = _lines(v, period, cures, memo)
    payers = [payer for _, _, payer in decided]
    lines = [(due, line) for due, line, _ in decided]
    covers = _covers(v, lines, payers, memo)
    for due, line in lines:
        _post(moves, due, line, memo)
    totals = [0, 0, 0]
    for (due, line), payer, cover in zip(lines, payers, covers, strict=True):
        damages = line.damages_micro - cover.cut_micro
        if line.damages_micro:
            _post_damages(moves, due, payer, cover)
        for place, amount in enumerate((line.paid_micro, line.refund_micro, damages)):
            totals[place] += amount
        _close(v, due, line, damages, cover.cut_micro, memo)
    _free_margins(moves, lines, payers, covers)
    moves.make()
    for due, line in lines:
        if line.made_up_lots:
            make_up.carry(v, due, line, cures[due.number].period)
    memo = Memo(v)  # what was sold and is not settled is less now
    for number in v.obligations_of_period.get(period, ()):  # of blocks that are decided later: what ref is now
        state.obligations[number].ref_micro = reference_price(v, state.obligations[number], memo)
    state.settled_end = period + 1
    for book in [book for book in state.fixes if book & (1 << 20) - 1 <= period]:
        del state.fixes[book]
    v.emit(PeriodSettled(command.period_start_ns, len(lines), *totals))
    for seller in sorted({due.seller for due, _ in lines}):
        money.top_up(v, seller)


def _lines(v: Venue, period: int, cures: dict[int, make_up.Cure], memo: Memo) -> list[tuple[Obligation, Line, str]]:
    """Every line this period decides and who owes its damages, by lease in order of its first obligation."""
    state = v.state
    leases: dict[int, None] = {}
    for number in sorted(v.obligations_of_period.get(period, ())):
        leases.setdefault(state.obligations[number].lease, None)
    result = []
    for lease_number in leases:
        dues = _concerned(v, lease_number, period)
        first = dues[0]
        if first.checkpoint == "none" and dues[-1].period > period and not _has_failed(dues, period):
            continue  # decided with its last period; until then nothing is asked about its others
        if all(due.period == period and accepted_lots(due) == due.lots for due in dues):
            facts = tuple(_whole(due) for due in dues)
        else:
            facts = tuple(_due(v, due, period, cures, memo) for due in dues)
        lease = Lease(
            lease_number, period, first.checkpoint, first.on_break, facts, first.lease_lots, first.lease_moving_micro,
        )  # fmt: skip
        by_number = {due.number: due for due in dues}
        payers = settlement.blamed(lease)
        result += [(by_number[line.obligation], line, payers[line.obligation]) for line in settlement.settle(lease)]
    return result


def _has_failed(dues: list[Obligation], period: int) -> bool:
    return any(due.period == period and accepted_lots(due) != due.lots for due in dues)


def _concerned(v: Venue, lease: int, period: int) -> list[Obligation]:
    """What this period can decide of a lease: itself, and more only where a break takes more with it (BB3)."""
    numbers = v.obligations_of_lease[lease]
    if len(numbers) == 1:
        return [v.state.obligations[number] for number in numbers]
    dues = sorted((v.state.obligations[n] for n in numbers), key=lambda due: (due.period, due.number))
    if dues[0].checkpoint == "none":
        return dues
    here = [due for due in dues if due.period == period]
    if dues[0].on_break == "abandon" and any(accepted_lots(due) < due.lots for due in here):
        return [due for due in dues if due.period >= period]
    return here


def _per_lot(v: Venue, price_micro: int) -> int:
    """A price per card-hour as micro-yuan per lot and period, rounded down."""
    return div_floor(price_micro * v.settings.period_min, 60 * v.settings.lots_per_card)


def _whole(due: Obligation) -> Due:
    """As `_due`, of a lease of which all that is concerned was delivered in full: no price is asked for."""
    return Due(
        due.number, due.period, due.lots, due.lots, due.cost_micro, due.fee_micro, due.moving_micro, 0, 0, 0, 0, 0, due.seller,
        due.site,
    )  # fmt: skip


def _due(v: Venue, due: Obligation, period: int, cures: dict[int, make_up.Cure], memo: Memo) -> Due:
    price_micro = due.price_ticks * v.settings.tick_micro
    is_past = due.period <= period
    ref_micro = due.ref_micro or reference_price(v, due, memo)
    return Due(
        number=due.number, period=due.period, lots=due.lots, accepted_lots=accepted_lots(due) if is_past else None,
        cost_micro=due.cost_micro, fee_micro=due.fee_micro, moving_micro=due.moving_micro,
        price_per_lot_micro=due.price_ticks * v.value_micro, ref_per_lot_micro=_per_lot(v, ref_micro),
        cap_per_lot_micro=_per_lot(v, max(price_micro, due.fix_at_trade_micro)), lambda_ppm=lambda_ppm(v, due),
        made_up_lots=cures[due.number].lots if due.number in cures else 0, seller=due.seller, site=due.site,
        lease_lots=due.lease_lots, lease_moving_micro=due.lease_moving_micro,
    )  # fmt: skip


def reference_price(v: Venue, due: Obligation, memo: Memo) -> int:
    """BB6: a cover's cost, else fix A/B, else min(fix C, 1.5 x max(price, last A/B)); at least the firm's own later sales."""
    state, price = v.state, due.price_ticks * v.settings.tick_micro
    book = book_id(due.family, due.period)
    fix = state.fixes.get(book) or state.last_fix.get(due.family)
    ref = price
    if due.cover_ref_micro:
        ref = due.cover_ref_micro
    elif fix is not None and fix.grade != "C":
        ref = fix.price_micro
    elif fix is not None:
        firm_fix = state.last_firm_fix.get(due.family)
        anchor = max(price, firm_fix.price_micro if firm_fix else 0)
        ref = min(fix.price_micro, div_floor(3 * anchor, 2))
    return max(ref, memo.highest_later(due) * v.settings.tick_micro)


def _covers(v: Venue, lines: list[tuple[Obligation, Line]], payers: list[str], memo: Memo) -> list[Cover]:
    """HM6 for this run, claim by claim in the order of the lines; who owes nothing is not asked what he has."""
    for due, _ in lines:
        memo.compute(due)  # opens the accounts of recipients in the order of the lines
    places = [place for place, (_, line) in enumerate(lines) if line.damages_micro]
    covers = [NOTHING] * len(lines)
    if not places:
        return covers
    margins = {(due.lease, payer): 0 for (due, line), payer in zip(lines, payers, strict=True) if line.damages_micro}
    payouts = {payers[place]: 0 for place in places}
    for due, line in lines:
        if (due.lease, due.seller) in margins:
            margins[due.lease, due.seller] += due.margin_micro
        if due.seller in payouts:
            payouts[due.seller] += _host_part(due, line, memo)
    sources = {name: Sources(payout, money.balance(v, name, BOND)) for name, payout in payouts.items()}
    claims = [(payers[place], lines[place][0].lease, lines[place][1].damages_micro) for place in places]
    found = settlement.waterfall(claims, margins, sources, money.balance(v, "fund", CASH))
    for place, cover in zip(places, found, strict=True):
        covers[place] = cover
    return covers


def _free_margins(moves: Moves, lines: list[tuple[Obligation, Line]], payers: list[str], covers: list[Cover]) -> None:
    """What the settled obligations' margins did not have to pay is free again."""
    left: dict[str, int] = {}
    for (due, _), payer, cover in zip(lines, payers, covers, strict=True):
        left[due.seller] = left.get(due.seller, 0) + due.margin_micro
        left[payer] = left.get(payer, 0) - cover.margin_micro
    for name in sorted(left):
        moves.move((name, MARGIN), (name, CASH), left[name], "margin_free", "settlement")


def _host_part(due: Obligation, line: Line, memo: Memo) -> int:
    return settlement.split_shares(line.paid_micro, [ppm for _, ppm in memo.compute(due)])[1]


def _post(moves: Moves, due: Obligation, line: Line, memo: Memo) -> None:
    """Every amount of a line leaves the buyer's escrow."""
    reference, buyer, move = f"obligation:{due.number}", (due.buyer, ESCROW), moves.move
    compute, moving = memo.compute(due), memo.moving(due)
    parts, host = settlement.split_shares(line.paid_micro, [ppm for _, ppm in compute])
    for (name, _), amount in zip(compute, parts, strict=True):
        move(buyer, (name, CASH), amount, "share", reference)
    move(buyer, (due.seller, CASH), host, "payout", reference)
    standby = div_floor(line.fee_micro, 2) if due.is_standby else 0  # EM5
    move(buyer, ("exchange", CASH), line.fee_micro - standby, "exchange_fee", reference)
    move(buyer, (due.seller, CASH), standby, "standby_fee", reference)
    if line.moving_micro:
        parts, network = settlement.split_shares(line.moving_micro, [ppm for _, ppm in moving])
        for (name, _), amount in zip(moving, parts, strict=True):
            move(buyer, (name, CASH), amount, "moving_share", reference)
        move(buyer, ("network", CASH), network, "moving_paid", reference)
    move(buyer, (due.buyer, CASH), line.refund_micro, "refund", reference)


def _post_damages(moves: Moves, due: Obligation, payer: str, cover: Cover) -> None:
    """Damages go to the buyer, layer by layer (HM6)."""
    reference, to_buyer = f"obligation:{due.number}", (due.buyer, CASH)
    moves.move((payer, MARGIN), to_buyer, cover.margin_micro, "damages", reference)
    moves.move((payer, CASH), to_buyer, cover.payout_micro, "damages", reference)
    moves.move((payer, BOND), to_buyer, cover.bond_micro, "damages", reference)
    moves.move(("fund", CASH), to_buyer, cover.fund_micro, "damages", reference)


def _close(v: Venue, due: Obligation, line: Line, damages: int, cut: int, memo: Memo) -> None:
    """Frees what is left of the margin and the capacity of hours that will not run; the obligation is settled."""
    load_wh, green_wh = green.settle(v, due, line.delivered_lots)
    v.emit(Settled(
        due.number, v.periods.start(due.period), due.buyer, due.seller, memo.code(due), due.lots,
        line.delivered_lots, line.lost_lots, line.status, line.paid_micro, line.fee_micro, line.moving_micro,
        line.refund_micro, damages, cut, line.made_up_lots, load_wh, green_wh,
    ))  # fmt: skip
    if line.status == "void" and v.periods.gate(due.period) > v.state.now_ns:
        adjust_sold(v, due, v.state.families[due.family - 1].chip, due.period, -due.lots)
    v.forget_obligation(due)
