"""Lists and answers as tables: exact, of one shape whatever is in them, and without the libraries an error that helps."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars
import pytest
from live_market import LiveMarket, china, instrument

from clients import AsyncClient, Level, StaleBook, frames
from clients.listing import AsyncListing, Listing
from clients.models import Family, Trade
from clients.models_delivery import Lease, Purses, Statement, StatementLine
from clients.models_prices import Curve, CurvePoint
from clients.pictures import plot_depth

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def trade(number: int, price: str = "5.20") -> Trade:
    return Trade(
        trade_id=f"{number}-0", seq=number, instrument="a/b/L10/grid/20261124T08", period_start=NOW, price=Decimal(price),
        cards=Decimal("0.1"), cost=Decimal("0.52"), is_block=False, ts=NOW, ts_ns=number,
    )  # fmt: skip


def listing(count: int) -> Listing[Trade]:
    return Listing(iter([trade(number) for number in range(count)]), Trade)


def purses() -> Purses:
    return Purses(**dict.fromkeys(("cash", "held", "escrow", "margin", "bond", "total"), Decimal("1.00")))


def test_a_list_becomes_a_frame_with_exact_numbers() -> None:
    frame = listing(3).to_polars()
    assert frame.height == 3 and frame.columns[0] == "trade_id"
    assert frame["price"].to_list() == [Decimal("5.200000000")] * 3 and frame["price"].sum() == Decimal("15.6")
    assert frame.schema["ts"] == polars.Datetime("us", "UTC") and frame["ts"][0] == NOW
    assert listing(2).to_polars(floats=True).schema["price"] == polars.Float64


def test_an_empty_list_has_the_same_columns_and_types_as_a_full_one() -> None:
    assert listing(0).to_polars().schema == listing(2).to_polars().schema
    assert list(listing(0).to_pandas().dtypes) == list(listing(2).to_pandas().dtypes)
    nested = Listing[Lease](iter([]), Lease).to_polars().schema["accesses"]
    fields = {"seller": polars.String, "access": polars.String, "ts": polars.Datetime("us", "UTC")}
    assert nested == polars.List(polars.Struct(fields))


def test_pandas_gets_decimals_or_floats_and_times_with_their_zone() -> None:
    exact, rough = listing(2).to_pandas(), listing(2).to_pandas(floats=True)
    assert exact["price"].tolist() == [Decimal("5.20")] * 2 and rough["price"].dtype == "float64"
    assert str(exact["ts"].dtype) == "datetime64[us, UTC]"


def test_a_number_that_a_frame_cannot_hold_is_an_error_and_not_rounded() -> None:
    rows = Listing(iter([trade(1, "5.1234567891")]), Trade)
    with pytest.raises(ValueError, match="more than 9 places"):
        rows.to_polars()


def test_a_notebook_s_look_at_a_list_takes_nothing_from_it() -> None:
    rows = listing(30)
    shown = rows._repr_html_()
    assert shown.count("<tr>") == 22 and "… more" in shown and "5.20" in shown
    assert [row.seq for row in rows] == list(range(30))
    assert "… more" not in listing(3)._repr_html_()


def test_what_is_shown_cannot_be_taken_for_markup() -> None:
    line = StatementLine(
        seq=1, ts=NOW, what="<b>", counterparty="x", amount=Decimal(1), reference="", obligation_id=0, instrument="",
        **_newer(StatementLine),
    )  # fmt: skip
    shown = statement(line)._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown


def _newer(kind: Any) -> dict[str, Any]:
    """Whatever else a line has: its own defaults, or nothing."""
    old = {"seq", "ts", "what", "counterparty", "amount", "reference", "obligation_id", "instrument"}
    return {name: 0 if hint is int else "" for name, hint in frames.columns_of(kind).items() if name not in old}


def statement(*lines: StatementLine) -> Statement:
    needed = {
        "participant": "buyer", "day": "2026-11-24", "is_final": True, "opening": purses(), "closing": purses(), "lines": lines,
    }  # fmt: skip
    others = {name: "" for name in frames.columns_of(Statement) if name not in needed}
    return Statement(**needed, **others)


def test_statement_curve_and_book_are_plotted(tmp_path: Path) -> None:
    lines = [
        StatementLine(
            seq=number, ts=NOW, what=f"what {number}", counterparty="", amount=Decimal(number - 8), reference="",
            obligation_id=0, instrument="", **_newer(StatementLine),
        )
        for number in range(20)
    ]  # fmt: skip
    axes = statement(*lines).plot()
    assert len(axes.patches) == 13 and "opening 1.00" in axes.get_title()
    points = tuple(
        CurvePoint(instrument=f"i{n}", period_start=NOW.replace(hour=n), price=Decimal(n) if n % 3 else None, source="mid",
                   grade="", as_of=None, per_pflops_hour=None)
        for n in range(9)
    )  # fmt: skip
    curve = Curve(seq=1, epoch=1, ts=NOW, ts_ns=1, family="f", items=points)
    assert len(curve.plot().lines[0].get_xdata()) == 6
    book = plot_depth("book", [Level(Decimal(5), Decimal(2)), Level(Decimal(4), Decimal(1))], [Level(Decimal(6), Decimal(3))])
    assert list(book.lines[0].get_ydata()) == [2.0, 3.0]
    book.figure.savefig(tmp_path / "book.png")
    assert (tmp_path / "book.png").stat().st_size > 5000


def test_without_the_library_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['polars'] = sys.modules['pandas'] = None\n"
        "from clients import MissingLibrary, frames; from clients.models import Trade\n"
        "for make in (frames.to_polars, frames.to_pandas):\n"
        "    try: make(Trade, [])\n"
        "    except MissingLibrary as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("pip install 'cpx-exchange[frames]'") == 2


def test_the_sdk_itself_loads_none_of_these_libraries() -> None:
    code = "import sys, clients; assert not {'polars', 'pandas', 'matplotlib', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_lists_of_a_live_exchange_are_tables_for_both_clients(market: LiveMarket, tmp_path: Path) -> None:
    import asyncio

    cpx = market.client(market.buyer_key)
    name = instrument(13)
    market.client(market.seller_key).offer(
        3, site="zw-1", chip="A910B", latency_class="L10", start=china(13), end=china(14), price="3.33",
        offer_id=market.new_id(),
    )
    cpx.order(name, price="3.33", cards=2)
    cpx.past_trades(name).to_parquet(tmp_path / "trades.parquet")
    stored = polars.read_parquet(tmp_path / "trades.parquet")
    assert (stored["price"][0], stored["cards"][0]) == (Decimal("3.330000000"), 2)  # the newest is first
    assert cpx.instruments(chip="A910B").to_polars()["family"].to_list() == ["A910B/gansu-qingyang/L10/grid"]
    assert "buyer" in cpx.account().participant and cpx.leases().to_pandas()["cards"].tolist()[0] == 2
    paid = cpx.statement("2026-11-24")
    assert paid.to_polars()["amount"].to_list() == [line.amount for line in paid.lines] and "buyer" in paid._repr_html_()
    assert cpx.curve("A910B/gansu-qingyang/L10/grid").to_polars().schema["price"] == polars.Decimal(38, 9)
    book = cpx.watch_book(name)
    assert "3.33" in book._repr_html_() and book.plot().get_title() == name
    book.close()
    assert "not current" in book._repr_html_()
    with pytest.raises(StaleBook):
        book.plot()

    async def story() -> tuple[int, type]:
        async with AsyncClient(market.server.url, market.buyer_key) as other:
            rows = other.instruments()
            return (await rows.to_polars()).height, type(rows)

    assert asyncio.run(story()) == (1, AsyncListing)


def test_every_row_of_a_list_has_columns() -> None:
    assert list(frames.columns_of(Family))[:2] == ["family", "chip"]
