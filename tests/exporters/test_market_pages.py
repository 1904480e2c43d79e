"""The market report: figures beside the venue's own day, pages and plots taken apart again, a day on which nothing was."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from small_days import Day

from exchange.adapters.exporters.market_figures import figures
from exchange.adapters.exporters.market_pages import (
    contents,
    html_page,
    number,
    pdf_pages,
    percent,
    write_market_day,
)
from exchange.adapters.exporters.market_plots import HourPrice, fitting, price_panels, text_width, ticks
from exchange.adapters.exporters.market_words import LABELS, LANGUAGES, REASONS_CHINESE, label
from exchange.domain.reasons import TaskReason
from exchange.projections.market_day import MarketDay, market_days
from exchange.projections.words import reason_in_words

SVG = "{http://www.w3.org/2000/svg}"
QUIET = date(2001, 1, 1)


@pytest.fixture(scope="module")
def busy(day: Day) -> date:
    """The day with most trades."""
    return max(market_days(day.projections).values(), key=lambda each: each.trades).day


@pytest.fixture(scope="module")
def found(day: Day, busy: date) -> dict:
    return of_day(day, busy)


def of_day(day: Day, wanted: date) -> dict:
    """The figures of a day."""
    return figures(day.projections.calendar, market_days(day.projections).get(wanted) or MarketDay(wanted))


def svgs(page: bytes) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page.decode(), re.DOTALL)]


def bars(svg: ElementTree.Element) -> list[ElementTree.Element]:
    return [each for each in svg.iter(f"{SVG}rect") if each.get("class") == "bar"]


class Words(HTMLParser):
    """All text of a page, and that every element is closed that has to be."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "line", "rect", "circle", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """It is closed at once."""

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                raise AssertionError(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def words_of(page: bytes) -> list[str]:
    reader = Words()
    reader.feed(page.decode())
    reader.close()
    assert reader.open == [], reader.open
    return [word for word in reader.words if word]


def test_the_figures_are_the_trades_and_settlements_of_the_day(day: Day, busy: date, found: dict) -> None:
    trades = [each for each in day.projections.tape.trades if day.projections.calendar.day(each.time_ns) == busy]
    hours = Decimal(sum(each.fact.lots for each in trades)) / 10
    assert found["trades"] == len(trades) > 0 and Decimal(found["card_hours"]) == hours
    assert Decimal(found["notional"]) == Decimal(sum(each.fact.cost_micro for each in trades)) / 10**6
    for rows in (found["hours"], found["regions"], found["chips"]):
        assert sum(Decimal(row["card_hours"]) for row in rows) == hours and sum(row["trades"] for row in rows) == len(trades)
    settled = [
        each for each in day.projections.deliveries.settled if day.projections.calendar.day(each.period_start_ns) == busy
    ]
    short = found["shortfalls"]
    assert Decimal(short["damages"]) == Decimal(sum(each.damages_micro for each in settled)) / 10**6 > 0
    assert Decimal(short["in_cash"]) == Decimal(sum(each.lost_lots for each in settled)) / 10 > 0
    capacity = found["capacity"]
    assert Decimal(capacity["sold"]) + Decimal(capacity["unsold"]) == Decimal(capacity["offered"])
    assert Decimal(capacity["utilization"]) == round(Decimal(capacity["sold"]) / Decimal(capacity["offered"]), 6)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_says_every_figure_and_loads_nothing(found: dict, language: str) -> None:
    page = html_page(found, language)
    words = words_of(page)
    for name, text in (
        ("trades", f"{found['trades']:,}"), ("card_hours", number(found["card_hours"], 1)),
        ("notional", number(found["notional"], 2)), ("utilization", percent(found["capacity"]["utilization"])),
        ("damages", number(found["shortfalls"]["damages"], 2)),
    ):  # fmt: skip
        assert text in words and label(name, language) in words, name
    for row in found["unfilled"]:
        why = row["in_words"] if language == "en" else REASONS_CHINESE[row["reason"]]
        assert why in words
    assert not re.search(rb"(?:src|href)=|url\(|<script|@import", page)
    assert bool(re.search(r"[\u4e00-\u9fff]", "".join(words))) == (language == "zh")


def test_the_plots_have_a_bar_for_each_hour_region_and_reason(found: dict) -> None:
    by_hour, by_price, by_region, used, unfilled, short = svgs(html_page(found, "en"))
    heights = [float(each.get("height", "")) for each in bars(by_hour)]
    assert len(heights) == 24
    busiest = max(found["hours"], key=lambda row: Decimal(row["card_hours"]))
    assert heights.index(max(heights)) == busiest["hour"]
    assert [height > 0 for height in heights] == [row["trades"] > 0 for row in found["hours"]]
    bands = [each for each in by_price.iter(f"{SVG}rect") if each.get("class") == "band"]
    assert len(bands) == sum(len(chip["hours"]) for chip in found["chips"][:4])
    assert len(bars(by_region)) == len(found["regions"]) and len(bars(unfilled)) == len(found["unfilled"])
    widths = {each[0].text: float(each.get("width", "")) for each in bars(used)}
    for row in found["capacity"]["regions"]:
        offered = max(Decimal(each["offered"]) for each in found["capacity"]["regions"])
        (name,) = [each for each in widths if each and each.startswith(row["region"])]
        assert widths[name] == pytest.approx(456 * float(Decimal(row["sold"]) / offered), abs=0.1)
    assert len(bars(short)) == sum(Decimal(found["shortfalls"][name]) > 0 for name in ("made_up", "bought_in", "in_cash"))


def test_a_line_breaks_where_an_hour_has_no_trade() -> None:
    prices = [HourPrice(hour, 1.0, 2.0, 3.0) for hour in (0, 1, 2, 7, 8, 23)]
    svg = ElementTree.fromstring(price_panels([("A", prices)], "prices"))
    assert [len(line.get("points", "").split()) for line in svg.iter(f"{SVG}polyline")] == [3, 2, 1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_quiet_day_says_so(day: Day, language: str) -> None:
    quiet = of_day(day, QUIET)
    page = html_page(quiet, language)
    assert label("quiet", language) in words_of(page) and svgs(page) == []


def test_a_day_of_deliveries_alone_says_what_there_was_not(day: Day) -> None:
    found = of_day(day, QUIET)
    found["settled"]["obligations"] = 3
    instead = [plot["instead"] for plot in contents(found, "en")["plots"]]
    names = ("no_trade", "no_trade", "no_trade", "no_offer", "no_task", "no_shortfall")
    assert instead == [label(name, "en") for name in names]


def test_words_from_outside_stay_words(day: Day, busy: date) -> None:
    found = of_day(day, busy)
    found["venue"] = found["regions"][0]["region"] = "<b>&\"x"
    page = html_page(found, "en")
    assert "<b>&\"x" in words_of(page) and b'<b>&"' not in page and len(svgs(page)) == 6


def test_every_label_and_reason_has_both_languages() -> None:
    for name, texts in LABELS.items():
        assert len(texts) == len(LANGUAGES) and all(texts), name
        assert re.search(r"[\u4e00-\u9fff]", texts[1]), name
    for reason in TaskReason:
        assert reason.name in REASONS_CHINESE and reason_in_words(reason.name) != reason.name


@pytest.mark.parametrize(
    ("highest", "lowest", "marks"),
    ((1395.0, 0.0, [0, 500, 1000, 1500]), (1.0, 0.0, [0, 0.25, 0.5, 0.75, 1.0]), (12.7, 12.1, [12.0, 12.2, 12.4, 12.6, 12.8])),
)
def test_marks_are_round_and_reach_over_everything(highest: float, lowest: float, marks: list[float]) -> None:
    assert ticks(highest, lowest) == pytest.approx(marks)


def test_a_name_is_cut_where_it_would_run_into_its_value() -> None:
    assert fitting("guizhou-guian", 300) == "guizhou-guian"
    cut = fitting("nowhere within its latency limit, regions, class and power are these chips sold", 300)
    assert cut.endswith("…") and text_width(cut) <= 300 < text_width(cut + "xx")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_is_set_in_our_font_and_says_the_figures(found: dict, language: str) -> None:
    pytest.importorskip("typst")
    pdfium = pytest.importorskip("pypdfium2")
    made = pdf_pages(found, language)
    assert made == pdf_pages(found, language), "the same day gives the same bytes"
    text = "".join(page.get_textpage().get_text_range() for page in pdfium.PdfDocument(made))
    assert b"NotoSansSC" in made and label("volume_by_hour", language) in text
    for figure in (number(found["card_hours"], 1), number(found["notional"], 2), percent(found["capacity"]["utilization"])):
        assert figure in text


def test_the_files_of_a_day_are_whole_and_replaced(day: Day, busy: date, tmp_path: Path) -> None:
    made_day = market_days(day.projections)[busy]
    made = write_market_day(day.projections.calendar, tmp_path, made_day, with_pdf=False)
    assert [path.name for path in made] == [f"market-{busy}{ending}" for ending in (".json", ".en.html", ".zh.html")]
    first = [path.read_bytes() for path in made]
    assert json.loads(first[0])["day"] == busy.isoformat()
    again = write_market_day(day.projections.calendar, tmp_path, made_day, with_pdf=False)
    assert [path.read_bytes() for path in again] == first
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in made)
