"""Reads back what a run left: summary.json and the CSV files, gathered for a report. Nothing is replayed.

Everything returned is plain data (texts, ints, lists, dicts), amounts as decimal yuan, ready for JSON.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from exchange.adapters.exporters.writing import cell_text
from exchange.domain.units import MICRO, UnitError, div_half_even, format_micro, format_scaled, parse_scaled

SETTLEMENT_SUMS = (
    "paid",
    "fee",
    "moving",
    "refund",
    "damages",
    "cut",
    "to_host",
    "region_share",
    "green_share",
)
FILES = (
    "trades.csv", "prices.csv", "outcomes.csv", "unfilled.csv", "settlement.csv", "failures.csv", "statements/index.csv",
)  # fmt: skip


class NotFound(Exception):
    """The folder is no finished run, or lacks what was asked for; the message says what to do."""


class Damaged(Exception):
    """A file of the run cannot be read as what it should be."""


class Results:
    """One run folder, checked to hold a finished run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "summary.json").is_file():
            raise NotFound(_no_summary(folder))
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise NotFound(
                f"{folder} has a summary but no {missing[0]}: run it again with --out and another folder"
            )
        try:
            self.summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise Damaged(f"{folder / 'summary.json'} is no JSON: {error}") from error
        if not isinstance(self.summary, dict):
            raise Damaged(f"{folder / 'summary.json'} holds no object")

    def rows(self, name: str) -> Iterator[dict[str, str]]:
        """The rows of a CSV file by column, texts as they were before they were made safe for spreadsheets."""
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            for row in reader:
                if len(row) != len(header):
                    raise Damaged(
                        f"{self.folder / name}, line {reader.line_num}: {len(row)} cells, not {len(header)}"
                    )
                yield {column: cell_text(cell) for column, cell in zip(header, row, strict=True)}

    # --- the parts of a report ---

    def fill_by_chip(self) -> list[dict[str, Any]]:
        """Per first chip: how many tasks were filled, card-hours asked and bought; most asked first."""
        found: dict[str, Counter[str]] = {}
        for row in self.rows("outcomes.csv"):
            counts = found.setdefault(row["chip"], Counter())
            counts["tasks"] += 1
            counts[row["status"]] += 1
            counts["asked"] += micro(row["card_hours_asked"])
            counts["bought"] += micro(row["card_hours_bought"])
        ranked = sorted(found, key=lambda chip: (-found[chip]["asked"], chip))
        return [
            {
                "chip": chip, "tasks": n["tasks"], "filled": n["filled"], "partly": n["partly"],
                "unfilled": n["unfilled"], "fill_rate": percent(n["filled"], n["tasks"]),
                "card_hours_asked": hours(n["asked"]), "card_hours_bought": hours(n["bought"]),
            }
            for chip in ranked if (n := found[chip])
        ]  # fmt: skip

    def prices(self) -> dict[str, list[dict[str, str]]]:
        """Prices by chip in all and by chip and region, most traded first."""
        wanted: dict[str, list[dict[str, str]]] = {"chip": [], "chip_region": []}
        keep = ("chip", "region", "low", "vwap", "high", "card_hours", "trades")
        for row in self.rows("prices.csv"):
            if row["scope"] in wanted:
                wanted[row["scope"]].append({name: row[name] for name in keep})
        for rows in wanted.values():
            rows.sort(key=lambda row: (-micro(row["card_hours"]), row["chip"], row["region"]))
        return {"by_chip": wanted["chip"], "by_chip_and_region": wanted["chip_region"]}

    def unfilled(self) -> list[dict[str, Any]]:
        """Reason, tasks, and in how many of them which single change would have helped most; most frequent first."""
        reasons: dict[tuple[str, str], Counter[str]] = {}
        for row in self.rows("unfilled.csv"):
            reasons.setdefault((row["reason"], row["in_words"]), Counter())[row["binding"]] += 1
        ranked = sorted(reasons, key=lambda reason: (-reasons[reason].total(), reason))
        return [
            {
                "reason": reason[0], "tasks": reasons[reason].total(), "in_words": reason[1],
                "cheapest_change": {name: n for name, n in sorted(reasons[reason].items()) if name},
            }
            for reason in ranked
        ]  # fmt: skip

    def settlement(self) -> dict[str, Any]:
        """Obligations by status and the sums of every amount."""
        statuses: Counter[str] = Counter()
        sums = dict.fromkeys(SETTLEMENT_SUMS, 0)
        for row in self.rows("settlement.csv"):
            statuses[row["status"]] += 1
            for name in SETTLEMENT_SUMS:
                sums[name] += micro(row[name])
        by_status = dict(sorted(statuses.items()))
        amounts = {name: format_micro(amount) for name, amount in sums.items()}
        return {"obligations": statuses.total(), "by_status": by_status, **amounts}

    def accounts(self, *, day: str = "", account: str = "") -> list[dict[str, str]]:
        """Rows of the statements' index, of one day or one account where given."""
        return [
            row
            for row in self.rows("statements/index.csv")
            if (not day or row["day"] == day) and (not account or row["account"] == account)
        ]

    def statement(self, account: str, day: str = "") -> dict[str, Any]:
        """One participant's statement; without a day that of his last day with activity."""
        rows = self.accounts(account=account)
        if not rows:
            raise NotFound(self._no_account(account))
        found = [row for row in rows if row["day"] == day] if day else rows[-1:]
        if not found:
            days = ", ".join(row["day"] for row in rows)
            raise NotFound(f"{account} has no activity on {day}; there are statements for {days}")
        if not found[0]["file"]:
            raise NotFound(
                f"{account} is an account of the exchange itself: see {self.folder / 'ledger.beancount'}"
            )
        path = self.folder / "statements" / found[0]["file"]
        head, lines = _read_statement(path)
        return {"file": str(path), "days": [row["day"] for row in rows], "head": head, "lines": lines}

    def _no_account(self, account: str) -> str:
        names = sorted({row["account"] for row in self.rows("statements/index.csv") if row["file"]})
        near = get_close_matches(account, names, 3, 0.4) or names[:3]
        hint = f"; try {', '.join(near)}, or see {self.folder / 'statements' / 'index.csv'}" if near else ""
        return f"no money of {account} moved in this run{hint}"


def _no_summary(folder: Path) -> str:
    if (folder / "journal").is_dir():
        return f"the run in {folder} has not ended: the same command with --resume goes on where it stopped"
    if folder.exists() and not folder.is_dir():
        parents = [parent for parent in folder.parents if (parent / "summary.json").is_file()]
        return f"{folder} is a file; name the folder of the run" + (f": {parents[0]}" if parents else "")
    if not folder.is_dir():
        return f"there is no folder {folder}: `cpx demo --out {folder}` makes a run to report on"
    return (
        f"{folder} is no run folder (no summary.json): name one that `cpx demo` or `cpx replay` has written"
    )


def _read_statement(path: Path) -> tuple[list[list[str]], list[dict[str, str]]]:
    """The head as rows, the lines by column."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [[cell_text(cell) for cell in row] for row in csv.reader(file)]
        end = rows.index([])
        columns = rows[end + 1]
        return rows[:end], [dict(zip(columns, row, strict=True)) for row in rows[end + 2 :]]
    except (OSError, ValueError, IndexError) as error:
        raise Damaged(f"{path} cannot be read as a statement: {error}") from error


def micro(text: str) -> int:
    """Decimal text of a CSV cell as millionths."""
    try:
        return parse_scaled(text, MICRO)
    except UnitError as error:
        raise Damaged(str(error)) from error


def hours(value_micro: int) -> str:
    """Millionths of card-hours as text."""
    return format_scaled(value_micro, MICRO, 1)


def percent(part: int, whole: int) -> str:
    """A share in percent with one decimal, half to even; "" of nothing."""
    return f"{format_scaled(div_half_even(part * 1000, whole), 10, 1)} %" if whole else ""
