"""Prometheus metrics: counters of all worker processes, and gauges read from the database.

The endpoint is public. Each label value is therefore one of a few known values, such as a severity. A label
value never contains text of a request or of an event.
"""

import os
from collections import Counter as TallyCounter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from app import __version__
from app.domain.alert import severity_for_priority
from app.domain.errors import FatalError, Unavailable
from app.domain.severity import Severity
from app.formats import RejectionKind
from app.ingest.metrics import IngestMetrics
from app.store import alerts
from app.store.database import Database
from app.store.dialect import DatabaseSize, database_size
from app.store.traffic import TrafficCounts
from app.web.ttl_cache import TtlCache

# prometheus-client reads this environment variable when it is imported, so the variable must be set before
# the worker processes start.
MULTIPROC_DIR_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST

# The endpoint is public, so a cache limits how often a caller can make Deckwatch count alerts.
CACHE_TTL = timedelta(seconds=5)
# Each key is a kind of metrics file, and each value is the maximum size of one file of this kind.
# prometheus-client shares metrics between worker processes through these files. prometheus-client maps the
# files into memory. When a process writes to the memory, the file may need more space on the disk. If the
# disk is full, the kernel kills the process. `_preallocate_files` therefore reserves the space at startup.
_MMAP_FILE_BYTES = {"counter": 1 << 18, "gauge_livesum": 1 << 16, "histogram": 1 << 21}

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics(IngestMetrics):
    """The metrics of one process.

    If there are several worker processes, each process stores its metrics in the folder `multiproc_dir`. Each
    process reports the sums over all processes. The environment variable PROMETHEUS_MULTIPROC_DIR must
    contain the path of this folder. If there is only one process, `multiproc_dir` is None.
    """

    def __init__(self, multiproc_dir: Path | None = None) -> None:
        self._multiproc_dir = multiproc_dir
        if multiproc_dir is not None:
            _preallocate_files(multiproc_dir)
        # By default, prometheus-client exports two time series for each counter: the count, and the time at
        # which the counter was created (`…_created`). This call disables the second time series.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self._registry = CollectorRegistry()
        self._received = Counter(
            "deckwatch_events_received",
            "Events received, including rejected ones",
            registry=registry,
        )
        self._rejected = Counter(
            "deckwatch_events_rejected",
            "Events rejected and quarantined",
            ["reason"],
            registry=registry,
        )
        self._matches = Counter(
            "deckwatch_matches",
            "Matches stored on receipt, including suppressed ones",
            registry=registry,
        )
        self._suppressed = Counter(
            "deckwatch_matches_suppressed", "Matches suppressed by an exclusion", registry=registry
        )
        self._duplicates = Counter(
            "deckwatch_matches_duplicate", "Matches that were already stored", registry=registry
        )
        self._waiting = Gauge(
            "deckwatch_writer_queue_batches",
            "Requests waiting for a transaction",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._commit = Histogram(
            "deckwatch_commit_seconds",
            "Time from waiting for the write lock to the durable commit",
            buckets=_COMMIT_BUCKETS,
            registry=registry,
        )
        self._request = Histogram(
            "deckwatch_request_seconds",
            "Time from the head of a request to the head of its response",
            ["route", "status"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        for kind in RejectionKind:
            self._rejected.labels(kind)

    def record_request(self, traffic: TrafficCounts, rejections: Iterable[RejectionKind]) -> None:
        self._received.inc(traffic.received)
        self._matches.inc(traffic.matched)
        self._suppressed.inc(traffic.suppressed)
        self._duplicates.inc(traffic.duplicates)
        for kind, count in TallyCounter(rejections).items():
            self._rejected.labels(kind).inc(count)

    def record_commit(self, seconds: float) -> None:
        self._commit.observe(seconds)

    def set_queue_length(self, batches: int) -> None:
        self._waiting.set(batches)

    def record_http_request(self, route: str, status: int, seconds: float) -> None:
        """Record a request.

        `route` must be one of a few values, such as path templates, because each value adds series.
        """
        self._request.labels(route, f"{status // 100}xx").observe(seconds)

    def render(self, collector: Collector) -> bytes:
        """Return the metrics of all processes and those of `collector` in Prometheus's text format."""
        process_registry = self._registry
        if self._multiproc_dir is not None:
            process_registry = CollectorRegistry()
            MultiProcessCollector(process_registry, path=str(self._multiproc_dir))  # type: ignore[no-untyped-call]
        database_registry = CollectorRegistry(auto_describe=False)
        database_registry.register(collector)
        return generate_latest(process_registry) + generate_latest(database_registry)


def _preallocate_files(folder: Path) -> None:
    """Allocate the files of this process, and remove the gauge files of processes that have ended."""
    for gauge_file in folder.glob("gauge_live*_*.db"):
        pid = int(gauge_file.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
    try:
        for name, bytes_needed in _MMAP_FILE_BYTES.items():
            with (folder / f"{name}_{os.getpid()}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, bytes_needed)
    except OSError as error:
        raise FatalError(f"Cannot write metrics to {folder}: {error.strerror}.") from None


@dataclass(frozen=True, slots=True)
class _DatabaseState:
    open_alerts: dict[Severity, int]
    size: DatabaseSize


class DatabaseCollector(Collector):
    """Collects gauges from the database. It reads the database at most once per `CACHE_TTL`."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._state = TtlCache(self._read_state, ttl=CACHE_TTL, clock=clock)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        build = GaugeMetricFamily(
            "deckwatch_build_info", "Version of Deckwatch", labels=["version"]
        )
        build.add_metric([__version__], 1)
        yield build
        state = self._state.get()
        yield GaugeMetricFamily(
            "deckwatch_database_readable",
            "1 if the database can be read, else 0",
            value=state is not None,
        )
        if state is None:
            return
        open_alerts = GaugeMetricFamily("deckwatch_open_alerts", "Open alerts", labels=["severity"])
        for severity in Severity:
            open_alerts.add_metric([severity], state.open_alerts.get(severity, 0))
        yield open_alerts
        yield GaugeMetricFamily(
            "deckwatch_database_bytes", "Size of the database on disk", value=state.size.total_bytes
        )
        yield GaugeMetricFamily(
            "deckwatch_database_used_bytes",
            "Part of the database that is in use; the rest will be reused",
            value=state.size.used_bytes,
        )

    def _read_state(self) -> _DatabaseState | None:
        """Return the state of the database, or None if it cannot be read."""
        try:
            with self._database.read() as session:
                open_alerts: dict[Severity, int] = {}
                for priority, count in alerts.open_counts_by_priority(session).items():
                    severity = severity_for_priority(priority)
                    open_alerts[severity] = open_alerts.get(severity, 0) + count
                return _DatabaseState(open_alerts, database_size(session))
        except Unavailable:
            return None
