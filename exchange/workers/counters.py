"""What feed workers count, for the main address's /metrics."""

from collections.abc import Callable, Iterator
from functools import partial

from exchange.gateways.rest.metrics import Sources
from exchange.workers.keeper import FeedWorkers

LABEL = "worker"


def worker_sources(workers: Callable[[], FeedWorkers | None]) -> Iterator[Sources]:
    """One source for each figure, with a number for each worker."""
    kinds = (
        ("connections", "Open sockets of a feed worker.", "gauge"),
        ("opened", "Sockets that a feed worker has opened.", "counter"),
        ("messages", "Messages that a feed worker has sent.", "counter"),
        ("lagged", "Sockets a feed worker closed because nobody read them.", "counter"),
        ("feeds", "Feeds that a worker follows.", "gauge"),
        ("lag_us", "The longest time in the last second from the venue to a feed worker, microseconds.", "gauge"),
    )
    for name, meaning, kind in kinds:
        yield Sources(f"feed_worker_{name}", meaning, kind, LABEL, partial(_counts, workers, name))
    meaning = "Times a feed worker was started again."
    yield Sources("feed_worker_restarts", meaning, "counter", LABEL, partial(_restarts, workers))


def _counts(workers: Callable[[], FeedWorkers | None], name: str) -> list[tuple[str, int]]:
    found = workers()
    return [] if found is None else [(number, getattr(counts, name)) for number, counts in found.counts()]


def _restarts(workers: Callable[[], FeedWorkers | None]) -> list[tuple[str, int]]:
    found = workers()
    return [] if found is None else found.restarts()
