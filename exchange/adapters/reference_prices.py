"""What a card-hour of each chip is listed at: task caps are drawn around it (docs/guides/alibaba_trace.md).

Facts read off public price lists in 2025 and rounded, in thousandths of a US dollar; the guesses are marked.
"""

from exchange.domain.units import PPM

USD_RATE_PPM = 7_100_000  # yuan per US dollar, in millionths; an option everywhere it is used

LIST_PRICE_MILLI_USD = {
    "T4": 350,
    "P100": 1_280,
    "V100M16": 830,
    "V100M32": 910,  # guess: a tenth above the 16 GB card; the lists do not tell them apart
    "A10": 750,
    "G2": 750,  # guess: as A10
    "A100-SXM-80": 1_800,
    "G3": 1_800,  # guess: as A100-SXM-80
    "H100-SXM-80": 2_700,
    "H800": 2_400,  # guess: a little below H100
    "A910B": 1_150,  # guess: A100 by arithmetic, a third cheaper
    "MI300X": 2_500,
    "L40S": 1_000,
    "RTX4090": 400,
    "K920": 400,  # guess: 16 cores at 0.025 a core-hour
    "SW26010P": 900,  # guess
}


def list_price_micro(chip: str, usd_rate_ppm: int = USD_RATE_PPM) -> int:
    """Listed price of a chip in micro-yuan per card-hour; KeyError for a chip without one."""
    return LIST_PRICE_MILLI_USD[chip] * 1_000 * usd_rate_ppm // PPM


def to_tick(price_micro: int, tick_micro: int) -> int:
    """A price rounded up to whole ticks, at least one."""
    return max(1, -(-price_micro // tick_micro)) * tick_micro
