"""The rule `ssh_in_container`, Deckwatch's main rule: its metadata, its guide and its names."""

from app.detection.detector import Detector
from app.detection.rule import BUNDLED_RULES_DIR, load_rules
from app.detection.rule_tests import run_tests
from app.domain.severity import Severity

RESULT = load_rules([BUNDLED_RULES_DIR])
(RULE,) = [rule for rule in RESULT.rules if rule.slug == "ssh_in_container"]


def test_our_rules_load_and_pass_their_own_tests() -> None:
    assert not RESULT.problems
    for rule in RESULT.rules:
        assert not run_tests(rule)
        assert {test.matches for test in rule.tests} == {True, False}


def test_the_rule_says_what_the_product_says() -> None:
    assert (RULE.name, RULE.severity, RULE.risk_score, RULE.enabled) == (
        "SSH launched inside a container",
        Severity.MEDIUM,
        47,
        True,
    )
    assert {
        (threat.tactic.id, technique.id, *(below.id for below in technique.subtechniques))
        for threat in RULE.threats
        for technique in threat.techniques
    } == {("TA0008", "T1021", "T1021.004"), ("TA0003", "T1133")}


def test_each_triage_step_asks_for_its_evidence() -> None:
    assert [step.evidence for step in RULE.guide.triage.steps] == [
        "start-event",
        "recent-change",
        "connection",
        "account-and-key",
        "surroundings",
    ]


def test_each_harmless_case_offers_its_exclusion() -> None:
    assert [step.exclusion_fields for step in RULE.guide.false_positives.steps] == [
        ("container.id", "host.name"),
        ("user.name", "process.pid"),
        ("process.name", "container.image.name"),
        ("container.id", "container.labels.*"),
        (),
    ]


def test_the_response_has_all_its_steps() -> None:
    assert len(RULE.guide.response.steps) == 7
    assert not any(part.text for part in RULE.guide.parts)
    assert not any("<!--" in step.markdown for part in RULE.guide.parts for step in part.steps)


def test_the_name_is_compared_letter_by_letter() -> None:
    detector = Detector([RULE])
    event = {
        "event": {"category": "process", "type": "start", "action": "exec"},
        "host": {"os": {"type": "linux"}},
        "process": {"entry_leader": {"entry_meta": {"type": "container"}}},
    }
    names = ["ssh", "sshd", "autossh", "SSH", "ssh ", "sshd-session", "s*", "dropbear"]
    found = [name for name in names if detector.match_document({**event, "process.name": name})]
    assert found == ["ssh", "sshd", "autossh"]
