"""Docs that state a reason, a setting, a command or an exit code say what the code says."""

import dataclasses
import re
from pathlib import Path

from exchange.adapters.rows import parse_time_ns
from exchange.cli.main import COMMANDS, load
from exchange.domain.commands import COMMAND_TYPES, SetVenue
from exchange.domain.reasons import TaskReason, VenueReason, wire_code
from exchange.domain.units import parse_scaled
from exchange.gateways.error_catalogue import errors_answer
from exchange.protocol.errors import DoorReason
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
    wanted |= {(str(700 + reason.value), reason.name) for reason in DoorReason}
    found = {(row[0], row[1].strip("`")) for row in rows("reasons.md") if row[0].isdigit()}
    assert found == wanted


def test_the_catalogue_of_errors_says_of_every_reason_what_the_docs_say():
    wanted = {(int(row[0]), row[1].strip("`"), row[2]) for row in rows("reasons.md") if row[0].isdigit()}
    assert {(entry.code, entry.reason, entry.title) for entry in errors_answer().items} == wanted


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


def options_of(name: str) -> dict[str, object]:
    """Option -> its parameter, of a command of the command line."""
    found = load(name)
    return {option.opts[0]: option for option in found.params if option.opts[0].startswith("--")}


def test_every_option_of_replay_stands_in_the_guide_with_its_default():
    table = {row[0].strip("`"): row[2] for row in rows("guides/files.md") if row[0].startswith("`--")}
    options = options_of("replay")
    assert set(table) == set(options) - {"--help"}
    for name, option in options.items():
        if isinstance(option.default, int) and not isinstance(option.default, bool):
            assert table[name] == str(option.default), name
        assert not option.required or table[name] == "needed", name


def test_the_guide_states_the_defaults_that_the_importers_have():
    from exchange.replay.files import FileOptions

    table = {row[0].strip("`"): row[2] for row in rows("guides/files.md") if row[0].startswith("`--")}
    defaults = FileOptions()
    assert parse_time_ns(table["--epoch"]) == defaults.epoch_ns
    assert parse_scaled(table["--usd-rate"], 1_000_000) == defaults.usd_rate_ppm
    assert parse_scaled(table["--supply-ratio"], 1_000) == defaults.supply_permille


def has_json(name: str) -> bool:
    """Whether a command has --json; of a group, whether every command in it has."""
    commands = getattr(load(name), "commands", None) or {name: load(name)}
    return all(any("--json" in option.opts for option in command.params) for command in commands.values())


def test_the_readme_says_which_commands_have_json():
    without = {name for name in COMMANDS if not has_json(name)}
    assert without == {"test", "soak"}
    assert "all but `test` and `soak` have `--json`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_no_command_offers_shell_completion_as_an_option_of_its_own():
    names = ("demo", "replay", "verify", "doctor", "test", "soak")
    assert not [name for name in names if "--install-completion" in options_of(name)]


def test_the_readme_starts_the_examples_that_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"exchange/data/examples/\S+", text)
    assert len(named) == 2 and all((ROOT / name).is_file() for name in named)


def test_the_folders_of_demos_are_not_offered_to_git():
    assert "cpx-demo*/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_every_page_that_is_linked_exists():
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
