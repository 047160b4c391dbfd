"""`deckwatch replay`: files of every kind, the same matches as on a server, errors, exit codes (one tool)."""

import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from app.actions import exclusions
from app.actions.exclusion_draft import ValidExclusion
from app.bootstrap import open_migrated_database
from app.cli.replay_output import ReplayOutput
from app.cli.replay_run import compile_replay_rules, replay_files
from app.cli.rule_selection import select_rules
from app.clock import utc_now
from app.domain.exclusion import Condition, Operator
from app.domain.principal import CLI_PRINCIPAL
from app.settings import Settings, read_settings
from tests.conftest import AgentClient
from tests.factories import benign_event, exec_event
from tests.processes import run

SSH_RULE_ONLY = ("--rule", "ssh_in_container")
RULE_ID = "f22fe44a-d370-42b4-b5db-5d02554f5990"
TRUNCATED_EVENT = b'{"event":'


def ndjson(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def run_replay(
    folder: Path, *args: str, code: int = 0, stdin: bytes = b"", **settings: str
) -> tuple[list[dict[str, Any]], str]:
    """Run `deckwatch replay` and return its matches and its stderr; fails unless the exit code is `code`."""
    ended = run(folder, "replay", *args, stdin=stdin, **settings)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr


# ---- input ----


def test_compression_is_detected_from_content_and_nothing_is_stored(tmp_path: Path) -> None:
    first, second = ndjson(exec_event()), ndjson(benign_event(), exec_event())
    skipped = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
    files = {
        "plain [red].json": first + second,
        "plain.json.gz": first + second,
        "gzip.json": gzip.compress(first + second),
        "two-members.gz": gzip.compress(first) + gzip.compress(second) + b"\0" * 512,
        "zstd": zstandard.compress(first + second),
        "two-frames.zst": skipped + zstandard.compress(first) + zstandard.compress(second),
    }
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    stdin = gzip.compress(first + second)
    matches, stderr = run_replay(tmp_path, *SSH_RULE_ONLY, *files, "-", stdin=stdin)
    matched_lines = [(one["file"], one["line"]) for one in matches]
    assert matched_lines == [(name, line) for name in (*files, "-") for line in (1, 3)]
    assert stderr.startswith("21 events, 14 matches (0 suppressed), 0 rejected\n")
    assert "does not exist: no exclusions were applied" in stderr
    assert {path.name for path in tmp_path.iterdir()} == set(files)


def test_a_match_line_has_file_line_rule_and_event_fields(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(ndjson(exec_event(event_id="first")))
    matches, _ = run_replay(tmp_path, *SSH_RULE_ONLY, "a.json")
    assert matches == [
        {
            "file": "a.json",
            "line": 1,
            "rule": {"id": RULE_ID, "name": "SSH launched inside a container"},
            "headline": "ssh to 10.42.3.17:2222 as deploy",
            "event_id": "first",
            "occurred_at": "2026-11-24T11:59:58.123456+00:00",
            "host": "node-11",
            "container": "web-5c6b",
            "user": "nginx",
            "command_line": "ssh -p 2222 deploy@10.42.3.17 uptime",
            "suppressed_by": None,
        }
    ]


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
}


def _bodies() -> dict[str, bytes]:
    one, two, quiet = (json.dumps(e).encode() for e in (exec_event(), exec_event(), benign_event()))
    large = json.dumps(exec_event("ssh", "x" * 6_000)).encode()
    printed = json.dumps(exec_event(), indent=1).encode()
    return {
        "lines": b"\n".join([one, quiet, two]),
        "lines of a file from elsewhere": b"\xef\xbb\xbf"
        + b"\r\n".join([b"", one, b"", quiet, two]),
        "broken lines": b"\n".join([TRUNCATED_EVENT, one, b"\xff\xfe", two, b"17", large, b"null"]),
        "a first line cut short": b"\n".join([one[:300], two, quiet]),
        "an event too large": large,
        "a text of many lines": b"Nov 24 sshd[1]: Server listening\n" * 9,
        "an array": b"[" + b",\n".join([one, quiet, TRUNCATED_EVENT + b"1}", two]) + b"]",
        "an array that is never closed": b"[" + b",\n".join([one, quiet, two]),
        "one printed object": printed,
        "two printed objects": printed + b"\n" + printed,
        "bytes": bytes(range(256)) * 4,
        "wrapped": json.dumps({"_source": json.loads(one)}).encode(),
    }


class TestReplayMatchesIngest:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return read_settings(database_url=settings.database_url, max_event_bytes=5_000)

    def test_replay_and_ingest_give_the_same_counts_and_rejections(
        self,
        agent: AgentClient,
        settings: Settings,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        replay_rules = compile_replay_rules(select_rules(settings, rules=(), all_rules=False))
        for name, body in _bodies().items():
            for encoding, encode in ENCODINGS.items():
                (tmp_path / "body").write_bytes(encode(body))
                summary = replay_files(
                    ["body"], settings, replay_rules, ReplayOutput(print_matches=False)
                )
                receipt = agent.send_events(encode(body), **{"Content-Encoding": encoding})
                found = receipt["matched"] + receipt["duplicates"]
                assert (summary.events, summary.matches) == (receipt["received"], found), name
                rejected = [f"body:{one['line']}: {one['error']}" for one in receipt["rejected"]]
                assert summary.rejected == len(rejected), name
                assert capsys.readouterr().err.splitlines()[:10] == rejected[:10], name


# ---- errors ----


def test_readable_parts_are_evaluated_and_unreadable_files_are_named(tmp_path: Path) -> None:
    body = ndjson(*(exec_event("ssh", f"host-{n}") for n in range(400)))
    packed, frame = gzip.compress(body), zstandard.compress(body)
    files = {
        "empty": b"",
        "blank.gz": gzip.compress(b"\n \n"),
        "cut.gz": packed[:-9],
        "more.gz": packed + b"and something else",
        "changed.gz": packed[:-8] + b"\0\0\0\0" + packed[-4:],
        "cut.zst": frame[:-9],
        "more.zst": frame + b"and something else",
        "last.json": ndjson(exec_event()),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "loop").symlink_to("loop")
    names = ("missing", ".", "loop", "/proc/self/mem", *files)
    matches, stderr = run_replay(tmp_path, *SSH_RULE_ONLY, *names, code=1)
    for line in (
        "missing cannot be read: No such file or directory.",
        ". is a directory; name the files in it.",
        "loop cannot be read: Too many levels of symbolic links.",
        "/proc/self/mem cannot be read: Input/output error.",
        "empty contains no events.",
        "blank.gz contains no events.",
        "cut.gz ends in the middle of its gzip data.",
        "changed.gz holds damaged gzip data: incorrect checksum found.",
        "cut.zst ends in the middle of its zstd data.",
        "more.zst holds damaged zstd data: unknown frame descriptor.",
        "11 of 12 files could not be read completely",
    ):
        assert line in stderr.splitlines()
    assert "more.gz holds damaged gzip data: " in stderr
    matched_lines = [one["file"] for one in matches]
    assert (matched_lines.count("more.gz"), matched_lines.count("more.zst"), matched_lines[-1]) == (
        400,
        400,
        "last.json",
    )
    assert matched_lines.count("cut.gz") > 100


def test_a_file_without_events_gives_one_error_line(tmp_path: Path) -> None:
    assert run_replay(tmp_path, "-", code=1) == ([], "stdin contains no events.\n")
    (tmp_path / "a\n\x1b[31m").touch()
    assert run_replay(tmp_path, "a\n\x1b[31m", code=1)[1] == "a\\x0a\\x1b[31m contains no events.\n"


def test_rejections_of_one_file_are_limited_on_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes((TRUNCATED_EVENT + b"\n") * 1_300 + b"\xff\n" * 34 + b"{}")
    _, stderr = run_replay(tmp_path, "broken", code=1)
    lines = stderr.splitlines()
    assert lines[0].startswith("broken:1: not JSON")
    assert lines[9].startswith("broken:10: not JSON")
    assert lines[10] == "broken: … and 1,325 more rejected"
    assert lines[11] == "1,335 events, 0 matches (0 suppressed), 1,335 rejected"
    assert lines[13].startswith("    1,300  rejected: not JSON")
    assert lines[14] == "       34  rejected: not UTF-8 at byte N"
    assert len(lines) < 20


# ---- the rules and the database ----

RULE_TEMPLATE = """[rule]
rule_id = "id-of-{name}"
name = "{name}"
description = "For tests."
severity = "low"
risk_score = 21
type = "eql"
language = "eql"
query = 'process where process.name == "ls"'
enabled = {enabled}
"""


def test_rules_are_selected_by_id_or_file_name_even_when_disabled(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    for name, enabled in (("asleep", "false"), ("awake", "true")):
        rule = RULE_TEMPLATE.format(name=name, enabled=enabled)
        (tmp_path / "rules" / f"{name}_rule.toml").write_text(rule)
    (tmp_path / "a.json").write_bytes(ndjson(benign_event()))

    def names(*args: str) -> set[str]:
        matches, _ = run_replay(tmp_path, *args, "-q", "a.json", RULES="rules")
        return {one["rule"]["name"] for one in matches}

    assert names("--rule", "id-of-asleep", "--rule", "awake_rule") == {"asleep", "awake"}
    assert names() & {"asleep", "awake"} == {"awake"}
    assert names("--all-rules") >= {"asleep", "awake"}
    (tmp_path / "rules" / "broken.toml").write_text("broken")
    _, stderr = run_replay(tmp_path, "--rule", "asleep_rule", "-q", "a.json", RULES="rules")
    assert stderr == "1 problems in rule files; list them with: deckwatch rules check\n"


def test_exclusions_suppress_matches_and_the_summary_counts_by_rule(tmp_path: Path) -> None:
    database = open_migrated_database(read_settings(), on_migrated=lambda _: None)
    wanted = ValidExclusion(
        rule_id=RULE_ID,
        conditions=(Condition("host.name", Operator.IS, ("quiet",)),),
        reason="For tests.",
        owner="ada",
        ends_at=utc_now() + timedelta(days=1),
        from_alert_id=None,
    )
    exclusions.propose(database, wanted, principal=CLI_PRINCIPAL, at=utc_now())
    database.close()
    events = [exec_event(host="quiet"), *(exec_event(host=f"node-{n}") for n in range(1_002))]
    matches, stderr = run_replay(tmp_path, *SSH_RULE_ONLY, "-", stdin=ndjson(*events))
    assert matches[0]["suppressed_by"] == {"exclusion": 1, "version": 1}
    assert matches[1]["suppressed_by"] is None
    assert "1,003 matches (1 suppressed)" in stderr
    assert [line.split() for line in stderr.splitlines()[-2:]] == [
        ["matches", "suppressed", "hosts", "containers", "first", "last", "rule"],
        ["1,003", "1", "over", "1,000", "1"]
        + ["2026-11-24", "11:59:58"] * 2
        + ["SSH", "launched", "inside", "a", "container"],
    ]


def test_an_unusable_database_gives_one_error_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(ndjson(exec_event()))
    (tmp_path / "deckwatch.db").write_bytes(b"")
    assert "run: deckwatch db upgrade" in run_replay(tmp_path, "a.json", code=1)[1]
    (tmp_path / "deckwatch.db").write_bytes(b"no database at all\n" * 500)
    _, stderr = run_replay(tmp_path, "a.json", code=1)
    assert ("not a database" in stderr, stderr.count("\n")) == (True, 1)


# ---- output for scripts ----


def test_exit_codes_tell_matches_and_errors_apart(tmp_path: Path) -> None:
    (tmp_path / "match").write_bytes(ndjson(exec_event()))
    (tmp_path / "quiet").write_bytes(ndjson(benign_event()))
    (tmp_path / "broken").write_bytes(TRUNCATED_EVENT)
    fail = ("--fail-on-match", "--summary-only", "-q")
    assert run_replay(tmp_path, *fail, "match", "broken", "missing", code=3)[0] == []
    assert run_replay(tmp_path, *fail, "quiet") == ([], "")
    assert run_replay(tmp_path, *fail, "quiet", "broken", code=1)[0] == []


USAGE_ERRORS: dict[str, tuple[tuple[str, ...], str]] = {
    "a rule that is not there": (
        ("--rule", "ssh_in_contain", "a"),
        "Did you mean ssh_in_container?",
    ),
    "a rule like no other": (("--rule", "\x1b", "a"), "deckwatch rules list"),
    "some rules and all": (("--rule", "a", "--all-rules", "a"), "cannot be combined"),
    "stdin twice": (("-", "-"), "stdin (-) may be given only once"),
}


@pytest.mark.parametrize(("args", "stderr"), USAGE_ERRORS.values(), ids=USAGE_ERRORS.keys())
def test_a_usage_error_exits_2_with_a_hint(
    tmp_path: Path, args: tuple[str, ...], stderr: str
) -> None:
    assert stderr in run_replay(tmp_path, *args, code=2)[1]
