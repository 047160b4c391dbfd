"""Matching of events against a set of rules."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app.detection.codegen.generator import MatchingRules, generate
from app.domain.ecs_fields import field_values

if TYPE_CHECKING:
    from app.detection.rule import Rule


class Detector:
    """Matches events against `rules`. The caller must leave out disabled rules.

    An event is recognised as ECS only if it has at least one of `ecs_marker_fields`. An event with the first
    of these fields is ECS even if it has one of `non_ecs_keys`. Any other event with one of the root keys
    `non_ecs_keys` is in an envelope or in another format.
    """

    def __init__(
        self,
        rules: "Sequence[Rule]",
        *,
        non_ecs_keys: Sequence[str] = (),
        ecs_marker_fields: Sequence[str] = (),
    ) -> None:
        self.rules = tuple(rules)
        self._functions = generate(
            self.rules, non_ecs_keys=non_ecs_keys, ecs_marker_fields=ecs_marker_fields
        )
        self.match_json = self._functions.match_json
        """Return the rules that match an event given as JSON bytes, in the order of `rules`.

        Returns None if the caller must decode the event completely: the event is not JSON, not an object or
        not recognised as ECS, or has objects in unexpected places. Never raises. Does not notice invalid
        UTF-8 in fields that no rule reads.
        """

    def match_document(self, document: Mapping[str, object]) -> MatchingRules:
        """Return the rules that match a completely decoded event (JSON types).

        Raises RecursionError if lists are nested deeper than Python's recursion limit.
        """
        functions = self._functions
        return functions.match_values([field_values(document, name) for name in functions.fields])

    def generated_source(self) -> str:
        """Return the source of the generated functions, with comments that explain its names."""
        return self._functions.source
