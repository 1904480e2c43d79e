"""What the exchange counts of itself, as Prometheus reads it at /metrics. Base units in names: seconds, bytes, ratio."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from exchange.engine.handle import Handle, WriterStats
from exchange.engine.writer_stats import BOUNDS_US

REQUEST_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
NS_PER_S = 1_000_000_000
US_PER_S = 1_000_000
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Source(NamedTuple):
    """A number that somebody else counts: name without prefix, help, "counter" or "gauge", how to read it."""

    name: str
    help: str
    kind: str
    read: Callable[[], int]


class Sources(NamedTuple):
    """The same of several parts: label, and how to read (its value, number) of each."""

    name: str
    help: str
    kind: str
    label: str
    read: Callable[[], Iterable[tuple[str, int]]]


class Metrics:
    """The registry of one exchange."""

    def __init__(self, handle: Handle, stored_seq: Callable[[], int], sources: Iterable[Source | Sources] = ()) -> None:
        """`sources` adds what other parts count: connections and messages of the socket."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Engine(handle, stored_seq, tuple(sources)))
        self._requests = Counter(
            "cpx_http_requests", "REST requests by operation and status.", ("operation", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "cpx_http_request_seconds", "Time from the first byte of a REST request to its answer.", ("operation",),
            registry=self._registry, buckets=REQUEST_BOUNDS_S,
        )  # fmt: skip
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def seen(self, operation: str, status: int, took_ns: int) -> None:
        """One REST request was answered."""
        children = self._children.get((operation, status))
        if children is None:
            children = (self._requests.labels(operation, str(status)), self._seconds.labels(operation))
            self._children[(operation, status)] = children
        children[0].inc()
        children[1].observe(took_ns / NS_PER_S)

    def text(self) -> bytes:
        """Everything as the text format has it."""
        return generate_latest(self._registry)


class _Engine(Collector):
    """Read at each scrape from the engine's own counters, so that the market pays nothing for them."""

    def __init__(self, handle: Handle, stored_seq: Callable[[], int], sources: tuple[Source | Sources, ...]) -> None:
        self._handle, self._stored_seq, self._sources = handle, stored_seq, sources

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        handle, stats = self._handle, self._handle.stats
        yield CounterMetricFamily("cpx_commands", "Commands made durable and applied since the start.", stats.commands)
        yield CounterMetricFamily("cpx_frames", "Frames of the journal written since the start.", stats.frames)
        yield CounterMetricFamily("cpx_busy", "Commands refused because too many were waiting.", stats.busy)
        yield _durations("cpx_fsync_seconds", "Write and sync of one frame.", stats, "append")
        yield _durations("cpx_apply_seconds", "Apply and hand-out of one frame.", stats, "apply")
        yield _durations("cpx_snapshot_seconds", "Standstill for one snapshot.", stats, "snapshot")
        yield GaugeMetricFamily("cpx_seq", "Number of the last applied command.", handle.seq)
        yield GaugeMetricFamily("cpx_durable_seq", "Number of the last command on the disk.", handle.durable_seq)
        yield GaugeMetricFamily("cpx_stored_seq", "Number of the last command in the database.", self._stored_seq())
        yield GaugeMetricFamily("cpx_waiting_commands", "Commands taken and not yet in a frame.", handle.waiting)
        yield GaugeMetricFamily("cpx_epoch", "Starts of this exchange.", handle.epoch)
        yield GaugeMetricFamily("cpx_halted", "1 when the venue has stopped for a fault of ours.", int(bool(handle.halted)))
        yield GaugeMetricFamily("cpx_problems", "Parts beside the venue that have stopped.", len(handle.problems))
        for source in self._sources:
            family = CounterMetricFamily if source.kind == "counter" else GaugeMetricFamily
            if isinstance(source, Source):
                yield family(f"cpx_{source.name}", source.help, source.read())
                continue
            labelled = family(f"cpx_{source.name}", source.help, labels=(source.label,))
            for value, number in source.read():
                labelled.add_metric((value,), number)
            yield labelled


def _durations(name: str, meaning: str, stats: WriterStats, which: str) -> HistogramMetricFamily:
    histogram = getattr(stats, which)
    buckets, run = [], 0
    for bound_us, count in zip(BOUNDS_US, histogram.counts, strict=False):
        run += count
        buckets.append((repr(bound_us / US_PER_S), float(run)))
    buckets.append(("+Inf", float(histogram.count)))
    return HistogramMetricFamily(name, meaning, buckets=buckets, sum_value=histogram.total_us / US_PER_S)
