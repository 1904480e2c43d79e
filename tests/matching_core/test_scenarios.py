"""Every story of tests/scenarios/matching on both engines, and a story for every rule of the core."""

import re
from pathlib import Path

import pytest
from core_story import play, tales

TALES = tales()
KEPT_ELSEWHERE = (  # rules of the venue that the core keeps, or keeps part of
    "HM1 HM2 HM3 K1 K2 K3 K4 K5 RT1 RT2 RT3 RT4 RT5 RT6 RT7 RT8 RT9 RT10 MB1 MB2 MB3 MB4 BB1 CA4 EM2 EM3 EM4"
).split()


@pytest.mark.parametrize("tale", TALES, ids=lambda tale: tale.name)
def test_the_story_goes_as_written(engine_class, tale):
    if tale.needs > getattr(engine_class, "RULES_VERSION", 1):
        pytest.skip(f"needs an engine with rules version {tale.needs}")
    play(engine_class, tale)


RULES = (
    "C1 C2 C3 C4 C5 C6 C7 C8 C9 C10 L1 L2 L3 L4 M1 M2 M3 M4 I1 I2 I3 F1 F2 F3 F4 F5 PO1 PO2 PO3 PO4 PO5 IC1 IC2 IC3 IC4 "
    "IC5 IC6 IC7 MQ1 MQ2 T1 T2 T3 T4 T5 AM1 AM2 AM3 AM4 AM5 AM6 AM7 AM8 X1 X2 X3 X4 ST0 ST1 ST2 ST3 ST4 B1 B2 B3 B4 H1 H2 "
    "H3 H4 U1 U2 U3 U4 U5 U6 U7 U8 U9 U10 U11 U12 U13 EM1"
).split()


def test_there_is_a_story_for_every_rule():
    told = {rule for tale in TALES for rule in tale.rules}
    assert [rule for rule in (*RULES, *KEPT_ELSEWHERE) if rule not in told] == []
    assert sorted(told - {*RULES, *KEPT_ELSEWHERE}) == []


def test_no_rule_of_the_design_is_left_out(shared_data):
    text = (shared_data / "design" / "matching_rules.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^- \*\*([A-Z]+\d+)\*\*", text, flags=re.M))
    assert {rule for rule in listed if not rule.startswith(("K", "RT"))} | {"EM1"} == set(RULES)


def test_the_page_on_matching_names_the_files_of_each_rule():
    page = (Path(__file__).resolve().parents[2] / "docs" / "rules" / "matching.md").read_text(encoding="utf-8")
    told = {(rule, tale.file) for tale in TALES for rule in tale.rules}
    named = {
        (row[1], file)
        for row in re.finditer(r"^\| ([A-Z]+\d+) \|(.*)$", page, flags=re.M) for file in re.findall(r"`(\w+)\.txt`", row[2])
    }  # fmt: skip
    assert {rule for rule, _ in named} == {*RULES, *KEPT_ELSEWHERE}
    assert sorted(named - told) == []


def test_every_file_holds_stories_only():
    assert all(tale.rules and tale.lines[0].startswith("engine") for tale in TALES)
