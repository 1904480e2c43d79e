"""Delivery through the doors: signatures, dispatch, access and results, and that nobody else ever sees them."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.append(str(Path(__file__).parent))

from test_dispatch import CODE, OPERATOR, TASK, Market, days, market, of  # noqa: E402 - its folder is known only now

from clients.meters import MeterKey
from exchange.adapters.report_job import write_reports
from exchange.domain import commands as c
from exchange.engine import queries
from exchange.gateways.dispatch import Principal
from exchange.gateways.signatures import is_signed
from exchange.protocol.errors import DoorReason
from exchange.protocol.formats import JSON
from exchange.protocol.measures import Measures
from exchange.protocol.operations import OPERATIONS
from exchange.protocol.signed import reading_text
from exchange.protocol.strict_json import encode

pytestmark = pytest.mark.slow  # a live exchange

WORK, ACCESS, OUTPUT = "python secret-train.py", "ssh secret@host", "secret loss 0.21"
SECRETS = (WORK, ACCESS, OUTPUT)


async def bought(x: Market, **more: Any) -> tuple[str, int]:
    """(lease, its first obligation) of a task of B1 with work, delivered by P1."""
    await x.run(of("B1"), "submit_task", **TASK | {"work": WORK} | more)
    (lease,) = (await x.run(of("P1"), "dispatches")).items
    return lease.lease_id, lease.hours[0].obligation_id


def test_a_dispatch_access_and_result_from_the_purchase_to_the_settlement(tmp_path):
    async def test(x: Market) -> None:
        lease_id, first = await bought(x, data_gb="2", data_region="w")
        (lease,) = (await x.run(of("P1"), "dispatches")).items
        assert (lease.work, lease.data_region, lease.data_gb, lease.chip) == (WORK, "w", "2", "H800")
        assert (lease.counterparty, len(lease.hours), lease.hours[0].cards, lease.site) == ("B1", 6, "64", "s1")
        assert not (lease.has_access or lease.is_finished or lease.is_signed or lease.heartbeat_s)
        (mine,) = (await x.run(of("B1"), "leases")).items
        assert (mine.lease_id, mine.state, mine.accesses, mine.results) == (lease_id, "sold", (), ())
        await x.run(of("P1"), "give_access", lease_id=lease_id, access="old")
        await x.run(of("P1"), "give_access", lease_id=lease_id, access=ACCESS)
        await x.run(of("P1"), "return_result", lease_id=lease_id, exit_code=0, output="half", is_final=False)
        (mine,) = (await x.run(of("B1"), "leases")).items
        assert [(each.seller, each.access) for each in mine.accesses] == [("P1", ACCESS)]
        assert [(each.output, each.is_final) for each in mine.results] == [("half", False)]
        acked = await x.run(of("P1"), "return_result", lease_id=lease_id, exit_code=3, output=OUTPUT)
        assert [each.command for each in acked.events] == ["ReturnResult"], "the seller's ack tells no more than that"
        assert (await x.run(of("P1"), "return_result", lease_id=lease_id, exit_code=0)).reason == "DUPLICATE_ID"
        (lease,) = (await x.run(of("P1"), "dispatches")).items
        assert lease.has_access and lease.is_finished
        (mine,) = (await x.run(of("B1"), "leases")).items
        assert [(each.exit_code, each.output, each.is_final) for each in mine.results] == [(3, OUTPUT, True)]
        assert first == int(lease_id)
        history = x.dispatcher._history
        for who, role in (("P1", "seller"), ("P1", ""), (None, "buyer"), (None, "")):
            rows = history.leases(who, role=role)
            assert rows and not any(row.accesses or row.results for row in rows), "whoever asks the tables but the buyer"

    market(tmp_path, test)


def test_states_go_from_sold_to_what_became_of_it(tmp_path):
    async def states(x: Market) -> list[str]:
        items = (await x.run(of("B1"), "obligations")).items
        return [each.state for each in sorted(items, key=lambda each: each.period_start)]

    async def test(x: Market) -> None:
        await x.run(of("B1"), "submit_task", **TASK | {"hours": "4", "on_break": "abandon", "deadline": "2026-11-23T05:00:00Z"})
        assert await states(x) == ["sold"] * 4
        dues = sorted((await x.run(of("P1"), "obligations")).items, key=lambda each: each.period_start)
        await x.run(of("P1"), "declare_failure", obligation_id=dues[3].obligation_id)
        await x.send(c.AdvanceTime(days.T0 + days.H))
        assert await states(x) == ["delivering", "sold", "sold", "failed"]
        assert (await x.run(of("B1"), "leases")).items[0].state == "delivering"
        assert (await x.run(of("B1"), "obligations")).items[0].failing == "declared"
        await x.run(of("P1"), "submit_reading", obligation_id=dues[0].obligation_id, number=1, delivered_cards="64")
        await x.send(c.AdvanceTime(days.T0 + 2 * days.H))
        await x.run(of("P1"), "submit_reading", obligation_id=dues[1].obligation_id, number=1, delivered_cards="60")
        await x.send(c.AdvanceTime(days.T0 + 7 * days.H))
        assert await states(x) == ["delivered", "short", "void", "void"]
        assert (await x.run(of("B1"), "leases")).items[0].state == "short"

    market(tmp_path, test)


def test_a_signature_is_verified_before_anything_is_numbered(tmp_path):
    meter, other = MeterKey(), MeterKey()
    assert MeterKey(meter.secret).public_key == meter.public_key

    async def test(x: Market) -> None:
        await x.run(of("P1"), "set_meter", site="s1", public_key=meter.public_key)
        _, first = await bought(x)
        assert (await x.run(of("P1"), "dispatches")).items[0].is_signed
        lot = (await x.run(of("P1"), "venue")).lot
        await x.send(c.AdvanceTime(days.T0 + days.H))
        good: dict[str, Any] = {"obligation_id": first, "number": 1, "delivered_cards": "64"}
        signed = meter.sign("s1", first, number=1, delivered_cards="64", lot=lot)
        seq, state = x.handle.seq, x.handle.venue.state_hash()
        for wrong in (
            other.sign("s1", first, number=1, delivered_cards="64", lot=lot),
            meter.sign("s2", first, number=1, delivered_cards="64", lot=lot),
            meter.sign("s1", first + 1, number=1, delivered_cards="64", lot=lot),
            meter.sign("s1", first, number=2, delivered_cards="64", lot=lot),
            meter.sign("s1", first, number=1, delivered_cards="63", lot=lot),
            "0" * 128,
        ):
            error = await x.refusal(of("P1"), "submit_reading", **good, signature=wrong)
            assert (error.reason, error.field) == (DoorReason.BAD_SIGNATURE, "signature")
        assert (x.handle.seq, x.handle.venue.state_hash()) == (seq, state), "nothing was numbered"
        refused = await x.run(of("P1"), "submit_reading", **good)
        assert (refused.reason, x.handle.seq) == ("UNSIGNED_READING", seq + 1), "what depends on the state is numbered"
        assert (await x.run(of("P1"), "submit_reading", **good, signature=signed)).status == "ACCEPTED"
        again = await x.run(of("P1"), "submit_reading", **good, signature=signed)
        assert again.reason == "INVALID_READING", "a reading that was heard is worth nothing to who repeats it"
        other_seller = await x.run(of("P2"), "submit_reading", **good | {"number": 2}, signature="0" * 128)
        assert other_seller.reason == "UNKNOWN_OBLIGATION", "whose meter it is, is not told to others"

    market(tmp_path, test)


def test_what_is_no_key_and_no_signature_verifies_nothing():
    meter = MeterKey()
    text = reading_text("s1", 1, 1, 10)
    assert text == "cpx-reading|s1|1|1|10"
    good = meter.sign("s1", 1, number=1, delivered_cards="1", lot="0.1")
    assert is_signed(meter.public_key, text, good)
    for key, signature in ((meter.public_key, good[:-2]), (meter.public_key, ""), ("zz", good), ("00" * 32, good), ("", "")):
        assert not is_signed(key, text, signature)
    with pytest.raises(ValueError, match="no whole number of lots"):
        meter.sign("s1", 1, number=1, delivered_cards="0.15", lot="0.1")


def test_a_probe_speaks_through_the_operators_key_only(tmp_path):
    async def test(x: Market) -> None:
        _, first = await bought(x)
        await x.send(c.AdvanceTime(days.T0 + days.H))
        await x.run(of("P1"), "submit_reading", obligation_id=first, number=1, delivered_cards="64")
        await x.run(of("B1"), "dispute_reading", obligation_id=first, delivered_cards="1")
        await x.send(c.AdvanceTime(days.T0 + 2 * days.H))
        await x.run(OPERATOR, "probe_reading", probe="probe-1", obligation_id=first, delivered_cards="64")
        told = {each.obligation_id: each for each in (await x.run(of("B1"), "obligations")).items}[first]
        assert told.is_countersigned and told.is_disputed
        await x.send(c.AdvanceTime(days.T0 + 3 * days.H))
        told = {each.obligation_id: each for each in (await x.run(of("B1"), "obligations")).items}[first]
        assert (told.status, told.delivered_cards) == ("delivered", "64")

    assert OPERATIONS["probe_reading"].scope == "operate"
    market(tmp_path, test)


# --- privacy ---


def feed_of(x: Market, name: str) -> list[Any]:
    """What a participant's user channel is told from now on."""
    heard: list[Any] = []

    class Ear:
        def on_message(self, message) -> None:
            heard.append(message.data if message.data is not None else message.payload(feed, JSON).decode())

        def on_closed(self) -> None: ...

    feed = x.market_data.feed("user", name)
    feed.listeners[Ear()] = None
    return heard


QUIET = ("create_key", "keys", "revoke_key", "start_report", "report")  # of the door, nothing of the market


def test_nobody_but_its_parties_sees_work_access_or_output(tmp_path):
    """Every question by every stranger, every channel, every refusal and the operator's lists, searched for the words."""

    async def test(x: Market) -> None:
        heard = {name: feed_of(x, name) for name in ("B1", "b1", "P1", "P2")}
        public = [x.market_data.feed(*name) for name in (("trades", "*"), ("depth", f"{CODE}5"), ("instruments", ""))]
        texts: list[bytes] = []
        waiting = {"client_order_id": "t2", "price_cap": "1", "work": WORK}
        await x.run(of("B1"), "submit_task", **TASK | waiting)  # one that waits has secrets too
        lease_id, first = await bought(x)
        await x.run(of("P1"), "give_access", lease_id=lease_id, access=ACCESS)
        await x.run(of("P1"), "return_result", lease_id=lease_id, exit_code=0, output=OUTPUT, is_final=False)
        strangers = [of("b1"), of("P2"), Principal("op", "", frozenset(("read", "trade", "provide")))]
        for who in strangers:
            for name, operation in OPERATIONS.items():
                if operation.scope == "operate" or name in QUIET or operation.is_command:
                    continue
                try:
                    args = msgspec.convert(_asked(operation.args), operation.args)
                    texts.append(encode(await x.dispatcher.run(who, operation, args)))
                except Exception as no:  # noqa: BLE001 - whatever is said to a stranger is looked at
                    texts.append(repr(vars(no) if hasattr(no, "__dict__") else no).encode() + str(no).encode())
        for name, more in (("give_access", {"access": "mine"}), ("return_result", {"exit_code": 0})):
            refused = await x.run(of("P2"), name, lease_id=lease_id, **more)
            assert refused.reason == "UNKNOWN_OBLIGATION"
            texts.append(encode(refused))
        mine = encode(await x.run(of("P1"), "leases")) + encode(await x.run(of("P1"), "obligations"))
        assert ACCESS.encode() not in mine and OUTPUT.encode() not in mine, "the seller's own lists repeat nothing"
        seen = b"".join(texts)
        # The operator's key without a participant lists everybody's tasks, and a task has its work: he keeps the journal.
        operators = encode(await x.dispatcher.run(strangers[2], OPERATIONS["tasks"], OPERATIONS["tasks"].args()))
        for word in SECRETS:
            assert word.encode() not in seen.replace(operators, b""), word
        for feed in public:
            assert not any(word in repr(vars_of(feed)) for word in SECRETS)
        told = {name: repr(items) for name, items in heard.items()}
        assert WORK in told["P1"] and ACCESS not in told["P1"] and OUTPUT not in told["P1"]
        assert ACCESS in told["B1"] and OUTPUT in told["B1"] and WORK not in told["B1"]
        for name in ("b1", "P2"):
            assert not any(word in told[name] for word in SECRETS), name
        assert b"secret" not in encode(await x.run(OPERATOR, "leases")), "not in the operator's list either"

    market(tmp_path, test)


def vars_of(feed: Any) -> list[Any]:
    return [(message.data, message.payload(feed, JSON).decode()) for message in feed.kept]


def _asked(kind: type) -> dict[str, Any]:
    values = {
        "client_order_id": "t1", "offer_id": "o1", "instrument": f"{CODE}5", "day": "2026-11-23", "access_region": "w",
        "chips": ["H800"] if kind.__name__ == "LaneView" else [{"chip": "H800"}], "period_start": "2026-11-23T05:00:00Z",
        "deadline": "2026-11-23T12:00:00Z", "hours": "1", "cards": "1", "family": "H800/g/L10/grid", "interval": "1h",
    }  # fmt: skip
    fields = msgspec.structs.fields(kind)
    found = {each.name: values[each.name] for each in fields if each.required and each.name != "participant"}
    if kind is OPERATIONS["preview_task"].args:
        found |= {"participant": "b1", "price_cap": "9"}
    return found


def test_reports_hold_none_of_it(tmp_path):
    """The operator's files, all of them, searched whole; the journal does hold it, or the search would find nothing."""
    folder, out = tmp_path / "market", tmp_path / "report"
    folder.mkdir()
    seqs: list[int] = []

    async def test(x: Market) -> None:
        lease_id, _ = await bought(x)
        await x.run(of("B1"), "submit_task", **TASK | {"client_order_id": "t2", "price_cap": "1", "work": WORK})
        await x.run(of("P1"), "give_access", lease_id=lease_id, access=ACCESS)
        await x.run(of("P1"), "return_result", lease_id=lease_id, exit_code=0, output=OUTPUT)
        seqs.append(x.handle.seq)

    market(folder, test)
    write_reports(folder, out, seqs[0])
    found = b"".join(path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file() and path.suffix != ".zip")
    for path in out.rglob("*.zip"):
        with zipfile.ZipFile(path) as packed:
            found += b"".join(packed.read(name) for name in packed.namelist())
    assert b"P1" in found and len(found) > 1_000
    journal = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    for word in SECRETS:
        assert word.encode() not in found, word
        assert word.encode() in journal, word


def test_each_seller_of_a_spread_lease_sees_his_own_part():
    day = days.open_day()
    day.do(c.AddSite("s3", "P2", "g"), c.AttestCapacity("s3", "H800", 1_000, days.T0, days.T0 + 200 * days.H))
    day.do(days.offer("P1", "o1", 60, 8))
    day.do(c.PlaceOffer("P2", "o2", "s3", "H800", "L10", "grid", 40, days.T0 + days.H, days.T0 + 13 * days.H, 8_000_000))
    day.do(days.task("t1", lots=100, periods=2, shape="spread", work=WORK))
    m = Measures(day.venue.settings)
    parts = {name: queries.dispatches(day.venue, name, 0, 10, m)[0] for name in ("P1", "P2", "B1")}
    assert [(each.site, each.hours[0].cards, each.work) for each in parts["P1"]] == [("s1", "6", WORK)]
    assert [(each.site, each.hours[0].cards, each.work) for each in parts["P2"]] == [("s3", "4", WORK)]
    assert parts["B1"] == ()
