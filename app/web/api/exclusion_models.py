"""Request and response models of the exclusion API, and functions that convert stored rows to models."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.store.exclusions import ExclusionHistory, State, conditions_of
from app.store.tables import ExclusionVersion
from app.web.api.fields import StorableText


class ConditionModel(BaseModel):
    """A condition of an exclusion. An exclusion covers a match if all conditions of the exclusion hold."""

    model_config = ConfigDict(extra="forbid")

    field: StorableText = Field(
        description="Field name, such as container.image.name or ssh.destination."
    )
    operator: StorableText = Field(
        description="Operator: is, is not, is one of, matches, exists, …"
    )
    values: list[StorableText] = []


class ExclusionIn(BaseModel):
    """A new exclusion. `ends_at` requires a time zone."""

    model_config = ConfigDict(extra="forbid")

    rule_id: StorableText
    conditions: list[ConditionModel]
    reason: StorableText
    owner: StorableText
    ends_at: datetime
    from_alert: int | None = Field(default=None, ge=0, lt=2**63)


class ExclusionChange(BaseModel):
    """A change of an exclusion: a decision or an edit.

    A decision approves or declines the version that waits for approval. An edit creates a new version. Fields
    that the edit omits keep the values of the newest version.
    """

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "decline"] | None = None
    conditions: list[ConditionModel] | None = None
    reason: StorableText | None = None
    owner: StorableText | None = None
    ends_at: datetime | None = None
    version: int | None = Field(
        default=None,
        description="Version that the change is based on. If it is not the current version, the response "
        "is 409.",
    )


class VersionOut(BaseModel):
    version: int
    conditions: list[ConditionModel]
    reason: str
    owner: str
    ends_at: datetime
    proposed_by: str
    proposed_at: datetime
    decision: str
    decided_by: str | None
    decided_at: datetime | None


class ExclusionOut(BaseModel):
    id: int
    rule_id: str
    state: State
    from_alert: int | None
    live_version: int | None
    newest_version: int
    ended_at: datetime | None
    ended_by: str | None
    suppressed: int = Field(description="Number of matches suppressed by any version.")
    versions: list[VersionOut] = Field(description="All versions, oldest first.")


class ExclusionsOut(BaseModel):
    exclusions: list[ExclusionOut]


class PreviewIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rule_id: str
    conditions: list[ConditionModel]


class PreviewOut(BaseModel):
    """The stored matches of the rule that the conditions cover.

    The preview examines matches of the last 30 days.
    """

    examined: int = Field(description="Number of matches examined, from the newest.")
    complete: bool = Field(description="False if there are more matches than were examined.")
    hidden: int
    alerts: list[int] = Field(
        description="Ids of alerts with a match that would have been suppressed."
    )
    true_positives: list[int] = Field(
        description="Ids of the alerts in `alerts` that were closed as true positive."
    )
    distinct: dict[str, int] = Field(description="Number of distinct images, containers, hosts, …")
    samples: list[int] = Field(description="Ids of a sample of the matches, newest first.")


def version_out(version: ExclusionVersion) -> VersionOut:
    fields = {name: getattr(version, name) for name in VersionOut.model_fields}
    return VersionOut.model_validate(fields | {"conditions": conditions_out(version)})


def conditions_out(version: ExclusionVersion) -> list[ConditionModel]:
    return [
        ConditionModel(
            field=condition.field, operator=str(condition.operator), values=list(condition.values)
        )
        for condition in conditions_of(version)
    ]


def exclusion_out(
    history: ExclusionHistory, suppressed: dict[int, tuple[int, datetime]], at: datetime
) -> ExclusionOut:
    record = history.record
    return ExclusionOut(
        id=record.id or 0,
        rule_id=record.rule_id,
        state=history.state(at),
        from_alert=record.from_alert_id,
        live_version=record.live_version,
        newest_version=record.newest_version,
        ended_at=record.ended_at,
        ended_by=record.ended_by,
        suppressed=suppressed.get(record.id or 0, (0, None))[0],
        versions=[version_out(version) for version in history.versions],
    )


def condition_tuples(conditions: list[ConditionModel]) -> list[tuple[str, str, list[str]]]:
    return [(condition.field, condition.operator, condition.values) for condition in conditions]
