"""The SDK of the exchange: typed, sync and async, light to import.

>>> from clients import Client, H
>>> cpx = Client()                      # CPX_URL and CPX_KEY, or ~/.config/cpx/client.toml
>>> pv = cpx.preview(cards=64, chips=["A910B"], hours=6, deadline=H("+2d"), access_region="hubei-wuhan", price_cap="8.50")
>>> o = cpx.buy(pv, client_order_id="train-042")     # safe to call twice
>>> for step in o.follow():
...     print(step.status, f"{step.filled}/{step.asked} {step.unit}")

Numbers go in as int, text or Decimal (a float is refused) and come out as Decimal; times go in as datetime, RFC 3339 text
or H and come out as datetime. docs/guides/sdk.md is the guide.
"""

from clients.book import AsyncBook, Book, Top
from clients.errors import (
    AuthenticationError,
    BadAnswer,
    ConfigError,
    CpxError,
    Denied,
    DuplicateId,
    ExchangeError,
    ExchangeNotAvailable,
    Expired,
    InsufficientFunds,
    InvalidOrder,
    InvalidRequest,
    KeyReused,
    NetworkError,
    NotFilled,
    NotFound,
    NotSupported,
    OrderNotFound,
    OrderStatusUnknown,
    PermissionDenied,
    RateLimited,
    Rejected,
    RequestTimeout,
    ServerFault,
    StaleBook,
    UnknownInstrument,
)
from clients.frames import MissingLibrary
from clients.handles import AsyncPlaced, Placed, Progress
from clients.listing import AsyncListing, Listing
from clients.live import Resync
from clients.models import Level
from clients.orders import Preview
from clients.own import Position
from clients.session import Sent
from clients.times import H
from clients.trading import AsyncClient, Client
from clients.views import CurveLook, DemandLook, LaneLook, PricesLook

__all__ = [
    "AsyncBook", "AsyncClient", "AsyncListing", "AsyncPlaced", "AuthenticationError", "BadAnswer", "Book", "Client",
    "ConfigError", "CpxError", "CurveLook", "DemandLook", "Denied", "DuplicateId", "ExchangeError",
    "ExchangeNotAvailable", "Expired", "H", "InsufficientFunds", "InvalidOrder", "InvalidRequest", "KeyReused",
    "LaneLook", "Level", "Listing", "MissingLibrary", "NetworkError", "NotFilled", "NotFound", "NotSupported",
    "OrderNotFound", "OrderStatusUnknown", "PermissionDenied", "Placed", "Position", "Preview", "PricesLook",
    "Progress", "RateLimited", "Rejected", "RequestTimeout", "Resync", "Sent", "ServerFault", "StaleBook", "Top",
    "UnknownInstrument",
]  # fmt: skip
