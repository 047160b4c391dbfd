"""Debian's rsyslog (module `omelasticsearch`) and syslog-ng (destination `http()`) send events."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import TIMEOUT_SECONDS
from tests.shippers.conftest import Deckwatch
from tests.shippers.installed import debian_program

RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imfile")
module(load="omelasticsearch")
template(name="event" type="string" string="%msg%")
input(type="imfile" file="{events}" tag="events" ruleset="ship")
ruleset(name="ship" queue.type="LinkedList" queue.dequeueBatchSize="10") {{
    action(type="omelasticsearch" server="{url}" uid="rsyslog" pwd="{key}" bulkmode="on"
        template="event" searchIndex="logs" searchType="_doc" errorFile="{folder}/refused"
        action.resumeRetryCount="-1" action.resumeInterval="1")
}}
"""

SYSLOG_NG = """
@version: 3.35
options {{ stats-freq(0); }};
source events {{ file("{events}" flags(no-parse)); }};
destination deckwatch {{
    http(
        url("{url}/logs/_bulk") method("POST") user("syslog-ng") password("{key}")
        headers("Content-Type: application/x-ndjson")
        body("{{\\"index\\":{{}}}}\\n${{MSG}}") delimiter("\\n") body-suffix("\\n")
        batch-lines(10) batch-timeout(200) retries(3) time-reopen(1)
    );
}};
log {{ source(events); destination(deckwatch); }};
"""


@contextmanager
def running(
    command: list[str], environment_without_proxy: dict[str, str], folder: Path
) -> Iterator[None]:
    """Run a daemon in the foreground during the `with` block; its output goes to `folder / "said"`."""
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment_without_proxy,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
            assert process.poll() is None
        except AssertionError as error:
            error.add_note((folder / "said").read_text())
            raise
        finally:
            process.terminate()
            try:
                process.wait(TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_rsyslog_sends_everything_once_and_notes_the_bad_ones_alone(
    deckwatch: Deckwatch, tmp_path: Path
) -> None:
    program = debian_program("rsyslogd", "omelasticsearch.so", "rsyslog", "rsyslog-elasticsearch")
    sent = deckwatch.new_sample("rsyslog")
    configuration = tmp_path / "rsyslog.conf"
    configuration.write_text(
        RSYSLOG.format(folder=tmp_path, events=sent.file(tmp_path), url=deckwatch.url, key=sent.key)
    )
    command = [
        *(str(program.path), "-n", "-f", str(configuration)),
        *("-i", str(tmp_path / "pid"), "-M", str(program.modules)),
    ]
    with running(command, program.environment_without_proxy, tmp_path):
        sent.wait_for_arrival()
    sent.check_stored()
    noted = (tmp_path / "refused").read_text()
    assert "no known agent format" in noted


def test_syslog_ng_sends_everything_once(deckwatch: Deckwatch, tmp_path: Path) -> None:
    program = debian_program("syslog-ng", "libhttp.so", "syslog-ng-core", "syslog-ng-mod-http")
    sent = deckwatch.new_sample("syslog-ng")
    configuration = tmp_path / "syslog-ng.conf"
    configuration.write_text(
        SYSLOG_NG.format(events=sent.file(tmp_path), url=deckwatch.url, key=sent.key)
    )
    command = [
        *(str(program.path), "--foreground", "--no-caps", "--cfgfile", str(configuration)),
        *("--persist-file", str(tmp_path / "persist"), "--control", str(tmp_path / "control")),
        *("--pidfile", str(tmp_path / "pid"), "--module-path", str(program.modules)),
    ]
    with running(command, program.environment_without_proxy, tmp_path):
        sent.wait_for_arrival()
    sent.check_stored()
