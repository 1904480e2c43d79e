"""Green power at the doors: certificates to green deliveries to shares, and everybody sees his own."""

from dataclasses import replace

import pytest
import world as rooms
from world import World, set_up, task
from world import offer as offer_terms

from exchange.testing.server import running_server

pytestmark = pytest.mark.slow  # a live exchange, or a market day

DAY = "2026-11-24"
WH = 16_000


@pytest.fixture(scope="module")
def green_world(tmp_path_factory):
    """Two buyers have bought green and grid hours, and they are delivered and settled."""
    patch = pytest.MonkeyPatch()
    patch.setattr(rooms, "SETTINGS", replace(rooms.SETTINGS, green_needs_certificates=True))
    with running_server(tmp_path_factory.mktemp("green") / "exchange", "--clock", "manual") as server:
        made = World(server)
        set_up(made)
        made.do("list_family", "", rooms.FAMILY | {"power": "green"})
        trade(made)
        yield made
    patch.undo()


def trade(made):
    refused = made.ask("place_offer", "seller", offer_terms("early", power="green"))
    assert refused.data["reason"] == "CERTIFICATES" and refused.data["status"] == "DENIED"
    batch = {"participant": "seller", "certificate_id": "plant", "region": "hubei-wuhan", "kind": "metered", "source": "p"}
    start = offer_terms("g")["start"]
    made.do("issue_certificates", "", batch, start=start, wh=[WH] * 4)
    again = made.ask("issue_certificates", "", batch, start=start, wh=[WH] * 4)
    assert again.data["reason"] == "DUPLICATE_ID"
    made.do("place_offer", "seller", offer_terms("g", power="green", cards="8"))
    made.do("place_offer", "seller", offer_terms("o"))
    assert made.do("submit_task", "buyer", task("t1", cards="4", min_green="1"))["status"] == "FILLED"
    assert made.do("submit_task", "buyer", task("t2", cards="8"))["status"] == "FILLED"
    assert made.do("submit_task", "other", task("t3", cards="4", min_green="1"))["status"] == "FILLED"
    for due in sorted(made.do("obligations", "seller")["items"], key=lambda each: each["period_start"]):
        made.do("advance_time", to=due["period_start"].replace(":00:00Z", ":30:00Z"))
        terms = {"obligation_id": due["obligation_id"], "number": 1, "delivered_cards": due["cards"]}
        made.do("submit_reading", "seller", terms)
    made.do("advance_time", to="2026-11-24T20:00:00+08:00")


def test_a_buyer_sees_his_own_share_and_the_operator_everybody_s(green_world):
    watts = next(chip["watts"] for chip in green_world.do("catalogue", "")["chips"] if chip["code"] == "A910B")
    hours = 2
    buyer = {"participant": "buyer", "region": "hubei-wuhan", "load_wh": 12 * hours * watts, "green_wh": 4 * hours * watts}
    other = {"participant": "other", "region": "hubei-wuhan", "load_wh": 4 * hours * watts, "green_wh": 4 * hours * watts}
    buyer, other = buyer | {"share": "0.333333"}, other | {"share": "1.0"}
    assert green_world.do("green_share", "buyer", day=DAY)["items"] == [buyer]
    assert green_world.do("green_share", "other", day=DAY)["items"] == [other]
    assert green_world.do("green_share", "seller", day=DAY)["items"] == []
    assert green_world.do("green_share", "", day=DAY)["items"] == [buyer, other]
    assert green_world.do("green_share", "", day=DAY, participant="other")["items"] == [other]
    assert green_world.ask("green_share", "buyer", day=DAY, participant="other").reason == "NOT_FOUND"
    assert green_world.do("green_share", "buyer", day="2026-11-25")["items"] == []
    assert green_world.ask("green_share", "buyer", day="yesterday").reason == "INVALID_FIELD"


def test_pages_of_shares_and_certificates(green_world):
    for name, more in (("green_share", {"day": DAY}), ("certificates", {})):
        whole = green_world.do(name, "", **more)["items"]
        first = green_world.do(name, "", limit=1, **more)
        assert len(whole) > 1 and first["items"] == whole[:1]
        assert green_world.do(name, "", cursor=first["next_cursor"], **more)["items"] == whole[1:]
        assert green_world.ask(name, "", cursor="bm9uc2Vuc2U", **more).reason == "BAD_CURSOR"


def test_certificates_are_their_holder_s(green_world):
    assert green_world.do("certificates", "buyer")["items"] == []
    held = green_world.do("certificates", "seller")["items"]
    for row in held:
        assert row["issued_wh"] == WH == row["free_wh"] + row["pledged_wh"] + row["retired_wh"]
    assert held == green_world.do("certificates", "")["items"]
    assert green_world.ask("issue_certificates", "seller", participant="seller", certificate_id="x", region="hubei-wuhan",
                           start=DAY + "T12:00:00Z", wh=[1], kind="metered", source="me").reason == "WRONG_SCOPE"  # fmt: skip
