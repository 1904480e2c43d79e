"""The operation about what the feed told on a day that is over."""

import asyncio

from exchange.gateways import history_view as past
from exchange.gateways.questions import Surroundings, question
from exchange.protocol import requests_operator as ro
from exchange.protocol.answers_feed import HistoryFile
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures, invalid, time_text
from exchange.protocol.stream import RECORDED

NAMES = frozenset(("history",))


@question
async def _history(x: Surroundings, args: ro.HistoryOf, _who: str, m: Measures) -> HistoryFile:
    """UNKNOWN_CHANNEL, REFUSED for a day that is not over, NOT_FOUND for one of which there is nothing."""
    if args.channel not in RECORDED:
        told = f"there is history of {', '.join(RECORDED)}"
        raise DoorError(DoorReason.UNKNOWN_CHANNEL, f"channel {args.channel[:40]!r} has none: {told}", field="channel")
    window = past.day_window(args.day, m.settings.time_zone)
    if window.to_ns > x.handle.now_ns:
        over = f"{args.day} is over at {time_text(window.to_ns)}, it is {time_text(x.handle.now_ns)}"
        raise DoorError(DoorReason.REFUSED, over, field="day", limit="DAY_NOT_OVER", hint="subscribe to what is being told")
    if x.feed_history is None:
        raise invalid("day", "no history is written here", "ask the exchange itself")
    row = await asyncio.to_thread(x.feed_history.look, args.day, args.channel, x.handle.seq)
    if row.status == "none":
        raise DoorError(DoorReason.NOT_FOUND, row.problem, field="day")
    return HistoryFile(
        day=args.day, channel=args.channel, status=row.status, percent=row.percent, messages=row.messages, size=row.size,
        problem=row.problem,
    )  # fmt: skip
