"""Every operation, for every kind of key, on a real journal, writer and database; without a door in front."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "projections"))

import small_days as days  # noqa: E402

from exchange.adapters.history import History  # noqa: E402
from exchange.adapters.journal_file import Disk, open_sequencer  # noqa: E402
from exchange.adapters.keys import KeyFile  # noqa: E402
from exchange.adapters.report_runs import ReportRuns  # noqa: E402
from exchange.adapters.store import Store  # noqa: E402
from exchange.domain import commands as c  # noqa: E402
from exchange.domain.venue import Venue  # noqa: E402
from exchange.engine.desk import Desk  # noqa: E402
from exchange.engine.market_data import MarketData  # noqa: E402
from exchange.engine.writer import Writer  # noqa: E402
from exchange.gateways.batches import BATCHES  # noqa: E402
from exchange.gateways.cursors import cursor_of, keys_of, text_cursor_of, text_of  # noqa: E402
from exchange.gateways.dispatch import Dispatcher, Principal  # noqa: E402
from exchange.gateways.limits import DoorBudgets, DoorLimits, limits_answer  # noqa: E402
from exchange.gateways.questions import QUESTIONS  # noqa: E402
from exchange.ports_access import Budgets  # noqa: E402
from exchange.protocol import answers as a  # noqa: E402
from exchange.protocol.errors import DoorError, DoorReason  # noqa: E402
from exchange.protocol.measures import Measures  # noqa: E402
from exchange.protocol.operations import OPERATIONS, SCOPES  # noqa: E402
from exchange.protocol.strict_json import encode  # noqa: E402
from exchange.protocol.to_command import WAYS, from_command  # noqa: E402

pytestmark = pytest.mark.slow  # a live exchange, or a market day

OPERATOR = Principal("op", "", frozenset(SCOPES))
DEADLINE_S = 60.0
CODE = "H800/g/L10/grid/20261123T0"
HOURLY = Measures(c.SetVenue("test"))


def of(name: str) -> Principal:
    """A key of a participant with all that it may have."""
    return Principal(f"key-{name}", name, frozenset(("read", "trade", "provide")))


class TablesAtOnce(Store):
    """A store that has every command's rows before it is answered, until it is to stand still."""

    is_behind = False

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        super().on_command(seq, ts_ns, command, events)
        if not self.is_behind:
            self.flush()

    async def wait_for(self, seq: int, timeout_s: float) -> bool:
        return self.offset >= seq


class Market:
    """A dispatcher on everything that is behind it."""

    def __init__(
        self, folder: Path, *, clock_kind: str = "manual", budgets: Budgets | None = None, disk: Disk | None = None,
        read_wait_s: float = 10.0, inbox_limit: int = 65_536,
    ) -> None:  # fmt: skip
        sequencer, _ = open_sequencer(folder, Venue, Venue.restore, disk=disk)
        self.store = TablesAtOnce.open(f"sqlite:///{folder}/exchange.db", sequencer.log.exchange_id)
        venue = sequencer.venue
        self.market_data = MarketData(venue, sequencer.log.epoch)
        sequencer._sinks[:] = [self.store.on_command, self.market_data.on_command]
        self.writer = Writer(
            sequencer, desk=Desk(venue), after_batch=[self.market_data.after_batch], inbox_limit=inbox_limit
        )
        self.handle = self.writer
        self.keys, self.reports = KeyFile(folder), ReportRuns(folder)
        self.dispatcher = Dispatcher(
            self.handle, History(self.store), self.store, self.keys, self.reports, budgets, clock_kind,
            depths=self.market_data, limits=limits_answer(DoorLimits()), engine="test", version="0",
            read_wait_s=read_wait_s,
        )  # fmt: skip

    async def run(
        self, who: Principal, name: str, /, _key: str | None = None, _until: str | None = None, **args: Any
    ) -> Any:
        """One operation; its answer as it goes out, which must be JSON."""
        operation = OPERATIONS[name]
        asked = msgspec.convert(args, operation.args)
        answer = await self.dispatcher.run(who, operation, asked, idempotency_key=_key, valid_until=_until)
        assert type(answer) is operation.answer, (name, answer)
        assert msgspec.json.decode(encode(answer), type=operation.answer) == answer
        return answer

    async def send(self, *commands: Any) -> None:
        """Domain commands by the operator, each through its operation; none may be refused."""
        for command in commands:
            name, args = from_command(command, HOURLY)
            key = f"k{self.handle.seq}" if OPERATIONS[name].needs_key_header else None
            answer = await self.dispatcher.run(OPERATOR, OPERATIONS[name], args, idempotency_key=key)
            assert answer.status not in ("REJECTED", "DENIED"), (command, answer)

    async def refusal(self, who: Principal, name: str, /, **args: Any) -> DoorError:
        with pytest.raises(DoorError) as caught:
            await self.run(who, name, **args)
        return caught.value

    async def close(self) -> None:
        await self.writer.close()
        self.store.close()
        self.keys.close()
        self.reports.close()


def market(folder: Path, test: Callable[[Market], Awaitable[None]], *, is_open: bool = True, **more: Any) -> None:
    """Runs a test on a market of its own; with participants, sites and an offer where it is to be open."""

    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            made = Market(folder, **more)
            await made.writer.start()
            try:
                if is_open:
                    await made.send(*SETUP)
                await test(made)
            finally:
                await made.close()

    asyncio.run(bounded())


SETUP = (*(command for _, _, command, _ in days.open_day().history), days.offer("P1", "o1", 640, 8))
TASK: dict[str, Any] = {
    "client_order_id": "t1", "access_region": "w", "max_latency_ms": "10", "chips": [{"chip": "H800"}], "cards": "64",
    "hours": "6", "deadline": "2026-11-23T12:00:00Z", "price_cap": "9",
}  # fmt: skip
ORDER: dict[str, Any] = {"client_order_id": "b1", "instrument": f"{CODE}5", "price": "7", "cards": "1"}


def test_every_operation_is_carried_out_and_nothing_else():
    asked = {name for name, operation in OPERATIONS.items() if not operation.is_command}
    assert QUESTIONS.keys() == asked - BATCHES.keys()
    assert WAYS.keys() == OPERATIONS.keys() - asked


def test_a_task_from_preview_to_statement(tmp_path):
    async def test(x: Market) -> None:
        quote = await x.run(of("B1"), "preview_task", **TASK)
        acked = await x.run(of("B1"), "submit_task", **TASK)
        assert (acked.status, acked.seq, acked.epoch, acked.replayed) == ("FILLED", x.handle.seq, 1, False)
        assert acked.ts_ns == str(x.handle.now_ns)
        task = await x.run(of("B1"), "task", client_order_id="t1")
        assert (task.status, task.compute, task.fee) == ("filled", quote.compute, quote.fee)
        assert task.terms is not None and (await x.run(of("B1"), "tasks")).items == (msgspec.structs.replace(task, terms=None),)
        bought = (await x.run(of("B1"), "obligations", side="buy")).items
        assert len(bought) == 6 and {each.client_order_id for each in bought} == {"t1"} and bought[0].offer_id == ""
        trades = (await x.run(of("b1"), "trades")).items
        assert sorted(each.trade_id for each in bought) == sorted(each.trade_id for each in trades)
        assert {each.cost for each in trades} == {each.cost for each in bought}
        sold = (await x.run(of("P1"), "obligations")).items
        assert {(each.offer_id, each.client_order_id, each.fee) for each in sold} == {("o1", "", "0.00")}
        lease = (await x.run(of("B1"), "leases", status="open")).items[0]
        assert (lease.cards, lease.hours, lease.card_hours, lease.site) == ("64", "6", "384", "s1")
        assert (await x.run(of("P1"), "leases")).items == ()
        offer = (await x.run(of("P1"), "offers")).items[0]
        assert (offer.status, offer.sold_card_hours, offer.open_card_hours) == ("open", "384", "384")
        first = min(bought, key=lambda each: each.period_start)
        await x.send(c.AdvanceTime(days.T0 + 2 * days.H))
        reading = {"obligation_id": first.obligation_id, "number": 1, "delivered_cards": "32"}
        told = await x.run(of("P1"), "submit_reading", **reading)
        assert told.events[0].delivered_cards == "32"
        due = await x.run(OPERATOR, "due", period_start=first.period_start)
        assert [each.obligation_id for each in due.items] == [first.obligation_id]
        listed = (await x.run(of("B1"), "obligations", to_time="2026-11-23T02:00:00Z")).items
        assert [(each.delivered_cards, each.reading) for each in listed] == [("32", 1)]
        await x.send(c.AdvanceTime(days.T0 + 4 * days.H))  # the desk settles what is due
        settled = (await x.run(of("B1"), "obligations", to_time="2026-11-23T02:00:00Z")).items[0]
        assert settled.status != "open"
        day = await x.run(of("B1"), "statement", day="2026-11-23")
        assert not day.is_final and day.lines
        total = sum(HOURLY.money_micro(line.amount) for line in day.lines)
        assert HOURLY.money_micro(day.opening.total) + total == HOURLY.money_micro(day.closing.total)
        assert day.closing.total == (await x.run(of("B1"), "account")).total

    market(tmp_path, test)


def test_every_list_goes_page_by_page_to_its_end(tmp_path):
    async def test(x: Market) -> None:
        for number in range(5):
            await x.run(of("B1"), "place_order", **ORDER | {"client_order_id": f"b{number}", "price": f"{number + 5}"})
            await x.run(of("B1"), "submit_task", **TASK | {"client_order_id": f"t{number}", "cards": "1"})
            await x.run(of("P2"), "place_offer", **_offer(f"p{number}"))
            await x.send(c.SetFix(f"{CODE}{number + 1}", 9_000_000, "A", "x"))
        for who, name, more in (
            (of("B1"), "tasks", {}), (of("B1"), "orders", {}), (of("P2"), "offers", {}), (of("B1"), "obligations", {}),
            (of("B1"), "leases", {}), (of("B1"), "trades", {}), (of("B1"), "trades", {"after": "1-0"}),
            (of("B1"), "prices", {}), (of("B1"), "instruments", {}), (OPERATOR, "accounts", {}),
            (OPERATOR, "participants", {}), (OPERATOR, "sites", {}), (OPERATOR, "tasks", {}), (OPERATOR, "keys", {}),
        ):  # fmt: skip
            if name == "keys":
                for number in range(3):
                    await x.run(OPERATOR, "create_key", scopes=["read"], label=f"k{number}")
            whole = (await x.run(who, name, limit=1000, **more)).items
            parts, cursor = [], None
            while True:
                page = await x.run(who, name, limit=2, cursor=cursor, **more)
                parts += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert tuple(parts) == whole and len(whole) >= 2, (name, more)
            if name in ("tasks", "orders", "offers"):
                assert [each.seq for each in whole] == sorted((each.seq for each in whole), reverse=True)
        oldest_first = (await x.run(of("B1"), "trades", after="1-0")).items
        assert oldest_first == (await x.run(of("B1"), "trades")).items[::-1]
        later = await x.run(of("B1"), "trades", after=oldest_first[0].trade_id)
        assert later.items == oldest_first[1:]

    market(tmp_path, test)


def _offer(offer_id: str) -> dict[str, Any]:
    return {
        "offer_id": offer_id, "site": "s2", "chip": "H800", "latency_class": "L1", "cards": "1", "price": "20",
        "start": f"2026-11-23T1{offer_id[-1]}:00:00Z", "end": "2026-11-23T20:00:00Z",
    }  # fmt: skip


def test_nobody_sees_or_touches_what_is_somebody_elses(tmp_path):
    """Every operation that belongs to somebody, with another's name: as if it were not there, and nothing has happened."""

    async def test(x: Market) -> None:
        await x.run(of("B1"), "submit_task", **TASK)
        await x.run(of("B1"), "place_order", **ORDER)
        owned = [operation for operation in OPERATIONS.values() if operation.owner == "own"]
        seq = x.handle.seq
        for operation in owned:
            if operation.scope == "operate":
                continue
            args = _some_args(operation.args) | {"participant": "B1"}
            if operation.name == "place_orders":
                args["items"] = [ORDER]
            asked = msgspec.convert(args, operation.args)
            with pytest.raises(DoorError) as caught:
                await x.dispatcher.run(of("b1"), operation, asked, idempotency_key="k")
            assert caught.value.reason == DoorReason.NOT_FOUND, operation.name
        assert x.handle.seq == seq
        for name in ("tasks", "orders", "obligations", "leases", "dispatches"):
            assert (await x.run(of("b1"), name)).items == ()
        for name, args in (("task", {"client_order_id": "t1"}), ("order", {"client_order_id": "b1"})):
            assert (await x.refusal(of("b1"), name, **args)).reason == DoorReason.NOT_FOUND
        assert (await x.refusal(of("b1"), "unsold_hours", offer_id="o1")).reason == DoorReason.NOT_FOUND
        for name, args in (
            ("cancel_order", {"client_order_id": "b1"}), ("withdraw_offer", {"offer_id": "o1"}),
            ("submit_reading", {"obligation_id": 5, "number": 1, "delivered_cards": "1"}),
        ):  # fmt: skip
            acked = await x.run(of("b1"), name, **args)
            assert acked.status == "REJECTED" and acked.reason.startswith("UNKNOWN"), name
        assert {each.participant for each in (await x.run(OPERATOR, "tasks")).items} == {"B1"}

    market(tmp_path, test)


def _some_args(kind: type) -> dict[str, Any]:
    """Good enough arguments for the fields that must be given."""
    values = {
        "client_order_id": "b1", "offer_id": "o1", "cards": "1", "price": "7", "deadline": "2026-11-23T12:00:00Z",
        "hours": "1", "chips": [{"chip": "H800"}], "access_region": "w", "instrument": f"{CODE}5", "site": "s1",
        "chip": "H800", "latency_class": "L10", "start": "2026-11-23T04:00:00Z", "end": "2026-11-23T08:00:00Z",
        "obligation_id": 1, "number": 1, "delivered_cards": "1", "amount": "1", "day": "2026-11-23",
        "format": "csv", "line_id": "1-0", "hash": "0" * 64,
        "lease_id": "1", "access": "here", "exit_code": 0,
        "items": [{"client_order_id": "b1"}], "seconds": 1,
    }  # fmt: skip
    fields = msgspec.structs.fields(kind)
    return {each.name: values[each.name] for each in fields if each.required and each.name != "participant"}


def test_a_key_of_the_operator_must_say_for_whom(tmp_path):
    async def test(x: Market) -> None:
        for name in ("submit_task", "account", "holds", "post_bond"):
            args = _some_args(OPERATIONS[name].args)
            error = await x.refusal(OPERATOR, name, **args)
            assert (error.reason, error.field) == (DoorReason.INVALID_FIELD, "participant"), name
        acked = await x.run(OPERATOR, "submit_task", **TASK | {"participant": "B1"})
        assert {event.participant for event in acked.events} == {"B1", "P1"}
        assert (await x.run(OPERATOR, "account", participant="fund")).firm == ""

    market(tmp_path, test)


# --- idempotency ---


def test_the_same_command_again_gets_the_first_answer(tmp_path):
    async def test(x: Market) -> None:
        first = await x.run(of("B1"), "submit_task", **TASK)
        await x.send(c.AdvanceTime(x.handle.now_ns + 5_000_000_000))
        again = await x.run(of("B1"), "submit_task", **TASK | {"cards": "64.0"})
        assert again == msgspec.structs.replace(first, replayed=True)
        refused = await x.run(of("B1"), "place_order", **ORDER | {"instrument": "no/such/L1/grid/20261123T05"})
        assert refused.status == "REJECTED"
        again = await x.run(of("B1"), "place_order", **ORDER | {"instrument": "no/such/L1/grid/20261123T05"})
        assert again == msgspec.structs.replace(refused, replayed=True)
        other = await x.refusal(of("B1"), "place_order", **ORDER)
        assert (other.reason, other.field) == (DoorReason.KEY_REUSED, "client_order_id")
        assert (await x.run(of("b1"), "place_order", **ORDER)).status == "ACCEPTED"  # another's name space

    market(tmp_path, test)


def test_a_header_is_the_key_where_there_is_no_name(tmp_path):
    async def test(x: Market) -> None:
        move = {"participant": "B1", "amount": "5"}
        missing = await x.refusal(OPERATOR, "deposit", **move)
        assert missing.reason == DoorReason.IDEMPOTENCY_KEY_MISSING
        before = (await x.run(of("B1"), "account")).cash
        first = await x.run(OPERATOR, "deposit", _key="wire-1", **move)
        again = await x.run(OPERATOR, "deposit", _key="wire-1", **move)
        assert (first.replayed, again.replayed, again.seq) == (False, True, first.seq)
        await x.run(OPERATOR, "deposit", _key="wire-2", **move)
        after = (await x.run(of("B1"), "account")).cash
        assert HOURLY.money_micro(after) - HOURLY.money_micro(before) == 10_000_000
        other = await x.refusal(OPERATOR, "deposit", _key="wire-1", **move | {"amount": "6"})
        assert (other.reason, other.field) == (DoorReason.KEY_REUSED, "idempotency_key")
        assert not (await x.run(OPERATOR, "withdraw", _key="wire-1", **move)).replayed  # of another operation
        for bad in ("", "x" * 37, "schlüssel", "a\n"):
            assert (await x.refusal(OPERATOR, "deposit", _key=bad, **move)).field == "idempotency_key"
        differs = await x.refusal(of("B1"), "submit_task", _key="other", **TASK)
        assert (differs.reason, differs.field) == (DoorReason.INVALID_FIELD, "idempotency_key")
        assert (await x.run(of("B1"), "submit_task", _key="t1", **TASK)).status == "FILLED"

    market(tmp_path, test)


def test_answers_are_replayed_after_a_restart_too(tmp_path):
    kept: list[a.Ack] = []

    async def before(x: Market) -> None:
        kept.append(await x.run(of("B1"), "submit_task", **TASK))

    async def after(x: Market) -> None:
        again = await x.run(of("B1"), "submit_task", **TASK)
        assert again == msgspec.structs.replace(kept[0], replayed=True, epoch=2)

    market(tmp_path, before)
    market(tmp_path, after, is_open=False)


def test_valid_until(tmp_path):
    async def test(x: Market) -> None:
        late = await x.run(of("B1"), "place_order", _until="2026-11-22T00:00:00Z", **ORDER)
        assert (late.status, late.reason) == ("REJECTED", "EXPIRED_COMMAND")
        good = await x.run(of("B1"), "place_order", _until="2026-11-24T00:00:00Z", **ORDER | {"client_order_id": "b2"})
        assert good.status == "ACCEPTED"
        for text, reason in (
            ("2026-12-24T00:00:00Z", DoorReason.VALID_UNTIL_TOO_FAR), ("soon", DoorReason.INVALID_FIELD),
        ):  # fmt: skip
            error = await x.refusal(of("B1"), "place_order", _until=text, **ORDER)
            assert (error.reason, error.field) == (reason, "valid_until")

    market(tmp_path, test)


# --- set-up, clock, keys ---


def test_before_the_settings_only_what_needs_none_is_answered(tmp_path):
    async def test(x: Market) -> None:
        assert (await x.run(OPERATOR, "health")).status == "ok"
        for name in ("venue", "catalogue", "instruments", "accounts", "trades"):
            error = await x.refusal(OPERATOR, name)
            assert (error.reason, error.limit) == (DoorReason.REFUSED, "NOT_CONFIGURED"), name
        assert (await x.refusal(of("B1"), "submit_task", **TASK)).limit == "NOT_CONFIGURED"
        early = await x.run(OPERATOR, "add_participant", participant="B1", firm="f")
        assert (early.status, early.reason) == ("REJECTED", "NOT_CONFIGURED")
        assert (await x.refusal(OPERATOR, "set_venue", name="v", time_zone="Mars/Base")).field == "time_zone"

    market(tmp_path, test, is_open=False)


def test_what_is_sent_behind_the_settings_is_read_by_their_measures(tmp_path):
    """In one breath, before any of it is answered: a card is one lot here, not ten."""

    async def test(x: Market) -> None:
        sent = [command for command in SETUP if type(command) is not c.PlaceOffer]
        sent[1] = c.SetVenue("ones", lots_per_card=1, tick_micro=10_000)
        m, results = Measures(sent[1]), []
        for place, command in enumerate(sent):
            name, args = from_command(command, m)
            key = f"k{place}" if OPERATIONS[name].needs_key_header else None
            x.dispatcher.command_nowait(OPERATOR, OPERATIONS[name], args, results.append, idempotency_key=key)
            if name == "set_venue":
                x.dispatcher.command_nowait(OPERATOR, OPERATIONS[name], args, results.append)
                assert isinstance(results[-1], DoorError) and results.pop().reason == DoorReason.BUSY
        assert results == []
        await until(lambda: len(results) == len(sent))
        assert not [(each.reason, each.detail) for each in results if isinstance(each, DoorError)]
        assert [each.status for each in results] == ["ACCEPTED"] * len(sent)
        assert x.handle.venue.state.sites["s1"].attestations[0].lots == 1_000

    market(tmp_path, test, is_open=False)


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.001)


def test_an_ack_has_the_time_of_its_command_though_the_clock_moved_in_the_same_frame(tmp_path):
    async def test(x: Market) -> None:
        results: list[Any] = []
        before_ns = x.handle.now_ns
        for name, args in (("place_order", ORDER), ("advance_time", {"to": HOURLY.time_text(before_ns + 10**9)})):
            who, operation = (of("B1") if name == "place_order" else OPERATOR), OPERATIONS[name]
            x.dispatcher.command_nowait(who, operation, msgspec.convert(args, operation.args), results.append)
        frames = x.handle.stats.frames
        await until(lambda: len(results) == 2)
        assert x.handle.stats.frames == frames + 1
        assert [each.ts_ns for each in results] == [str(before_ns), str(before_ns + 10**9)]

    market(tmp_path, test)


def test_the_clock_is_moved_by_hand_only_where_it_is_manual(tmp_path):
    async def test(x: Market) -> None:
        assert (await x.refusal(OPERATOR, "advance_time", to="2026-11-24T00:00:00Z")).reason == DoorReason.CLOCK_NOT_MANUAL

    market(tmp_path, test, is_open=False, clock_kind="system")


def test_keys(tmp_path):
    async def test(x: Market) -> None:
        made = await x.run(OPERATOR, "create_key", participant="B1", scopes=["trade", "read"], label="desk 1")
        assert made.scopes == ("read", "trade") and x.keys.find(made.secret).participant == "B1"
        listed = (await x.run(OPERATOR, "keys")).items
        assert [each.key_id for each in listed] == [made.key_id] and made.secret not in encode(listed).decode()
        assert (await x.run(OPERATOR, "revoke_key", key_id=made.key_id)).is_revoked
        assert x.keys.find(made.secret) is None
        assert (await x.refusal(OPERATOR, "revoke_key", key_id="none")).reason == DoorReason.NOT_FOUND
        for field, args in (
            ("scopes", {"scopes": ["fly"]}), ("scopes", {"participant": "B1", "scopes": ["operate"]}),
            ("participant", {"participant": "nobody", "scopes": ["read"]}),
            ("expires", {"scopes": ["read"], "expires": "2020-01-01T00:00:00Z"}),
        ):  # fmt: skip
            error = await x.refusal(OPERATOR, "create_key", **args)
            assert (error.reason, error.field) == (DoorReason.INVALID_FIELD, field)
        assert (await x.refusal(OPERATOR, "report", report_id="none")).reason == DoorReason.NOT_FOUND

    market(tmp_path, test)


# --- limits, faults ---


def test_budgets_are_taken_once_unless_the_door_has_done_so(tmp_path):
    budgets = DoorBudgets(DoorLimits(order_rate=1, order_burst=1, read_rate=1, read_burst=1), clock=lambda: 0)

    async def test(x: Market) -> None:
        assert (await x.run(of("B1"), "place_order", **ORDER)).status == "ACCEPTED"
        over = await x.refusal(of("B1"), "place_order", **ORDER)
        assert (over.reason, over.limit) == (DoorReason.TOO_MANY_REQUESTS, "order_rate") and over.retry_after_s
        operation = OPERATIONS["account"]
        for _ in range(3):
            assert await x.dispatcher.run(of("B1"), operation, operation.args(), is_counted=True)
        await x.run(of("B1"), "account")
        assert (await x.refusal(of("B1"), "account")).limit == "read_rate"
        assert (await x.run(of("B1"), "cancel_order", client_order_id="b1")).status == "CANCELED"

    market(tmp_path, test, budgets=budgets)


def test_an_amended_offer_costs_as_many_tokens_as_it_has_open_hours(tmp_path):
    budgets = DoorBudgets(DoorLimits(offer_hour_rate=1, offer_hour_burst=20), clock=lambda: 0)

    async def test(x: Market) -> None:
        change = {"offer_id": "o1", "price": "8.10", "cards": "64"}
        assert (await x.run(of("P1"), "amend_offer", **change)).status == "ACCEPTED"
        over = await x.refusal(of("P1"), "amend_offer", **change | {"price": "8.20"})
        assert (over.reason, over.limit, over.retry_after_s) == (DoorReason.TOO_MANY_REQUESTS, "offer_hour_rate", 4)
        assert (await x.run(of("P1"), "amend_offer", **change | {"offer_id": "none"})).status == "REJECTED"

    market(tmp_path, test, budgets=budgets)


def test_busy_and_closed_are_told_and_nothing_is_executed(tmp_path):
    async def test(x: Market) -> None:
        results: list[Any] = []
        operation = OPERATIONS["place_order"]
        for number in range(4):
            asked = msgspec.convert(ORDER | {"client_order_id": f"b{number}"}, operation.args)
            x.dispatcher.command_nowait(of("B1"), operation, asked, results.append)
        assert [each.reason for each in results] == [DoorReason.BUSY] * 2
        await until(lambda: len(results) == 4)
        assert [each.status for each in results[2:]] == ["ACCEPTED"] * 2
        await x.writer.close()
        assert (await x.refusal(of("B1"), "place_order", **ORDER)).reason == DoorReason.SHUTTING_DOWN
        assert (await x.run(OPERATOR, "health")).status == "halted"

    market(tmp_path, test, inbox_limit=2)


def test_tables_that_are_behind_are_said_to_be(tmp_path):
    async def test(x: Market) -> None:
        x.store.is_behind = True
        await x.run(of("B1"), "place_order", **ORDER)
        error = await x.refusal(of("B1"), "orders")
        assert (error.reason, error.retry_after_s) == (DoorReason.BEHIND, 1)
        assert (await x.run(of("B1"), "account")).participant == "B1"  # the live venue answers

    market(tmp_path, test, read_wait_s=0.05)


def test_a_fault_of_the_venue_is_an_unknown_outcome_and_then_a_halt(tmp_path):
    async def test(x: Market) -> None:
        x.handle.venue.core = None
        error = await x.refusal(of("B1"), "place_order", **ORDER)
        assert error.reason == DoorReason.OUTCOME_UNKNOWN
        assert (await x.refusal(of("B1"), "place_order", **ORDER)).reason == DoorReason.HALTED
        health = await x.run(OPERATOR, "health")
        assert (health.status, health.problems[0]) == ("halted", "the market has stopped")

    market(tmp_path, test)


def test_a_value_that_no_journal_holds_is_the_senders_mistake(tmp_path):
    async def test(x: Market) -> None:
        seq = x.handle.seq
        error = await x.refusal(of("B1"), "place_order", **ORDER | {"cards": "9" * 18})
        assert (error.reason, error.field) == (DoorReason.INVALID_FIELD, "cards")
        assert x.handle.seq == seq

    market(tmp_path, test)


def test_bad_filters_and_cursors(tmp_path):
    async def test(x: Market) -> None:
        for name, args in (
            ("tasks", {"status": "eaten"}), ("orders", {"status": "eaten"}), ("offers", {"status": "eaten"}),
            ("leases", {"status": "eaten"}), ("obligations", {"status": "eaten"}), ("obligations", {"side": "both"}),
            ("obligations", {"from_time": "then"}), ("trades", {"after": "x"}), ("statement", {"day": "2026-02-30"}),
        ):  # fmt: skip
            error = await x.refusal(of("B1"), name, **args)
            assert error.reason == DoorReason.INVALID_FIELD and error.field in args, (name, args)
        for cursor in ("x", "%%%", cursor_of("orders", 1), cursor_of("tasks", 1, 2), cursor_of("tasks", 1) + "="):
            assert (await x.refusal(of("B1"), "tasks", cursor=cursor)).reason == DoorReason.BAD_CURSOR, cursor

    market(tmp_path, test)


def test_cursors_come_back_as_they_went():
    for keys in ((0,), (-5, 7), (2**62, 0)):
        assert keys_of("x", cursor_of("x", *keys), len(keys)) == keys
    assert keys_of("x", None, 1) is None and text_of("keys", None) == ""
    assert text_of("keys", text_cursor_of("keys", "a:b")) == "a:b"
    for bad in (cursor_of("x", 2**70), "eDo", "é", text_cursor_of("x", "+1"), text_cursor_of("x", "01")):
        with pytest.raises(DoorError):
            keys_of("x", bad, 1)


def test_the_catalogue_of_errors_and_the_limits(tmp_path):
    async def test(x: Market) -> None:
        errors = (await x.run(OPERATOR, "errors")).items
        assert len({each.code for each in errors}) == len(errors)
        assert {each.reason for each in errors if each.stage == "door"} == set(DoorReason.__members__)
        assert all(each.title and each.hint for each in errors)
        assert {each.status for each in errors if each.stage != "door"} == {200, 409}
        assert (await x.run(OPERATOR, "limits")).items

    market(tmp_path, test, is_open=False)


def test_the_depth_of_a_book_has_the_seq_of_its_channel(tmp_path):
    async def test(x: Market) -> None:
        first = await x.run(of("B1"), "depth", instrument=f"{CODE}5")
        assert first.asks == (("8.00", "64"),)
        await x.run(of("B1"), "place_order", **ORDER)
        second = await x.run(of("B1"), "depth", instrument=f"{CODE}5")
        assert (second.bids, second.seq) == ((("7.00", "1"),), first.seq + 1)
        lane = await x.run(of("B1"), "lane", access_region="w", chips=["H800"], period_start="2026-11-23T05:00:00Z")
        assert lane.items[0].price == "8.00"
        assert (await x.run(of("B1"), "venue")).name == "test"
        assert (await x.run(of("P1"), "unsold_hours", offer_id="o1")).items

    market(tmp_path, test)
