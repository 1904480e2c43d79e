"""A market morning of the demo as a list of commands, with plain bids in between: made once, played by many tests."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from exchange.domain import commands as c
from exchange.domain.instrument import split_book
from exchange.domain.venue import Venue
from exchange.engine.desk import Desk
from exchange.engine.sequencer import Answer
from exchange.replay.driver import Driver
from exchange.replay.scenario import market_day
from exchange.replay.view import VenueView

ENOUGH = 1_500


class _Recorder:
    """Applies what the driver and the desk send, and writes it down; places bids of its own at the asks' prices."""

    def __init__(self) -> None:
        self.venue = Venue()
        self.desk = Desk(self.venue)
        self.commands: list[Any] = []
        self.random = random.Random(7)
        self.bids = 0

    def submit(self, commands: list[Any]) -> list[Answer]:
        answers = []
        for command in commands:
            answers.append(self.apply(command))
            if self.random.random() < 0.2:
                self._bid()
        return answers

    def apply(self, command: Any) -> Answer:
        is_stop = self.desk.ends_frame(command)
        self.commands.append(command)
        seq = len(self.commands)
        events = self.venue.apply(seq, command)
        self.desk.on_command(seq, self.venue.now_ns, command, events)
        for follows in self.desk.due(self.venue.now_ns) if is_stop else ():
            self.apply(follows)
        return Answer(seq, events)

    def _bid(self) -> None:
        """Mostly below the best ask, so that it rests; sometimes at it; now and then one is taken back."""
        venue = self.venue
        books = sorted(venue.listed_books)
        buyers = [bid.participant for bid in venue.state.bids.values()] or sorted(venue.state.participants)
        if not books:
            return
        self.bids += 1
        book = self.random.choice(books[:5])
        asks = venue.core.depth(book, 3)[1]
        if not asks:
            return
        who = self.random.choice(sorted(set(buyers)))
        if self.random.random() < 0.3 and venue.state.bids:
            bid = next(iter(venue.state.bids.values()))
            self.apply(c.CancelOrder(bid.participant, bid.client_order_id))
            return
        ticks = asks[-1][0] - self.random.choice((0, 1, 5, 50))
        price = max(1, ticks) * venue.settings.tick_micro
        code = venue.instrument_code(*split_book(book))
        self.apply(c.PlaceOrder(who, f"plain-{self.bids}", code, "buy", price, self.random.randint(1, 30)))


@cache
def morning() -> tuple[Any, ...]:
    """The commands, in order; the same at every call."""
    recorder = _Recorder()
    day = market_day(1, 60)
    for _ in Driver(day, VenueView(recorder.venue), recorder.submit, seed=1, shortfall_ppm=0).run():
        if len(recorder.commands) > ENOUGH:
            break
    return tuple(recorder.commands)
