"""A statement in the columns of FOCUS 1.0 (FinOps Open Cost and Usage Specification), for tools that compare cloud bills.

What the participant pays is a cost, what comes in a negative one: BilledCost is minus the line's amount, but for deposits,
withdrawals and bonds, which are payments and no charges, and stand with cost 0. `x_amount` has every line's amount, so that
its sum is closing minus opening. Power stands on the line of the compute price alone, once per delivered hour.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from exchange.adapters.exporters.sheet_tables import needed
from exchange.adapters.exporters.writing import text_cell
from exchange.domain.units import MICRO, PPM, div_half_even, format_micro
from exchange.projections.sheets import Sheet, SheetLine

VERSION = "1.0"
TEXT, DECIMAL, TIME = "text", "decimal", "time"
_NS_PER_S = 1_000_000_000
PAYMENTS = frozenset(("deposit", "withdrawal"))
CHARGES = {"payout": "Usage", "exchange_fee": "Purchase", "standby_fee": "Purchase", "moving_paid": "Usage"}
COLUMNS = {
    "BilledCost": DECIMAL, "BillingAccountId": TEXT, "BillingAccountName": TEXT, "BillingCurrency": TEXT,
    "BillingPeriodEnd": TIME, "BillingPeriodStart": TIME, "AvailabilityZone": TEXT, "ChargeCategory": TEXT,
    "ChargeClass": TEXT, "ChargeDescription": TEXT, "ChargeFrequency": TEXT, "ChargePeriodEnd": TIME,
    "ChargePeriodStart": TIME, "CommitmentDiscountCategory": TEXT, "CommitmentDiscountId": TEXT,
    "CommitmentDiscountName": TEXT, "CommitmentDiscountStatus": TEXT, "CommitmentDiscountType": TEXT,
    "ConsumedQuantity": DECIMAL, "ConsumedUnit": TEXT, "ContractedCost": DECIMAL, "ContractedUnitPrice": DECIMAL,
    "EffectiveCost": DECIMAL, "InvoiceIssuer": TEXT, "ListCost": DECIMAL, "ListUnitPrice": DECIMAL, "PricingCategory": TEXT,
    "PricingQuantity": DECIMAL, "PricingUnit": TEXT, "Provider": TEXT, "Publisher": TEXT, "RegionId": TEXT,
    "RegionName": TEXT, "ResourceID": TEXT, "ResourceName": TEXT, "ResourceType": TEXT, "ServiceCategory": TEXT,
    "ServiceName": TEXT, "SkuId": TEXT, "SkuPriceId": TEXT, "SubAccountId": TEXT, "SubAccountName": TEXT, "Tags": TEXT,
    "x_amount": DECIMAL, "x_kind": TEXT, "x_line_id": TEXT, "x_trade_id": TEXT, "x_region": TEXT, "x_latency_class": TEXT,
    "x_kwh": DECIMAL, "x_green_share": DECIMAL,
}  # fmt: skip


def focus_rows(sheet: Sheet) -> Iterator[Sequence[object]]:
    """CSV: what is null is empty."""
    yield list(COLUMNS)
    for line in sheet.lines:
        values = _values(sheet, line)
        yield [_cell(values.get(name), kind) for name, kind in COLUMNS.items()]


def focus_table(sheet: Sheet) -> bytes:
    """Parquet: decimals as decimals, times as UTC timestamps, null as null."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise needed("pyarrow", error) from error
    from decimal import Decimal

    kinds: dict[str, Any] = {TEXT: pa.string(), DECIMAL: pa.decimal128(24, 6), TIME: pa.timestamp("ns", tz="UTC")}
    rows = [_values(sheet, line) for line in sheet.lines]
    arrays = []
    for name, kind in COLUMNS.items():
        found = [row.get(name) for row in rows]
        values = [None if each is None else Decimal(each).scaleb(-6) for each in found] if kind == DECIMAL else found
        arrays.append(pa.array(values, type=kinds[kind]))
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()], metadata={"focus_version": VERSION})
    made = io.BytesIO()
    pq.write_table(pa.table(arrays, schema=schema), made, compression="zstd")
    return made.getvalue()


def _values(sheet: Sheet, line: SheetLine) -> dict[str, Any]:
    """A row: texts, decimals as millionths, times as ns; absent ones are null."""
    _, region, latency_class, _ = line.parts
    is_payment = line.kind in PAYMENTS
    cost = 0 if is_payment else -line.amount_micro
    family = line.instrument.rpartition("/")[0]
    hours = line.card_hours_micro
    unit_price = div_half_even(abs(cost) * MICRO, hours) if hours else None
    found: dict[str, Any] = {
        "BilledCost": cost, "EffectiveCost": cost, "ListCost": cost, "ContractedCost": cost,
        "BillingAccountId": sheet.participant, "BillingAccountName": sheet.participant, "BillingCurrency": "CNY",
        "BillingPeriodStart": sheet.from_ns, "BillingPeriodEnd": sheet.to_ns,
        "ChargeCategory": "Adjustment" if is_payment else CHARGES.get(line.kind, "Adjustment"),
        "ChargeDescription": line.what, "ChargeFrequency": "Usage-Based" if hours else "One-Time",
        "ChargePeriodStart": line.period_start_ns or sheet.from_ns, "ChargePeriodEnd": line.period_end_ns or sheet.to_ns,
        "InvoiceIssuer": sheet.venue, "Provider": sheet.venue, "Publisher": line.counterparty or sheet.venue,
        "ServiceCategory": "Compute" if line.instrument else "Other", "ServiceName": "CPX computing power",
        "Tags": json.dumps({"line": line.line_id, "reference": line.reference}, ensure_ascii=True), "x_kind": line.kind,
        "x_amount": line.amount_micro, "x_line_id": line.line_id, "x_trade_id": line.trade_id or None,
    }  # fmt: skip
    if line.instrument:
        found |= {
            "RegionId": region, "RegionName": region, "SkuId": family, "SkuPriceId": line.instrument, "x_region": region,
            "x_latency_class": latency_class, "ResourceID": f"obligation-{line.obligation_id}", "ResourceType": line.parts[0],
        }  # fmt: skip
    if hours:
        found |= {
            "ConsumedQuantity": hours, "ConsumedUnit": "card-hours", "PricingQuantity": hours, "PricingUnit": "card-hours",
            "PricingCategory": "Dynamic", "ContractedUnitPrice": unit_price, "ListUnitPrice": unit_price,
        }  # fmt: skip
    if line.load_wh:
        found |= {"x_kwh": line.load_wh * 1000, "x_green_share": line.green_wh * PPM // line.load_wh}
    return found


def _cell(value: Any, kind: str) -> str:
    if value is None:
        return ""
    if kind == DECIMAL:
        return format_micro(value)
    if kind == TIME:
        return datetime.fromtimestamp(value // _NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return text_cell(value)
