"""Random commands that meet each other: few ids, books, accounts and prices, now and then a number from the edge."""

from matching_core.enums import Op

ORDER_OPS = (Op.CANCEL, Op.REPLACE, Op.REDUCE, Op.AMEND)
OPS = (
    [Op.NEW] * 14 + [Op.CANCEL] * 2 + [Op.REPLACE] * 2 + [Op.REDUCE] + [Op.AMEND] * 4 + [Op.ADVANCE_TIME]
    + [Op.OPEN_ACCOUNT] + [Op.TRANSFER] * 3 + [Op.SET_FEE] + [Op.LIST_BOOK] * 2 + [Op.SET_CAPACITY] * 2
    + [Op.TAKE] * 3 + [Op.ADJUST_SOLD]
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


def command(random, now_ns, live):
    """One command as keyword arguments of `submit`; random is a random.Random, live maps ids to (account, ...)."""
    pick = random.choice
    op = pick(OPS) if random.random() < 0.99 else random.randrange(256)
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
    if random.random() < 0.03:
        fields[pick(sorted(fields))] = pick(EDGES)
    return {"op": op} | fields
