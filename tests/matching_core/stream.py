"""Random commands that meet each other: few ids, books, accounts and prices, now and then a number from the edge."""

from matching_core.enums import Op

LATER_OPS = (
    Op.MASS_CANCEL, Op.SET_PHASE, Op.UNCROSS, Op.SET_BOOK, Op.SET_BANDS, Op.SET_REFERENCE, Op.SET_FIX,
    Op.SESSION_CLOSE, Op.KILL, Op.LIFT,
)  # fmt: skip
ORDER_OPS = (Op.CANCEL, Op.REPLACE, Op.REDUCE, Op.AMEND)
OPS = (
    [Op.NEW] * 14 + [Op.CANCEL] * 2 + [Op.REPLACE] * 2 + [Op.REDUCE] + [Op.AMEND] * 4 + [Op.ADVANCE_TIME]
    + [Op.OPEN_ACCOUNT] + [Op.TRANSFER] * 3 + [Op.SET_FEE] + [Op.LIST_BOOK] * 2 + [Op.SET_CAPACITY] * 2
    + [Op.TAKE] * 3 + [Op.ADJUST_SOLD]
)  # fmt: skip
OPS_OF_ALL_RULES = (
    OPS + [Op.NEW] * 46 + [Op.AMEND] * 4 + [Op.UNCROSS] * 8 + [Op.SET_PHASE] * 2 + [Op.SET_BOOK] * 2 + [Op.SET_BANDS] * 2
    + [Op.SET_REFERENCE] * 2 + [Op.SET_FIX] + [Op.SESSION_CLOSE] + [Op.KILL] + [Op.LIFT] * 6 + [Op.MASS_CANCEL]
    + [Op.ADVANCE_TIME]
)  # fmt: skip
EDGES = (
    0, 1, -1, 2, 10**12, 10**12 + 1, 4 * 10**18, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 2**32 - 1, 2**32, 255,
    256, 10**30, -(10**30),
)  # fmt: skip
FLAVOURS = [(False, False), (True, False), (False, True), (True, True)]  # check_funds, listed_only


def opening():
    """Accounts with money, a listed book in a capacity group with a gate, and capacity: so that rules have work."""
    yield from ({"op": Op.OPEN_ACCOUNT, "account": account, "book": account} for account in (1, 2, 3))
    yield from ({"op": Op.TRANSFER, "account": 0, "book": account, "qty": 90_000} for account in (1, 2))
    yield {"op": Op.TRANSFER, "account": 0, "book": 1, "order_type": 1, "qty": 30_000}
    yield {"op": Op.SET_FEE, "side": 0, "price": 1500}
    yield {"op": Op.SET_FEE, "side": 1, "price": 333_333}
    yield {"op": Op.LIST_BOOK, "book": 0, "price": 1, "qty": 25, "aux": 1, "expiry_ns": 500}
    yield {"op": Op.LIST_BOOK, "book": 1, "price": 3, "aux": 1}
    yield from ({"op": Op.SET_CAPACITY, "account": account, "aux": 1, "qty": 200} for account in (2, 3))


def command(random, now_ns, live, rules=1):
    """One command as keyword arguments of `submit`; random is a random.Random, live maps ids to accounts.

    rules is the RULES_VERSION that is spoken: 1 has no command and no field of later rules.
    """
    pick = random.choice
    op = pick(OPS if rules == 1 else OPS_OF_ALL_RULES) if random.random() < 0.99 else random.randrange(256)
    if rules == 1 and op in LATER_OPS:
        op = 0
    fields = {
        "side": pick((0, 1)), "book": pick((0, 0, 1, 1, 2, 3)), "account": pick((1, 2, 2, 3, 3, 0)),
        "order_id": random.randrange(48), "price": random.randrange(95, 106), "qty": random.randrange(-1, 30),
        "client_ref": pick((0, 0, 5, 2**63, 1_234_567)), "aux": random.randrange(4),
    }  # fmt: skip
    if op in ORDER_OPS and live and random.random() < 0.8:
        fields["order_id"] = pick(sorted(live))
        fields["account"] = live[fields["order_id"]]
    if op == Op.NEW:
        fields |= {"tif": pick((0, 0, 0, 0, 1, 2, 3)), "expiry_ns": now_ns + random.randrange(-1, 40)}
    if op == Op.ADVANCE_TIME:
        fields["aux"] = now_ns + random.randrange(-1, 20)
    if op == Op.TRANSFER:
        fields |= {"account": pick((0, 0, 1, 2)), "side": pick((0, 0, 1, 2)), "order_type": pick((0, 0, 1, 2, 3)),
                   "qty": pick((10_000, 3_000, 1, 4 * 10**18))}  # fmt: skip
    if op == Op.SET_FEE:
        fields["price"] = pick((0, 1500, 10**6, 777_777))
    if op == Op.LIST_BOOK:
        fields |= {"price": pick((1, 3, 1000)), "qty": pick((0, 20)), "expiry_ns": pick((0, now_ns + 50))}
    if op == Op.SET_CAPACITY:
        fields |= {"qty": pick((0, 50, 100, 500)), "aux": pick((1, 1, 2))}
    if op == Op.TAKE:
        fields |= {"account": pick((1, 2)), "aux": pick((2, 3)), "side": 0, "price": 200, "qty": random.randrange(1, 9),
                   "order_type": pick((0, 1)), "client_ref": pick((0, 5, 10**6))}  # fmt: skip
    if rules > 1:
        fields |= of_later_rules(random, op, now_ns)
    if random.random() < 0.03:
        fields[pick(sorted(fields))] = pick(EDGES)
    return {"op": op} | fields


def of_later_rules(random, op, now_ns):
    """The fields that only engines with every rule understand."""
    pick = random.choice
    if op == Op.NEW:
        flags = pick((0, 0, 0, 0, 1, 1, 2, 2, 2, 4, 4, 8, 8, 16, random.randrange(64)))
        return {"flags": flags, "tif": pick((0, 0, 0, 0, 0, 1, 2, 3, 4)), "stp": pick((0, 0, 0, 1, 2, 3, 4)),
                "order_type": pick((0, 0, 0, 1)), "aux": pick((0, 1, 2, 3, 5, 7)),
                "qty": pick((random.randrange(-1, 30), random.randrange(1, 12)))}  # fmt: skip
    if op == Op.ADVANCE_TIME:
        return {"aux": now_ns + random.randrange(-1, 70)}
    if op == Op.SET_REFERENCE:
        return {"price": pick((0, 98, 100, 100, 102))}
    if op == Op.SET_PHASE:
        return {"flags": pick((0, 0, 1, 2, 8)), "aux": pick((1, 1, 1, 1, 0, 2, 3, 4, 5)), "expiry_ns": pick((0, 0, now_ns + 5))}
    if op == Op.UNCROSS:
        return {"aux": pick((2, 2, 2, 2, 2, 5)), "side": 0}
    if op == Op.SET_BOOK:
        return {"flags": random.randrange(16), "stp": pick((0, 0, 0, 1, 2, 3, 4)), "order_type": random.randrange(3),
                "price": pick((0, 10_000, 50_000)), "qty": pick((0, 0, 0, 2)), "aux": pick((0, 0, 5)),
                "expiry_ns": pick((0, now_ns + 60, now_ns + 600))}  # fmt: skip
    if op == Op.SET_BANDS:
        return {"price": pick((0, 0, 40_000)), "qty": pick((0, 0, 20_000, 30_000)), "aux": pick((0, 5_000, 10_000))}
    if op in (Op.MASS_CANCEL, Op.SESSION_CLOSE):
        return {"flags": pick((1, 2, 4, 8, 12, 5, 6, 0, 16)) if op == Op.MASS_CANCEL else pick((0, 4))}
    if op in (Op.KILL, Op.LIFT):
        return {"flags": pick((1, 1, 1, 2, 2, 3))}
    return {}
