"""`cpx delivery` and `cpx leases --lease` against a real server: what a provider types, and what the buyer reads."""

import json
import stat

import pytest

from clients.meters import MeterKey

pytestmark = pytest.mark.slow  # a live exchange

NEED = ("--chip", "A910B", "--hours", "2", "--deadline", "08:00", "--access", "hubei-wuhan", "--cap", "9.00")


def buy(cpx, work="make all"):
    """A lease of anna's with work; its id and the number of its first hour."""
    bought = cpx("anna", "buy", "8", *NEED, "--work", work, "--id", "train-1", "--yes")
    assert bought.exit_code == 0, bought.output
    (dispatch,) = json.loads(cpx("zhang", "delivery", "dispatches", "--json").stdout)["items"]
    return dispatch["lease_id"], dispatch["hours"][0]["obligation_id"]


def test_nothing_to_run(cpx):
    assert "nothing to run" in cpx("zhang", "delivery", "dispatches").stderr
    assert cpx("anna", "delivery", "dispatches").exit_code == 77, "a buyer's key has no such scope"


def test_access_and_result_reach_the_buyer_alone(cpx, tmp_path):
    lease, _ = buy(cpx)
    table = cpx("zhang", "delivery", "dispatches")
    assert "make all" in table.stdout and f"next: ./cpx delivery access {lease}" in table.stderr
    assert cpx("zhang", "delivery", "access", lease, "ssh -p 22 job@there").exit_code == 0
    log = tmp_path / "run.log"
    log.write_text("x" * 20_000 + " the end\n", encoding="utf-8")
    done = cpx("zhang", "delivery", "result", lease, "--exit-code", "0", "--file", str(log), "--part", "--json")
    assert json.loads(done.stdout)["ack"]["status"] == "ACCEPTED"
    seen = cpx("anna", "leases", "--lease", lease)
    assert "access, by zhang:\nssh -p 22 job@there" in seen.stdout
    assert "exit code 0, not the last word" in seen.stdout and "the end" in seen.stdout
    (row,) = json.loads(cpx("anna", "leases", "--lease", lease, "--json").stdout)["items"]
    assert len(row["results"][0]["output"]) == 16_000
    assert cpx("zhang", "delivery", "result", lease, "--exit-code", "3", "--output", "boom").exit_code == 0
    assert "exit code 3:\nboom" in cpx("anna", "leases", "--lease", lease).stdout
    again = cpx("zhang", "delivery", "result", lease, "--exit-code", "0")
    assert again.exit_code == 65 and "DUPLICATE_ID" in again.stderr
    assert "given" in cpx("zhang", "delivery", "dispatches").stdout
    assert cpx("poor", "leases", "--lease", lease).exit_code == 66
    assert "ssh" not in cpx("zhang", "leases", "--json").stdout


def test_what_cannot_be_is_said_in_one_line(cpx, tmp_path):
    lease, _ = buy(cpx)
    for words, code in (
        (("access", "999", "there"), 66), (("access", lease, "x" * 1_001), 65), (("access", lease, "\x1b[31mred"), 65),
        (("result", lease, "--exit-code", "0", "--output", "a", "--file", "b"), 2),
        (("result", lease, "--exit-code", "999"), 2),
        (("result", lease, "--exit-code", "0", "--file", str(tmp_path / "nothing")), 66),
        (("meter", "qy-1", "--heartbeat", "5000"), 65), (("meter", "nowhere"), 66),
        (("meter", "qy-1", "--public-key", "ab", "--new-key", str(tmp_path / "k")), 2),
        (("meter", "qy-1", "--public-key", "ab"), 65),
        (("fail", "999", "--yes"), 66), (("fail", "1"), 2),
    ):  # fmt: skip
        done = cpx("zhang", "delivery", *words)
        assert done.exit_code == code, (words, done.exit_code, done.output)
        assert "Traceback" not in done.output


def test_a_meter_gets_a_key_of_its_own_and_its_secret_stays_in_a_file(cpx, tmp_path):
    path = tmp_path / "qy-1.meter"
    done = cpx("zhang", "delivery", "meter", "qy-1", "--heartbeat", "60", "--new-key", str(path))
    assert done.exit_code == 0 and "every 60 s, signed" in done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    meter = MeterKey(path.read_text(encoding="utf-8").strip())
    lease, first = buy(cpx)
    (dispatch,) = json.loads(cpx("zhang", "delivery", "dispatches", "--json").stdout)["items"]
    assert dispatch["is_signed"] and dispatch["heartbeat_s"] == 60
    assert len(meter.public_key) == 64 and path.read_text(encoding="utf-8").strip() not in done.output
    assert cpx("zhang", "delivery", "meter", "qy-1", "--new-key", str(path)).exit_code == 73, "no file is written over"
    assert "once an hour, unsigned" in cpx("zhang", "delivery", "meter", "qy-1").stderr


def test_a_failure_is_asked_about_and_seen_by_both(cpx):
    lease, first = buy(cpx)
    assert cpx("zhang", "delivery", "fail", str(first), "--yes").exit_code == 0
    assert cpx("", "delivery", "probe", "probe-1", str(first), "8").exit_code in (65, 66)
    (row,) = json.loads(cpx("anna", "leases", "--json").stdout)["items"]
    assert row["state"] in ("sold", "delivering"), row
