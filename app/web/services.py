"""The parts that routes use, built once by `create_app` and carried by the application."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from app.actions.keyring import Keyring
from app.detection.rule import LoadResult, Rule
from app.ingest.current_detector import CurrentDetector
from app.ingest.pipeline import Pipeline
from app.settings import Settings
from app.store.database import Database
from app.web.limits import LoginLimits
from app.web.live import Live
from app.web.metrics import Metrics, Standing
from app.web.readiness import Readiness
from app.web.rendering import Renderer


@dataclass(frozen=True)
class Services:
    """`clock` gives aware UTC; nothing behind the routes asks for the time by itself."""

    settings: Settings
    secret: bytes
    database: Database
    rules: LoadResult
    current_detector: CurrentDetector
    keyring: Keyring
    pipeline: Pipeline
    live: Live
    renderer: Renderer
    login_limits: LoginLimits
    readiness: Readiness
    metrics: Metrics
    standing: Standing
    clock: Callable[[], datetime]

    def rule(self, rule_id: str) -> Rule | None:
        return next((rule for rule in self.rules.rules if rule.id == rule_id), None)


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _services(request: Request) -> Services:
    return services_of(request)  # async, or it would be looked up on a thread


Parts = Annotated[Services, Depends(_services)]
