"""The detector for the enabled rules, rebuilt when a user enables or disables a rule."""

import threading
from collections.abc import Callable, Sequence

from app.detection.detector import Detector
from app.detection.rule import Rule, enabled_rules
from app.store import change_counters, rule_overrides
from app.store.database import Database


class CurrentDetector:
    """Holds the current detector. A detector is immutable; `refresh` replaces it.

    The constructor and `refresh` raise Unavailable if the database cannot be read, because the rule
    overrides cannot be guessed. After a failed `refresh` the previous detector remains.
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
        # Two concurrent refreshes could otherwise replace a newer detector with an older one.
        self._refresh_lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Rebuild the detector if the rule overrides changed, here or in another process."""
        with self._refresh_lock:
            with self._database.read() as session:
                # The counter is read first. A change between the two reads is then applied twice, but never
                # missed.
                revision = change_counters.current(session, change_counters.RULES)
                if revision == self._revision:
                    return
                overrides = rule_overrides.rule_overrides(session)
            self.detector = self._build_detector(enabled_rules(self._rules, overrides))
            self._revision = revision
