"""The two clients: AsyncClient for programs with an event loop, Client for everything else. Their methods are the same."""

import asyncio
from typing import Any, Self

from clients.clock import VenueClock
from clients.core import VALID_FOR_S, Core, Transport
from clients.delivery import Delivering
from clients.demo import open_demo
from clients.entry import Entry
from clients.feed import Wire
from clients.market import Market
from clients.operating import Operating
from clients.orders import Trading
from clients.own import Own
from clients.session import OnRequest
from clients.twin import Runner, Sync


class AsyncClient(Market, Trading, Entry, Own, Delivering, Operating):
    """A client whose methods are awaited, and whose lists and streams are read with `async for`.

    >>> async with AsyncClient() as cpx:
    ...     book = await cpx.watch_book("A910B/gansu-qingyang/L10/grid/20261124T08")
    ...     async for top in book.changes():
    ...         print(top.bid, top.ask)

    For one event loop. See clients.core.Core for the arguments.
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, *, session: Transport = "rest", participant: str | None = None,
        timeout_s: float = 10, patience_s: float = 15, staleness_s: float = 3, valid_for_s: int | None = VALID_FOR_S,
        on_request: OnRequest | None = None, wire: Wire = "json", cancel_on_disconnect: bool = False,
    ) -> None:  # fmt: skip
        """Address and key: arguments, CPX_URL and CPX_KEY, or client.toml. session="socket": requests go over the socket.

        participant: whom to act for with a key of the operator. timeout_s is for one attempt, patience_s for all attempts
        of a call. staleness_s: so long may the socket be silent. valid_for_s: a command that comes later than this, by the
        venue's clock, is not executed; None = whenever it comes. on_request: told every REST request as it is sent. wire:
        how the socket's messages are written. cancel_on_disconnect (with session="socket"): plain orders that were placed
        over a connection are taken back by the exchange when that ends.
        """
        self._core = Core(
            url, key, session=session, participant=participant, timeout_s=timeout_s, patience_s=patience_s,
            staleness_s=staleness_s, valid_for_s=valid_for_s, on_request=on_request, wire=wire,
            cancel_on_disconnect=cancel_on_disconnect,
        )  # fmt: skip

    @classmethod
    async def demo(cls, *, money: int = 1_000_000, speed: int = 60, seed: int = 1, session: Transport = "rest") -> Self:
        """As Client.demo."""
        found = await asyncio.to_thread(open_demo, Client, money=money, speed=speed, seed=seed)
        return cls(found.url, found.key, session=session)

    @property
    def url(self) -> str:
        """The address of the exchange."""
        return self._core.url

    @property
    def clock(self) -> VenueClock:
        """What time it is at the venue, as far as is known here."""
        return self._core.clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the socket and all connections."""
        await self._core.shut()


class Client(Sync, Market, Trading, Entry, Own, Delivering, Operating):
    """A client whose methods are simply called, and whose lists and streams are read with `for`.

    >>> cpx = Client()
    >>> pv = cpx.preview(cards=64, chips=["A910B"], hours=6, deadline=H("+2d"), access_region="hubei-wuhan",
    ...                  price_cap="8.50")
    >>> o = cpx.buy(pv, client_order_id="train-042")
    >>> o.wait()

    Its own event loop runs in its own thread, so it works inside a notebook or any other loop; safe for several threads.
    """

    def __init__(
        self, url: str | None = None, key: str | None = None, *, session: Transport = "rest", participant: str | None = None,
        timeout_s: float = 10, patience_s: float = 15, staleness_s: float = 3, valid_for_s: int | None = VALID_FOR_S,
        on_request: OnRequest | None = None, wire: Wire = "json", cancel_on_disconnect: bool = False,
    ) -> None:  # fmt: skip
        """The arguments of AsyncClient."""
        self._runner = Runner()
        self._core: Any = AsyncClient(
            url, key, session=session, participant=participant, timeout_s=timeout_s, patience_s=patience_s,
            staleness_s=staleness_s, valid_for_s=valid_for_s, on_request=on_request, wire=wire,
            cancel_on_disconnect=cancel_on_disconnect,
        )  # fmt: skip

    @classmethod
    def demo(cls, *, money: int = 1_000_000, speed: int = 60, seed: int = 1, session: Transport = "rest") -> Self:
        """A client of a demo exchange on this machine, with a new account that has so much money and may do everything.

        Attaches to the one that a program of yours keeps (then speed and seed are that one's), else starts one, which ends
        with this program. Other participants trade there by themselves; its day is `speed` times as fast as ours.
        """
        found = open_demo(Client, money=money, speed=speed, seed=seed)
        return cls(found.url, found.key, session=session)

    @property
    def url(self) -> str:
        """The address of the exchange."""
        url: str = self._core.url
        return url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the socket and all connections, and ends the thread."""
        self._runner.run(self._core.close())
        self._runner.stop()
