"""A statement as a beancount file that `bean-check` accepts: the participant's side, one transaction per line."""

from datetime import date, timedelta

from exchange.adapters.exporters.beancount_file import component
from exchange.adapters.exporters.writing import yuan_cell
from exchange.projections.sheets import Sheet, SheetLine

ASSET = "Assets:CPX"
OPENING = "Equity:Opening-Balances"
BANK = "Assets:Bank"
_DAY = timedelta(days=1)


def beancount_text(sheet: Sheet) -> bytes:
    """Opening balance, lines and the closing balance as an exact assertion, in one file for one day."""
    day = date.fromisoformat(sheet.day)
    others = {_other(line) for line in sheet.lines}
    title = _quoted(f"{sheet.venue}: {sheet.participant} on {sheet.day}")
    parts = [f'option "title" {title}\noption "operating_currency" "CNY"\n']
    parts += [f"; hash {sheet.hash or '(the day is not over)'}\n\n"]
    parts += [f"{day - _DAY} open {account} CNY\n" for account in sorted({ASSET, OPENING, *others})]
    parts.append(_transaction(day - _DAY, "opening balance", "", "", sheet.opening_micro, OPENING))
    for line in sheet.lines:
        about = " ".join(text for text in (line.counterparty, line.reference, line.instrument) if text)
        parts.append(_transaction(day, line.what, about, _meta(line), line.amount_micro, _other(line)))
    parts.append(f"\n{day + _DAY} balance {ASSET}  {yuan_cell(sheet.closing_micro)} ~ 0 CNY\n")
    return "".join(parts).encode("utf-8", "backslashreplace")


def _transaction(day: date, what: str, about: str, meta: str, micro: int, other: str) -> str:
    head = f"\n{day} * {_quoted(what)} {_quoted(about)}\n{meta}"
    return f"{head}  {ASSET}  {yuan_cell(micro)} CNY\n  {other}  {yuan_cell(-micro)} CNY\n"


def _meta(line: SheetLine) -> str:
    found = {"line": line.line_id, "trade": line.trade_id, "obligation": str(line.obligation_id or "")}
    return "".join(f"  {name}: {_quoted(text)}\n" for name, text in found.items() if text)


def _other(line: SheetLine) -> str:
    """Where the money of a line comes from or goes to."""
    if line.kind in ("deposit", "withdrawal"):
        return BANK
    return f"{'Income' if line.amount_micro > 0 else 'Expenses'}:{component(line.kind)}"


def _quoted(text: str) -> str:
    clean = "".join(c if c.isprintable() else " " for c in text)
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'
