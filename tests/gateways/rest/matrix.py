"""What the permission matrix asks, at both doors: args for every operation, and a market in which other people own things."""

import itertools

from world import INSTRUMENT, offer, order, task

from exchange.protocol.operations import OPEN, OPERATIONS, SCOPES

# Fields of args that every operation can be asked with; what an operation lacks is added below.
WHEN = "2026-11-24T12:00:00Z"
ARGS = {
    "depth": {"instrument": INSTRUMENT},
    "lane": {"access_region": "hubei-wuhan", "chips": "A910B", "period_start": WHEN},
    "candles": {"interval": "1h", "chip": "A910B"},
    "curve": {"family": "A910B/hubei-wuhan/L1/grid"},
    "preview_task": task("x"),
    "submit_task": task("x"),
    "amend_task": task("mine", price_cap="0.90"),
    "cancel_task": {"client_order_id": "mine"},
    "task": {"client_order_id": "mine"},
    "place_order": order("x"),
    "amend_order": {"client_order_id": "mine-2", "price": "3.00", "cards": "1"},
    "cancel_order": {"client_order_id": "mine-2"},
    "place_orders": {"items": [order("x-1"), order("x-2")]},
    "cancel_orders": {"items": [{"client_order_id": "x-1"}]},
    "cancel_after": {"seconds": 0},
    "order": {"client_order_id": "mine-2"},
    "place_offer": offer("x"),
    "amend_offer": {"offer_id": "mine", "price": "5.00", "cards": "1"},
    "withdraw_offer": {"offer_id": "mine"},
    "unsold_hours": {"offer_id": "mine"},
    "submit_reading": {"obligation_id": 0, "number": 1, "delivered_cards": "1"},
    "countersign_reading": {"obligation_id": 0, "number": 1},
    "dispute_reading": {"obligation_id": 0, "delivered_cards": "1"},
    "announce_outage": {"site": "site-1", "start": WHEN, "end": WHEN},
    "probe_reading": {"probe": "probe-1", "obligation_id": 0, "delivered_cards": "1"},
    "declare_failure": {"obligation_id": 0},
    "set_meter": {"site": "site-1", "heartbeat_s": 60},
    "give_access": {"lease_id": "0", "access": "ssh there"},
    "return_result": {"lease_id": "0", "exit_code": 0, "output": "done"},
    "statement": {"day": "2026-11-24"},
    "history": {"day": "2026-11-23", "channel": "trades"},
    "statement_file": {"day": "2026-11-24", "format": "csv"},
    "statement_line": {"day": "2026-11-24", "line_id": "0-0"},  # `fill` puts one of the buyer's in
    "confirm_statement": {"day": "2026-11-24", "hash": "0" * 64},
    "post_bond": {"amount": "1.00"},
    "deposit": {"participant": "buyer", "amount": "1.00"},
    "withdraw": {"participant": "buyer", "amount": "1.00"},
    "add_participant": {"participant": "new", "firm": "new"},
    "allow_emergency": {"participant": "other", "is_allowed": True},
    "add_site": {"site": "new", "participant": "seller", "region": "hubei-wuhan"},
    "attest_capacity": {"site": "site-1", "chip": "A910B", "cards": "1", "start": WHEN, "end": WHEN},
    "set_venue": {"name": "x"},
    "load_catalogue": {"chips": [], "regions": [], "reach": [], "links": []},
    "set_tariff": {
        "version": 9,
        "effective": WHEN,
        "fee_standard_ppm": 0,
        "fee_economy_ppm": 0,
        "fee_emergency_ppm": 0,
    },
    "list_family": {"chip": "A910B", "region": "hubei-wuhan", "latency_class": "L1", "power": "green"},
    "set_fix": {"instrument": INSTRUMENT, "price": "1.00", "grade": "A", "inputs_hash": "0"},
    "set_power_prices": {"region": "hubei-wuhan", "start": WHEN, "prices": ["0.50"]},
    "issue_certificates": {
        "participant": "seller", "certificate_id": "plant-1", "region": "hubei-wuhan", "start": WHEN, "wh": [7_000],
        "kind": "metered", "source": "a plant",
    },
    "green_share": {"day": "2026-11-24"},
    "settle_period": {"period_start": WHEN},
    "buy_in": {"obligation_id": 0},
    "order_curtailment": {"site": "site-1", "start": WHEN, "end": WHEN, "reference": "order"},
    "bust_trade": {"obligation_id": 0, "reason": "wrong"},
    "adjust_trade": {"obligation_id": 0, "price": "1.00", "reason": "wrong"},
    "advance_time": {"to": WHEN},
    "due": {"period_start": WHEN},
    "create_key": {"scopes": ["read"]},
    "revoke_key": {"key_id": "nothing"},
    "report": {"report_id": "nothing"},
}
KEYED = [name for name, operation in OPERATIONS.items() if operation.scope != OPEN]
OWNED = [name for name in KEYED if OPERATIONS[name].owner == "own"]
# `fill` puts the number of an obligation in
READINGS = ("submit_reading", "countersign_reading", "dispute_reading", "probe_reading", "declare_failure")
LEASED = ("give_access", "return_result")
LISTS = {
    "certificates": "seller", "dispatches": "seller", "tasks": "buyer", "orders": "buyer", "leases": "buyer", "holds": "buyer",
    "offers": "seller", "sites": "seller",
}  # fmt: skip
LATER = {"start": "2026-11-25T08:00:00+08:00", "end": "2026-11-25T12:00:00+08:00"}


def state(world):
    """What no refused request may change."""
    answer = world.do("state", "")
    return answer["seq"], answer["state_hash"], len(world.do("keys", "")["items"])


def fill(world):
    """One of each kind that belongs to `buyer` or `seller`, under the name "mine", and keys that lack one scope each."""
    world.do("place_offer", "seller", offer("sold"))
    assert world.do("submit_task", "buyer", task("bought"))["status"] == "FILLED"
    owed = min(world.do("obligations", "buyer")["items"], key=lambda each: each["period_start"])
    for name in READINGS:
        ARGS[name] = ARGS[name] | {"obligation_id": owed["obligation_id"]}
    for name in LEASED:
        ARGS[name] = ARGS[name] | {"lease_id": owed["lease_id"]}
    world.do("advance_time", to="2026-11-24T09:30:00+08:00")
    world.do("submit_reading", "seller", ARGS["submit_reading"])
    world.do("place_offer", "seller", offer("mine", **LATER))
    world.do("issue_certificates", "", ARGS["issue_certificates"], certificate_id="mine", start=LATER["start"])
    world.do("submit_task", "buyer", task("mine", price_cap="1.00", deadline=LATER["end"]))
    world.do("place_order", "buyer", order("mine-2", instrument=INSTRUMENT.replace("24T", "25T")))
    for scope, owner in itertools.product(SCOPES, ({"participant": "buyer"}, {})):
        scopes = [each for each in SCOPES if each != scope and (each != "operate" or not owner)]
        made = world.do("create_key", "", dict(owner, scopes=scopes))
        world.keys[f"{owner.get('participant', '')}/not {scope}"] = made["secret"]
    assert_full(world)


def assert_full(world):
    """What the matrix asks for is there, whole, for those whom it belongs to."""
    for name, who in LISTS.items():
        assert world.do(name, who)["items"], name
    for who in ("buyer", "seller"):
        number = ARGS["submit_reading"]["obligation_id"]
        (first,) = (each for each in world.do("obligations", who)["items"] if each["obligation_id"] == number)
        assert (first["buyer"], first["seller"], first["reading"]) == ("buyer", "seller", 1)
        assert world.do("statement", who, day="2026-11-24")["lines"]
    assert world.do("task", "buyer", client_order_id="mine")["status"] == "waiting"
    assert world.do("order", "buyer", client_order_id="mine-2")["status"] == "live"
    assert world.do("unsold_hours", "seller", offer_id="mine")["items"]


def of_somebody_and_of_nobody(name):
    """Args that name a thing of another's, and the same with a thing that is not there; None where none is named."""
    args = ARGS.get(name, {})
    for field, value in args.items():
        if value in ("mine", "mine-2", "site-1"):
            fresh = {"offer_id": "y"} if name == "place_offer" else {}  # an id is taken by what it was first used for
            return args, args | {field: "none"} | fresh
        if field == "obligation_id":
            return args, args | {field: 999_999}
        if field == "lease_id":
            return args, args | {field: "999999"}
    return None
