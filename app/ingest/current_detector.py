"""The detector for the enabled rules, rebuilt when a user enables or disables a rule."""

import threading
from collections.abc import Callable, Sequence

from app.detection.detector import Detector
from app.detection.rule import Rule, enabled_rules
from app.store import change_counters, rule_overrides
from app.store.database import Database


class CurrentDetector:
    """Holds the detector for the rules that are currently enabled.

    A detector is immutable. When a user enables or disables a rule, the database stores this as a rule
    override, and `refresh` replaces the detector. If the database cannot be read, the constructor and
    `refresh` raise Unavailable. After a failed `refresh`, the previous detector remains in use.
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
        # Without this lock, one of two concurrent refreshes could replace a newer detector with an older one.
        self._refresh_lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Rebuild the detector if this process or another process has changed the rule overrides."""
        with self._refresh_lock:
            with self._database.read() as session:
                # The counter is read before the overrides. If an override changes between the two reads, the
                # next refresh rebuilds the detector once more. In the opposite order, that change would be
                # missed.
                revision = change_counters.current(session, change_counters.RULES)
                if revision == self._revision:
                    return
                overrides = rule_overrides.rule_overrides(session)
            self.detector = self._build_detector(enabled_rules(self._rules, overrides))
            self._revision = revision
