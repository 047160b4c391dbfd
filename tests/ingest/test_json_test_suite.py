"""The files of JSONTestSuite through the front doors: what is JSON, what is not, and what may be either."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from app.actions import api_keys
from app.bootstrap import open_migrated_database
from app.clock import utc_now
from app.domain.principal import CLI_PRINCIPAL, Role
from app.main import create_app
from app.settings import read_settings
from app.store.database import Database
from app.store.tables import Match, QuarantinedEvent
from tests.conftest import ORIGIN
from tests.factories import benign_event, exec_event

SUITE = Path(__file__).parent.parent / "samples" / "json_test_suite" / "files.zip"


def _files() -> dict[str, bytes]:
    with zipfile.ZipFile(SUITE) as archive:
        return {name.removesuffix(".json"): archive.read(name) for name in archive.namelist()}


FILES = _files()
SOUND = sorted(name for name in FILES if name.startswith("y_"))
BROKEN = sorted(name for name in FILES if name.startswith("n_"))
# Between two lines these are no line at all.
EMPTY = {"n_single_space", "n_structure_no_data"}

# How a reason begins that is about the JSON, not about the event in it.
NOT_JSON, NOT_UTF_8, NOTHING, DEEP = "not JSON", "not UTF-8", "is empty", "nested deeper"
SYNTAX = (NOT_JSON, NOT_UTF_8, NOTHING, DEEP)
READ = "read"

# What is done with those that may be either. Lone surrogates are read, since an argument with a byte that
# is not UTF-8 reaches us so; numbers beyond any limit are read, since they say nothing of the rest.
EITHER = {
    "i_number_double_huge_neg_exp": READ,
    "i_number_huge_exp": READ,
    "i_number_neg_int_huge_exp": READ,
    "i_number_pos_double_huge_exp": READ,
    "i_number_real_neg_overflow": READ,
    "i_number_real_pos_overflow": READ,
    "i_number_real_underflow": READ,
    "i_number_too_big_neg_int": READ,
    "i_number_too_big_pos_int": READ,
    "i_number_very_big_negative_int": READ,
    "i_object_key_lone_2nd_surrogate": READ,
    "i_string_1st_surrogate_but_2nd_missing": READ,
    "i_string_1st_valid_surrogate_2nd_invalid": READ,
    "i_string_UTF-16LE_with_BOM": NOT_UTF_8,
    "i_string_UTF-8_invalid_sequence": NOT_UTF_8,
    "i_string_UTF8_surrogate_U+D800": NOT_UTF_8,
    "i_string_incomplete_surrogate_and_escape_valid": READ,
    "i_string_incomplete_surrogate_pair": READ,
    "i_string_incomplete_surrogates_escape_valid": READ,
    "i_string_invalid_lonely_surrogate": READ,
    "i_string_invalid_surrogate": READ,
    "i_string_invalid_utf-8": NOT_UTF_8,
    "i_string_inverted_surrogates_U+1D11E": READ,
    "i_string_iso_latin_1": NOT_UTF_8,
    "i_string_lone_second_surrogate": READ,
    "i_string_lone_utf8_continuation_byte": NOT_UTF_8,
    "i_string_not_in_unicode_range": NOT_UTF_8,
    "i_string_overlong_sequence_2_bytes": NOT_UTF_8,
    "i_string_overlong_sequence_6_bytes": NOT_UTF_8,
    "i_string_overlong_sequence_6_bytes_null": NOT_UTF_8,
    "i_string_truncated-utf-8": NOT_UTF_8,
    "i_string_utf16BE_no_BOM": NOT_UTF_8,
    "i_string_utf16LE_no_BOM": NOT_UTF_8,
    "i_structure_500_nested_arrays": DEEP,
    # A byte order mark belongs at the start of a body, not of a line in it.
    "i_structure_UTF-8_BOM_empty_object": NOT_JSON,
}


@dataclass
class Service:
    """A running Deckwatch; what was sent to it last can be looked up."""

    client: TestClient
    database: Database
    key: str
    sent: int = 0
    last_match: int = 0
    last_quarantined: int = 0

    def event(self) -> bytes:
        """One that matches, on one line."""
        self.sent += 1
        return json.dumps(exec_event(event_id=f"neighbour-{self.sent}")).encode()

    def post(self, body: bytes, path: str = "/api/v1/events") -> tuple[int, dict[str, Any]]:
        answer = self.client.post(
            path, content=body, headers={"Authorization": f"Bearer {self.key}"}
        )
        assert answer.status_code < 500, answer.text
        return answer.status_code, answer.json()

    def send_events(self, body: bytes) -> dict[str, Any]:
        status, told = self.post(body)
        assert status == 200, told
        return told

    def stored(self) -> int:
        """How many events were stored in alerts since this was asked last."""
        with self.database.read() as session:
            found = session.exec(
                select(Match.id).where(
                    col(Match.id) > self.last_match, col(Match.alert_id).is_not(None)
                )
            ).all()
        self.last_match = max([self.last_match, *(one or 0 for one in found)])
        return len(found)

    def quarantined(self) -> list[bytes]:
        with self.database.read() as session:
            wanted = select(QuarantinedEvent.id, QuarantinedEvent.event).where(
                col(QuarantinedEvent.id) > self.last_quarantined
            )
            found = session.exec(wanted.order_by(col(QuarantinedEvent.id))).all()
        self.last_quarantined = max([self.last_quarantined, *(one or 0 for one, _ in found)])
        return [event for _, event in found]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("json")
    settings = read_settings(database_url=f"sqlite:///{folder / 'deckwatch.db'}")
    database = open_migrated_database(settings, on_migrated=lambda _: None)
    key = api_keys.create(database, "fleet", Role.AGENT, principal=CLI_PRINCIPAL, at=utc_now())[1]
    with TestClient(create_app(settings), base_url=ORIGIN) as client:
        yield Service(client, database, key)
    database.close()


def is_about_json(reason: str) -> bool:
    return reason.removeprefix("neither an action nor an event: ").startswith(SYNTAX)


def reasons(receipt: dict[str, Any]) -> list[str]:
    return [one["error"] for one in receipt["rejected"]]


def on_a_line(raw: bytes) -> bytes:
    """The same JSON; what has a line end in it would be two lines."""
    return raw.replace(b"\n", b" ").strip()


def test_all_files_are_there() -> None:
    assert (len(SOUND), len(BROKEN), len(EITHER), len(FILES)) == (95, 188, 35, 318)
    assert {name for name in FILES if name.startswith("i_")} == EITHER.keys()


class TestWhatIsJson:
    """None of these is an event: as one each is refused, though never for its JSON."""

    def test_is_read_on_a_line(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in SOUND:
            with subtests.test(name):
                lines = service.event(), on_a_line(FILES[name]), service.event()
                receipt = service.send_events(b"\n".join(lines))
                (reason,) = reasons(receipt)
                assert not is_about_json(reason)
                assert (receipt["received"], receipt["matched"], service.stored()) == (3, 2, 2)

    def test_is_read_in_an_array(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in SOUND:
            with subtests.test(name):
                receipt = service.send_events(
                    b"[%b,%b,%b]" % (service.event(), FILES[name], service.event())
                )
                (reason,) = reasons(receipt)
                assert not is_about_json(reason)
                assert (receipt["received"], receipt["matched"], service.stored()) == (3, 2, 2)

    def test_is_read_as_a_whole_body(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in SOUND:
            with subtests.test(name):
                receipt = service.send_events(FILES[name])
                assert not any(map(is_about_json, reasons(receipt)))
                assert receipt["received"] == len(receipt["rejected"])

    def test_is_read_inside_an_event(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in SOUND:
            with subtests.test(name):
                receipt = service.send_events(
                    service.event()[:-1] + b',"labels":' + FILES[name] + b"}"
                )
                assert (receipt["received"], receipt["rejected"], service.stored()) == (1, [], 1)

    def test_is_read_from_a_bulk_body(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in SOUND:
            with subtests.test(name):
                statuses, found = bulk(service, on_a_line(FILES[name]))
                (reason,) = found
                assert not is_about_json(reason)
                assert (statuses, service.stored()) == ([201, 400, 201], 2)


class TestWhatIsNotJson:
    """Between two sound events, which are stored each time."""

    def test_is_refused_on_its_lines(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in BROKEN:
            with subtests.test(name):
                service.quarantined()
                lines = [line for line in FILES[name].split(b"\n") if line.strip()]
                receipt = service.send_events(
                    b"\n".join((service.event(), *lines, service.event()))
                )
                assert name in EMPTY or any(map(is_about_json, reasons(receipt)))
                assert (receipt["received"], receipt["matched"]) == (2 + len(lines), 2)
                assert service.stored() == 2
                assert service.quarantined() == [line.strip() for line in lines]

    def test_is_refused_in_an_array(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in BROKEN:
            with subtests.test(name):
                receipt = service.send_events(
                    b"[%b,%b,%b]" % (service.event(), FILES[name], service.event())
                )
                assert any(map(is_about_json, reasons(receipt)))
                # A bracket or a quote that is left open holds on to what follows it.
                assert receipt["matched"] == service.stored() >= 1

    def test_is_refused_as_a_whole_body(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in BROKEN:
            with subtests.test(name):
                status, told = service.post(FILES[name])
                assert (status == 400) is (name in (*EMPTY, "n_structure_UTF8_BOM_no_data"))
                assert status == 400 or any(map(is_about_json, reasons(told)))

    def test_is_refused_inside_an_event(self, service: Service, subtests: pytest.Subtests) -> None:
        """Also inside one that matches nothing, of which nobody reads more than the rules ask."""
        for name in BROKEN:
            with subtests.test(name):
                quiet = json.dumps(benign_event()).encode()
                for event in (service.event(), quiet):
                    # A line end would end the event; a tab is no less wrong in a text, nor more elsewhere.
                    inside = event[:-1] + b',"labels":' + FILES[name].replace(b"\n", b"\t") + b"}"
                    receipt = service.send_events(
                        b"\n".join((service.event(), inside, service.event()))
                    )
                    (reason,) = reasons(receipt)
                    assert is_about_json(reason)
                    assert (receipt["received"], receipt["matched"], service.stored()) == (3, 2, 2)

    def test_is_refused_in_a_bulk_body(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in BROKEN:
            with subtests.test(name):
                statuses, found = bulk(service, FILES[name])
                if name in EMPTY:
                    assert found == [
                        "an action without its event: another action follows, or nothing"
                    ]
                else:
                    assert any(map(is_about_json, found))
                assert (statuses[0], statuses[-1], service.stored()) == (201, 201, 2)
                assert set(statuses[1:-1]) == {400}


def test_what_may_be_either_is_always_the_same(service: Service, subtests: pytest.Subtests) -> None:
    for name in EITHER:
        with subtests.test(name):
            receipt = service.send_events(
                b"\n".join((service.event(), FILES[name], service.event()))
            )
            (reason,) = reasons(receipt)
            found = next((words for words in SYNTAX if reason.startswith(words)), READ)
            assert found == EITHER[name]
            assert (receipt["received"], receipt["matched"], service.stored()) == (3, 2, 2)
            assert bulk(service, FILES[name]) == ([201, 400, 201], [reason])
            assert service.stored() == 2


def bulk(service: Service, raw: bytes) -> tuple[list[int], list[str]]:
    """Send it as a bulk body's event between two others; the statuses, and the reasons of those refused."""
    action = b'{"create":{}}'
    lines = action, service.event(), action, raw, action, service.event(), b""
    status, told = service.post(b"\n".join(lines), "/elastic/_bulk")
    assert status == 200, told
    items = [item for one in told["items"] for item in one.values()]
    refused = [item["error"]["reason"] for item in items if item["status"] != 201]
    return [item["status"] for item in items], refused
