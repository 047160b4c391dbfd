"""Figures for Prometheus: what was counted in every worker process, and what the database holds now.

Anybody may read them, so no label ever holds a name, an address or anything that somebody sent.
"""

import os
import threading
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
from app.ingest.metrics import IngestMetrics
from app.store import alerts
from app.store.api_keys import TrafficCounts
from app.store.database import Database
from app.store.size import DatabaseSize, database_size

# prometheus-client reads it when it is imported; worker processes are started with it.
MULTIPROC_DIR_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST

# Anybody may ask; nobody may make us count alerts as often as they like.
CACHE_TTL = timedelta(seconds=5)
# What prometheus-client calls the files that worker processes share, and how much room each may need.
# They are mapped into memory: a disk that is full when a page is first touched would kill the process.
_MMAP_FILE_BYTES = {"counter": 1 << 18, "gauge_livesum": 1 << 16, "histogram": 1 << 21}

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

# How the sentence for a rejected event begins: what it counts as.
_KIND_BY_REASON_PREFIX = {
    "larger than": "too_large",
    "not UTF-8": "not_utf8",
    "not JSON": "not_json",
    "nested deeper": "too_deep",
    "an event is a JSON object": "not_an_object",
    "the event is empty": "empty",
    "no known agent format": "unknown_format",
    "the _source of this": "unknown_format",
    "the data of this CloudEvent": "unknown_format",
    "none of the columns": "unknown_format",
    "a Falco alert": "incomplete",
    "a Tetragon": "incomplete",
    "a Tracee": "incomplete",
}
OTHER_KIND = "other"


def rejection_kind(sentence: str) -> str:
    """The kind of rejection, one of few, whatever the sentence quotes."""
    kinds = (kind for begin, kind in _KIND_BY_REASON_PREFIX.items() if sentence.startswith(begin))
    return next(kinds, OTHER_KIND)


class Metrics(IngestMetrics):
    """One a process. `shared` is a folder that all workers count in, so that each can tell the sums;
    it must be the one that prometheus-client was told of before it was imported.
    """

    def __init__(self, multiproc_dir: Path | None = None) -> None:
        self._multiproc_dir = multiproc_dir
        if multiproc_dir is not None:
            _preallocate_files(multiproc_dir)
        disable_created_metrics()  # type: ignore[no-untyped-call]  # when each series began, which doubles them and is no use here
        registry = self._registry = CollectorRegistry()
        self._received = Counter(
            "deckwatch_events_received",
            "Events taken, those rejected among them",
            registry=registry,
        )
        self._rejected = Counter(
            "deckwatch_events_rejected", "Events put in quarantine", ["reason"], registry=registry
        )
        self._matches = Counter(
            "deckwatch_matches",
            "Matches stored on receipt, those suppressed among them",
            registry=registry,
        )
        self._suppressed = Counter(
            "deckwatch_matches_suppressed", "Matches that an exclusion covered", registry=registry
        )
        self._duplicates = Counter(
            "deckwatch_matches_duplicate", "Matches that were stored before", registry=registry
        )
        self._waiting = Gauge(
            "deckwatch_writer_queue_batches",
            "Requests that wait for a transaction",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._commit = Histogram(
            "deckwatch_commit_seconds",
            "From asking for the write lock to the durable commit",
            buckets=_COMMIT_BUCKETS,
            registry=registry,
        )
        self._request = Histogram(
            "deckwatch_request_seconds",
            "From the head of a request to the head of its answer",
            ["route", "status"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        for kind in (*_KIND_BY_REASON_PREFIX.values(), OTHER_KIND):
            self._rejected.labels(kind)

    def record_request(self, traffic: TrafficCounts, reasons: Iterable[str]) -> None:
        self._received.inc(traffic.received)
        self._matches.inc(traffic.matched)
        self._suppressed.inc(traffic.suppressed)
        self._duplicates.inc(traffic.duplicates)
        for kind, times in TallyCounter(map(rejection_kind, reasons)).items():
            self._rejected.labels(kind).inc(times)

    def record_commit(self, seconds: float) -> None:
        self._commit.observe(seconds)

    def set_queue_length(self, batches: int) -> None:
        self._waiting.set(batches)

    def record_http_request(self, route: str, status: int, seconds: float) -> None:
        """`route` is a template or another of few words."""
        self._request.labels(route, f"{status // 100}xx").observe(seconds)

    def render(self, collector: Collector) -> bytes:
        """All that was counted, and what `now` collects, in Prometheus's text format."""
        counted = self._registry
        if self._multiproc_dir is not None:
            counted = CollectorRegistry()
            MultiProcessCollector(counted, path=str(self._multiproc_dir))  # type: ignore[no-untyped-call]
        database_registry = CollectorRegistry(auto_describe=False)
        database_registry.register(collector)
        return generate_latest(counted) + generate_latest(database_registry)


def _preallocate_files(folder: Path) -> None:
    """Room for this process's files, and an end to the gauges of processes that are gone."""
    for gauge_file in folder.glob("gauge_live*_*.db"):
        pid = int(gauge_file.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
    try:
        for name, bytes_needed in _MMAP_FILE_BYTES.items():
            with (folder / f"{name}_{os.getpid()}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, bytes_needed)
    except OSError as error:
        raise FatalError(f"The metrics cannot be kept in {folder}: {error.strerror}.") from None


@dataclass(frozen=True, slots=True)
class _DatabaseState:
    """What the database held; None when it could not be read."""

    open_alerts: dict[Severity, int]
    size: DatabaseSize


class DatabaseCollector(Collector):
    """What the database holds, looked at no more often than that is worth; one a process."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._checked_at: datetime | None = None
        self._cached_state: _DatabaseState | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        build = GaugeMetricFamily(
            "deckwatch_build_info", "The version that runs", labels=["version"]
        )
        build.add_metric([__version__], 1)
        yield build
        state = self._current_state()
        yield GaugeMetricFamily(
            "deckwatch_database_readable",
            "1 when the database could be read",
            value=state is not None,
        )
        if state is None:
            return
        opened = GaugeMetricFamily(
            "deckwatch_open_alerts", "Alerts that are open", labels=["severity"]
        )
        for severity in Severity:
            opened.add_metric([severity], state.open_alerts.get(severity, 0))
        yield opened
        yield GaugeMetricFamily(
            "deckwatch_database_bytes", "The database on the disk", value=state.size.total_bytes
        )
        yield GaugeMetricFamily(
            "deckwatch_database_used_bytes",
            "What of it holds something; the rest is used again",
            value=state.size.used_bytes,
        )

    def _current_state(self) -> _DatabaseState | None:
        with self._lock:
            now = self._clock()
            if self._checked_at is None or not timedelta() <= now - self._checked_at < CACHE_TTL:
                self._cached_state = self._read_state()
                self._checked_at = now
            return self._cached_state

    def _read_state(self) -> _DatabaseState | None:
        try:
            with self._database.read() as session:
                opened: dict[Severity, int] = {}
                for priority, count in alerts.open_counts_by_priority(session).items():
                    severity = severity_for_priority(priority)
                    opened[severity] = opened.get(severity, 0) + count
                return _DatabaseState(opened, database_size(session))
        except Unavailable:
            return None
