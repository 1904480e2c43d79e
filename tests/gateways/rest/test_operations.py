"""Every operation once through HTTP, in the course of one small market, on a real server with a real journal."""

import time

import pytest
from world import INSTRUMENT, order, task
from world import offer as offer_terms

from exchange.protocol.operations import OPERATIONS

pytestmark = pytest.mark.slow  # a live exchange, or a market day


def until(check, within_s=30):
    deadline = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline, "it does not come about"
    return found


def test_every_operation_does_what_its_name_says(world):
    done = set()

    def do(name, who="", args=None, **more):
        done.add(name)
        return world.do(name, who, args, **more)

    # The door and the market.
    assert do("health", None)["status"] == "ok"
    assert {each["name"]: each["value"] for each in do("limits", None)["items"]}["body_bytes"] == 65_536
    assert do("feed")["workers"] == []
    assert do("feed_integrity")["connections"] == 0
    assert {each["reason"] for each in do("errors", None)["items"]} >= {
        "KEY_REUSED",
        "INSUFFICIENT_FUNDS",
        "NOT_FOUND",
    }
    assert do("venue", "buyer")["name"] == "test venue"
    assert any(chip["code"] == "A910B" for chip in do("catalogue", "buyer")["chips"])
    assert [each["family"] for each in do("instruments", "buyer")["items"]] == ["A910B/hubei-wuhan/L1/grid"]
    done |= {
        "set_venue",
        "load_catalogue",
        "set_tariff",
        "list_family",
        "add_participant",
        "deposit",
        "create_key",
    }
    done |= {"add_site", "attest_capacity", "advance_time"}  # world.set_up did, and each was checked there

    # Offers.
    placed = do("place_offer", "seller", offer_terms("o1"))
    assert placed["status"] == "ACCEPTED" and placed["events"][0]["offer_id"] == "o1"
    do("place_offer", "seller", offer_terms("o2"))
    assert do("amend_offer", "seller", offer_id="o2", price="5.30", cards="4")["status"] == "ACCEPTED"
    assert [each["offer_id"] for each in do("offers", "seller")["items"]] == ["o2", "o1"]
    assert {each["cards"] for each in do("unsold_hours", "seller", offer_id="o1")["items"]} == {"16"}
    assert do("withdraw_offer", "seller", offer_id="o2")["status"] in ("ACCEPTED", "CANCELED")
    assert do("depth", "buyer", instrument=INSTRUMENT)["asks"] == [["5.20", "16"]]
    lane = do(
        "lane", "buyer", access_region="hubei-wuhan", chips=["A910B"], period_start="2026-11-24T00:00:00Z"
    )
    assert [(each["price"], each["cards"]) for each in lane["items"]] == [("5.20", "16")]

    # Tasks.
    quote = do("preview_task", "buyer", task("t1"))
    assert quote["fills"] and quote["compute"] == "83.20"
    assert do("submit_task", "buyer", task("t1", work="make"))["status"] == "FILLED"
    assert do("submit_task", "buyer", task("t2", price_cap="1.00"))["status"] == "WAITING"
    assert do("demand", "other")["items"] == [], "one firm is nobody"
    amended = do("amend_task", "buyer", task("t2", price_cap="0.90"))
    assert amended["status"] == "WAITING" and amended["events"][1]["keeps_place"]
    assert do("task", "buyer", client_order_id="t2")["terms"]["price_cap"] == "0.90"
    assert do("cancel_task", "buyer", client_order_id="t2")["status"] == "CANCELED"
    assert do("task", "buyer", client_order_id="t1")["status"] == "filled"
    assert [each["client_order_id"] for each in do("tasks", "buyer")["items"]] == ["t2", "t1"]

    # Plain orders.
    assert do("place_order", "buyer", order("b1"))["status"] == "ACCEPTED"
    assert do("amend_order", "buyer", client_order_id="b1", price="3.10", cards="4")["status"] == "ACCEPTED"
    assert do("order", "buyer", client_order_id="b1")["price"] == "3.10"
    assert do("depth", "other", instrument=INSTRUMENT)["bids"] == [["3.10", "4"]]
    held = do("holds", "buyer")
    assert [each["reference"] for each in held["items"]] and held["held"] == do("account", "buyer")["held"]
    assert do("cancel_order", "buyer", client_order_id="b1")["status"] == "CANCELED"
    assert [each["status"] for each in do("orders", "buyer")["items"]] == ["canceled"]
    many = do("place_orders", "buyer", {"items": [order("m1"), order("m2") | {"price": 3}, order("m3", cards="0.001")]})
    assert [each.get("ack", each.get("error"))["reason"] for each in many["items"]] == ["", "INVALID_FIELD", "INVALID_FIELD"]
    gone = do("cancel_orders", "buyer", {"items": [{"client_order_id": name} for name in ("m1", "m2")]})
    assert [each["ack"]["status"] for each in gone["items"]] == ["CANCELED", "REJECTED"]
    assert do("cancel_after", "buyer", seconds=0)["status"] == "ACCEPTED"
    assert do("account", "buyer")["held"] == "0.00"

    # What was bought, and its delivery.
    assert [(each["cards"], each["hours"]) for each in do("leases", "buyer")["items"]] == [("8", "2")]
    owed = sorted(do("obligations", "seller")["items"], key=lambda each: each["obligation_id"])
    assert [each["cards"] for each in owed] == ["8", "8"]
    first, second = (each["obligation_id"] for each in owed)
    assert [
        each["obligation_id"] for each in do("due", "", period_start=owed[0]["period_start"])["items"]
    ] == [first]
    assert len(do("trades", "other")["items"]) == 2
    (dispatch,) = do("dispatches", "seller")["items"]
    assert [each["obligation_id"] for each in dispatch["hours"]] == [first, second] and dispatch["work"] == "make"
    lease = dispatch["lease_id"]
    assert do("give_access", "seller", lease_id=lease, access="ssh there")["events"][0]["command"] == "GiveAccess"
    assert do("return_result", "seller", lease_id=lease, exit_code=0, output="made")["status"] == "ACCEPTED"
    (mine,) = world.do("leases", "buyer")["items"]
    assert (mine["accesses"][0]["access"], mine["results"][0]["output"], mine["state"]) == ("ssh there", "made", "sold")
    assert do("set_meter", "seller", site="site-1", heartbeat_s=60)["status"] == "ACCEPTED"
    assert do("activity", "")["obligations"] == 2
    told = do("state", "")
    assert told["seq"] == world.do("health", None)["seq"] and len(told["state_hash"]) == 16
    assert len(do("state", "")["state_hash"]) == 16
    do(
        "announce_outage",
        "seller",
        site="site-1",
        start="2026-11-24T11:00:00+08:00",
        end="2026-11-24T12:00:00+08:00",
    )
    do("post_bond", "seller", amount="100.00")
    assert do("account", "seller")["bond"] == "100.00"
    world.do("advance_time", to="2026-11-24T09:30:00+08:00")
    do("submit_reading", "seller", obligation_id=first, number=1, delivered_cards="8")
    do("countersign_reading", "buyer", obligation_id=first, number=1)
    world.do("advance_time", to="2026-11-24T10:30:00+08:00")
    do("submit_reading", "seller", obligation_id=second, number=1, delivered_cards="8")
    do("dispute_reading", "buyer", obligation_id=second, delivered_cards="6")
    assert do("probe_reading", "", probe="probe-1", obligation_id=second, delivered_cards="6")["status"] == "ACCEPTED"
    late = world.ask("declare_failure", "seller", obligation_id=second)
    assert late.data["reason"] == "NOT_DUE"
    done.add("declare_failure")
    world.do("advance_time", to="2026-11-24T13:30:00+08:00")
    states = {each["obligation_id"]: each["status"] for each in do("obligations", "buyer")["items"]}
    assert states[first] == "delivered" and states[second] != "open"

    # Money and the operator.
    assert do("allow_emergency", "", participant="other", is_allowed=True)["status"] == "ACCEPTED"
    power = {"region": "hubei-wuhan", "start": "2026-11-25T00:00:00+08:00", "prices": ["0.40", "0.50"]}
    assert do("set_power_prices", "", power)["status"] == "ACCEPTED"
    assert do("prices", "buyer")["items"]
    batch = {"participant": "seller", "certificate_id": "plant-1", "region": "hubei-wuhan", "kind": "metered"}
    issued = do("issue_certificates", "", batch, start="2026-11-25T00:00:00+08:00", wh=[7_000, 0, 500], source="a plant")
    assert issued["events"][0] | {"issued_wh": 7_500, "status": "issued", "periods": 3} == issued["events"][0]
    held = {"participant": "seller", "region": "hubei-wuhan", "issued_wh": 7_000, "free_wh": 7_000}
    assert do("certificates", "seller")["items"][0].items() >= held.items()
    share = do("green_share", "buyer", day="2026-11-24")
    assert share["is_final"] is False, "the day is not over"
    (wuhan,) = share["items"]  # a reading of 8 cards, and of 6 that the buyer allowed; the venue asks for no certificates
    assert (wuhan["participant"], wuhan["region"], wuhan["green_wh"], wuhan["share"]) == ("buyer", "hubei-wuhan", 0, "0.0")
    assert wuhan["load_wh"] == 14 * next(chip["watts"] for chip in do("catalogue", "")["chips"] if chip["code"] == "A910B")
    family = INSTRUMENT.rpartition("/")[0]
    assert [each["trades"] for each in do("candles", "buyer", interval="1d", family=family)["items"]] == [2]
    assert do("curve", "buyer", family=family)["family"] == family
    assert [each["chip"] for each in do("indices", "buyer", chip="A910B", limit=1)["items"]] == ["A910B"]
    do("withdraw", "", participant="buyer", amount="10.00", reference="out")
    statement = do("statement", "buyer", day="2026-11-24")
    assert statement["opening"]["total"] == "0.00" and statement["lines"]
    line_id = statement["lines"][0]["line_id"]
    assert do("statement_line", "buyer", day="2026-11-24", line_id=line_id)["line"] == statement["lines"][0]
    assert do("statement_file", "buyer", day="2026-11-24", format="json")["lines"] == statement["lines"]
    assert do("statement_days", "buyer")["items"] == do("confirmations", "")["items"] == []  # the day is not over
    done |= {"confirm_statement"}
    early = world.ask("confirm_statement", "buyer", day="2026-11-24", hash="0" * 64)
    assert (early.reason, early.data["limit"]) == ("REFUSED", "STATEMENT_NOT_FINAL")
    assert {each["participant"] for each in do("accounts", "")["items"]} >= {"buyer", "seller", "other"}
    assert {each["participant"] for each in do("participants", "")["items"]} >= {"buyer", "seller", "other"}
    assert [each["site"] for each in do("sites", "seller")["items"]] == ["site-1"]
    done |= {
        "set_fix",
        "settle_period",
    }  # the clock's own doing: asked for again they are refused, numbered all the same
    fix = world.ask("set_fix", "", instrument=INSTRUMENT, price="5.20", grade="A", inputs_hash="00")
    assert fix.status == 200 and "seq" in fix.data, fix
    settled = world.ask("settle_period", "", period_start=owed[0]["period_start"])
    assert settled.status == 200 and "seq" in settled.data, settled
    stop = {"region": "hubei-wuhan", "start": "2026-11-26T00:00:00+08:00", "end": "2026-11-26T02:00:00+08:00"}
    ordered = do("order_curtailment", "", stop, reference="grid order 7")
    assert (ordered["status"], ordered["events"][0]["reference"]) == ("ACCEPTED", "grid order 7")
    done |= {"buy_in", "bust_trade", "adjust_trade"}  # of what is settled they are refused, numbered all the same
    for name, more in (("buy_in", {}), ("bust_trade", {"reason": "x"}), ("adjust_trade", {"reason": "x", "price": "5.00"})):
        late = world.ask(name, "", obligation_id=first, **more)
        assert late.data["reason"] == "UNKNOWN_OBLIGATION" and "seq" in late.data, late

    # Keys.
    made = world.do("create_key", participant="other", scopes=["read"], label="short")
    assert made["secret"].startswith("cpx_")
    world.do("account", made["secret"])
    assert made["key_id"] in {each["key_id"] for each in do("keys", "")["items"]}
    assert do("revoke_key", "", key_id=made["key_id"])["is_revoked"]
    assert world.ask("account", made["secret"]).reason == "WRONG_KEY"

    # Reports.
    begun = do("start_report", "")
    ready = until(
        lambda: (row := do("report", "", report_id=begun["report_id"]))["status"] != "running" and row
    )
    assert ready["status"] == "ready" and "trades.csv" in ready["files"], ready
    bearer = {"Authorization": f"Bearer {world.keys['']}"}
    file = world.send("GET", f"/v1/reports/{begun['report_id']}/files/trades.csv", None, bearer)
    assert file.status == 200 and len(file.body.splitlines()) == 3
    assert "attachment" in file.headers["content-disposition"]
    for bad in ("nothing.csv", "..%2Freport.json", "report.json", "%2e%2e"):
        assert world.send("GET", f"/v1/reports/{begun['report_id']}/files/{bad}", None, bearer).status == 404

    # History is of days that are over: tests/gateways/rest/test_history.py.
    assert world.ask("history", "buyer", day="2026-11-24", channel="trades").reason == "REFUSED"
    done.add("history")

    assert done == set(OPERATIONS), set(OPERATIONS) - done


def test_pages_lead_to_each_other_by_cursor_and_by_link(world):
    for number in range(7):
        world.do("place_order", "other", order(f"page-{number}", instrument=INSTRUMENT.replace("T00", "T20")))
    whole = [each["client_order_id"] for each in world.do("orders", "other")["items"]]
    assert whole == [f"page-{number}" for number in reversed(range(7))]
    bearer = {"Authorization": f"Bearer {world.keys['other']}"}
    seen, target = [], "/v1/orders?limit=3"
    while target:
        reply = world.send("GET", target, None, bearer)
        seen.append([each["client_order_id"] for each in reply.data["items"]])
        link = reply.headers.get("link", "")
        assert bool(link) == ("next_cursor" in reply.data and reply.data["next_cursor"] is not None)
        target = link.partition("<")[2].partition(">")[0]
        assert not target or ("limit=3" in target and 'rel="next"' in link)
    assert sum(seen, []) == whole and [len(each) for each in seen] == [3, 3, 1]
    assert world.ask("orders", "other", cursor="bm9uc2Vuc2U").reason in ("BAD_CURSOR", "INVALID_FIELD")


def test_an_answer_is_in_the_lists_as_soon_as_it_is_told(world):
    for number in range(20):
        world.do("place_order", "other", order(f"own-{number}", instrument=INSTRUMENT.replace("T00", "T21")))
        assert world.do("order", "other", client_order_id=f"own-{number}")["status"] == "live"
