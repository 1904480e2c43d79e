"""What a review of the venue found, as far as it is not told as a story in tests/scenarios/venue."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenario import Teller
from test_scenarios import engine_of, engines
from worlds import HOUR, MINUTE, T0, YUAN, World

from exchange.domain import commands as c
from exchange.domain.events import (
    Acknowledged,
    MarginShort,
    Moved,
    OfferPlaced,
    OrderChanged,
    Refused,
    Replayed,
    TaskEnded,
    TaskFilled,
    Traded,
)
from exchange.domain.venue import Venue

KEY = {"idem_key": b"k" * 16, "body_hash": b"h" * 16}


def teller_of(first: str = "world", engine: type | None = None) -> Teller:
    """The world of every story, or the one of its `world` line."""
    teller = Teller(engine)
    teller.tell(first)
    return teller


def a_task(name: str, cards: int, **about) -> c.SubmitTask:
    """A task of one hour that waits until somebody sells."""
    chips = (c.TaskChip("H800"),)
    plain = c.Task("B1", name, "wuhan", 10_000, chips, cards, 1, T0, T0 + 100 * HOUR, price_cap_micro=8 * YUAN)
    return c.SubmitTask(replace(plain, **about))


def a_bid(world: World, name: str, hour: int = 9, lots: int = 1) -> c.PlaceOrder:
    code = world.venue.periods.code(world.venue.periods.at(T0 + hour * HOUR))
    return c.PlaceOrder("B1", name, f"H800/guian/L10/grid/{code}", "buy", 5 * YUAN, lots)


# --- room and clock ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", engines())
def test_a_bid_is_refused_when_as_many_orders_rest_as_the_core_has_room_for(engine: str) -> None:
    told = teller_of()
    venue = Venue(max_orders=20, engine=engine_of(engine))
    world = World(venue)
    for command in told.world.log:
        world.do(command)
    told.world = world
    told.tell("offer P1 o1 g1 H800/L10/grid 10 @ 9.00 01-21")
    (refused,) = world.do(a_bid(world, "b1"))
    assert isinstance(refused, Refused) and refused.reason == "VENUE_FULL"
    told.tell("clock 00:55")  # the first hour's ask leaves, and its place can be had
    assert any(isinstance(event, OrderChanged) for event in world.do(a_bid(world, "b1")))


def test_an_offer_before_the_first_tick_of_the_clock_is_refused_and_stands_after_it() -> None:
    world = World(Venue(max_orders=100))
    for command in (
        c.SetVenue("story"),
        c.LoadCatalogue(
            (c.Chip("H800", "ai", 990_000, 80, 700),),
            (c.Region("w", "w", "", "edge", 0, 0),),
            (c.Reach("w", "w", "L1", 800),),
            (),
        ),
        c.SetTariff(1, 0, 0, 0, 0, ()),
        c.ListFamily("H800", "w", "L1", "grid"),
        c.AddParticipant("P", "P"),
        c.Deposit("P", 1000 * YUAN),
        c.AddSite("s", "P", "w"),
        c.AttestCapacity("s", "H800", 10, 0, T0 + 1000 * HOUR),
    ):
        assert not isinstance(world.do(command)[0], Refused)
    early = c.PlaceOffer("P", "o", "s", "H800", "L1", "grid", 10, 2 * HOUR, 4 * HOUR, 8 * YUAN)
    assert world.do(early)[0].reason == "INVALID_WINDOW"
    ahead = replace(early, start_ns=T0 + 2 * HOUR, end_ns=T0 + 4 * HOUR)
    assert isinstance(world.do(ahead)[0], OfferPlaced)
    assert world.venue.core.n_orders == 0
    world.do(c.AdvanceTime(T0))
    assert world.venue.core.n_orders == 2


def test_a_site_has_at_most_256_live_offers() -> None:
    told = teller_of("world horizon 8")
    for place in range(256):
        hour = 20 + place // 4
        assert told.tell(f"offer P1 o{place} g1 H800/L10/grid 1 @ 8.00 {hour}-{hour + 1}") == f"placed o{place} 1h"
    assert told.tell("offer P1 more g1 H800/L10/grid 1 @ 8.00 90-91") == "refused TOO_MANY_SELLS"
    assert told.tell("offer P2 more g2 H800/L10/grid 1 @ 8.00 90-91") == "placed more 1h"
    told.tell("withdraw-offer P1 o7")
    assert told.tell("offer P1 more g1 H800/L10/grid 1 @ 8.00 90-91") == "placed more 1h"


def test_offers_ahead_of_the_horizon_cannot_be_piled_up_without_money() -> None:
    told = teller_of()
    told.tell('participant P4 "firm P4" 1')
    told.tell("withdraw P4 1")
    told.tell("site g4 P4 guian")
    answers = [told.tell(f"offer P4 o{place} g4 H800/L10/grid 640 @ 8.00 200-240") for place in range(50)]
    assert answers == ["placed o0 40h"] + ["refused CAPACITY"] * 49


def test_a_site_has_at_most_100_announced_outages_and_old_ones_give_way() -> None:
    told = teller_of()
    for _ in range(100):
        assert told.tell("outage P1 g1 03-04") == ""
    assert told.tell("outage P1 g1 05-06") == "refused INVALID_WINDOW"
    assert told.tell("outage P2 g2 05-06") == ""
    told.tell("offer P1 o1 g1 H800/L10/grid 1 @ 8.00 05-06")
    told.tell("bid B1 b1 H800/guian/L10/grid@05 1 @ 8.00")
    told.tell("clock 07")
    assert told.tell("outage P1 g1 08-09") == "refused INVALID_WINDOW"
    assert told.tell("settle 05").startswith("h05 short")
    assert told.tell("outage P1 g1 08-09") == ""
    assert len(told.world.venue.state.sites["g1"].outages) == 1


# --- fees and margin --------------------------------------------------------------------------------------


def test_amending_a_bid_after_a_fee_cut_needs_the_fee_of_its_entry_to_the_last_unit() -> None:
    told = teller_of("world fee 10000")
    told.tell("bid B1 b1 H800/guian/L10/grid@48 100 @ 5.00")
    told.tell("withdraw B1 99394.000001")  # 505 + 100.999999 are left; 120 x 5.00 and 1 % are 606.00
    told.tell("tariff 2 from 24 fee 0")
    told.tell("clock 25")
    assert told.tell("amend-bid B1 b1 120 @ 5.00") == "refused INSUFFICIENT_FUNDS"
    told.tell("deposit B1 0.000001")
    assert told.tell("amend-bid B1 b1 120 @ 5.00") == "bid b1 replaced"
    assert (told.tell("money B1 held"), told.tell("money B1 cash")) == ("606.00", "0.00")


def test_trades_of_a_bid_are_stamped_with_the_tariff_of_its_entry() -> None:
    told = teller_of()
    told.tell("bid B1 old H800/guian/L10/grid@30 4 @ 8.00")
    told.tell("tariff 2 from 24 fee 0")
    told.tell("clock 25")
    told.tell("bid B1 new H800/guian/L10/grid@30 4 @ 8.00")
    told.tell("amend-bid B1 old 3 @ 8.00")
    told.tell("offer P1 o1 g1 H800/L10/grid 10 @ 8.00 30-31")
    trades = {event.task: event for event in told.world.history[-1] if isinstance(event, Traded)}
    assert (trades["old"].tariff_version, trades["old"].fee_micro) == (1, 120_000)
    assert (trades["new"].tariff_version, trades["new"].fee_micro) == (2, 0)
    dues = told.world.venue.state.obligations
    assert {dues[trade.obligation_id].tariff for trade in trades.values()} == {1, 2}


def test_at_a_new_tariff_a_waiting_task_keeps_what_it_holds_and_the_tariff_of_its_entry() -> None:
    told = teller_of()
    world = told.world
    world.do(a_task("old", 100))
    world.do(a_task("cheaper", 100, lane="economy"))
    told.tell("withdraw B1 " + told.tell("money B1 cash"))
    world.do(c.SetTariff(2, T0 + 25 * HOUR, 6_000, 0, 0, ()))
    events = world.do(c.AdvanceTime(T0 + 26 * HOUR))
    assert not any(isinstance(event, TaskEnded | Moved) for event in events)
    assert told.tell("money B1 held") == "1606.00"
    told.tell("offer P1 o1 g1 H800/L10/grid 200 @ 8.00 30-31")
    told.tell("clock 26:01")
    trades = {event.task: event for event in world.history[-1] if isinstance(event, Traded)}
    assert {name: (trade.tariff_version, trade.fee_micro) for name, trade in trades.items()} == {
        "old": (1, 4 * YUAN), "cheaper": (1, 2 * YUAN),
    }  # fmt: skip
    assert (told.tell("money B1 held"), told.tell("money B1 cash")) == ("0.00", "0.00")


def test_a_stopped_provider_cannot_take_out_what_his_asks_free_while_he_is_short() -> None:
    told = teller_of()
    told.tell('participant P4 "firm P4" 100')
    told.tell("site g4 P4 guian")
    told.tell("offer P4 o1 g4 H800/L10/grid 10 @ 8.00 01-20")
    told.tell("bid B1 b1 H800/guian/L10/grid@01 10 @ 8.00")
    told.tell("fix H800/guian/L10/grid@01 40.00 A")
    assert (told.tell("money P4 cash"), told.tell("money P4 margin")) == ("0.00", "100.00")
    assert told.tell("withdraw P4 0.000001") == "refused SALES_STOPPED"
    assert told.tell("bond P4 0.000001") == "refused SALES_STOPPED"


def test_in_one_drain_a_provider_sells_no_more_once_his_margin_is_short() -> None:
    told = teller_of()
    world = told.world
    told.tell('participant P4 "firm P4" 40')
    told.tell("site g4 P4 guian")
    for place in range(5):
        world.do(a_task(f"t{place}", 10))
    told.tell("offer P4 o1 g4 H800/L10/grid 60 @ 8.00 02-03")
    events = world.do(c.AdvanceTime(T0 + MINUTE))
    assert [event.client_order_id for event in events if isinstance(event, TaskFilled)] == ["t0"]
    assert len([event for event in events if isinstance(event, MarginShort)]) == 1
    # what his other asks have freed covers what he sold, and the rest is his again
    assert [due.margin_micro for due in world.venue.state.obligations.values()] == [32 * YUAN]
    assert (told.tell("money P4 margin"), told.tell("money P4 cash")) == ("32.00", "8.00")
    assert told.tell("withdraw P4 8") == ""


# --- the same command again -------------------------------------------------------------------------------


def test_a_retry_of_an_applied_command_gets_its_answer_even_after_its_valid_until() -> None:
    world = teller_of().world
    bid, until = a_bid(world, "b1"), T0 + 10 * MINUTE
    assert isinstance(world.do(bid, valid_until_ns=until, **KEY)[-1], OrderChanged)
    seq = len(world.log)
    world.do(c.AdvanceTime(until + MINUTE))
    assert world.do(bid, valid_until_ns=until, **KEY) == [Replayed("PlaceOrder", "b1", seq, 0)]
    (late,) = world.do(bid, valid_until_ns=until, idem_key=b"n" * 16, body_hash=b"h" * 16)
    assert isinstance(late, Refused) and late.reason == "EXPIRED_COMMAND"


def test_a_retry_of_a_refused_command_is_refused_again_though_it_could_be_applied_now() -> None:
    told = teller_of()
    world = told.world
    offer = c.PlaceOffer("P1", "o1", "g1", "H800", "L10", "grid", 700, T0 + HOUR, T0 + 2 * HOUR, 8 * YUAN)
    (refused,) = world.do(offer, **KEY)
    assert refused.reason == "CAPACITY"
    seq = len(world.log)
    assert isinstance(world.do(c.AttestCapacity("g1", "H800", 900, T0, T0 + 240 * HOUR))[0], Acknowledged)
    before = world.venue.state_hash()
    assert world.do(offer, **KEY) == [Replayed("PlaceOffer", "o1", seq, refused.code)]
    assert world.fork().do(offer, **KEY) == [Replayed("PlaceOffer", "o1", seq, refused.code)]
    assert world.venue.state_hash() == before
    (other,) = world.do(replace(offer, lots=1), idem_key=KEY["idem_key"], body_hash=b"x" * 16)
    assert other.reason == "KEY_REUSED"
    assert isinstance(world.do(offer, idem_key=b"n" * 16, body_hash=b"h" * 16)[0], OfferPlaced)


# --- what a task is told at its end -------------------------------------------------------------------------


def test_an_explanation_says_whether_it_is_that_of_the_entry() -> None:
    told = teller_of()
    world = told.world
    told.tell("offer P1 o1 g1 H800/L10/grid 8 @ 9.50 04-06 min 8x2")
    first = world.do(a_task("t1", 8, periods=2, deadline_ns=T0 + 6 * HOUR))[-1].explanation
    second = world.do(a_task("t2", 8, deadline_ns=T0 + 5 * HOUR))[-1].explanation
    assert first.relaxations and not first.is_of_entry
    world.do(c.AdvanceTime(T0 + 2 * HOUR + 55 * MINUTE))
    events = world.do(c.AdvanceTime(T0 + 3 * HOUR + 55 * MINUTE))
    ends = {event.client_order_id: event.explanation for event in events if isinstance(event, TaskEnded)}
    assert ends["t1"] == replace(first, reason="NO_DEPTH", is_of_entry=True)
    # the plain ask of the released hour is there for t2 at its end: what is told is of that moment
    assert not second.relaxations
    assert ends["t2"].reason == "OVER_BUDGET" and ends["t2"].binding == "cap" and not ends["t2"].is_of_entry
