"""Nothing is bought, offered or hidden twice: repeated commands, ids that are taken, half of a list, plans and questions."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from clients import Client
from clients.book import Top
from clients.models import Level
from exchange.cli.market import _one_look

pytestmark = pytest.mark.slow  # a live exchange, or a market day

ROOT = Path(__file__).resolve().parents[2]
INSTRUMENT = "A910B/gansu-qingyang/L10/grid/20261123T18"
NEED = ("--chip", "A910B", "--hours", "2", "--deadline", "08:00", "--access", "hubei-wuhan", "--cap", "9.00")


def one_line(result):
    """The error, which must be the last line of stderr and the only one of its kind."""
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith("cpx: ") and sum(line.startswith("cpx: ") for line in lines) == 1, lines
    return lines[-1]


# --- once ---


def repeat_of(result):
    """The command line that is said to do the same only once, as words without the program's name."""
    (line,) = (line for line in result.stderr.splitlines() if "once, however often it is sent: ./cpx " in line)
    return shlex.split(line.partition("./cpx ")[2])


def move_clock(world, minutes):
    url, keys, _ = world
    with Client(url=url, key=keys[""]) as operator:
        operator.call("advance_time", to=operator.venue().ts + timedelta(minutes=minutes))


LATER = ("--chip", "A910B", "--hours", "2", "--deadline", "+1d", "--start", "+1h", "--access", "hubei-wuhan", "--cap", "9.00")


def test_the_printed_command_buys_nothing_twice_however_much_later(cpx, world):
    bought = cpx("anna", "buy", "8", *LATER, "--yes")
    assert bought.exit_code == 0, bought.output
    again = repeat_of(bought)
    assert "2026-11-25T00:30:00+08:00" in again and "2026-11-24T01:30:00+08:00" in again  # deadline and start
    assert "2026-11-25T00:30:00+08:00" in bought.stdout and "2026-11-24T01:30:00+08:00" in bought.stdout  # the plan
    move_clock(world, 7)
    repeated = cpx("anna", *again)
    assert repeated.exit_code == 0 and "nothing was bought now" in repeated.stdout, repeated.output
    assert len(json.loads(cpx("anna", "tasks", "--json").stdout)["items"]) == 1


def test_an_id_that_is_taken_shows_what_it_stands_for_and_never_asks_for_another(cpx, world):
    words = ("buy", "8", *LATER, "--id", "two", "--yes")
    assert cpx("anna", *words).exit_code == 0
    move_clock(world, 7)
    second = cpx("anna", *words)  # `+1d` is another time now
    assert second.exit_code == 76, second.output
    assert second.stdout.startswith("two is a task of yours already")  # and no plan for what would not be bought
    shown = second.stdout
    assert re.search(r"status +filled", shown) and re.search(r"cost so far, yuan +83.616", shown)
    assert "2026-11-25T00:30:00+08:00" in shown
    assert "nothing more was bought" in one_line(second) and "new id" not in second.output
    as_json = json.loads(cpx("anna", *words, "--json").stdout)
    assert as_json["ack"] is None and as_json["stands_for"]["task"]["status"] == "filled"
    same_time = ("--deadline", "2026-11-25T00:30:00+08:00", "--start", "2026-11-24T01:30:00+08:00")
    larger = cpx("anna", "buy", "9", *LATER, *same_time, "--id", "two", "--yes")
    assert larger.exit_code == 76 and "two is a task of yours already" in larger.stdout
    bid = cpx("anna", "buy", "1", "--instrument", INSTRUMENT, "--cap", "1.00", "--id", "two", "--yes")
    assert bid.exit_code == 76 and "task of yours" in bid.stdout
    bought = json.loads(cpx("anna", "tasks", "--status", "filled", "--json").stdout)["items"]
    assert [task["client_order_id"] for task in bought] == ["two"]


def test_an_id_under_which_something_was_refused_is_said_to_have_bought_nothing(cpx):
    assert cpx("poor", "buy", "8", *NEED, "--id", "p-1", "--yes").exit_code == 65
    again = cpx("poor", "buy", "7", *NEED, "--id", "p-1", "--yes")
    assert again.exit_code == 76 and "nothing was bought, then or now" in one_line(again), again.output


def test_the_printed_offer_is_placed_once_and_a_taken_id_is_shown(cpx, world):
    words = ("sell", "8", "--site", "qy-1", "--chip", "A910B", "--class", "L10", "--to", "+6h", "--price", "5.50", "--yes")
    move_clock(world, 30)  # to 01:00, the start of a period
    sold = cpx("zhang", *words, "--from", "+1h", "--id", "late")
    assert sold.exit_code == 0, sold.output
    move_clock(world, 60)
    repeated = cpx("zhang", *repeat_of(sold))
    assert repeated.exit_code == 0 and "nothing more was offered" in repeated.stdout, repeated.output
    taken = cpx("zhang", *words, "--from", "+1h", "--id", "late")
    assert taken.exit_code == 76 and "8 x A910B of qy-1 over 5 periods (open, 0 card-hours sold)" in one_line(taken)
    assert "new id" not in taken.output


def test_a_preview_suggests_the_purchase_that_was_previewed(cpx, world):
    url = world[0]
    given = (
        "--chip", "A910B:1,H800", "--hours", "2", "--deadline", "+1d", "--access", "hubei-wuhan", "--budget", "900",
        "--start", "+1h", "--lane", "economy", "--shape", "bulk", "--data", "5", "--data-region", "hubei-wuhan",
        "--regions", "gansu-qingyang", "--green", "0", "--latency", "40", "--participant", "anna", "--url", url,
    )  # fmt: skip
    result = cpx("anna", "preview", "4", *given)
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("next: ./cpx buy"))
    words = shlex.split(line.removeprefix("next: ./cpx "))
    said = dict(zip(words[2::2], words[3::2], strict=True))
    wanted = dict(zip(given[::2], given[1::2], strict=True))
    assert words[:2] == ["buy", "4"]
    assert said == wanted | {"--deadline": "2026-11-25T00:30:00+08:00", "--start": "2026-11-24T01:30:00+08:00"}
    assert cpx("anna", *words, "--yes").exit_code == 0


# --- in part ---


def test_offers_that_stand_are_told_when_a_later_one_is_refused(cpx):
    words = ("sell", "8", "--site", "qy-1", "--chip", "A910B", "--class", "L10", "--from", "22:00", "--to", "23:00")
    words += ("--price", "5.50")
    result = cpx("zhang", *words, "--days", "9", "--id", "n", "--json", "--yes")  # attested are four days
    assert result.exit_code == 65, result.output
    told = [item["offer_id"] for item in json.loads(result.stdout)["items"]]
    stand = {row["offer_id"] for row in json.loads(cpx("zhang", "offers", "--status", "open", "--json").stdout)["items"]}
    assert 0 < len(told) < 9 and set(told) == stand - {"night"}
    assert "CAPACITY" in one_line(result) and f"{len(told)} of 9 offers" in result.stderr


@contextmanager
def on_a_terminal(world, who, *words):
    """The command with a terminal to ask on, and that terminal's other end."""
    url, keys, _ = world
    ours, theirs = pty.openpty()
    environment = os.environ | {"CPX_URL": url, "CPX_KEY": keys[who], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "exchange.cli", *words]
    running = subprocess.Popen(command, env=environment, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield running, ours
    finally:
        running.kill()
        running.communicate()
        os.close(ours)
        os.close(theirs)


def read_until(pipe, end):
    """What comes up to a text; less where the pipe ends before."""
    found = b""
    while not found.endswith(end) and (byte := os.read(pipe.fileno(), 1)):
        found += byte
    return found.decode()


def test_cancel_all_with_a_refusal_says_what_was_done_and_fails(cpx, world):
    for name in ("b-1", "b-2"):
        bid = ("buy", "1", "--instrument", INSTRUMENT, "--cap", "1.00", "--id", name, "--yes")
        assert cpx("anna", *bid).exit_code == 0
    with on_a_terminal(world, "anna", "cancel", "--all", "--json") as (running, terminal):
        assert "cancel 2 of them?" in read_until(running.stderr, b"[y/N]: ")
        assert cpx("anna", "cancel", "b-1").exit_code == 0  # gone, while the question waits
        os.write(terminal, b"y\n")
        told, said = running.communicate(timeout=30)
    items = {item["id"]: item["ack"]["status"] for item in json.loads(told)["items"]}
    assert items == {"b-1": "REJECTED", "b-2": "CANCELED"} and running.returncode == 65, said
    assert b"1 of 2 were not canceled" in said


@pytest.mark.parametrize("what", [("--instrument", INSTRUMENT, "--cap", "1.00"), NEED])
def test_with_json_the_plan_is_on_stderr_before_the_question(quiet_world, what):
    with on_a_terminal(quiet_world, "anna", "buy", "1", *what, "--json") as (running, terminal):
        asked = read_until(running.stderr, b"[y/N]: ")
        assert "plan" in asked and INSTRUMENT in asked
        os.write(terminal, b"n\n")
        told, said = running.communicate(timeout=30)
    assert (told, running.returncode) == (b"", 1) and b"nothing was bought" in said


class Moving:
    """A book that goes on after every third look at it; at step n both sides hold one level of n cards."""

    def __init__(self):
        self.looks = 0

    def step(self):
        self.looks += 1
        return self.looks // 3

    @property
    def top(self):
        return Top(None, None, 1, self.step())

    @property
    def bids(self):
        return (Level(Decimal("1.00"), Decimal(self.step())),)

    @property
    def asks(self):
        return (Level(Decimal("2.00"), Decimal(self.step())),)


def test_levels_and_number_of_a_watched_book_are_of_one_state():
    book = Moving()
    book.step = lambda: min(type(book).step(book), 2)  # then it rests
    found = _one_look(book, 10)
    assert found == {"epoch": 1, "seq": 2, "bids": [["1.00", "2"]], "asks": [["2.00", "2"]]}
