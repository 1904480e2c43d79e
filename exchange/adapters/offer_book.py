"""Open offers as rows, and when each of them has ended.

No event says that an offer is over: it is when every one of its periods is sold out, ended, skipped or past its gate (of a
standby offer past its end), when it was withdrawn, or when its provider's margin fell short (HM5), which takes out all he
has open. A standing offer ends in the last two ways only.
"""

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Any

from exchange.adapters.table_base import Row, json_text
from exchange.domain.commands import AmendOffer, WithdrawOffer
from exchange.domain.events import MarginShort, OfferEnded, OfferSkipped, Traded

Note = Callable[[str, Any, Row], None]  # table, key, row


class OfferBook:
    """Offers that are not over, by participant and offer id; `note` hears of every row that is new or changed."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._period_ns = self._gate_ns = 0
        self._open: dict[tuple[str, str], Row] = {}
        self._hours: dict[int, dict[int, Row]] = {}  # offer's seq -> period start -> row
        self._last_gates: list[tuple[int, int, tuple[str, str]]] = []  # (gate of the last period, seq, key)
        self._touched: dict[tuple[str, str], None] = {}
        self._stopped: list[str] = []
        self._seq = self._ts_ns = 0

    def configure(self, period_ns: int, gate_ns: int) -> None:
        """Length of a period, and how long before it its gate closes."""
        self._period_ns, self._gate_ns = period_ns, gate_ns

    def load(self, offers: Iterable[Row], hours: dict[int, list[Row]]) -> None:
        """What was open when the rows were written; needs the settings."""
        for row in offers:
            self._enter(row)
            self._hours[row["seq"]] = {hour["period_start_ns"]: hour for hour in hours[row["seq"]]}
        heapify(self._last_gates)

    # --- the events of one command, between `begin` and `finish` ---

    def begin(self, seq: int, ts_ns: int) -> None:
        """A command begins."""
        self._seq, self._ts_ns = seq, ts_ns

    def place(self, row: Row) -> None:
        """OfferPlaced."""
        self._enter(row)
        self._note("offers", row["seq"], row)

    def _enter(self, row: Row) -> None:
        key = (row["participant"], row["offer_id"])
        self._open[key] = row
        self._hours[row["seq"]] = {}
        if row["periods"]:
            heappush(self._last_gates, (row["end_ns"] - self._lead_ns(row), row["seq"], key))

    def _lead_ns(self, row: Row) -> int:
        """How long before a period's end its unsold lots leave."""
        return 0 if row["standby"] else self._period_ns + self._gate_ns

    def sell(self, event: Traded) -> None:
        """Lots of one period were sold."""
        row, hour = self._hour(event.seller, event.offer_id, event.period_start_ns)
        row["sold_lots"] += event.lots
        hour["sold_lots"] += event.lots
        hour["open_lots"] -= event.lots
        if hour["open_lots"] == 0:
            hour["is_over"], hour["reason"] = True, "sold"

    def end_hour(self, event: OfferEnded) -> None:
        """Unsold lots left the market; those of an hour that is paused may come back."""
        row, hour = self._hour(event.participant, event.offer_id, event.period_start_ns)
        if event.reason == "paused":
            hour |= {"open_lots": 0, "reason": "paused"}
            return
        row["ended_lots"] += event.lots
        hour["ended_lots"] += event.lots
        hour |= {"open_lots": 0, "is_over": True, "reason": event.reason}

    def skip_hour(self, event: OfferSkipped) -> None:
        """A period could not be placed."""
        _, hour = self._hour(event.participant, event.offer_id, event.period_start_ns)
        hour |= {"open_lots": 0, "is_over": True, "reason": event.reason}

    def _hour(self, participant: str, offer_id: str, period_start_ns: int) -> tuple[Row, Row]:
        key = (participant, offer_id)
        row = self._open[key]
        hours = self._hours[row["seq"]]
        if period_start_ns not in hours:
            hours[period_start_ns] = {
                "offer_seq": row["seq"], "period_start_ns": period_start_ns, "open_lots": row["lots"], "sold_lots": 0,
                "ended_lots": 0, "is_over": False, "reason": "",
            }  # fmt: skip
        hour = hours[period_start_ns]
        self._touched[key] = None
        self._note("offers", row["seq"], row)
        self._note("offer_hours", (row["seq"], period_start_ns), hour)
        return row, hour

    def amend(self, command: AmendOffer) -> None:
        """AmendOffer was acknowledged: the new price and lots stand in every period that is not over."""
        key = (command.participant, command.offer_id)
        row = self._open.get(key)
        if row is None:
            return  # over here already, with nothing left that a new price could be for
        hours = self._hours[row["seq"]]
        gated = self._gated_hours(row)
        prices = json_text(command.period_prices_micro[-row["periods"] :])
        row |= {
            "lots": command.lots, "price_micro": command.price_micro, "period_prices": prices,
            "price_base_micro": command.price_base_micro, "watts_per_card": command.watts_per_card,
        }  # fmt: skip
        self._touched[key] = None
        self._note("offers", row["seq"], row)
        per_day = len(command.period_prices_micro) if not row["periods"] else 0
        for start_ns, hour in hours.items():
            if not hour["is_over"] and start_ns not in gated:
                is_offered = not per_day or command.period_prices_micro[start_ns // self._period_ns % per_day]
                hour |= {"open_lots": command.lots if is_offered else 0, "reason": "" if is_offered else "paused"}
                self._note("offer_hours", (row["seq"], start_ns), hour)

    def _gated_hours(self, row: Row) -> set[int]:
        """Starts of a standby offer's periods between gate and end: an amendment leaves them as they are."""
        if not row["standby"]:
            return set()
        first_ns = self._ts_ns // self._period_ns * self._period_ns
        last_ns = row["end_ns"] or first_ns + self._gate_ns + self._period_ns
        starts = range(max(first_ns, row["start_ns"]), min(last_ns, self._ts_ns + self._gate_ns + 1), self._period_ns)
        for start_ns in starts:
            self._hour(row["participant"], row["offer_id"], start_ns)
        return set(starts)

    def withdraw(self, command: WithdrawOffer) -> None:
        """WithdrawOffer was acknowledged, after what was open had been reported."""
        key = (command.participant, command.offer_id)
        if key in self._open:
            self._end(key)

    def stop_seller(self, event: MarginShort) -> None:
        """Everything the provider offers leaves at the end of this command."""
        self._stopped.append(event.participant)

    def finish(self) -> None:
        """The command's events are through: ends what is over."""
        for key in self._touched:
            if key in self._open and self._is_over(self._open[key]):
                self._end(key)
        self._touched.clear()
        while self._last_gates and self._last_gates[0][0] <= self._ts_ns:
            _, seq, key = heappop(self._last_gates)
            if key in self._open and self._open[key]["seq"] == seq:
                self._end(key)
        for seller in self._stopped:
            for key in [key for key in self._open if key[0] == seller]:
                self._end(key)
        self._stopped.clear()

    def _is_over(self, row: Row) -> bool:
        """Whether each period is over, or past its gate."""
        if not row["periods"]:
            return False
        past = (self._ts_ns + self._lead_ns(row) - row["start_ns"]) // self._period_ns
        past = min(max(past, 0), row["periods"])
        first_ahead_ns = row["start_ns"] + past * self._period_ns
        hours = self._hours[row["seq"]]
        over = sum(hour["is_over"] for start_ns, hour in hours.items() if start_ns >= first_ahead_ns)
        return past + over == row["periods"]

    def _end(self, key: tuple[str, str]) -> None:
        row = self._open.pop(key)
        del self._hours[row["seq"]]
        row |= {"status": "ended", "ended_seq": self._seq, "ended_ns": self._ts_ns}
        self._note("offers", row["seq"], row)
