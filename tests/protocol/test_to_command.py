"""Arguments to commands and back: nothing is lost in either direction, and what cannot be is told with its field."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain import commands as c
from exchange.domain import commands_delivery as cd
from exchange.domain.commands_green import IssueCertificates
from exchange.protocol import requests as r
from exchange.protocol.codec import encode as to_journal
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures
from exchange.protocol.operations import OPERATIONS
from exchange.protocol.strict_json import decode, encode
from exchange.protocol.to_command import WAYS, from_command, to_command
from exchange.replay.files import market_day_from_files

VENUES = [
    Measures(c.SetVenue("v", period_min=minutes, lots_per_card=lots)) for minutes in (15, 30, 60) for lots in (1, 10, 100)
]
HOURLY = Measures(c.SetVenue("v"))

ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=36)
lots = periods = st.integers(1, 10**9)
money = st.integers(1, 10**15)
times = st.integers(1, 4_000_000_000 * 10**9)
count = st.integers(0, 10**9)
signed = st.integers(-(10**12), 10**12)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)

steps = st.lists(st.tuples(times, signed), max_size=4).map(
    lambda pairs: tuple(c.TaskStep(at_ns if place else 0, limit) for place, (at_ns, limit) in enumerate(pairs))
)
cards = st.builds(
    c.Task, participant=ids, client_order_id=ids, access_region=ids, max_latency_us=count,
    chips=st.lists(st.builds(c.TaskChip, ids, signed), min_size=1, max_size=4).map(tuple), lots=signed, periods=signed,
    earliest_start_ns=st.just(0) | times, deadline_ns=times, price_cap_micro=st.just(0) | money,
    budget_micro=st.just(0) | money, data_mb=count, data_region=st.just("") | ids,
    lane=st.sampled_from(("standard", "economy")), shape=st.sampled_from(("block", "split", "spread", "bulk")),
    allowed_regions=st.lists(ids, max_size=3).map(tuple), min_green_ppm=count,
    checkpoint=st.sampled_from(("hourly", "none")), on_break=st.sampled_from(("continue", "abandon")),
    valid_until_ns=st.just(0) | times, min_fill=count, min_run=count, steps=steps, is_immediate=st.booleans(),
    slowest_class=st.just("") | ids, work=texts,
)  # fmt: skip
power = st.builds(
    lambda task, chips, amount: replace(task, lots=0, chips=task.chips[:chips], pflops_milli_hours=amount),
    cards, st.integers(0, 4), money,
)
tasks = cards | power
reach = st.builds(c.Reach, ids, ids, ids, count)
commands = st.one_of(
    st.builds(c.SubmitTask, tasks),
    st.builds(c.AmendTask, tasks),
    st.builds(c.CancelTask, ids, ids),
    st.builds(
        c.PlaceOrder, participant=ids, client_order_id=ids, instrument=ids, side=st.sampled_from(("buy", "sell")),
        price_micro=signed, lots=signed, tif=st.sampled_from(("GTC", "GTD", "IOC")), expiry_ns=st.just(0) | times,
        site=st.just(""), or_better=st.booleans(),
    ),
    st.builds(c.AmendOrder, ids, ids, signed, signed),
    st.builds(c.CancelOrder, ids, ids),
    st.builds(c.CancelAfter, ids, st.integers(0, 86_400)),
    st.builds(
        c.PlaceOffer, ids, ids, ids, ids, ids, st.sampled_from(("grid", "green")), signed, times, st.just(0) | times, money,
        st.lists(signed, max_size=4).map(tuple), lots, periods, st.booleans(), st.integers(0, 10_080), st.booleans(),
        money, count,
    ),
    st.builds(
        c.PlaceOffer, ids, ids, ids, ids, ids, st.just("grid"), signed, times, times, st.just(0), price_base_micro=money,
    ),
    st.builds(c.AmendOffer, ids, ids, signed, signed, st.lists(signed, max_size=4).map(tuple), st.just(0), st.just(0)),
    st.builds(c.AmendOffer, ids, ids, signed, st.just(0), st.just(()), money, count),
    st.builds(c.SetPowerPrices, ids, times, st.lists(signed, min_size=1, max_size=4).map(tuple)),
    st.builds(c.AllowEmergency, ids, st.booleans()),
    st.builds(
        IssueCertificates, ids, ids, ids, times, st.lists(count, min_size=1, max_size=4).map(tuple),
        st.sampled_from(("metered", "modelled")), st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1),
    ),
    st.builds(c.WithdrawOffer, ids, ids),
    st.builds(c.SubmitReading, ids, count, st.integers(1, 99), signed, st.sampled_from(("", "0a" * 64))),
    st.builds(cd.SetMeter, ids, ids, st.sampled_from(("", "0a" * 32)), count),
    st.builds(cd.GiveAccess, ids, ids, texts.filter(bool)),
    st.builds(cd.ReturnResult, ids, ids, st.integers(-255, 255), texts, st.booleans()),
    st.builds(cd.ProbeReading, ids, count, signed),
    st.builds(cd.DeclareFailure, ids, count),
    st.builds(c.CountersignReading, ids, count, st.integers(1, 99)),
    st.builds(c.DisputeReading, ids, count, signed),
    st.builds(c.AnnounceOutage, ids, ids, times, times),
    st.builds(c.Deposit, ids, signed, texts),
    st.builds(c.Withdraw, ids, signed, texts),
    st.builds(c.PostBond, ids, signed),
    st.builds(c.AddParticipant, ids, ids, count, st.booleans()),
    st.builds(c.AddSite, ids, ids, ids),
    st.builds(c.AttestCapacity, ids, ids, signed, times, times),
    st.builds(c.ListFamily, ids, ids, ids, st.sampled_from(("grid", "green"))),
    st.builds(c.SetFix, ids, signed, st.sampled_from("ABC"), texts),
    st.builds(c.SettlePeriod, times),
    st.builds(c.BuyIn, count),
    st.builds(c.OrderCurtailment, ids, st.just(""), times, times, texts),
    st.builds(c.OrderCurtailment, st.just(""), ids, times, times, texts),
    st.builds(c.BustTrade, count, texts),
    st.builds(c.AdjustTrade, count, signed, texts),
    st.builds(c.AdvanceTime, times),
    st.builds(
        c.SetTariff, count, st.just(0) | times, count, count, count,
        st.lists(st.builds(c.Share, st.sampled_from(("compute", "moving")), texts, count), max_size=3).map(tuple),
    ),
    st.builds(
        c.SetVenue, ids, tick_micro=money, gate_min=count, release_min=st.integers(-1, 99),
        green_needs_certificates=st.booleans(), fix_min_lots=count, fix_half_spread_ppm=count,
        idempotency_retention_ns=count.map(lambda s: s * 10**9),
    ),
    st.builds(
        c.LoadCatalogue, st.lists(st.builds(c.Chip, ids, st.just("ai"), count, count, count, texts), max_size=2).map(tuple),
        st.lists(
            st.builds(c.Region, ids, st.text(min_size=1, max_size=9), texts, st.just("edge"),
                      st.integers(-180_000, 180_000), st.integers(-90_000, 90_000)), max_size=2,
        ).map(tuple),
        st.lists(reach, max_size=2).map(tuple),
        st.lists(st.builds(c.Link, ids, ids, signed, count, count), max_size=2).map(tuple),
    ),
)  # fmt: skip


def over_the_wire(command, m):
    """A command as it comes out of its own arguments, which have been JSON on the way."""
    name, args = from_command(command, m)
    read = decode(encode(args), OPERATIONS[name].args)
    assert read == args
    return to_command(name, read, getattr(args, "participant", None) or "", m)


def test_every_command_of_the_table_has_a_way_and_no_other():
    assert WAYS.keys() == {name for name, operation in OPERATIONS.items() if operation.is_command}
    assert {way.command for way in WAYS.values()} == set(c.COMMAND_TYPES.values())


@given(commands, st.sampled_from(VENUES))
def test_commands_survive_the_wire(command, m):
    if "\\x00" in str(command):  # a name of a region: refused at the door
        return
    back = over_the_wire(command, m)
    assert back == command
    assert to_journal(back) == to_journal(command)


@given(commands, st.sampled_from(VENUES))
def test_arguments_survive_the_venue(command, m):
    name, args = from_command(command, m)
    who = getattr(args, "participant", None) or ""
    assert from_command(to_command(name, args, who, m), m) == (name, args)


@pytest.mark.slow
def test_every_command_of_the_demo_day_survives_the_wire(sample):
    m = Measures(sample.settings)
    kinds = {type(command) for command in sample.commands}
    assert len(kinds) > 15
    for command in sample.commands:
        assert over_the_wire(command, m) == command


@pytest.mark.slow
def test_every_command_of_the_trace_survives_the_wire(shared_data):
    trace, prices = shared_data / "data" / "tasks" / "openb_pod_list_gpuspec33.csv", shared_data / "data" / "catalog"
    if not trace.is_file() or not prices.is_dir():
        pytest.skip("no trace or no prices among the shared test data")
    day, _ = market_day_from_files(trace, sorted(prices.iterdir()))
    assert day is not None and len(day.rows) > 1_000
    m = Measures(day.settings)
    for command in (*day.setup(), *(row.command for row in day.rows)):
        assert over_the_wire(command, m) == command


TERMS = r.TaskTerms(
    client_order_id="t", access_region="w", chips=(r.ChipChoice(chip="H800"),), cards="64", hours="6",
    deadline="2026-11-23T12:00:00Z", price_cap="9",
)  # fmt: skip


def changed(**changes):
    return r.TaskTerms(**({name: getattr(TERMS, name) for name in TERMS.__struct_fields__} | changes))


def test_a_task_asks_for_cards_or_for_pflops_hours_and_names_chips_for_cards():
    for fields, field in (
        ({"cards": None}, "cards"), ({"pflops_hours": "3"}, "cards"), ({"chips": ()}, "chips"),
        ({"cards": None, "pflops_hours": "0"}, "pflops_hours"), ({"cards": None, "pflops_hours": "0.0001"}, "pflops_hours"),
    ):  # fmt: skip
        with pytest.raises(DoorError) as caught:
            to_command("submit_task", changed(**fields), "B1", HOURLY)
        assert (caught.value.reason, caught.value.field) == (DoorReason.INVALID_FIELD, field)
    task = to_command("submit_task", changed(cards=None, chips=(), pflops_hours="1.5"), "B1", HOURLY).task
    assert (task.lots, task.chips, task.pflops_milli_hours) == (0, (), 1_500)


def test_only_the_first_step_of_a_limit_has_no_time():
    later = "2026-11-23T10:00:00Z"
    good = (r.LimitStep(limit="5"), r.LimitStep(limit="9", at=later))
    task = to_command("submit_task", changed(steps=good), "B1", HOURLY).task
    assert [step.limit_micro for step in task.steps] == [5_000_000, 9_000_000] and task.steps[0].at_ns == 0
    for bad, place in ((good[1:], 0), ((good[0], good[0]), 1)):
        with pytest.raises(DoorError) as caught:
            to_command("submit_task", changed(steps=bad), "B1", HOURLY)
        assert caught.value.field == f"steps[{place}].at"


def test_the_same_terms_always_make_the_same_command():
    """So that a retry has the same body: nothing of it comes from a clock."""
    first = to_command("submit_task", TERMS, "B1", HOURLY)
    assert first.task.earliest_start_ns == 0
    assert to_command("submit_task", changed(cards="64.0", price_cap="9.00", participant="B1"), "B1", HOURLY) == first


@pytest.mark.parametrize(
    ("field", "text"),
    [("cards", "0.05"), ("hours", "1.5"), ("deadline", "tomorrow"), ("price_cap", "0"), ("budget", "-1"), ("data_gb", "-1"),
     ("max_latency_ms", "0"), ("earliest_start", "1970-01-01T00:00:00Z"), ("min_green", "-0.1"), ("min_fill", "0.05"),
     ("valid_until", "1970-01-01T00:00:00Z"), ("min_run", "0"), ("min_run", "0.5"),
     ("price_cap", "0.0000001"), ("data_gb", "0.0001")],
)  # fmt: skip
def test_what_a_task_cannot_say(field, text):
    with pytest.raises(DoorError) as caught:
        to_command("submit_task", changed(**{field: text}), "B1", HOURLY)
    assert (caught.value.reason, caught.value.field) == (DoorReason.INVALID_FIELD, field)


def test_fields_in_lists_are_named_with_their_place():
    chips = (r.ChipChoice(chip="a"), r.ChipChoice(chip="b", factor="0.0000001"))
    with pytest.raises(DoorError) as caught:
        to_command("submit_task", changed(chips=chips), "B1", HOURLY)
    assert caught.value.field == "chips[1].factor"


def test_an_offer_needs_a_price():
    offer = r.OfferTerms(
        offer_id="o", site="s", chip="H800", latency_class="L1", cards="1", start="2026-11-23T12:00:00Z",
        end="2026-11-23T14:00:00Z",
    )  # fmt: skip
    with pytest.raises(DoorError) as caught:
        to_command("place_offer", offer, "P1", HOURLY)
    assert caught.value.field == "price"
    made = to_command("place_offer", r.OfferTerms(**(_fields(offer) | {"period_prices": ("8", "9")})), "P1", HOURLY)
    assert (made.price_micro, made.period_prices_micro) == (0, (8_000_000, 9_000_000))


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_what_the_wire_does_not_know_is_not_sent_as_something_else():
    sell = c.PlaceOrder("P1", "x", "a/b/L1/grid/20261123T08", "sell", 1, 1, site="s1")
    with pytest.raises(DoorError):
        from_command(sell, HOURLY)
    with pytest.raises(DoorError):
        from_command(replace(c.SetVenue("v"), idempotency_retention_ns=1), HOURLY)
