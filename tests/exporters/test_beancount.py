"""The ledger for accountants, checked by bean-check itself; the program is asked, never imported."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_days import T0, Day, H, cured_day, made_up_day, open_day

from exchange.adapters.exporters.beancount_file import account_name, component, write_ledger
from exchange.domain import commands as c
from exchange.domain.events import Moved
from exchange.domain.units import MICRO
from exchange.projections import Projections

BEAN_CHECK = shutil.which(
    "bean-check", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
)
needs_bean_check = pytest.mark.skipif(
    not BEAN_CHECK, reason="bean-check is not installed (extra dev: beancount)"
)


def bean_check(path: Path) -> str:
    """What bean-check has to complain of; "" if nothing."""
    done = subprocess.run(
        [str(BEAN_CHECK), "--no-cache", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == (not done.stderr.strip()), done
    return done.stderr.strip()


@needs_bean_check
def test_bean_check_accepts_the_ledger_of_a_full_day(run_folder: Path) -> None:
    assert bean_check(run_folder / "ledger.beancount") == ""


@needs_bean_check
def test_a_millionth_more_in_one_posting_fails(run_folder: Path, tmp_path: Path) -> None:
    text = (run_folder / "ledger.beancount").read_text(encoding="utf-8")
    postings = list(re.finditer(r"^  Liabilities:Participants:P1:Free  -?\d+\.(\d{6}) CNY$", text, re.M))
    place = postings[-1].start(1)
    wrong = tmp_path / "wrong.beancount"
    wrong.write_text(
        text[: place + 5] + str((int(text[place + 5]) + 1) % 10) + text[place + 6 :], encoding="utf-8"
    )
    assert "does not balance" in bean_check(wrong)


@needs_bean_check
def test_a_transaction_that_is_missing_fails(run_folder: Path, tmp_path: Path) -> None:
    blocks = (run_folder / "ledger.beancount").read_text(encoding="utf-8").split("\n\n")
    (victim,) = (n for n, block in enumerate(blocks) if '"Withdraw"' in block)
    wrong = tmp_path / "wrong.beancount"
    wrong.write_text("\n\n".join(blocks[:victim] + blocks[victim + 1 :]), encoding="utf-8")
    assert "Balance failed for 'Assets:Bank'" in bean_check(wrong)


@pytest.mark.slow
@needs_bean_check
def test_a_venue_that_holds_a_millionth_less_fails(day: Day, tmp_path: Path) -> None:
    balances = day.balances()
    for name, purse in (("P2", 0), ("P1", 4), ("network", 0), ("site:s1", 2)):
        purses = list(balances[name])
        purses[purse] -= 1
        path = write_ledger(day.projections, tmp_path / "l.beancount", balances | {name: tuple(purses)})
        assert "Balance failed" in bean_check(path), name


@needs_bean_check
def test_a_day_s_end_is_asserted_too(tmp_path: Path) -> None:
    day = open_day()
    day.do(c.AdvanceTime(T0 + 17 * H), c.Withdraw("B1", MICRO))
    path = write_ledger(day.projections, tmp_path / "l.beancount", day.balances())
    assert bean_check(path) == ""
    text = path.read_text(encoding="utf-8")
    # Money that comes a day late, with everything at the end as it should be.
    late = text.replace('2026-11-23 * "Deposit" "B1', '2026-11-24 * "Deposit" "B1')
    path.write_text(late, encoding="utf-8")
    assert late != text and "Balance failed" in bean_check(path)


@needs_bean_check
def test_hours_that_are_made_up_later_stay_in_the_books(tmp_path: Path) -> None:
    day = made_up_day()
    path = write_ledger(day.projections, tmp_path / "l.beancount", day.balances())
    assert bean_check(path) == ""


@needs_bean_check
def test_bean_check_accepts_a_day_of_buy_ins_busts_and_adjustments(tmp_path: Path) -> None:
    day = cured_day()
    path = write_ledger(day.projections, tmp_path / "ledger.beancount", day.balances())
    assert bean_check(path) == ""
    assert '* "BuyIn"' in path.read_text("utf-8") and '* "BustTrade"' in path.read_text("utf-8")


@needs_bean_check
def test_ids_that_look_like_syntax_are_only_names(tmp_path: Path) -> None:
    day = open_day()
    names = [
        '"quoted"',
        "back\\slash",
        "; comment",
        "a:b",
        "A-b",
        "a-b",
        "A--b",
        "-",
        "1",
        "x y",
        "#tag",
        "{cost}",
    ]
    for name in names:
        day.do(c.AddParticipant(name, "f"), c.Deposit(name, MICRO, 'say "hi" \\ ^link {cost} ; comment'))
    path = write_ledger(day.projections, tmp_path / "l.beancount", day.balances())
    assert bean_check(path) == ""
    assert '; X-22quoted-22-sy = "\\"quoted\\""' in path.read_text(encoding="utf-8")


def test_holds_do_not_show_and_every_other_move_does(day: Day, run_folder: Path) -> None:
    text = (run_folder / "ledger.beancount").read_text(encoding="utf-8")
    seqs = [int(n) for n in re.findall(r"^  seq: (\d+)$", text, re.M)]
    assert seqs == sorted(set(seqs))
    only_holds = [
        seq for seq, _, _, events in day.history
        if (kinds := {e.kind for e in events if type(e) is Moved}) and kinds <= {"hold", "hold_free"}
    ]  # fmt: skip
    assert only_holds and not set(only_holds) & set(seqs)
    moving = [
        seq for seq, _, _, events in day.history if any(type(e) is Moved and e.kind in LOUD for e in events)
    ]
    assert set(moving) <= set(seqs)


LOUD = ("deposit", "withdrawal", "bond", "trade", "payout", "damages", "margin_lock")


def test_every_transaction_is_whole_and_has_no_zero_posting(run_folder: Path) -> None:
    text = (run_folder / "ledger.beancount").read_text(encoding="utf-8")
    found = 0
    for block in text.split("\n\n"):
        amounts = re.findall(r"^  [A-Z]\S+  (-?\d+)\.(\d{6}) CNY$", block, re.M)
        micro = [int(whole + places) for whole, places in amounts]
        assert sum(micro) == 0 and all(micro)
        found += bool(micro)
    assert found > 50


def test_a_settlement_names_its_period_and_obligations(run_folder: Path) -> None:
    text = (run_folder / "ledger.beancount").read_text(encoding="utf-8")
    assert '* "SettlePeriod" "period from 2026-11-23T09:00:00+08:00"\n' in text
    assert re.search(r'"SubmitTask" "B1 t1"\n  seq: \d+\n  obligations: "\d+( \d+){5}"\n', text)


def test_a_venue_without_money_has_an_empty_ledger(tmp_path: Path) -> None:
    projections = Projections()
    for applied in open_day().history[:4]:
        projections.on_command(*applied)
    text = write_ledger(projections, tmp_path / "l.beancount", {"outside": (0, 0, 0, 0, 0)}).read_text(
        encoding="utf-8"
    )
    assert text.startswith('option "title" "test') and "open" not in text


# --- names ------------------------------------------------------------------------------------------------

COMPONENT = re.compile(r"[A-Z0-9][A-Za-z0-9-]*")


def decoded(text: str) -> str:
    """The way back, written anew: what it gives for every name shows that no two names share a part."""
    blob, place, mark = b"", 0, ""
    while place < len(text):
        if text[place] != "-":
            blob, place = blob + text[place].encode(), place + 1
        elif text[place + 1] == "-":
            blob, place = blob + b"-", place + 2
        elif text[place + 1] in "ls":
            mark, place = text[place:], len(text)
        else:
            blob, place = blob + bytes([int(text[place + 1 : place + 3], 16)]), place + 3
    name = blob.decode()
    return {"": name, "-lc": name[:1].lower() + name[1:], "-sy": name[1:]}[mark]


@given(st.text(st.characters(codec="utf-8"), max_size=36))
def test_every_id_has_an_account_part_of_its_own(name: str) -> None:
    assert COMPONENT.fullmatch(component(name))
    assert decoded(component(name)) == name


@given(st.text("aA-lcsyX_:2D", min_size=1, max_size=8))
def test_ids_made_of_the_escapes_themselves_stay_apart(name: str) -> None:
    assert decoded(component(name)) == name


def test_no_participant_gets_a_system_account() -> None:
    assert account_name("fund", 0) == "Liabilities:Fund" != account_name("Fund", 0)
    assert account_name("exchange", 2) == "Income:Fees"
