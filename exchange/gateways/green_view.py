"""Green shares at the doors, from the tables."""

from exchange.gateways.cursors import text_cursor_of, text_of
from exchange.ports_history import History, Window
from exchange.projections.green import Hour, Use, shares
from exchange.projections.tape import instrument_parts
from exchange.protocol import answers_green as ag
from exchange.protocol import requests_green as g


def share_page(history: History, who: str, asked: g.GreenShareOf, window: Window, is_final: bool) -> ag.GreenSharePage:
    """Shares of a venue day by buyer and region; `who` "" = everybody's."""
    hours = (
        (Hour(row.buyer, instrument_parts(row.instrument).region, row.period_start_ns), Use(row.load_wh, row.green_wh))
        for row in history.green_use(who or None, window)
    )
    found = {"/".join(key): (key, use) for key, use in shares(hours).items()}
    after = text_of("green_share", asked.cursor)
    left = [text for text in sorted(found) if text > after]
    items = []
    for text in left[: asked.limit]:
        (buyer, region), use = found[text]
        items.append(ag.GreenShare(
            participant=buyer, region=region, load_wh=use.load_wh, green_wh=use.green_wh, share=use.share
        ))  # fmt: skip
    cursor = text_cursor_of("green_share", left[asked.limit - 1]) if len(left) > asked.limit else None
    return ag.GreenSharePage(day=asked.day, is_final=is_final, items=tuple(items), next_cursor=cursor)
