"""Docs that state a reason, a setting, a command or an exit code say what the code says."""

import dataclasses
import re
from pathlib import Path

from exchange.cli.main import COMMANDS
from exchange.domain.commands import COMMAND_TYPES, SetVenue
from exchange.domain.reasons import TaskReason, VenueReason, wire_code
from matching_core.enums import DenyReason, RejectReason

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def rows(page: str) -> list[list[str]]:
    """Cells of every table row of a page."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_every_reason_stands_in_the_docs_with_its_code_and_no_other():
    wanted = {
        (str(wire_code(reason)), reason.name) for kind in (RejectReason, DenyReason, VenueReason, TaskReason) for reason in kind
    }
    found = {(row[0], row[1].strip("`")) for row in rows("reasons.md") if row[0].isdigit()}
    assert found == wanted


def test_every_setting_stands_in_the_docs_with_its_default():
    wanted = {
        (field.name, "required" if field.default is dataclasses.MISSING else str(field.default))
        for field in dataclasses.fields(SetVenue)
    }
    found = {(row[0].strip("`"), row[1]) for row in rows("settings.md") if row[0].startswith("`")}
    assert found == wanted


def test_every_venue_command_stands_in_the_docs_with_its_journal_number():
    wanted = {(str(number), kind.__name__) for number, kind in COMMAND_TYPES.items()}
    found = {(row[0], row[1].strip("`")) for row in rows("commands.md") if row[0].isdigit()}
    assert found == wanted


def test_every_command_of_the_command_line_is_in_the_readme_or_the_quickstart():
    text = (ROOT / "README.md").read_text(encoding="utf-8") + (DOCS / "quickstart.md").read_text(encoding="utf-8")
    changelog = (DOCS / "changelog.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"./cpx {name}" in text or f"`{name}`" in changelog, name


def test_every_exit_code_in_the_command_line_is_in_the_quickstart():
    table = {row[0] for row in rows("quickstart.md") if row[0].isdigit()}
    named = set()
    for path in [*(ROOT / "exchange" / "cli").glob("*.py"), *(ROOT / "exchange").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r"exit_code = (\d+)", text)) | set(re.findall(r"typer\.Exit\((\d+)\)", text))
    assert named - {"0"} <= table, named - table


def test_every_page_that_is_linked_exists():
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
