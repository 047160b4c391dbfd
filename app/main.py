"""The FastAPI application: `create_app` combines the routes, services and lifespan."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from types import FrameType

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from app import __version__, logs, memory
from app.bootstrap import build_detector, load_configured_rules
from app.clock import utc_now
from app.detection.rule import LoadedRules
from app.domain.errors import Unavailable
from app.ingest.current_detector import CurrentDetector
from app.ingest.pipeline import Pipeline
from app.ingest.writer import Writer
from app.jobs.retention import RetentionJob
from app.resources import resource_dir
from app.settings import Settings, load_or_create_secret_key, read_settings
from app.store import change_counters
from app.store.database import Database
from app.web import errors
from app.web.access import api_routes, require_access_declared
from app.web.api import alerts as api_alerts
from app.web.api import elastic, elastic_documents, elastic_setup, events, matches, openapi, system
from app.web.api import exclusions as api_exclusions
from app.web.api import rules as api_rules
from app.web.api_key_cache import ApiKeyCache
from app.web.body_limit import BodyLimitMiddleware
from app.web.forms import MAX_FORM_BYTES
from app.web.headers import SecurityHeadersMiddleware
from app.web.live import LiveUpdates, poll_forever
from app.web.login_rate_limit import LoginRateLimiter
from app.web.metrics import MULTIPROC_DIR_VARIABLE, DatabaseCollector, Metrics
from app.web.pages.account import account_routes, login_routes
from app.web.pages.agents import agent_routes as agent
from app.web.pages.agents import routes as agents
from app.web.pages.alerts import alert_routes
from app.web.pages.alerts import routes as alerts
from app.web.pages.api_docs import routes as api_docs
from app.web.pages.audit import routes as audit
from app.web.pages.exclusions import form_routes
from app.web.pages.exclusions import routes as exclusions
from app.web.pages.explain import routes as explain
from app.web.pages.overview import routes as overview
from app.web.pages.quarantine import change_routes, export
from app.web.pages.quarantine import routes as quarantine
from app.web.pages.rules import routes as rules
from app.web.pages.rules import rule_routes
from app.web.pages.users import routes as users
from app.web.readiness import Readiness
from app.web.rendering import STATIC_URL, Renderer
from app.web.request_log import RequestLogMiddleware
from app.web.services import Services
from app.web.static_files import CachedStaticFiles

log = logging.getLogger(__name__)

# The first route that matches a path wins, so /exclusions/new precedes /exclusions/{exclusion_id}.
ROUTERS: tuple[APIRouter, ...] = (
    events.router,
    elastic.router,
    elastic_setup.router,
    elastic_documents.router,
    api_alerts.router,
    matches.router,
    api_exclusions.router,
    api_rules.router,
    system.router,
    api_docs.router,
    login_routes.router,
    account_routes.router,
    overview.router,
    alerts.router,
    alert_routes.router,
    form_routes.router,
    exclusions.router,
    rules.router,
    rule_routes.router,
    explain.router,
    agents.router,
    agent.router,
    export.router,
    change_routes.router,
    quarantine.router,
    users.router,
    audit.router,
)


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = utc_now,
    metrics: Metrics | None = None,
    rules: LoadedRules | None = None,
) -> FastAPI:
    """Return the application for a database whose schema is up to date.

    If `rules` is None, the rules of the settings are loaded. Raises FatalError for an unusable setting or
    file, and Unavailable if the database cannot be read.
    """
    require_access_declared(ROUTERS)
    database = Database(settings.database_url)
    metrics = metrics or Metrics()
    writer = Writer(database, clock=clock, metrics=metrics)
    retention = RetentionJob(database, settings, clock=clock)
    services = _build_services(
        settings,
        database,
        writer,
        rules=rules or load_configured_rules(settings.rules),
        metrics=metrics,
        clock=clock,
    )
    database.on_commit(partial(_after_commit, services))

    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan(services, writer, retention),
        middleware=[
            Middleware(RequestLogMiddleware, metrics=metrics),
            Middleware(SecurityHeadersMiddleware, https=settings.uses_https),
            Middleware(
                BodyLimitMiddleware,
                default_limit=MAX_FORM_BYTES,
                limit_by_prefix=dict.fromkeys(
                    (events.PATH, elastic.PREFIX), settings.max_body_bytes
                ),
            ),
        ],
    )
    app.state.services = services
    app.openapi = cache(partial(openapi.build_document, ROUTERS))  # type: ignore[method-assign]  # as FastAPI documents it
    for router in ROUTERS:
        app.include_router(router)
    app.mount(STATIC_URL, CachedStaticFiles(resource_dir("static")), name="static")
    errors.install_handlers(app, list(api_routes(ROUTERS)))
    return app


def create_app_from_environment() -> FastAPI:
    """Return the application of a worker process, with the settings from the environment."""
    settings = read_settings()
    logs.configure_logging(settings.log_format)
    memory.retain_freed_memory()
    return create_app(settings, metrics=Metrics(Path(os.environ[MULTIPROC_DIR_VARIABLE])))


def _build_services(
    settings: Settings,
    database: Database,
    writer: Writer,
    *,
    rules: LoadedRules,
    metrics: Metrics,
    clock: Callable[[], datetime],
) -> Services:
    def alerts_revision() -> int:
        with database.read() as session:
            return change_counters.current(session, change_counters.ALERTS)

    live_updates = LiveUpdates(alerts_revision)
    api_key_cache = ApiKeyCache(database)
    current_detector = CurrentDetector(database, rules.rules, build_detector)
    return Services(
        settings=settings,
        secret=load_or_create_secret_key(settings),
        database=database,
        rules=rules,
        current_detector=current_detector,
        api_key_cache=api_key_cache,
        pipeline=Pipeline(
            current_detector,
            writer,
            max_event_bytes=settings.max_event_bytes,
            max_body_bytes=settings.max_body_bytes,
        ),
        live_updates=live_updates,
        renderer=Renderer(resource_dir("templates"), resource_dir("static")),
        login_rate_limiter=LoginRateLimiter(),
        readiness=Readiness(database, clock=clock),
        metrics=metrics,
        database_collector=DatabaseCollector(database, clock=clock),
        clock=clock,
    )


def _after_commit(services: Services, revisions: Mapping[str, int]) -> None:
    """Notify browsers of changed alerts; use a new detector if a rule was enabled or disabled."""
    if (revision := revisions.get(change_counters.ALERTS)) is not None:
        services.live_updates.publish_change(revision)
    if change_counters.RULES in revisions:
        try:
            services.current_detector.refresh()
        except Unavailable as error:
            # The change is committed, so the next poll of `current_detector.refresh` applies it.
            log.warning("a rule was enabled or disabled, but cannot be applied yet: %s", error)


def _lifespan(
    services: Services, writer: Writer, retention: RetentionJob
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        writer.start()
        services.live_updates.start(loop)
        retention.start()
        log.info("serving", extra={"version": __version__})
        stop_logged = threading.Event()

        def log_stopping() -> None:
            if not stop_logged.is_set():
                stop_logged.set()
                # The event loop logs the message later. This signal handler may have interrupted a logging
                # call that holds the lock of the log handler, so logging here could deadlock.
                loop.call_soon_threadsafe(log.info, "stopping; completing requests in flight")

        polls = asyncio.gather(
            services.live_updates.watch(),
            poll_forever(services.current_detector.refresh, "rule overrides cannot be read"),
            poll_forever(services.api_key_cache.refresh, "revoked API keys cannot be read"),
        )
        try:
            with _call_on_shutdown_signal(
                services.live_updates.stop,
                writer.begin_shutdown,
                retention.begin_shutdown,
                log_stopping,
            ):
                yield
            polls.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await polls
        finally:
            services.pipeline.stop()
            await asyncio.to_thread(writer.stop)
            await asyncio.to_thread(retention.stop)
            services.database.close()
            log.info("stopped")

    return lifespan


@contextlib.contextmanager
def _call_on_shutdown_signal(*callbacks: Callable[[], None]) -> Iterator[None]:
    """Call the callbacks on SIGTERM or SIGINT, and again at the end of the `with` block.

    The block ends only after uvicorn has waited for the open responses. An event stream is an open response
    that does not end by itself. Therefore the signal handler calls the callbacks earlier, and one of the
    callbacks ends the event streams.

    Only the main thread can handle signals. If this function runs in another thread, it does not call the
    callbacks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous_handlers = {
        number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)
    }

    def handle(number: int, frame: FrameType | None) -> None:
        for callback in callbacks:
            callback()
        handler = previous_handlers[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in previous_handlers:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for callback in callbacks:
            callback()
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
