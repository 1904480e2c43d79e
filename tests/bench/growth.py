"""A flow whose books and resting orders grow with its length: the same proportions at every size, from a seed, made without a loop.

First every order is placed, then commands fall on them at random: cancel and a new one in its place, replace, or an
aggressive order (immediate or cancel) against its book. Proportions are those of the flow `wide`; records as in flow.py.
"""

import sys

import numpy as np

DTYPE = np.dtype([("op", "u1"), ("side", "u1"), ("tif", "<u2"), ("book", "<u4"),
                  ("order_id", "<u8"), ("price", "<i8"), ("qty", "<i8")])
NEW, CANCEL, REPLACE = 1, 2, 3
IOC = 1
PLACE, RENEW, MOVE, TAKE = range(4)
SHARES = (0.818, 0.073, 0.109)  # of RENEW (two commands), MOVE and TAKE
PLACES_PER_RESTING = 1.11  # some places are empty: their order was filled
MID, MEAN_DISTANCE, LARGEST_DISTANCE = 100_000, 6.25, 100
MEAN_QTY, LARGEST_QTY = 50, 2000
P_STEP = 0.02  # of a book's middle, up and down, at each of its orders


def generate(n: int, seed: int, n_books: int, n_resting: int) -> np.ndarray:
    """n commands over n_books books that keep about n_resting orders in them."""
    rng = np.random.default_rng(seed)
    n_places = min(n, int(n_resting * PLACES_PER_RESTING))
    kind, n_commands = _acts(rng, n, n_places)
    acts = len(kind)
    place = np.concatenate([np.arange(n_places), rng.integers(0, n_places, acts - n_places)])
    place_book, place_side = rng.integers(0, n_books, n_places), rng.integers(0, 2, n_places)
    is_take = kind == TAKE
    book = np.where(is_take, rng.integers(0, n_books, acts), place_book[place])
    side = np.where(is_take, rng.integers(0, 2, acts), place_side[place])
    distance = np.minimum(rng.geometric(1 / MEAN_DISTANCE, acts), LARGEST_DISTANCE)
    qty = np.minimum(rng.geometric(1 / MEAN_QTY, acts), LARGEST_QTY)
    middle = MID + _walk(book, rng.choice([-1, 0, 1], acts, p=[P_STEP, 1 - 2 * P_STEP, P_STEP]))
    price = middle + np.where(is_take == (side == 0), distance, -distance)
    is_new = kind != MOVE
    order_id = np.where(is_new, np.cumsum(is_new), 0)
    before = _ids_before(place, order_id, is_take)

    out = np.zeros(n, DTYPE)
    last = np.cumsum(n_commands) - 1
    for name, column in (("book", book), ("side", side), ("price", price), ("qty", qty)):
        out[name][last] = column
    out["op"][last] = np.where(is_new, NEW, REPLACE)
    out["tif"][last] = np.where(is_take, IOC, 0)
    out["order_id"][last] = np.where(is_new, order_id, before)
    renewed = kind == RENEW
    first = last[renewed] - 1
    out["op"][first] = CANCEL
    for name, column in (("book", book), ("side", side), ("order_id", before)):
        out[name][first] = column[renewed]
    return out


def _acts(rng: np.random.Generator, n: int, n_places: int) -> tuple[np.ndarray, np.ndarray]:
    """(kinds of act, commands of each): first every place, then as many as n commands allow."""
    kind = np.concatenate([np.full(n_places, PLACE), rng.choice([RENEW, MOVE, TAKE], n - n_places, p=SHARES)])
    n_commands = np.where(kind == RENEW, 2, 1)
    fits = np.cumsum(n_commands) <= n
    kind, n_commands = kind[fits], n_commands[fits]
    if n_commands.sum() < n:
        kind, n_commands = np.append(kind, TAKE), np.append(n_commands, 1)
    return kind, n_commands


def _walk(book: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Each book's sum of its steps so far."""
    order = np.argsort(book, kind="stable")
    total = np.cumsum(step[order])
    starts = np.flatnonzero(np.diff(book[order], prepend=-1))
    before = total[starts] - step[order][starts]
    walked = np.empty_like(total)
    walked[order] = total - np.repeat(before, np.diff(starts, append=len(book)))
    return walked


def _ids_before(place: np.ndarray, order_id: np.ndarray, is_take: np.ndarray) -> np.ndarray:
    """The order that a place held before each act; nothing sensible where an act is the first or takes."""
    owners = np.flatnonzero(~is_take)
    order = owners[np.argsort(place[owners], kind="stable")]
    made = np.where(order_id[order] > 0, np.arange(len(order)), 0)
    latest = order[np.maximum.accumulate(made)]
    before = np.zeros(len(place), np.int64)
    before[order[1:]] = order_id[latest[:-1]]
    return before


if __name__ == "__main__":
    n, seed, n_books, n_resting, path = *map(int, sys.argv[1:5]), sys.argv[5]
    generate(n, seed, n_books, n_resting).tofile(path)
