"""A statement as camt.053.001.08 (ISO 20022), for software that reads bank statements.

ISO 20022 gives CNY two decimals and the exchange keeps six, so an entry is the difference of the balance after it and the
balance before it, both rounded half to even to a fen: entries add up to the rounded closing minus the rounded opening with
nothing lost. The exact amount of every entry stands in its AddtlNtryInf, and the exact balances in the statement's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from xml.etree import ElementTree as ET

from exchange.adapters.exporters.writing import yuan_cell
from exchange.domain.units import div_half_even, format_scaled
from exchange.projections.sheets import Sheet, SheetLine

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
MICRO_PER_FEN = 10_000
ISSUER = "CPX"
_NS_PER_S = 1_000_000_000
MAX_ACCOUNT = 34  # characters of Othr/Id


def fen(micro: int) -> int:
    """Micro-yuan in hundredths of a yuan, half to even."""
    return div_half_even(micro, MICRO_PER_FEN)


def camt053(sheet: Sheet) -> bytes:
    """The whole document, in UTF-8."""
    root = ET.Element("Document", xmlns=NAMESPACE)
    message = ET.SubElement(root, "BkToCstmrStmt")
    name = sheet.hash[:30] or f"{sheet.day}-open-{_short(sheet.participant)}"
    head = ET.SubElement(message, "GrpHdr")
    _text(head, "MsgId", name)
    _text(head, "CreDtTm", _time(sheet.to_ns))
    statement = ET.SubElement(message, "Stmt")
    _text(statement, "Id", name)
    _text(statement, "CreDtTm", _time(sheet.to_ns))
    span = ET.SubElement(statement, "FrToDt")
    _text(span, "FrDtTm", _time(sheet.from_ns))
    _text(span, "ToDtTm", _time(sheet.to_ns))
    account = ET.SubElement(statement, "Acct")
    _text(account, "Id/Othr/Id", _account(sheet.participant))
    _text(account, "Ccy", "CNY")
    _text(account, "Ownr/Nm", _plain(sheet.participant))
    _text(account, "Svcr/FinInstnId/Nm", _plain(sheet.venue)[:140])
    _balance(statement, "OPBD", sheet.opening_micro, sheet.day)
    _balance(statement, "CLBD", sheet.closing_micro, sheet.day)
    balance = sheet.opening_micro
    for number, line in enumerate(sheet.lines, 1):
        _entry(statement, line, fen(balance + line.amount_micro) - fen(balance), number, sheet.is_final)
        balance += line.amount_micro
    exact = f"exact opening {yuan_cell(sheet.opening_micro)} closing {yuan_cell(sheet.closing_micro)} CNY"
    _text(statement, "AddtlStmtInf", f"{exact}; hash {sheet.hash or 'none'}")
    ET.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="utf-8") + b"\n"


def _short(name: str) -> str:
    """Eight digits by which names differ."""
    return blake2b(name.encode(), digest_size=4).hexdigest()


def _account(participant: str) -> str:
    """The participant, or of a name that is too long for the field what fits, with digits of the whole."""
    told = _plain(participant)
    return told if len(told) <= MAX_ACCOUNT else f"{told[: MAX_ACCOUNT - 9]}-{_short(participant)}"


def _balance(statement: ET.Element, code: str, micro: int, day: str) -> None:
    balance = ET.SubElement(statement, "Bal")
    _text(balance, "Tp/CdOrPrtry/Cd", code)
    _amount(balance, fen(micro))
    _text(balance, "Dt/Dt", day)


def _entry(statement: ET.Element, line: SheetLine, amount_fen: int, number: int, is_final: bool) -> None:
    entry = ET.SubElement(statement, "Ntry")
    _text(entry, "NtryRef", str(number))
    _amount(entry, amount_fen, line.amount_micro)
    _text(entry, "Sts/Cd", "BOOK" if is_final else "PDNG")
    _text(entry, "BookgDt/DtTm", _time(line.time_ns))
    _text(entry, "ValDt/DtTm", _time(line.time_ns))
    _text(entry, "AcctSvcrRef", line.line_id)
    code = ET.SubElement(ET.SubElement(entry, "BkTxCd"), "Prtry")
    _text(code, "Cd", line.kind)
    _text(code, "Issr", ISSUER)
    details = ET.SubElement(ET.SubElement(entry, "NtryDtls"), "TxDtls")
    references = ET.SubElement(details, "Refs")
    _text(references, "AcctSvcrRef", line.line_id)
    if line.obligation_id:
        _text(references, "EndToEndId", f"obligation {line.obligation_id}")
    if line.trade_id:
        _text(references, "TxId", line.trade_id)
    _amount(details, amount_fen, line.amount_micro)
    parties = ET.SubElement(details, "RltdPties")
    _text(parties, f"{'Dbtr' if line.amount_micro > 0 else 'Cdtr'}/Pty/Nm", _plain(line.counterparty))
    about = " ".join(text for text in (line.what, line.reference, line.instrument) if text)
    _text(details, "RmtInf/Ustrd", _plain(about)[:140])
    _text(entry, "AddtlNtryInf", f"exact amount {yuan_cell(line.amount_micro)} CNY")


def _amount(parent: ET.Element, amount_fen: int, exact_micro: int = 0) -> None:
    """Without a sign, and which side it is on; what rounds to nothing is on the side of its exact amount."""
    amount = ET.SubElement(parent, "Amt", Ccy="CNY")
    amount.text = format_scaled(abs(amount_fen), 100, 2)
    is_out = amount_fen < 0 or (amount_fen == 0 and exact_micro < 0)
    _text(parent, "CdtDbtInd", "DBIT" if is_out else "CRDT")


def _text(parent: ET.Element, path: str, text: str) -> None:
    """A text in an element, with those around it."""
    for name in path.split("/"):
        parent = ET.SubElement(parent, name)
    parent.text = text


def _plain(text: str) -> str:
    """What XML 1.0 can hold."""
    return "".join(c if c.isprintable() else " " for c in text) or "-"


def _time(time_ns: int) -> str:
    whole = datetime.fromtimestamp(time_ns // _NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{time_ns % _NS_PER_S // 1_000_000:03d}Z"
