"""The channels that are looked at once a second, put together: those of a live venue, and of one that is replayed."""

from collections.abc import Iterable

from exchange.domain.events import Traded
from exchange.domain.venue import Venue
from exchange.projections.board import Board
from exchange.projections.candle_channel import CandleChannel
from exchange.projections.channels import MOST_LANES, DemandChannel, LaneChannel
from exchange.projections.price_channels import CurveChannel, PricesChannel

LiveViews = tuple[LaneChannel, DemandChannel, PricesChannel, CurveChannel, CandleChannel]


def live_views(v: Venue, board: Board, trades: Iterable[tuple[int, Traded]] = (), lanes: int = MOST_LANES) -> LiveViews:
    """All of them. trades: those of the venue's day before the start, with their times; lanes: that are open at a time."""
    return LaneChannel(v, lanes), DemandChannel(v), PricesChannel(v, board), CurveChannel(v, board), CandleChannel(v, trades)
