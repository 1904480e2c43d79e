"""The C header and the documents say what records.py, enums.py and limits.py say."""

import inspect
import re
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path

import pytest

import matching_core
from matching_core import enums, limits, records

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = Path(matching_core.__file__).resolve().parent / "include"
PREFIXES = {
    "Op": "OP", "Side": "SIDE", "OrderType": "ORDER_TYPE", "TimeInForce": "TIF", "OrderFlag": "FLAG", "Kind": "KIND",
    "EventFlag": "EVENT", "Phase": "PHASE", "Bucket": "BUCKET", "RejectReason": "REJECT", "DenyReason": "DENY",
    "CancelReason": "CANCEL", "ExpireReason": "EXPIRE", "StpMode": "STP", "BookRule": "RULE", "TiePolicy": "TIE",
    "CallKind": "CALL", "MassFilter": "FILTER", "FixGrade": "GRADE",
    "Lane": "LANE", "Shape": "SHAPE", "TaskFlag": "TASK_FLAG", "Power": "POWER",
}  # fmt: skip
ENUMS = [
    member for _, member in inspect.getmembers(enums, inspect.isclass) if member.__module__ == enums.__name__
]
WIDTHS = {"u1": 1, "<u2": 2, "<u4": 4, "<u8": 8, "<i8": 8}


def layout(struct, fields):
    at = 0
    for field, code in fields:
        yield f'_Static_assert(offsetof({struct}, {field}) == {at}, "{field}");'
        yield f'_Static_assert(sizeof((({struct} *)0)->{field}) == {WIDTHS[code]}, "{field}");'
        at += WIDTHS[code]
    yield f'_Static_assert(sizeof({struct}) == {at} && {at} == 64, "{struct}");'


def test_the_c_header_has_the_same_layout_and_numbers(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    lines = ["#include <stddef.h>", '#include "matching_core.h"']
    lines += layout("cpx_command", records.COMMAND_FIELDS)
    lines += layout("cpx_event", records.EVENT_FIELDS)
    for enum in ENUMS:
        for member in enum:
            name = f"CPX_{PREFIXES[enum.__name__]}_{member.name}"
            lines.append(f'_Static_assert({name} == {int(member)}, "{name}");')
    for name, value in vars(limits).items():
        if name.isupper():
            lines.append(f'_Static_assert(CPX_{name} == INT64_C({value}), "{name}");')
    source = tmp_path / "layout.c"
    source.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [compiler, "-std=c11", "-Wall", "-Werror", "-fsyntax-only", f"-I{INCLUDE}", str(source)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_number_is_gap_free():
    for enum in ENUMS:
        values = sorted(int(member) for member in enum)
        if issubclass(enum, IntEnum):
            assert values == list(range(values[0], values[0] + len(values))), enum
        else:
            assert values == [1 << i for i in range(len(values))], enum


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_the_page_on_records_names_every_number(enum):
    page = (ROOT / "docs" / "rules" / "core_records.md").read_text()
    missing = [m.name for m in enum if not re.search(rf"\b{int(m)}\b[^\n]*\b{m.name}\b", page)]
    assert missing == []


def test_the_page_on_matching_names_tests_and_scenarios_that_exist():
    page = (ROOT / "docs" / "rules" / "matching.md").read_text()
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    scenarios = {path.stem for path in (ROOT / "tests" / "scenarios" / "matching").glob("*.txt")}
    named_tests = re.findall(r"`(test_\w+)`", page)
    named_scenarios = re.findall(r"`(\w+)\.txt`", page)
    assert named_tests and named_scenarios
    assert [name for name in named_tests if f"def {name}(" not in tests] == []
    assert [name for name in named_scenarios if name not in scenarios] == []
    assert scenarios - set(named_scenarios) == set()
