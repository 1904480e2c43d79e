"""Every problem code of the readers: a file that shows it, and a message that says what would be right."""

from dataclasses import replace
from pathlib import Path

import pytest

from exchange.adapters.catalogue_files import load_catalogue
from exchange.adapters.market_files import OFFER_COLUMNS, TASK_COLUMNS, read_offers, read_tasks
from exchange.adapters.price_lists import read_price_lists
from exchange.adapters.rows import MAX_LINE_BYTES, MAX_PROBLEMS, PROBLEM_CODES, DataError, Problem
from exchange.adapters.sniff import sniff

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "files.md"
TASK = {
    "task_id": "t1", "submit_time": "2026-01-05T08:00:00+08:00", "account": "buyer-1", "access_region": "hubei-wuhan",
    "max_latency_ms": "10", "chips": "H800", "cards": "8", "hours": "2", "earliest_start": "",
    "deadline": "2026-01-06T08:00:00+08:00", "price_cap": "8.50", "data_gb": "0", "data_region": "",
    "lane": "standard", "shape": "block", "min_green": "0", "budget": "", "steps": "",
}  # fmt: skip
OFFER = {
    "offer_id": "o1", "submit_time": "2026-01-05T00:00:00Z", "account": "provider-1", "site": "s1", "chip": "H800",
    "region": "hubei-wuhan", "latency_class": "L5", "power": "grid", "cards": "16", "start": "2026-01-05T02:00:00Z",
    "end": "2026-01-05T08:00:00Z", "price": "8.00", "min_cards": "", "min_hours": "",
}  # fmt: skip


def csv_text(row: dict[str, str], **changes: str) -> bytes:
    cells = {**row, **changes}
    return f"{','.join(cells)}\n{','.join(cells.values())}\n".encode()


def tasks_of(tmp_path: Path, content: bytes) -> list[Problem]:
    path = tmp_path / "tasks.csv"
    path.write_bytes(content)
    rows, problems = read_tasks(path, catalogue=load_catalogue())
    assert len(rows) + len(problems) >= 1
    return problems


def offers_of(tmp_path: Path, content: bytes) -> list[Problem]:
    path = tmp_path / "offers.csv"
    path.write_bytes(content)
    return read_offers(path, catalogue=load_catalogue())[1]


def with_task(**changes: str):
    return lambda tmp_path: tasks_of(tmp_path, csv_text(TASK, **changes))


def with_offer(**changes: str):
    return lambda tmp_path: offers_of(tmp_path, csv_text(OFFER, **changes))


def with_task_bytes(content: bytes):
    return lambda tmp_path: tasks_of(tmp_path, content)


def a_price_list_that_is_no_json(tmp_path: Path) -> list[Problem]:
    path = tmp_path / "prices.json"
    path.write_text('{"data": 7}')
    return list(read_price_lists([path]).problems)


def a_header_nobody_knows(tmp_path: Path) -> list[Problem]:
    path = tmp_path / "x.csv"
    path.write_text("colour,taste\nred,sweet\n")
    kind = sniff(path)
    assert isinstance(kind, Problem)
    return [kind]


def a_missing_file(tmp_path: Path) -> list[Problem]:
    return read_tasks(tmp_path / "nowhere.csv")[1]


def a_reach_that_is_not_monotone(tmp_path: Path) -> list[Problem]:
    from exchange.adapters.catalogue_files import BUNDLED

    for name in ("chips.csv", "regions.csv", "links.csv"):
        (tmp_path / name).write_bytes((BUNDLED / name).read_bytes())
    lines = "beijing,hubei-wuhan,L7,6.5\nbeijing,hubei-wuhan,L10,6\n"
    (tmp_path / "reach.csv").write_text(f"access_region,host_region,latency_class,rtt_ms\n{lines}")
    with pytest.raises(DataError) as caught:
        load_catalogue(tmp_path)
    return list(caught.value.problems)


def many_bad_lines(tmp_path: Path) -> list[Problem]:
    header = ",".join(TASK_COLUMNS.required)
    problems = tasks_of(tmp_path, (f"{header}\n" + "x\n" * (MAX_PROBLEMS + 5)).encode())
    assert len(problems) == MAX_PROBLEMS + 1
    return problems[-1:]


HEADER = ",".join(TASK_COLUMNS.required).encode()
SHOWN_BY = {
    "unreadable": a_missing_file,
    "empty_file": with_task_bytes(b""),
    "unknown_header": a_header_nobody_knows,
    "missing_column": with_task_bytes(HEADER.replace(b",cards", b"") + b"\n"),
    "unknown_column": with_task_bytes(HEADER + b",min_grean\n"),
    "duplicate_column": with_task_bytes(HEADER + b",cards\n"),
    "too_many_problems": many_bad_lines,
    "line_too_long": with_task_bytes(HEADER + b"\n" + b"x" * 10 * 1024 * 1024 + b"\n"),
    "encoding": with_task_bytes(HEADER + b"\n\xff\xfe\n"),
    "nul": with_task_bytes(HEADER + b"\na\0b\n"),
    "quotes": with_task_bytes(HEADER + b'\n"never closed,1\n'),
    "cell_count": with_task_bytes(csv_text(TASK).rstrip(b"\n") + b",one too many\n"),
    "missing": with_task(account=""),
    "code": with_task(account="=1+1"),
    "reserved": with_task(account="fund"),
    "unknown_code": with_task(chips="H900"),
    "number": with_task(cards="NaN"),
    "too_small": with_task(price_cap="0"),
    "too_large": with_task(hours="999999"),
    "off_tick": with_offer(price="8.005"),
    "not_whole_lots": with_task(cards="0.25"),
    "not_whole_periods": with_offer(start="2026-01-05T02:30:00Z"),
    "time": with_task(submit_time="2026-01-05 08:00"),
    "time_order": with_task(deadline="2026-01-05T07:59:59+08:00"),
    "choice": with_task(lane="urgent"),
    "duplicate": with_task(chips="H800|H800"),
    "conflict": with_task(budget="100"),
    "json": a_price_list_that_is_no_json,
    "not_monotone": a_reach_that_is_not_monotone,
}


def test_every_problem_code_has_a_file_that_shows_it():
    assert set(SHOWN_BY) == set(PROBLEM_CODES)


@pytest.mark.parametrize("code", sorted(SHOWN_BY))
def test_a_bad_file_is_told_by_its_code_and_in_words(code, tmp_path):
    problems = SHOWN_BY[code](tmp_path)
    assert [problem.code for problem in problems] == [code]
    problem = problems[0]
    assert problem.file and len(problem.message) > 10
    assert str(problem).startswith(problem.file)
    assert "\n" not in str(problem) and "\0" not in str(problem)


@pytest.mark.parametrize("name", ["outside", "exchange", "network", "fund", "site:s1", "region:hubei-wuhan", "power:x"])
def test_accounts_of_the_exchange_itself_are_refused_in_every_file(name, tmp_path):
    found = [*with_task(account=name)(tmp_path), *with_offer(account=name)(tmp_path)]
    assert [(problem.column, problem.code) for problem in found] == [("account", "reserved")] * 2
    assert with_task(account=f"{name.rstrip(':')}-2".replace(":", "-"))(tmp_path) == []


def test_a_deadline_that_the_venue_would_refuse_is_a_bad_cell(tmp_path):
    assert with_task(deadline="2036-01-03T08:00:00+08:00")(tmp_path) == []  # 3650 days after submit_time
    (problem,) = with_task(deadline="2036-01-03T08:00:01+08:00")(tmp_path)
    assert (problem.column, problem.code) == ("deadline", "too_large")


def test_an_offer_in_a_class_that_nobody_reaches_is_a_bad_cell(tmp_path):
    path, whole = tmp_path / "offers.csv", load_catalogue()
    path.write_bytes(csv_text(OFFER))
    assert read_offers(path, catalogue=whole)[1] == []
    reach = tuple(r for r in whole.reach if (r.host_region, r.latency_class) != ("hubei-wuhan", "L5"))
    (problem,) = read_offers(path, catalogue=replace(whole, reach=reach))[1]
    assert (problem.column, problem.code) == ("latency_class", "conflict") and "L10" in problem.message


@pytest.mark.parametrize("row", [TASK, OFFER], ids=["tasks", "offers"])
def test_a_header_that_almost_fits_is_told_what_it_lacks_and_has_too_many(row, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(csv_text({"card": "1", **{column: cell for column, cell in row.items() if column != "cards"}}))
    problem = sniff(path)
    assert isinstance(problem, Problem) and problem.code == "missing_column"
    assert "lacks cards" in problem.message and "'card'" in problem.message
    assert ("tasks file" if row is TASK else "offers file") in problem.message


def test_an_offers_header_without_a_column_is_not_taken_for_a_sites_file(tmp_path):
    path = tmp_path / "offers.csv"
    path.write_bytes(csv_text({column: cell for column, cell in OFFER.items() if column != "price"}))
    problem = sniff(path)
    assert isinstance(problem, Problem) and "offers file" in problem.message and "lacks price" in problem.message


def test_the_guide_explains_every_problem_code():
    text = GUIDE.read_text(encoding="utf-8")
    assert [code for code in PROBLEM_CODES if f"`{code}`" not in text] == []


def test_the_guide_names_every_column_of_our_own_files():
    text = GUIDE.read_text(encoding="utf-8")
    columns = (
        *TASK_COLUMNS.required,
        *TASK_COLUMNS.optional,
        *OFFER_COLUMNS.required,
        *OFFER_COLUMNS.optional,
    )
    assert [column for column in columns if f"`{column}`" not in text] == []


def test_a_line_as_long_as_allowed_is_read_and_one_byte_more_is_not(tmp_path):
    path = tmp_path / "tasks.csv"
    whole = csv_text(TASK)
    line = whole.splitlines()[1]
    padded = line + b" " * (MAX_LINE_BYTES - len(line) - 1)
    path.write_bytes(whole.splitlines()[0] + b"\n" + padded + b"\n")
    assert read_tasks(path)[1] == []
    path.write_bytes(whole.splitlines()[0] + b"\n" + padded + b"  \n")
    assert [problem.code for problem in read_tasks(path)[1]] == ["line_too_long"]
