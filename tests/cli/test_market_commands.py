"""The market commands against a real server: what they print, what they send, what they refuse, and how they end."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from clients import Client
from exchange.cli.main import COMMANDS, SHARED, load

pytestmark = pytest.mark.slow  # a live exchange, or a market day

ROOT = Path(__file__).resolve().parents[2]

INSTRUMENT = "A910B/gansu-qingyang/L10/grid/20261123T18"
NEED = ("--chip", "A910B", "--hours", "2", "--deadline", "08:00", "--access", "hubei-wuhan", "--cap", "9.00")

SALE = ("--chip", "A910B", "--from", "08:00", "--to", "10:00", "--price", "5")


def one_line(result):
    """The last line of stderr, which must be the only one of the error."""
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith("cpx: ") and sum(line.startswith("cpx: ") for line in lines) == 1, lines
    assert "Traceback" not in result.stderr
    return lines[-1]


# --- looking ---


def test_json_of_the_lists_before_anything_was_bought(look, golden):
    golden("instruments", look("anna", "instruments", "--json").stdout)
    golden("book", look("anna", "book", INSTRUMENT, "--json").stdout)
    golden("offers", look("zhang", "offers", "--json").stdout)
    golden("preview", look("anna", "preview", "8", *NEED, "--json").stdout)
    golden("curve", look("anna", "curve", "--chip", "A910B", "--json").stdout)


def test_a_book_as_people_read_it_and_the_command_that_buys(look):
    result = look("anna", "book", INSTRUMENT)
    assert result.exit_code == 0, result.output
    assert re.search(r"ask +5\.20 +64", result.stdout) and "nobody bids" in result.stdout
    assert f"next: ./cpx buy 64 --instrument {INSTRUMENT} --cap 5.20" in result.stderr


def test_the_curve_is_drawn_and_names_the_cheapest_hour(look):
    result = look("anna", "curve", "--region", "gansu-qingyang")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("●") + result.stdout.count("A ") >= 6
    assert "20261123T18" in result.stdout and "next: ./cpx book" in result.stderr


def test_a_curve_needs_something_to_be_of(look):
    result = look("anna", "curve")
    assert result.exit_code == 2 and "--chip or --region" in one_line(result)


# --- buying ---


def test_without_a_terminal_and_without_yes_nothing_is_bought(look):
    result = look("anna", "buy", "8", *NEED)
    assert result.exit_code == 2
    assert "qy-1" in result.stdout and "total" in result.stdout  # the plan
    assert "--yes" in one_line(result)
    assert json.loads(look("anna", "tasks", "--json").stdout)["items"] == []


def test_with_yes_it_is_bought_and_everything_shows_it(cpx, golden):
    bought = cpx("anna", "buy", "8", *NEED, "--id", "train-1", "--yes", "--json")
    assert bought.exit_code == 0, bought.output
    golden("buy", bought.stdout)
    golden("tasks", cpx("anna", "tasks", "--json").stdout)
    golden("leases", cpx("anna", "leases", "--json").stdout)
    golden("statement", cpx("anna", "statement", "today", "--json").stdout)
    again = cpx("anna", "buy", "8", *NEED, "--id", "train-1", "--yes", "--json")
    assert json.loads(again.stdout)["ack"]["seq"] == json.loads(bought.stdout)["ack"]["seq"]
    assert len(json.loads(cpx("anna", "tasks", "--json").stdout)["items"]) == 1


def test_tables_for_people(cpx):
    assert cpx("anna", "buy", "8", *NEED, "--id", "train-1", "--yes").exit_code == 0
    table = cpx("anna", "tasks")
    assert "train-1" in table.stdout and "filled" in table.stdout and "(in " in table.stdout
    assert "qy-1" in cpx("anna", "leases").stdout
    assert "night" in cpx("zhang", "offers").stdout
    assert "cash" in cpx("anna", "statement", "today").stdout
    assert "\x1b[" not in table.stdout


def test_a_bid_in_one_book_rests_and_can_be_canceled(cpx, golden):
    bid = cpx("anna", "buy", "4", "--instrument", INSTRUMENT, "--cap", "5.00", "--id", "b-1", "--yes")
    assert bid.exit_code == 0, bid.output
    assert "b-1: accepted" in bid.stdout and "next: ./cpx cancel b-1" in bid.stderr
    golden("orders", cpx("anna", "orders", "--open", "--json").stdout)
    canceled = cpx("anna", "cancel", "b-1", "--json")
    golden("cancel", canceled.stdout)
    assert json.loads(cpx("anna", "orders", "--open", "--json").stdout)["items"] == []
    again = cpx("anna", "cancel", "b-1")
    assert again.exit_code == 66 and "b-1" in one_line(again)


def test_cancel_all_takes_back_what_waits_and_what_rests(cpx):
    waits = (*NEED[:-2], "--cap", "1.00")
    assert cpx("anna", "buy", "2", *waits, "--id", "w-1", "--yes").exit_code == 0
    assert cpx("anna", "buy", "1", "--instrument", INSTRUMENT, "--cap", "1.00", "--id", "b-1", "--yes").exit_code == 0
    assert cpx("anna", "cancel", "--all").exit_code == 2
    done = cpx("anna", "cancel", "--all", "--yes", "--json")
    assert sorted(item["id"] for item in json.loads(done.stdout)["items"]) == ["b-1", "w-1"]


def test_a_need_that_nothing_meets_is_explained_before_it_waits(look):
    result = look("anna", "preview", "8", *NEED[:-2], "--cap", "1.00")
    assert result.exit_code == 0, result.output
    assert "not now" in result.stdout and "would do" in result.stdout


@pytest.mark.parametrize(
    ("who", "words", "code", "says"),
    [
        ("anna", ("buy", "8", "--chip", "A910B", "--access", "hubei-wuhan", "--yes"), 2, "--cap"),
        ("anna", ("buy", "8", "--yes", "--cap", "1"), 2, "--chip and --access"),
        ("anna", ("buy", "many", *NEED, "--yes"), 2, "CARDS"),
        ("anna", ("buy", "8", *NEED, "--start", "soon", "--yes"), 2, "--start"),
        ("anna", ("buy", "0.05", *NEED, "--yes"), 65, "cards"),
        ("anna", ("buy", "8", *NEED[:-4], "--access", "atlantis", "--cap", "9", "--yes"), 65, "atlantis"),
        ("poor", ("buy", "8", *NEED, "--yes"), 65, "INSUFFICIENT_FUNDS"),
        ("anna", ("book", "A910B/gansu-qingyang/L10/grid/20200101T00"), 66, ""),
        ("reader", ("buy", "8", *NEED, "--yes"), 77, "scope"),
        ("cpx_nobody_at_all", ("tasks",), 77, "key"),
        ("anna", ("statement", "2026-02-30"), 2, "DAY"),
        ("anna", ("statement", "--csv", "--json"), 2, "one of them"),
        ("anna", ("keys",), 77, "scope"),
        ("anna", ("cancel",), 2, "--all"),
        ("zhang", ("sell", "8", "--site", "mars", *SALE), 66, "qy-1"),
        ("zhang", ("sell", "8", "--site", "qy-1", *SALE, "--from", "08:10"), 2, "08:00 and 09:00"),
        ("zhang", ("sell", "8", "--site", "qy-1", *SALE), 2, "--yes"),
    ],
)  # fmt: skip
def test_every_error_is_one_line_that_says_what_to_do_and_a_code(look, who, words, code, says):
    result = look(who, *words)
    assert (result.exit_code, says in one_line(result)) == (code, True), result.output


def test_no_server_and_no_address(look, monkeypatch):
    gone = look("anna", "tasks", "--url", "http://127.0.0.1:9")
    assert gone.exit_code == 69 and "cannot be reached" in one_line(gone)
    bad = look("anna", "tasks", "--url", "nowhere")
    assert bad.exit_code == 2 and "http://" in one_line(bad)


# --- selling, keys, statements ---


def test_an_offer_is_placed_after_a_plan_and_a_yes(cpx, golden):
    words = ("sell", "16", "--site", "qy-1", "--chip", "A910B", "--class", "L10", "--from", "22:00", "--to", "06:00")
    sold = cpx("zhang", *words, "--price", "5.50", "--id", "late", "--days", "2", "--yes", "--json")
    assert sold.exit_code == 0, sold.output
    golden("sell", sold.stdout)
    names = {row["offer_id"] for row in json.loads(cpx("zhang", "offers", "--status", "open", "--json").stdout)["items"]}
    assert names == {"night", "late", "late.2"}


def test_keys_over_the_server_and_in_the_folder(cpx, world, golden):
    url, _, folder = world
    made = cpx("", "keys", "add", "--participant", "anna", "--scopes", "read", "--label", "cron", "--expires", "+90d", "--json")
    golden("keys", made.stdout)
    item = json.loads(made.stdout)["items"][0]
    assert cpx(item["secret"], "tasks").exit_code == 0
    listed = json.loads(cpx("", "keys", "--json").stdout)["items"]
    said = cpx("", "keys").stderr
    assert "keys add --participant" in said and not any(each["key_id"] in said for each in listed)
    assert item["key_id"] in [each["key_id"] for each in listed] and not any("secret" in each for each in listed)
    assert cpx("", "keys", "revoke", item["key_id"]).exit_code == 0
    assert cpx(item["secret"], "tasks").exit_code == 77

    beside = cpx("", "keys", "add", "--participant", "anna", "--scopes", "read", "--folder", folder)
    assert beside.exit_code == 0, beside.output
    secret = beside.stdout.strip().splitlines()[-1]
    assert cpx(secret, "tasks").exit_code == 0  # the running server sees it at once
    assert cpx("", "keys", "revoke", "nothing", "--folder", folder).exit_code == 66
    assert cpx("", "keys", "--folder", folder.parent / "not-there").exit_code == 66
    assert cpx("", "keys", "add", "--scopes", "rule", "--folder", folder).exit_code == 2


def test_a_statement_as_csv_in_a_file(cpx, tmp_path):
    assert cpx("anna", "buy", "8", *NEED, "--id", "train-1", "--yes").exit_code == 0
    result = cpx("anna", "statement", "today", "--csv", "-o", tmp_path / "st.csv")
    assert result.exit_code == 0 and result.stdout == ""
    lines = (tmp_path / "st.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "seq,ts,what,counterparty,amount,reference,obligation_id,instrument"
    assert lines[1].split(",")[2] == "opening" and lines[-1].split(",")[2] == "closing"
    assert any("deposit" in line and "100000.00" in line for line in lines)
    assert cpx("anna", "statement", "today", "--csv", "-o", tmp_path / "no" / "st.csv").exit_code == 73
    for folder in (".", "..", tmp_path):
        refused = cpx("anna", "statement", "today", "--csv", "-o", folder)
        assert refused.exit_code == 73 and "is a folder" in one_line(refused)
    assert not list(tmp_path.glob(".*.tmp"))


# --- what is sent ---


class Recorder(BaseHTTPRequestHandler):
    """Writes down every request and answers that there is no such thing."""

    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, format, *args):
        """Quiet."""


def test_explain_prints_the_call_that_is_made_and_hides_the_secret(look):
    server = HTTPServer(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        result = look("cpx_abc_topsecret", "keys", "add", "--participant", "anna", "--url", url, "--explain")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    (method, path, headers, body) = Recorder.seen[-1]
    shown = [line.removeprefix("> ") for line in result.stderr.splitlines() if line.startswith("> ")]
    assert shown[0] == f"{method} {url}{path}" == f"POST {url}/v1/keys"
    said = dict(line.split(": ", 1) for line in shown[1:-1])
    assert headers["authorization"] == "Bearer cpx_abc_topsecret" and said.pop("authorization") == "Bearer ***"
    assert said.items() <= headers.items()
    assert json.loads(shown[-1]) == json.loads(body) == {"scopes": ["read", "trade"], "participant": "anna"}
    assert "topsecret" not in result.stdout + result.stderr


def test_explain_of_a_purchase_is_what_the_exchange_executed(cpx):
    result = cpx("anna", "buy", "8", *NEED, "--id", "train-1", "--yes", "--explain")
    assert result.exit_code == 0, result.output
    shown = [line.removeprefix("> ") for line in result.stderr.splitlines() if line.startswith("> ")]
    posts = [line.split("/v1/")[1] for line in shown if line.startswith("POST")]
    assert posts == ["tasks/preview", "tasks"]
    bodies = [json.loads(line) for line in shown if line.startswith("{")]
    assert bodies[-1]["client_order_id"] == "train-1" and bodies[-1]["cards"] == "8"


def test_watching_a_book_shows_each_change_until_ctrl_c(world):
    url, keys, _ = world
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"CPX_URL": url, "CPX_KEY": keys["anna"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "exchange.cli", "book", INSTRUMENT, "--watch"]
    watching = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a run in the background ignores it
    )  # fmt: skip
    try:
        assert watching.stdout.readline().split()[-4:] == ["ask", "64", "x", "5.20"]
        with Client(url=url, key=keys["zhang"]) as zhang:
            zhang.amend_offer("night", cards=32, price="5.30")
        line = watching.stdout.readline()
        assert line.split()[-4:] == ["ask", "32", "x", "5.30"] and "\x1b" not in line
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=20)
    finally:
        watching.kill()
        watching.wait()
    assert (watching.returncode, said.strip()) == (0, "stopped")


def test_the_page_of_commands_has_every_market_command_and_what_it_is_for():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    page = page.split("## From a journal")[0]
    found = dict(re.findall(r"^\| `cpx (\w+)` \| (.*) \|$", page, re.M))
    assert found == {name: COMMANDS[name] for name in SHARED}


@pytest.mark.parametrize("name", SHARED)
def test_every_help_has_an_example_and_the_options_of_all(look, name):
    for words in ([name, each] for each in sorted(group)) if (group := getattr(load(name), "commands", None)) else [[name]]:
        text = look("anna", *words, "--help").stdout
        assert f"cpx {' '.join(words)}" in text.split("Example", 1)[1]
        assert all(option in text for option in ("--url", "--key", "--json", "--explain")), words
