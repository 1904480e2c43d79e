"""What self-dealing moves: sham lots around honest flow, the fix beside a plain median and an average. Draws and tells.

    python tests/bench/self_dealing.py [--png docs/self_dealing.png] [--markets 400] [--seed 1]

Each market is an honest flow of three hours: 24 trades between 8 buyers and 8 sellers, 10 to 60 lots each, prices around
8.00 with a spread of 1 %. Then firms that are in league trade with each other, in the last minutes, 25 % above. Two of
them are one pair; three of them are three pairs that trade the same lots each.
"""

from __future__ import annotations

import argparse
import random
import statistics
from dataclasses import dataclass

from exchange.domain.prices import FixInputs, Hour, Print, by_trades, lots_of_pairs, lower_median
from exchange.domain.units import NS_PER_HOUR, NS_PER_MINUTE

GATE_NS = 10**18
SHAM_TICKS = 1_000
SHARES = (0, 5, 10, 20, 30, 40, 50, 75, 100, 150, 200, 300)  # sham lots in percent of the honest ones
FEE_PPM = 5_000


@dataclass
class Moved:
    """What a sham of one size did, over all markets: in percent of the honest fix, and as a quantile of honest lots."""

    mean: float
    worst: float
    quantile: float


def honest_market(rng: random.Random) -> list[Print]:
    """No pair has more than half of the lots: 24 trades are spread over 64 pairs."""
    prints = []
    for number in range(24):
        ticks = round(rng.gauss(800, 8))
        at_ns = GATE_NS - rng.randrange(NS_PER_MINUTE, 3 * NS_PER_HOUR)
        prints.append(Print(at_ns, ticks, rng.randrange(10, 61), rng.randrange(8), 10 + rng.randrange(8), number))
    assert 2 * max(lots_of_pairs(prints).values()) <= sum(p.lots for p in prints)
    return prints


def sham(lots: int, firms: int) -> list[Print]:
    """Two firms in one pair, or three in three."""
    pairs = ((900, 901),) if firms == 2 else ((900, 901), (901, 902), (902, 900))
    each = [lots // len(pairs) + (place < lots % len(pairs)) for place in range(len(pairs))]
    return [
        Print(GATE_NS - NS_PER_MINUTE, SHAM_TICKS, size, *pair, 1000 + place)
        for place, (pair, size) in enumerate(zip(pairs, each, strict=True)) if size
    ]


def fix_of(prints: list[Print]) -> int:
    """Grade A, in ticks."""
    found = by_trades(FixInputs("X", GATE_NS, 10_000, 30, 10_000, Hour(0, 0, tuple(prints))))
    assert found is not None and found.grade == "A"
    return found.price_ticks


def plain_median(prints: list[Print]) -> int:
    """Without the cap."""
    return lower_median([(p.price_ticks, p.lots) for p in prints])


def average(prints: list[Print]) -> float:
    """By lots."""
    return sum(p.price_ticks * p.lots for p in prints) / sum(p.lots for p in prints)


def quantile_of(honest: list[Print], ticks: float) -> float:
    """The part of the honest lots below a price."""
    return sum(p.lots for p in honest if p.price_ticks < ticks) / sum(p.lots for p in honest)


def measure(markets: list[list[Print]], method, firms: int, percent: int) -> Moved:
    moved, places = [], []
    for honest in markets:
        lots = sum(p.lots for p in honest) * percent // 100
        before, after = method(honest), method([*honest, *sham(lots, firms)])
        moved.append(100 * (after - before) / before)
        places.append(quantile_of(honest, after))
    return Moved(statistics.mean(moved), max(moved), max(places))


def bound(percent: int, firms: int) -> float:
    """The quantile of honest lots that the fix cannot pass: 1 / (2 (1 - x)), x = share of the weight."""
    x = percent / (100 + percent)
    x = min(x, 1 / 3) if firms == 2 else x
    return min(1.0, 1 / (2 * (1 - x)))


WAYS = (("two firms, the fix", fix_of, 2), ("three firms, the fix", fix_of, 3),
        ("two firms, a median without cap", plain_median, 2), ("two firms, an average", average, 2))  # fmt: skip


def main() -> None:
    """Prints a Markdown table, and draws where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--png", default="")
    parser.add_argument("--markets", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    markets = [honest_market(rng) for _ in range(args.markets)]
    lots = statistics.mean(sum(p.lots for p in honest) for honest in markets)
    found = {(name, percent): measure(markets, method, firms, percent) for name, method, firms in WAYS for percent in SHARES}
    print(f"{args.markets} markets of {lots:.0f} lots, seed {args.seed}; sham price +25 %\n")
    print("| sham lots, % of honest | bound, two firms | " + " | ".join(name for name, *_ in WAYS) + " | fee paid |")
    print("|---|---|" + "---|" * len(WAYS) + "---|")
    for percent in SHARES:
        cells = [f"+{found[name, percent].mean:.2f} % (+{found[name, percent].worst:.2f} %)" for name, *_ in WAYS]
        fee = lots * percent / 100 / 10 * SHAM_TICKS / 100 * FEE_PPM / 1_000_000
        print(f"| {percent} | {100 * bound(percent, 2):.0f} % | " + " | ".join(cells) + f" | {fee:.2f} |")
    for name, method, firms in WAYS[:2]:
        for percent in SHARES:
            assert found[name, percent].quantile <= bound(percent, firms) + 1e-9, (name, percent)
    if args.png:
        draw(args.png, found)


def draw(path: str, found: dict) -> None:
    """Left: how far the reference moves. Right: which quantile of the honest lots it reaches at worst, and the bound."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = ("#1b6ca8", "#c8553d", "#8a8d91", "#e0a526")
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    for (name, _, _), colour in zip(WAYS, colours, strict=True):
        style = {"linewidth": 6, "alpha": 0.5, "zorder": 1} if "without cap" in name else {"linewidth": 1.8}
        left.plot(SHARES, [found[name, each].mean for each in SHARES], color=colour, label=name, **style)
        left.plot(SHARES, [found[name, each].worst for each in SHARES], color=colour, linewidth=0.8, linestyle=":")
        if "average" not in name:
            right.plot(SHARES, [100 * found[name, each].quantile for each in SHARES], color=colour, label=name, **style)
    fine = range(0, 301, 2)
    right.plot(fine, [100 * bound(each, 2) for each in fine], "k--", linewidth=1, label="bound, two firms")
    right.plot(fine, [100 * bound(each, 3) for each in fine], "k:", linewidth=1, label="bound, three firms")
    left.set(xlabel="sham lots, % of honest lots", ylabel="moved, % (dotted: the worst market)", title="How far the reference moves")
    right.set(xlabel="sham lots, % of honest lots", ylabel="quantile of honest lots, %", title="Where it ends at worst", ylim=(45, 102))
    for axis in (left, right):
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
