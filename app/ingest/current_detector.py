"""The detector of the rules that decide now, made anew whenever somebody has switched one."""

import threading
from collections.abc import Callable, Sequence

from app.detection.detector import Detector
from app.detection.rule import Rule
from app.detection.switches import deciding
from app.store import revisions, switches
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
        detector_of: Callable[[Sequence[Rule]], Detector],
    ) -> None:
        self._database = database
        self._rules = rules
        self._detector_of = detector_of
        self._revision = -1
        # Who read first must not be the last to replace: an old set would follow a new one.
        self._one_at_a_time = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Obey what people have switched until now, here or in another process."""
        with self._one_at_a_time:
            with self._database.read() as session:
                # The counter first: a switch that comes in between is read twice, never missed.
                revision = revisions.current(session, revisions.RULES)
                if revision == self._revision:
                    return
                wishes = switches.wishes(session)
            self.detector = self._detector_of(deciding(self._rules, wishes))
            self._revision = revision
