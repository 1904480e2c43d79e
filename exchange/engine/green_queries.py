"""Questions to the live venue about green power. Every function reads and changes nothing."""

from exchange.domain.venue import Venue
from exchange.protocol import answers_green as ag
from exchange.protocol.measures import Measures


def certificates(v: Venue, who: str, after: str, limit: int, m: Measures) -> tuple[tuple[ag.Certificate, ...], str]:
    """(certificates behind `after` by participant, region and period, key of the last, "" at the end); who "" = everybody's."""
    keys = {"/".join((key[0], key[1], f"{key[2]:08d}")): key for key in v.state.certificates if not who or key[0] == who}
    left = [text for text in sorted(keys) if text > after]
    items = []
    for text in left[:limit]:
        holder, region, period = keys[text]
        held = v.state.certificates[keys[text]]
        items.append(ag.Certificate(
            participant=holder, region=region, period_start=m.time_text(v.periods.start(period)), issued_wh=held.issued_wh,
            free_wh=held.free_wh, pledged_wh=held.pledged_wh, retired_wh=held.retired_wh,
        ))  # fmt: skip
    return tuple(items), left[limit - 1] if len(left) > limit else ""


def is_settled(v: Venue, end_ns: int) -> bool:
    """Whether everything that was to be delivered before a time is over and settled."""
    return end_ns <= v.now_ns and all(v.periods.start(period) >= end_ns for period in v.obligations_of_period)
