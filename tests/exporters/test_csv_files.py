"""The CSV files: complete, safe in a spreadsheet, the same bytes every time."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_days import T0, Day, H, full_day, made_up_day, offer, open_day, run_hours, task

from exchange.adapters.exporters import BooksDiffer, export_all
from exchange.adapters.exporters.csv_files import FileNames
from exchange.adapters.exporters.writing import FORMULA_STARTS, cell_text, text_cell, whole_file
from exchange.domain import commands as c
from exchange.domain.units import MICRO, parse_micro
from exchange.projections import Projections


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_export_names_every_file_it_wrote_and_leaves_nothing_else(day: Day, tmp_path: Path) -> None:
    files = export_all(day.projections, tmp_path, day.balances())
    assert sorted(files) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert {path.name for path in files} >= {
        "trades.csv", "prices.csv", "outcomes.csv", "unfilled.csv", "settlement.csv", "index.csv", "ledger.beancount",
    }  # fmt: skip


def test_the_same_journal_gives_the_same_bytes(day: Day, run_folder: Path, tmp_path: Path) -> None:
    again = Projections()
    for applied in day.history:
        again.on_command(*applied)
    export_all(again, tmp_path, full_day().balances())
    export_all(again, tmp_path, day.balances())  # a second export changes nothing
    first = {name: blob for name, blob in all_bytes(run_folder).items() if name != "summary.json"}
    assert all_bytes(tmp_path) == first


def test_files_are_utf_8_with_unix_line_ends(run_folder: Path) -> None:
    for name, blob in all_bytes(run_folder).items():
        blob.decode("utf-8")
        assert b"\r" not in blob and (name == "summary.json" or blob.endswith(b"\n")), name


def test_trades_csv_says_what_was_traded(day: Day, run_folder: Path) -> None:
    rows = read(run_folder / "trades.csv")
    assert len(rows) == len(day.trades())
    for row, trade in zip(rows, day.trades(), strict=True):
        code = "/".join(row[name] for name in ("chip", "region", "latency_class", "power", "period"))
        assert (code, parse_micro(row["cost"]), row["buyer"]) == (
            trade.instrument,
            trade.cost_micro,
            trade.buyer,
        )
        assert parse_micro(row["price"]) * parse_micro(row["card_hours"]) == trade.cost_micro * MICRO
    assert rows[0]["trade_id"].endswith("-0") and rows[0]["time"] == "2026-11-23T08:00:00.000000001+08:00"
    assert rows[0]["delivery_start"] == "2026-11-23T09:00:00+08:00"


def test_settlement_csv_adds_up_row_by_row(run_folder: Path) -> None:
    trades = {row["obligation"]: row for row in read(run_folder / "trades.csv")}
    rows = read(run_folder / "settlement.csv")
    assert Counter(row["status"] for row in rows).keys() == {"delivered", "short", "void"}
    for row in rows:
        m = {name: parse_micro(row[name]) for name in SETTLEMENT_AMOUNTS}
        trade = trades[row["obligation"]]
        assert m["to_host"] + m["region_share"] + m["green_share"] == m["paid"]
        assert m["paid"] + m["fee"] + m["moving"] == m["delivered_price"]
        assert m["paid"] + m["fee"] + m["refund"] == parse_micro(trade["cost"]) + parse_micro(trade["fee"])
        assert int(row["lots"]) == int(row["lost"]) + (m["paid"] * int(row["lots"])) // parse_micro(
            trade["cost"]
        )


SETTLEMENT_AMOUNTS = (
    "paid", "fee", "moving", "refund", "damages", "cut", "to_host", "region_share", "green_share", "delivered_price",
)  # fmt: skip


def test_settlement_csv_leads_to_the_trade_the_task_the_offer_and_the_site(run_folder: Path, tmp_path: Path) -> None:
    day = made_up_day()
    export_all(day.projections, tmp_path, day.balances())
    for folder in (run_folder, tmp_path):
        trades = {row["trade_id"]: row for row in read(folder / "trades.csv")}
        rows = read(folder / "settlement.csv")
        assert rows
        for row in rows:
            trade = trades[row["trade_id"]]
            for name in ("task", "offer", "site", "price", "buyer", "seller"):
                assert row[name] == trade[name], name
            kept = int(row["lots"]) - int(row["lost"]) - int(row["made_up"])
            assert parse_micro(row["price"]) * kept == 10 * parse_micro(row["paid"])
            assert parse_micro(row["cards"]) * 10 == int(row["lots"]) * MICRO == parse_micro(row["card_hours"]) * 10
            assert row["period"].replace("T", "")[:8] == row["delivery_start"][:10].replace("-", "")
            if not row["instead_of"]:
                assert (row["delivery_start"], row["obligation"]) == (trade["delivery_start"], trade["obligation"])
            assert int(row["delivery_start"][11:13]) == (int(row["period"][9:]) + 8) % 24  # Shanghai


def test_rounding_is_a_number_that_can_be_summed(tmp_path: Path) -> None:
    day = open_day()
    day.do(offer("P1", "o1", 640, 8, end_ns=T0 + 7 * H), task("t1"), task("t2"))
    day.projections.tasks.tell_rounding({("B1", "t1"): "0.690", ("B1", "t2"): "3"})
    export_all(day.projections, tmp_path, day.balances())
    assert [row["rounding_card_hours"] for row in read(tmp_path / "outcomes.csv")] == ["0.69", ""]


def test_a_bulk_task_without_a_relaxation_has_its_reason_in_words_only(tmp_path: Path) -> None:
    day = open_day()
    day.do(task("t", shape="bulk"))
    export_all(day.projections, tmp_path, day.balances())
    (row,) = read(tmp_path / "unfilled.csv")
    assert (row["binding"], row["relaxations"]) == ("", "")
    assert row["in_words"] == "nowhere within its latency limit, regions, class and power are these chips sold"


def test_a_bulk_task_that_bought_all_there_was_is_told_so(tmp_path: Path) -> None:
    day = open_day()
    day.do(offer("P1", "o", 10, 8), task("t", shape="bulk", lots=640, periods=6))
    export_all(day.projections, tmp_path, day.balances())
    (row,) = read(tmp_path / "unfilled.csv")
    assert (row["status"], row["reason"], row["binding"]) == ("partly", "NO_DEPTH", "deadline")
    assert row["in_words"] == "nothing more is offered in the hours and regions it allows"


def test_a_made_up_obligation_says_instead_of_which(tmp_path: Path) -> None:
    day = made_up_day()
    export_all(day.projections, tmp_path, day.balances())
    rows = read(tmp_path / "settlement.csv")
    replaced = {row["instead_of"]: row for row in rows if row["instead_of"]}
    made_up = [row for row in rows if row["status"] == "made_up"]
    assert [row["made_up"] for row in made_up] == ["480", "360"]
    assert [replaced[row["obligation"]]["lots"] for row in made_up] == ["480", "360"]


def test_unfilled_csv_gives_a_reason_in_words_for_each(run_folder: Path) -> None:
    rows = {row["task"]: row for row in read(run_folder / "unfilled.csv")}
    assert rows.keys() == {"t5", "t7", "t8", "'=2+5", "gone"}
    assert all(row["reason"] and row["in_words"] for row in rows.values())


def test_outcomes_csv_has_every_task_with_its_cost(run_folder: Path) -> None:
    rows = {row["task"]: row for row in read(run_folder / "outcomes.csv")}
    assert len(rows) == 10
    moved = rows["t2"]
    assert (moved["card_hours_bought"], moved["moving"], moved["delivered_per_card_hour"]) == (
        "384.0", "123.4567", "8.321502",
    )  # fmt: skip
    assert parse_micro(moved["total"]) == sum(
        parse_micro(moved[name]) for name in ("compute", "moving", "fee")
    )


# --- statements -------------------------------------------------------------------------------------------


def test_the_index_adds_up_and_leads_to_every_statement(day: Day, run_folder: Path) -> None:
    index = read(run_folder / "statements" / "index.csv")
    last: dict[str, str] = {}
    per_day: Counter[str] = Counter()
    files = set()
    for row in index:
        m = {name: parse_micro(row[name]) for name in INDEX_AMOUNTS}
        assert m["opening"] + m["lines"] == m["closing"]
        assert m["free"] + m["held"] + m["escrow"] + m["margin"] + m["bond"] == m["closing"]
        assert row["opening"] == last.get(row["account"], "0.00")
        last[row["account"]] = row["closing"]
        per_day[row["day"]] += m["lines"]
        assert (row["role"] == "participant") == bool(row["file"])
        files |= {row["file"]} - {""}
    assert len(per_day) == 2 and not any(per_day.values())
    assert set(last) == {name for name, purses in day.balances().items() if any(purses)}
    folder = run_folder / "statements"
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {name for name in written if name.count("/") == 1} == files


def test_a_line_of_an_obligation_has_cards_hours_and_price(run_folder: Path) -> None:
    with (run_folder / "statements/2026-11-23/P1.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    end = rows.index([]) + 1
    lines = [dict(zip(rows[end], row, strict=True)) for row in rows[end + 1 :]]
    assert {bool(line["price"]) for line in lines} == {True, False}
    for line in lines:
        assert bool(line["obligation"]) == bool(line["price"]) == bool(line["cards"]) == bool(line["card_hours"])
        if line["what"] == "compute delivered, net of shares":
            gross = parse_micro(line["price"]) * parse_micro(line["card_hours"]) // MICRO
            assert 0.96 * gross < parse_micro(line["amount_yuan"]) < gross


INDEX_AMOUNTS = ("opening", "lines", "closing", "free", "held", "escrow", "margin", "bond")


def test_a_statement_reads_from_opening_to_closing(run_folder: Path) -> None:
    for row in read(run_folder / "statements" / "index.csv"):
        if not row["file"]:
            continue
        with (run_folder / "statements" / row["file"]).open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        end = rows.index([])
        head = {cells[0]: cells[1] for cells in rows[:end]}
        lines = rows[end + 2 :]
        assert head["statement of"] == row["account"] and head["day"] == row["day"]
        assert head["opening balance"] == row["opening"] and head["closing balance"] == row["closing"]
        assert sum(parse_micro(line[-1]) for line in lines) == parse_micro(head["sum of the lines"])
        assert len(lines) == int(row["n_lines"]) == int(head["number of lines"])
        assert {len(line) for line in lines} <= {len(rows[end + 1])}


# --- what a spreadsheet does with it ----------------------------------------------------------------------


def test_a_task_named_like_a_formula_is_a_text_in_every_file(run_folder: Path) -> None:
    text = (run_folder / "outcomes.csv").read_text(encoding="utf-8")
    assert "\n'=2+5," in text and "\n=2+5" not in text


def test_no_cell_from_outside_begins_like_a_formula(tmp_path: Path) -> None:
    day = open_day()
    day.do(c.AddParticipant("=HYPERLINK(1)", "x"), c.AddParticipant("@a", "x"), c.AddParticipant("-b", "x"))
    day.do(*(c.Deposit(name, 10**12, '=cmd,"line"') for name in ("=HYPERLINK(1)", "@a", "-b")))
    day.do(c.AddSite("+site", "@a", "g"), c.AttestCapacity("+site", "H800", 100, T0, T0 + 10 * H))
    window = (T0 + H, T0 + 5 * H)
    day.do(c.PlaceOffer("@a", "=offer", "+site", "H800", "L10", "grid", 100, *window, 8 * MICRO))
    day.do(task("-1", buyer="=HYPERLINK(1)", lots=10, periods=2), task("=2", buyer="-b", lots=10_000))
    run_hours(day, 1, 3)
    for path in export_all(day.projections, tmp_path, day.balances()):
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                cells = [cell for row in csv.reader(file) for cell in row]
            bad = [
                cell for cell in cells if cell.lstrip()[:1] in tuple(FORMULA_STARTS) and not is_number(cell)
            ]
            assert bad == [], path.name
    assert (tmp_path / "statements/2026-11-23/%3DHYPERLINK%281%29.csv").is_file()


def is_number(cell: str) -> bool:
    return cell.lstrip("-").replace(".", "", 1).isdigit()


@given(st.text(max_size=20))
def test_a_cell_is_safe_and_leads_back_to_its_text(text: str) -> None:
    cell = text_cell(text)
    assert cell_text(cell) == text
    assert cell.lstrip()[:1] not in tuple(FORMULA_STARTS) and cell[:1] not in ("\t", "\r", "\n")


ids = st.text("aAbB~%2", min_size=1, max_size=3) | st.text(
    st.characters(codec="utf-8"), min_size=1, max_size=12
)


@given(st.lists(ids, unique=True, max_size=12))
def test_accounts_have_different_plain_file_names_even_where_case_does_not_count(accounts: list[str]) -> None:
    names = FileNames()
    found = [names.of(account) for account in accounts]
    assert len({name.lower() for name in found}) == len(accounts)
    assert found == [names.of(account) for account in accounts]
    assert all(set(name) <= set("%~-_") | set(ALPHANUMERIC) for name in found)


ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


# --- failures ---------------------------------------------------------------------------------------------


def test_nothing_is_written_when_the_books_differ(day: Day, tmp_path: Path) -> None:
    balances = day.balances()
    balances["network"] = (balances["network"][0] - 1, 0, 0, 0, 0)
    with pytest.raises(BooksDiffer, match="network"):
        export_all(day.projections, tmp_path / "out", balances)
    assert not (tmp_path / "out").exists()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as file:
        file.write("half")
        raise RuntimeError("disk")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_statements_that_an_earlier_run_listed_and_this_one_lacks_are_removed(day: Day, tmp_path: Path) -> None:
    export_all(day.projections, tmp_path, day.balances())
    folder = tmp_path / "statements"
    mine = folder / "2026-11-23" / "mine.csv"
    mine.write_text("notes of my own\n")
    before = {path.relative_to(folder).as_posix() for path in folder.rglob("*.csv")}
    small = open_day()
    files = export_all(small.projections, tmp_path, small.balances())
    listed = {row["file"] for row in read(folder / "index.csv") if row["file"]}
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*.csv")}
    assert left == listed | {"index.csv", "2026-11-23/mine.csv"} < before
    assert mine.read_text() == "notes of my own\n" and all(path.is_file() for path in files)


@pytest.mark.parametrize("index", [b"", b"\xff\xfe", b"day,account\n2026-11-23,B1\n", b'file\n"open'])
def test_an_index_that_cannot_be_read_removes_nothing(tmp_path: Path, index: bytes) -> None:
    other = tmp_path / "statements" / "2026-11-23" / "other.csv"
    other.parent.mkdir(parents=True)
    other.write_text("statement of,other\n")
    (tmp_path / "statements" / "index.csv").write_bytes(index)
    day = open_day()
    export_all(day.projections, tmp_path, day.balances())
    assert other.is_file()


def test_an_index_that_somebody_changed_removes_no_other_file(tmp_path: Path) -> None:
    folder, outside = tmp_path / "run" / "statements", tmp_path / "2026-11-23"
    (folder / "2026-11-23").mkdir(parents=True)
    outside.mkdir()
    names = {"../../2026-11-23/a.csv": outside / "a.csv", "index.csv": folder / "index.csv"}
    names |= {"2026-11-23/notes.csv": folder / "2026-11-23" / "notes.csv", "2026-11-24/a.csv": outside / "a.csv"}
    (folder / "2026-11-23" / "notes.csv").write_text("my notes\n")
    (outside / "a.csv").write_text("statement of,a\n")
    (folder / "2026-11-24").symlink_to(outside, target_is_directory=True)
    (folder / "2026-11-23" / "link.csv").symlink_to(outside / "a.csv")
    listed = [*names, str(outside / "a.csv"), "2026-11-23/link.csv", "2026-11-25/gone.csv"]
    (folder / "index.csv").write_text("\n".join(["file", *listed]) + "\n")
    day = open_day()
    export_all(day.projections, tmp_path / "run", day.balances())
    assert all(path.is_file() for path in names.values()) and (folder / "2026-11-23" / "link.csv").is_symlink()


def test_a_statement_that_says_the_same_is_not_written_again(day: Day, tmp_path: Path) -> None:
    export_all(day.projections, tmp_path, day.balances())
    same, other = (tmp_path / "statements" / "2026-11-23" / f"{name}.csv" for name in ("B1", "P1"))
    other.write_text("statement of,P1\nold\n")
    kept, replaced = same.stat().st_ino, other.read_bytes()
    export_all(day.projections, tmp_path, day.balances())
    assert same.stat().st_ino == kept and other.read_bytes() != replaced


def test_a_file_that_cannot_be_written_goes_up_as_the_system_said_it(day: Day, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        export_all(day.projections, tmp_path / "file" / "out", day.balances())
    (tmp_path / "out" / "prices.csv").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        export_all(day.projections, tmp_path / "out", day.balances())
    assert not list((tmp_path / "out").glob("*.tmp"))


def test_a_venue_without_trades_exports_too(tmp_path: Path) -> None:
    day = open_day()
    day.do(offer("P1", "o", 10, 8))
    files = export_all(day.projections, tmp_path, day.balances())
    assert all(path.stat().st_size for path in files)
