"""The inputs of a fix as canonical text, and their hash: what `SetFix.inputs_hash` is the hash of.

One fact a line, lines in a fixed order, numbers in decimal. Firms stand with their numbers, so that the text can be
published. A fix states what was looked at until it was found: the trades of 3 hours for A, of 24 hours for B, with the
neighbours and all best asks for B by neighbours, and all of that and the index for C.
"""

from collections.abc import Iterator
from hashlib import blake2b

from exchange.domain.prices import DAY, GRADE_A_WINDOW_NS, GRADE_B_WINDOW_NS, TRADES, FixInputs, Found, Hour

FORM = "cpx-fix 1"  # raised when the text, or a constant of DI4 that it does not state, changes


def canonical_text(inputs: FixInputs, found: Found) -> str:
    """The text; each line ends with a line feed."""
    return "\n".join([*_lines(inputs, found), ""])


def inputs_hash(inputs: FixInputs, found: Found) -> str:
    """BLAKE2b of the canonical text, 128 bits, in hexadecimal."""
    return blake2b(canonical_text(inputs, found).encode("ascii"), digest_size=16).hexdigest()


def _lines(inputs: FixInputs, found: Found) -> Iterator[str]:
    yield FORM
    yield f"instrument {inputs.instrument}"
    yield f"gate {inputs.gate_ns}"
    yield f"settings tick_micro={inputs.tick_micro} min_lots={inputs.min_lots} half_spread_ppm={inputs.half_spread_ppm}"
    window_ns = GRADE_A_WINDOW_NS if found.method == TRADES else GRADE_B_WINDOW_NS
    if inputs.own.prints:
        yield from _trades(inputs.own, inputs.gate_ns - window_ns)
    if found.method in (TRADES, DAY):
        return
    yield f"ask 0 {inputs.own.ask_ticks}"
    for hour in inputs.nearby:
        yield f"ask {hour.offset:+d} {hour.ask_ticks}"
        if hour.prints:
            yield from _trades(hour, inputs.gate_ns - window_ns)
    if found.grade == "C":
        yield f"index previous_micro={inputs.previous_micro} level_then={inputs.previous_level} level_now={inputs.level}"


def _trades(hour: Hour, after_ns: int) -> Iterator[str]:
    """trade HOUR OBLIGATION TIME_NS TICKS LOTS BUYER SELLER, in the order of the log; same-firm trades are left out."""
    sign = f"{hour.offset:+d}" if hour.offset else "0"
    for p in hour.prints:
        if p.time_ns > after_ns and p.buyer_firm != p.seller_firm:
            yield f"trade {sign} {p.number} {p.time_ns} {p.price_ticks} {p.lots} {p.buyer_firm} {p.seller_firm}"
