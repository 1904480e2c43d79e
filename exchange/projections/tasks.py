"""What became of every task: filled, partly or not, why not, what it cost and how long it waited.

A refused SubmitTask is a record of its own, unfilled with the name of the refusal; but for one whose id was used with other
content: that id stands for what came first. The reason of an accepted task is that of the venue's last explanation: at
entry, then at its end.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from exchange.domain.better import task_of
from exchange.domain.commands import SubmitTask, Task
from exchange.domain.events import (
    Explanation,
    Refused,
    Relaxation,
    TaskAccepted,
    TaskAmended,
    TaskEnded,
    TaskFilled,
    TaskWaiting,
)
from exchange.domain.instrument import Periods
from exchange.domain.reasons import VenueReason
from exchange.domain.task_terms import asked_lots
from exchange.domain.units import NS_PER_MINUTE, format_micro, parse_micro
from exchange.projections.calendar import Calendar

STATUSES = ("filled", "partly", "unfilled")
KEY_REUSED = VenueReason.KEY_REUSED.name


@dataclass(slots=True)
class TaskRecord:
    """One task from its entry on; amounts are what its fills came to."""

    seq: int
    entered_ns: int
    task: Task
    ending: str = "waiting"  # complete | waiting | expired | canceled | refused
    reason: str = ""  # of the binding explanation or refusal; "" when complete
    binding: str = ""  # the cheapest of the relaxations; "" where there are none
    relaxations: tuple[Relaxation, ...] = ()
    is_of_entry: bool = False  # the relaxations are those of the task's entry: at its end nothing single would have helped
    message: str = ""  # of a refusal, for people
    lot_periods: int = 0
    compute_micro: int = 0
    moving_micro: int = 0
    fee_micro: int = 0
    waited_ns: int = 0  # from entry to the last fill, or to the end
    instrument: str = ""  # first hour of the first fill
    rounding_card_hours: str = ""  # bought beyond use, by whole periods and lots; told by who imported the task
    asked_lots: int = 0  # of its first chip; of PFLOPS-hours those of a chip of 1 PFLOPS

    @property
    def status(self) -> str:
        """One of STATUSES."""
        if self.ending == "complete":
            return "filled"
        return "partly" if self.lot_periods else "unfilled"

    @property
    def asked_lot_periods(self) -> int:
        """Lots times periods of the first chip."""
        return self.asked_lots * self.task.periods

    @property
    def delivered_micro(self) -> int:
        """Compute and moving data: what the cap and the budget speak of."""
        return self.compute_micro + self.moving_micro

    def explanation(self) -> str:
        """The relaxations (each alone would fill it), or the message of the refusal, for people."""
        if self.message:
            return self.message
        when = "when it entered: " if self.is_of_entry else ""
        return when + "; ".join(
            f"{step.dimension}: {step.change} "
            f"({format_micro(step.delivered_micro)} yuan in all, from {step.instrument})"
            for step in self.relaxations
        )


class Tasks:
    """Every task in order of entry."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self.records: list[TaskRecord] = []
        self._live: dict[tuple[str, str], TaskRecord] = {}

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Follows the tasks of a command; O(events)."""
        for event in events:
            kind = type(event)
            if kind is TaskFilled:
                self._fill(event)
            elif kind is TaskAccepted:
                record = self._record(seq, ts_ns, task_of(command, self._periods()))
                self.records.append(record)
                self._live[event.participant, event.client_order_id] = record
            elif kind is TaskAmended:
                record = self._live[event.participant, event.client_order_id]
                record.task, record.asked_lots = command.task, self._lots_of(command.task)
            elif kind is TaskWaiting:
                self._explain(self._live[event.participant, event.client_order_id], event.explanation)
            elif kind is TaskEnded:
                self._end(event, ts_ns)
            elif kind is Refused and type(command) is SubmitTask and event.reason != KEY_REUSED:
                refused = TaskRecord(seq, ts_ns, command.task, "refused", event.reason, message=event.message)
                refused.asked_lots = command.task.lots
                self.records.append(refused)

    def _record(self, seq: int, ts_ns: int, task: Task) -> TaskRecord:
        return TaskRecord(seq, ts_ns, task, asked_lots=self._lots_of(task))

    def _lots_of(self, task: Task) -> int:
        settings = self._calendar.settings
        return asked_lots(task, settings.lots_per_card, settings.period_min)

    def _periods(self) -> Periods:
        settings = self._calendar.settings
        return Periods(settings.period_min * NS_PER_MINUTE, settings.gate_min * NS_PER_MINUTE)

    def _fill(self, fill: TaskFilled) -> None:
        key = (fill.participant, fill.client_order_id)
        record = self._live[key]
        record.lot_periods += fill.lot_periods
        record.compute_micro += fill.compute_micro
        record.moving_micro += fill.moving_micro
        record.fee_micro += fill.fee_micro
        record.waited_ns = fill.waited_ns
        record.instrument = record.instrument or fill.instrument
        if fill.is_complete:
            record.ending, record.reason, record.binding, record.relaxations = "complete", "", "", ()
            del self._live[key]

    @staticmethod
    def _explain(record: TaskRecord, explanation: Explanation) -> None:
        record.reason, record.relaxations = explanation.reason, explanation.relaxations
        record.is_of_entry = explanation.is_of_entry
        dimensions = {step.dimension for step in explanation.relaxations}
        record.binding = explanation.binding if explanation.binding in dimensions else ""

    def _end(self, end: TaskEnded, ts_ns: int) -> None:
        record = self._live.pop((end.participant, end.client_order_id))
        record.ending = end.status
        record.waited_ns = ts_ns - record.entered_ns
        self._explain(record, end.explanation)

    def tell_rounding(self, card_hours: dict[tuple[str, str], str]) -> None:
        """Card-hours bought beyond use, plain decimals by (participant, client id); only of tasks that bought any.

        UnitError where a text is no decimal number.
        """
        texts = {key: format_micro(parse_micro(text, "card-hours"), 0) for key, text in card_hours.items()}
        for record in self.records:
            key = (record.task.participant, record.task.client_order_id)
            record.rounding_card_hours = texts.get(key, "") if record.lot_periods else ""

    # --- what can be asked ---

    def unfilled_by_reason(self) -> dict[str, int]:
        """Reason -> tasks of status unfilled, most frequent first."""
        counts = Counter(record.reason for record in self.records if record.status == "unfilled")
        return {
            reason: counts[reason] for reason in sorted(counts, key=lambda reason: (-counts[reason], reason))
        }

    def totals(self) -> dict[str, Any]:
        """Counts for a summary: filled + partly + unfilled are all tasks; waiting ones are among the latter two."""
        counts = Counter(record.status for record in self.records)
        return {
            **{status: counts[status] for status in STATUSES},
            "waiting": len(self._live),
            "unfilled_by_reason": self.unfilled_by_reason(),
        }

    def per_card_hour(self, record: TaskRecord) -> int:
        """Delivered cost (compute and moving data, without fee) per card-hour bought, micro-yuan; 0 for nothing."""
        return self._calendar.per_card_hour(record.delivered_micro, record.lot_periods)
