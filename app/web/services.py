"""The services that routes use, built once by `create_app` and stored in the application's state."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from app.detection.rule import LoadedRules, Rule
from app.ingest.current_detector import CurrentDetector
from app.ingest.pipeline import Pipeline
from app.settings import Settings
from app.store.database import Database
from app.web.api_key_cache import ApiKeyCache
from app.web.live import LiveUpdates
from app.web.login_rate_limit import LoginRateLimiter
from app.web.metrics import DatabaseCollector, Metrics
from app.web.readiness import Readiness
from app.web.rendering import Renderer


@dataclass(frozen=True)
class Services:
    """Services of one process.

    `clock` returns the current time as an aware UTC datetime. Routes get the current time only from `clock`.
    """

    settings: Settings
    secret: bytes
    database: Database
    rules: LoadedRules
    current_detector: CurrentDetector
    api_key_cache: ApiKeyCache
    pipeline: Pipeline
    live_updates: LiveUpdates
    renderer: Renderer
    login_rate_limiter: LoginRateLimiter
    readiness: Readiness
    metrics: Metrics
    database_collector: DatabaseCollector
    clock: Callable[[], datetime]

    def find_rule(self, rule_id: str) -> Rule | None:
        return next((rule for rule in self.rules.rules if rule.id == rule_id), None)


def get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


# The dependency is async, because FastAPI would run a plain function in a thread.
async def _services_dependency(request: Request) -> Services:
    return get_services(request)


ServicesDep = Annotated[Services, Depends(_services_dependency)]
