"""Requests of order entry for many orders at once, and for the time when nobody is there to cancel them."""

from typing import Annotated

from msgspec import Meta

from exchange.protocol.fields import Id
from exchange.protocol.requests import Body, OrderTerms, OwnOrder

MAX_BATCH = 512
MAX_CANCEL_AFTER_S = 86_400

Orders = Annotated[tuple[OrderTerms, ...], Meta(min_length=1, max_length=MAX_BATCH)]
OwnOrders = Annotated[tuple[OwnOrder, ...], Meta(min_length=1, max_length=MAX_BATCH)]
Seconds = Annotated[int, Meta(ge=0, le=MAX_CANCEL_AFTER_S)]


class PlaceOrders(Body, frozen=True, kw_only=True):
    """Plain orders, placed one after the other, each for itself: what is wrong with one harms no other."""

    items: Orders
    participant: Id | None = None


class CancelOrders(Body, frozen=True, kw_only=True):
    """Orders to be taken out of their books, each for itself."""

    items: OwnOrders
    participant: Id | None = None


class CancelAfter(Body, frozen=True, kw_only=True):
    """In so many seconds of venue time every plain order is canceled, unless this is said anew; 0: not any more."""

    seconds: Seconds
    participant: Id | None = None
