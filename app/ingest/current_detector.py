"""The detector of the rules that decide now, made anew whenever somebody has switched one."""

import threading
from collections.abc import Callable, Sequence

from app.detection.detector import Detector
from app.detection.rule import Rule, enabled_rules
from app.store import change_counters, rule_overrides
from app.store.database import Database


class CurrentDetector:
    """`detector` never changes but is replaced: who takes it once has the old rules or the new ones.

    Making this, and `refresh`, raise Unavailable when the database cannot be read: which rules
    people have switched must not be guessed. After a failed `refresh` the detector stays as it was.
    """

    detector: Detector

    def __init__(
        self,
        database: Database,
        rules: Sequence[Rule],
        build_detector: Callable[[Sequence[Rule]], Detector],
    ) -> None:
        self._database = database
        self._rules = rules
        self._build_detector = build_detector
        self._revision = -1
        # Who read first must not be the last to replace: an old set would follow a new one.
        self._refresh_lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Obey what people have switched until now, here or in another process."""
        with self._refresh_lock:
            with self._database.read() as session:
                # The counter first: a switch that comes in between is read twice, never missed.
                revision = change_counters.current(session, change_counters.RULES)
                if revision == self._revision:
                    return
                overrides = rule_overrides.rule_overrides(session)
            self.detector = self._build_detector(enabled_rules(self._rules, overrides))
            self._revision = revision
