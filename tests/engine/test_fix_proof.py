"""`cpx prices`: every published fix follows from the journal, and one that does not is named."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from zoneinfo import ZoneInfo

import pytest
from street import T0, busy_street
from typer.testing import CliRunner

from exchange.adapters.journal_file import open_sequencer, read_commands
from exchange.app import open_folder
from exchange.cli.prices import command
from exchange.domain.commands import AdvanceTime, PlaceOffer, SetFix
from exchange.domain.instrument import book_id
from exchange.domain.units import NS_PER_HOUR
from exchange.domain.venue import Venue
from exchange.engine.desk import Desk
from exchange.engine.fixer import Fixer
from exchange.engine.writer import Writer

STREET = busy_street(7, 6, fix_min_lots=10)


def play(folder, commands=STREET.outside):
    """The street's day through a run folder; the desk adds its own."""
    run = open_folder(folder)
    run.submit(commands)
    run.close()
    return folder


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    return play(tmp_path_factory.mktemp("honest"))


def ask(*words):
    return CliRunner().invoke(command, [*map(str, words)])


def proof_of(folder):
    result = ask("recompute", folder, "--json")
    return result.exit_code, json.loads(result.stdout)


def fixes_in(folder) -> list[SetFix]:
    return [entry.command for entry in read_commands(folder) if isinstance(entry.command, SetFix)]


def test_every_fix_of_a_run_follows_from_its_journal(honest):
    code, found = proof_of(honest)
    assert (code, found["differences"], found["due_when_the_journal_ended"]) == (0, [], [])
    assert found["proven"] == len(fixes_in(honest)) > 20
    assert set(found["by_grade"]) == {"A", "B", "C"} and sum(found["by_grade"].values()) == found["proven"]
    assert fixes_in(honest) == [each for each in STREET.log if isinstance(each, SetFix)]
    text = ask("recompute", honest).stdout
    assert f"all {found['proven']} published fixes follow from the journal" in text


@pytest.mark.parametrize(
    ("part", "forge"),
    [
        ("price", lambda fix: replace(fix, price_micro=fix.price_micro + 10_000)),
        ("grade", lambda fix: replace(fix, grade="A" if fix.grade != "A" else "B")),
        ("hash", lambda fix: replace(fix, inputs_hash=fix.inputs_hash[::-1])),
    ],
)
def test_one_fix_that_was_made_otherwise_is_named(tmp_path, monkeypatch, part, forge):
    due, forged = Fixer.due, []

    def crooked(self, now_ns, lead_ns):
        works = due(self, now_ns, lead_ns)
        if works and now_ns > T0 + 3 * NS_PER_HOUR and not forged:
            forged.append(forge(works[0].command))
            works[0] = works[0]._replace(command=forged[0])
        return works

    with monkeypatch.context() as patched:
        patched.setattr(Fixer, "due", crooked)
        play(tmp_path)
    code, found = proof_of(tmp_path)
    first = found["differences"][0]
    assert code == 1 and first["differs"] == [part] and first["instrument"] == forged[0].instrument
    assert first["published"]["inputs_hash"] == forged[0].inputs_hash
    assert first["published"] != first["recomputed"]
    shown = ask("recompute", tmp_path)
    assert shown.exit_code == 1 and "differ" in shown.stdout
    assert ask("explain", tmp_path, forged[0].instrument).exit_code == 1


def test_a_fix_by_hand_and_one_left_out_are_named(tmp_path, monkeypatch):
    due = Fixer.due
    by_hand = SetFix("H800/wuhan/L5/grid/20261123T20", 9_000_000, "A", "because I say so")
    pretended = SetFix("H800/wuhan/L5/grid/20261123T21", 9_000_000, "A", "0123456789abcdef" * 2)
    left_out = []

    def lazy(self, now_ns, lead_ns):
        works = due(self, now_ns, lead_ns)
        if works and not left_out:
            left_out.append(works.pop().command)
        return works

    with monkeypatch.context() as patched:
        patched.setattr(Fixer, "due", lazy)
        play(tmp_path, [*STREET.outside[:-1], by_hand, pretended])
    code, found = proof_of(tmp_path)
    differs = {each["instrument"]: each["differs"] for each in found["differences"]}
    assert code == 1 and differs[left_out[0].instrument] == ["missing"] and differs[pretended.instrument] == ["not due"]
    assert by_hand.instrument not in differs and len(found["by_hand"]) == 1


def test_fixes_by_hand_alone_are_listed_and_no_mismatch(tmp_path):
    """One before its gate stands in for the desk's, one behind the desk's takes its place."""
    code = STREET.venue.periods.code
    at = STREET.venue.periods.at(STREET.venue.now_ns)
    names = [f"H800/wuhan/L5/grid/{code(period)}" for period in (at, at + 9)]
    play(tmp_path, [*STREET.outside, *(SetFix(name, 9_000_000, "B", "by hand: a test") for name in names)])
    status, found = proof_of(tmp_path)
    assert (status, found["differences"]) == (0, [])
    assert [each["instrument"] for each in found["by_hand"]] == names
    told = ask("recompute", tmp_path).stdout
    assert "2 were set by hand" in told and "by hand: a test" in told
    shown = ask("explain", tmp_path, names[1])
    assert shown.exit_code == 1 and "set by hand" in shown.output


def test_a_journal_that_ends_before_its_fixes_is_no_difference(tmp_path, monkeypatch):
    """Killed behind the clock: the fixes come at the next start, and then all is proven."""
    at = max(place for place, each in enumerate(STREET.log) if isinstance(each, SetFix))
    while isinstance(STREET.log[at - 1], SetFix):
        at -= 1
    sequencer, _ = open_sequencer(tmp_path, Venue, Venue.restore)
    sequencer.submit(STREET.log[:at])
    sequencer.close()
    code, found = proof_of(tmp_path)
    assert (code, found["differences"]) == (0, []) and found["due_when_the_journal_ended"]
    sequencer, _ = open_sequencer(tmp_path, Venue, Venue.restore)
    sequencer.submit(STREET.log[at : at + 1])
    sequencer.close()
    assert proof_of(tmp_path)[1]["proven"] == found["proven"] + 1


def test_what_a_start_between_two_stops_has_fixed_is_proven_too(tmp_path):
    """In the last second before a gate a book begins to trade; a server that starts then fixes it at once."""
    street = busy_street(9, 2)
    stop_ns = street.desk.next_stop(street.venue.now_ns)
    street.clock(stop_ns)
    grid, state = street.venue.periods, street.venue.state
    hour = grid.first_open(stop_ns)
    quiet = next(family for family in state.families if book_id(family.number, hour) not in state.fixes)
    window, site = (grid.start(hour), grid.start(hour + 1)), "g1" if quiet.region == "wuhan" else "q1"
    street.do(PlaceOffer("P1", "late", site, quiet.chip, quiet.latency_class, quiet.power, 5, *window, 9_000_000))
    (late,) = street.restarted().due(stop_ns)
    street.do(late)
    sequencer, _ = open_sequencer(tmp_path, Venue, Venue.restore)
    sequencer.submit(street.log)
    sequencer.close()
    code, found = proof_of(tmp_path)
    assert (code, found["differences"], found["remade_after_start"]) == (0, [], 1)


def test_a_copy_of_the_folder_of_a_running_exchange_is_enough(tmp_path):
    live, copy = tmp_path / "live", tmp_path / "copy"
    sequencer, _ = open_sequencer(live, Venue, Venue.restore)
    venue = sequencer.venue

    async def main():
        writer = Writer(sequencer, desk=Desk(venue))
        await writer.start()
        for each in STREET.outside:
            await writer.submit(each)
        assert ask("recompute", live).exit_code == 73, "in use"
        shutil.copytree(live, copy)
        await writer.submit(AdvanceTime(venue.now_ns + 1))
        await writer.close()

    asyncio.run(main())
    code, found = proof_of(copy)
    assert code == 0 and found["proven"] == len(fixes_in(live)) > 20


# --- explain ---


@pytest.mark.parametrize("grade", ["A", "B", "C"])
def test_explain_prints_what_the_hash_is_of_and_what_a_person_needs(honest, grade):
    fix = next(each for each in fixes_in(honest) if each.grade == grade)
    text = ask("explain", honest, fix.instrument, "--text").stdout
    assert blake2b(text.encode(), digest_size=16).hexdigest() == fix.inputs_hash
    found = json.loads(ask("explain", honest, fix.instrument, "--json").stdout)["fix"]
    assert (found["inputs_hash"], found["grade"]) == (fix.inputs_hash, grade)
    if grade != "C":
        first = next(trade for trade in found["trades"] if trade["run_ppm"] >= 500_000)
        assert first["price"] == found["price"] and max(pair["share_ppm"] for pair in found["pairs"]) <= 333_333
        assert found["trades"][-1]["run_ppm"] == 1_000_000
    shown = ask("explain", honest, fix.instrument)
    assert shown.exit_code == 0 and found["price"] in shown.stdout and fix.inputs_hash in shown.stdout
    if grade != "C":  # in a pipe no name is cut
        assert found["trades"][0]["buyer"] in shown.stdout and "…" not in shown.stdout
        local = [datetime.fromisoformat(trade["time"]).astimezone(ZoneInfo("Asia/Shanghai")) for trade in found["trades"]]
        assert all(f" {each.isoformat(sep=' ')} " in shown.stdout for each in local)  # the venue's zone; --json has UTC


def test_what_is_not_there_is_said(honest, tmp_path):
    gone = ask("explain", honest, "H800/wuhan/L5/grid/20300101T00")
    assert gone.exit_code == 66 and "holds no fix" in gone.stderr
    assert ask("recompute", tmp_path).exit_code == 66
    assert ask("recompute", tmp_path / "nowhere").exit_code == 66
