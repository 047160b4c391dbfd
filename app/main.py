"""The application: its parts built once and handed to the routes."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from types import FrameType

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from app import __version__, logs, memory
from app.actions.keyring import Keyring
from app.actions.retention import Retention
from app.clock import utc_now
from app.detection.detector import Detector
from app.detection.rule import LoadResult, Rule, load_rules
from app.domain.errors import Unusable
from app.formats import MARKERS
from app.formats.ecs import AT_SIGHT
from app.ingest.current_detector import CurrentDetector
from app.ingest.pipeline import Pipeline
from app.ingest.writer import Writer
from app.resources import packaged_rules, resource
from app.settings import Settings, read_settings, secret_key
from app.store import revisions
from app.store.database import Database
from app.web import errors
from app.web.access import refuse_unguarded, routes_of
from app.web.api import alerts as api_alerts
from app.web.api import elastic, events, matches, openapi, system
from app.web.api import exclusions as api_exclusions
from app.web.api import rules as api_rules
from app.web.body_limit import BodyLimit
from app.web.forms import FORM_LIMIT
from app.web.headers import SecurityHeaders
from app.web.limits import LoginLimits
from app.web.live import Live, keep_looking
from app.web.metrics import SHARED_VARIABLE, Metrics, Standing
from app.web.pages import (
    agent,
    agents,
    alert,
    alerts,
    audit,
    exclusion_form,
    exclusions,
    explain,
    login,
    overview,
    quarantine,
    quarantine_changes,
    quarantine_export,
    rule,
    rules,
    users,
)
from app.web.readiness import Readiness
from app.web.rendering import STATIC_URL, Renderer
from app.web.request_log import RequestLog
from app.web.services import Services
from app.web.static import CachedStatic

log = logging.getLogger(__name__)

# Order matters where one path could be read as another's parameter: the form's /new comes first.
ROUTERS: tuple[APIRouter, ...] = (
    events.router,
    elastic.router,
    api_alerts.router,
    matches.router,
    api_exclusions.router,
    api_rules.router,
    system.router,
    login.router,
    overview.router,
    alerts.router,
    alert.router,
    exclusion_form.router,
    exclusions.router,
    rules.router,
    rule.router,
    explain.router,
    agents.router,
    agent.router,
    quarantine_export.router,
    quarantine_changes.router,
    quarantine.router,
    users.router,
    audit.router,
)


def rules_of(folders: Sequence[Path]) -> LoadResult:
    """Our own rules and those of the folders that the deployment names; raises Unusable for none there.

    A rule that cannot be loaded is a problem to show, a place without any rule is a wrong setting.
    """
    for folder in folders:
        if not folder.exists():
            raise Unusable(f"DECKWATCH_RULES: there is no {folder}.")
    return load_rules([packaged_rules(), *folders])


def detector_of(rules: Sequence[Rule]) -> Detector:
    """Decides with all of them, whether or not their files enable them."""
    return Detector(rules, markers=MARKERS, evidence=AT_SIGHT)


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = utc_now,
    metrics: Metrics | None = None,
    rules: LoadResult | None = None,
) -> FastAPI:
    """Everything but the schema: migrate before. Raises Unusable for what cannot be used as it is, and
    Unavailable for a database that cannot be read. `rules` are those of the settings, if loaded already.
    """
    database = Database(settings.database_url)
    rules = rules or rules_of(settings.rules)

    def revision() -> int:
        with database.read() as session:
            return revisions.current(session, revisions.ALERTS)

    live = Live(revision)
    metrics = metrics or Metrics()
    writer = Writer(database, clock=clock, measures=metrics)

    def tell_browsers(changed: Mapping[str, int]) -> None:
        if (value := changed.get(revisions.ALERTS)) is not None:
            live.changed(value)

    database.on_commit(tell_browsers)
    retention = Retention(database, settings, clock=clock)
    keyring = Keyring(database)
    current = CurrentDetector(database, rules.rules, detector_of)
    services = Services(
        settings=settings,
        secret=secret_key(settings),
        database=database,
        rules=rules,
        current_detector=current,
        keyring=keyring,
        pipeline=Pipeline(
            current,
            writer,
            max_event_bytes=settings.max_event_bytes,
            max_body_bytes=settings.max_body_bytes,
        ),
        live=live,
        renderer=Renderer(resource("templates"), resource("static")),
        login_limits=LoginLimits(),
        readiness=Readiness(database, clock=clock),
        metrics=metrics,
        standing=Standing(database, clock=clock),
        clock=clock,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        writer.start()
        live.start(loop)
        retention.start()
        log.info("serving", extra={"version": __version__})
        told = threading.Event()

        def tell() -> None:
            if not told.is_set():
                told.set()
                # Later, since a signal may have come while another line was being written.
                loop.call_soon_threadsafe(log.info, "stopping; requests in flight are answered")

        watching = asyncio.gather(
            live.watch(),
            keep_looking(current.refresh, "the rules that people switched cannot be read"),
            keep_looking(keyring.refresh, "which keys were revoked cannot be read"),
        )
        try:
            with _told_on_signal(live.stop, writer.hurry, retention.hurry, tell):
                yield
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        finally:
            services.pipeline.stop()
            await asyncio.to_thread(writer.stop)
            await asyncio.to_thread(retention.stop)
            database.close()
            log.info("stopped")

    refuse_unguarded(ROUTERS)
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(RequestLog, metrics=metrics),
            Middleware(SecurityHeaders, https=settings.https),
            Middleware(
                BodyLimit,
                usual=FORM_LIMIT,
                larger=dict.fromkeys((events.PATH, elastic.PREFIX), settings.max_body_bytes),
            ),
        ],
    )
    app.state.services = services
    app.openapi = cache(partial(openapi.document, ROUTERS))  # type: ignore[method-assign]  # as FastAPI documents it
    for router in ROUTERS:
        app.include_router(router)
    app.mount(STATIC_URL, CachedStatic(resource("static")), name="static")
    errors.install(app, list(routes_of(ROUTERS)))
    return app


def create_app_from_environment() -> FastAPI:
    """For worker processes, which build their own."""
    settings = read_settings()
    logs.set_up(settings.log_format)
    memory.keep_freed()
    return create_app(settings, metrics=Metrics(Path(os.environ[SHARED_VARIABLE])))


@contextlib.contextmanager
def _told_on_signal(*whom: Callable[[], None]) -> Iterator[None]:
    """Tell them as soon as the server is told to stop: it waits for open responses to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        for tell in whom:
            tell()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for tell in whom:
            tell()
        for number, handler in before.items():
            signal.signal(number, handler)
