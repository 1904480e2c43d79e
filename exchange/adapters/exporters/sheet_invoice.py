"""Invoice lines: what was supplied, put together by counterparty, item and family, with tax taken out of the amount.

Amounts of the exchange include tax. Of every invoice line tax = amount x rate / (1 + rate), rounded half to even to a
micro-yuan, and net = amount - tax, so that net + tax is the amount to the last unit and the amounts of all lines add up to
closing minus opening. Money that is moved for no supply (deposits, withdrawals, damages, securities) bears no tax.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exchange.adapters.exporters.writing import text_cell, yuan_cell
from exchange.domain.units import MICRO, PPM, div_half_even, format_scaled
from exchange.projections.sheets import Sheet

COLUMNS = (
    "number,direction,counterparty,item,family,quantity,unit,unit_price_net,net,tax_percent,tax,amount,lines,first_line,"
    "last_line"
).split(",")
SUPPLIES = frozenset(("payout", "share", "exchange_fee", "standby_fee", "moving_paid", "moving_share"))


@dataclass(slots=True)
class _Item:
    amount_micro: int = 0
    card_hours_micro: int = 0
    n_lines: int = 0
    first: str = ""
    last: str = ""


def tax_of(amount_micro: int, tax_ppm: int) -> int:
    """The tax in an amount that includes it, half to even."""
    return div_half_even(amount_micro * tax_ppm, PPM + tax_ppm)


def invoice_rows(sheet: Sheet, tax_ppm: int) -> Iterator[Sequence[object]]:
    """A row per invoice line, a total at the end."""
    yield COLUMNS
    items: dict[tuple[str, str, str, str, bool], _Item] = {}
    for line in sheet.lines:
        direction = "out" if line.amount_micro > 0 else "in"  # an invoice that the participant sends, or gets
        key = (direction, line.counterparty, line.what, line.instrument.rpartition("/")[0], line.kind in SUPPLIES)
        item = items.setdefault(key, _Item(first=line.line_id))
        item.amount_micro += line.amount_micro
        item.card_hours_micro += line.card_hours_micro
        item.n_lines += 1
        item.last = line.line_id
    total_net = total_tax = total = 0
    for number, ((direction, counterparty, what, family, is_supply), item) in enumerate(items.items(), 1):
        rate = tax_ppm if is_supply else 0
        tax = tax_of(item.amount_micro, rate)
        net = item.amount_micro - tax
        total_net, total_tax, total = total_net + net, total_tax + tax, total + item.amount_micro
        hours = item.card_hours_micro
        unit_price = yuan_cell(div_half_even(abs(net) * MICRO, hours)) if hours else ""
        yield (
            number, direction, text_cell(counterparty), what, text_cell(family),
            format_scaled(hours, MICRO, 1) if hours else "", "card-hour" if hours else "", unit_price, yuan_cell(net),
            format_scaled(rate, 10_000, 0), yuan_cell(tax), yuan_cell(item.amount_micro), item.n_lines, item.first, item.last,
        )  # fmt: skip
    yield "total", "", "", "", "", "", "", "", yuan_cell(total_net), "", yuan_cell(total_tax), yuan_cell(total), "", "", ""
