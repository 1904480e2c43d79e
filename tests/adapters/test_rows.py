"""Shared row reading: times, codes, bytes of any kind."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.adapters.market_files import (
    OFFER_COLUMNS,
    SITE_COLUMNS,
    TASK_COLUMNS,
    OfferRow,
    SiteRow,
    TaskRow,
    read_offers,
    read_sites,
    read_tasks,
)
from exchange.adapters.price_lists import read_price_lists
from exchange.adapters.rows import (
    CellError,
    Columns,
    Placed,
    Problem,
    parse_time_ns,
    read_records,
)
from exchange.adapters.sniff import KINDS, sniff
from exchange.adapters.trace_alibaba import POD_COLUMNS, import_trace
from exchange.domain.units import format_time

YEARS_NS = st.integers(1_577_836_800 * 10**9, 7_258_118_399 * 10**9)


@given(YEARS_NS)
def test_a_time_written_out_reads_back_the_same(time_ns):
    assert parse_time_ns(format_time(time_ns)) == time_ns


def test_offsets_shift_to_utc():
    assert parse_time_ns("2026-01-05T08:00:00+08:00") == parse_time_ns("2026-01-05T00:00:00Z")
    assert parse_time_ns("2026-01-05T00:00:00-03:30") == parse_time_ns("2026-01-05T03:30:00Z")
    assert parse_time_ns("2026-01-05T00:00:00.5Z") - parse_time_ns("2026-01-05T00:00:00Z") == 500_000_000
    assert parse_time_ns("2020-01-01T00:00:00Z") == 1_577_836_800 * 10**9


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05", "2026-01-05T08:00:00", "2026-13-05T08:00:00Z", "2026-02-30T08:00:00Z", "2026-01-05T24:00:00Z",
        "2026-01-05T08:60:00Z", "2026-01-05T08:00:61Z", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "tomorrow",
        "2026-01-05T08:00:00+24:00", "2026-01-05T08:00:00.1234567891Z", "٢٠٢٦-01-05T08:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text):
    with pytest.raises(CellError) as caught:
        parse_time_ns(text)
    assert caught.value.code == "time"


def test_a_quoted_cell_may_hold_commas_and_quotes_but_no_line_break(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('a,b\n"x, ""y""",1\n"broken\nhere",2\nlast,3\n')
    found = list(read_records(path, Columns(("a", "b")), lambda cells: cells.text("a")))
    assert [item.value for item in found if isinstance(item, Placed)] == ['x, "y"', "last"]
    assert [(item.line, item.code) for item in found if isinstance(item, Problem)] == [
        (3, "quotes"),
        (4, "quotes"),
    ]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4")
    found = list(read_records(path, Columns(("a", "b")), lambda cells: cells.text("b")))
    assert [(item.value, item.line) for item in found] == [("2", 2), ("4", 4)]


def lines_of(columns: Columns):
    """Files that look right at first: the real header, then any bytes or cells."""
    header = ",".join(columns.required).encode()
    cell = st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            ["1", "0", "-1", "1e999", "9" * 19, "NaN", "H800", "2026-01-05T08:00:00Z", '"', "|", "a*", "*2"]
        ),
    )
    row = st.lists(cell, min_size=len(columns.required), max_size=len(columns.required)).map(
        lambda cells: ",".join(cells).encode("utf-8", "surrogatepass")
    )
    line = st.one_of(st.binary(max_size=200), row)
    return st.lists(line, max_size=6).map(lambda lines: b"\n".join([header, *lines]))


@given(st.one_of(st.binary(max_size=300), lines_of(TASK_COLUMNS)))
def test_any_bytes_as_tasks_become_rows_and_problems_never_an_exception(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz_tasks.csv"
    path.write_bytes(content)
    rows, problems = read_tasks(path)
    assert all(isinstance(row, TaskRow) for row in rows) and all(
        isinstance(item, Problem) for item in problems
    )


@given(st.one_of(st.binary(max_size=300), lines_of(OFFER_COLUMNS)))
def test_any_bytes_as_offers_become_rows_and_problems_never_an_exception(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz_offers.csv"
    path.write_bytes(content)
    rows, problems = read_offers(path)
    assert all(isinstance(row, OfferRow) for row in rows) and all(
        isinstance(item, Problem) for item in problems
    )


@given(st.one_of(st.binary(max_size=300), lines_of(SITE_COLUMNS)))
def test_any_bytes_as_sites_become_rows_and_problems_never_an_exception(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz_sites.csv"
    path.write_bytes(content)
    rows, problems = read_sites(path)
    assert all(isinstance(row, SiteRow) for row in rows) and all(
        isinstance(item, Problem) for item in problems
    )


@given(st.one_of(st.binary(max_size=300), lines_of(POD_COLUMNS)))
def test_any_bytes_as_a_trace_become_tasks_and_problems_never_an_exception(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz_pods.csv"
    path.write_bytes(content)
    trace = import_trace(path, path)
    assert trace.pods <= len(trace.rows) and trace.waste_lot_minutes <= trace.paid_lot_minutes


JSON_BYTES = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("$1.5") | st.just("$-1"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["data", "name", "costt4", "costh100", "cost4090"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps({"data": value}).encode()),
)


@given(JSON_BYTES)
def test_any_bytes_as_a_price_list_become_quotes_and_problems_never_an_exception(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.json"
    path.write_bytes(content)
    lists = read_price_lists([path])
    assert all(quote.price_micro_usd > 0 for quote in lists.quotes)
    kind = sniff(path)
    assert isinstance(kind, Problem) or kind in KINDS


def test_deeply_nested_json_is_a_problem_not_a_crash(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text('{"data":' + "[" * 200_000)
    assert [problem.code for problem in read_price_lists([path]).problems] == ["json"]
