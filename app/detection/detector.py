"""Matching of events against a set of rules."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app.detection.codegen.generator import MatchingRules, generate
from app.domain.ecs_fields import field_values

if TYPE_CHECKING:
    from app.detection.rule import Rule


class Detector:
    """Matches events against `rules`. The caller must pass only enabled rules.

    `ecs_marker_fields` and `non_ecs_keys` tell `match_json` which events are ECS:

    - `ecs_marker_fields`: an ECS event has at least one of these fields. If `ecs_marker_fields` is empty, an
      event needs no marker field to be ECS.
    - `non_ecs_keys`: top-level keys of envelopes and of formats other than ECS. An event with one of these
      keys is not ECS. There is one exception: an event with the first of `ecs_marker_fields` is ECS.
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

        Returns None if the function cannot evaluate the event. The caller must then decode the event
        completely. This happens if the event is not a JSON object, is not ECS, or has an object or a list of
        objects where a rule reads a scalar. The function never raises. It does not detect invalid UTF-8 in
        fields that no rule reads.
        """

    def match_document(self, document: Mapping[str, object]) -> MatchingRules:
        """Return the rules that match `document`, a completely decoded ECS event with JSON types.

        Raises RecursionError if lists are nested deeper than Python's recursion limit.
        """
        functions = self._functions
        return functions.match_values([field_values(document, name) for name in functions.fields])

    def generated_source(self) -> str:
        """Return the Python source of `match_json`, with comments that explain the names in the source."""
        return self._functions.source
