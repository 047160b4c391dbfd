"""JSONTestSuite over HTTP: valid, invalid and implementation-defined JSON (long because of a table)."""

import json
import zipfile
from collections import Counter
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
from app.store.tables import Match
from tests.conftest import ORIGIN
from tests.factories import benign_event, exec_event
from tests.quarantined import take_quarantined

SUITE = Path(__file__).parent.parent / "samples" / "json_test_suite" / "files.zip"


def _files() -> dict[str, bytes]:
    with zipfile.ZipFile(SUITE) as archive:
        return {name.removesuffix(".json"): archive.read(name) for name in archive.namelist()}


FILES = _files()
VALID = sorted(name for name in FILES if name.startswith("y_"))
INVALID = sorted(name for name in FILES if name.startswith("n_"))
# These contain only white space, so they are no line.
EMPTY = {"n_single_space", "n_structure_no_data"}

# Beginnings of the reasons that concern the JSON syntax, not the event.
NOT_JSON, NOT_UTF_8, EMPTY_EVENT, DEEP = (
    "not JSON",
    "not UTF-8",
    "the event is empty",
    "nested deeper",
)
SYNTAX = (NOT_JSON, NOT_UTF_8, EMPTY_EVENT, DEEP)
ACCEPTED = "accepted"

# Implementation-defined files and how they are treated. Lone surrogates are accepted, because agents send an
# argument with a byte that is not UTF-8 as one. Numbers beyond any limit are accepted, because they do not
# affect the rest of the event.
IMPLEMENTATION_DEFINED = {
    "i_number_double_huge_neg_exp": ACCEPTED,
    "i_number_huge_exp": ACCEPTED,
    "i_number_neg_int_huge_exp": ACCEPTED,
    "i_number_pos_double_huge_exp": ACCEPTED,
    "i_number_real_neg_overflow": ACCEPTED,
    "i_number_real_pos_overflow": ACCEPTED,
    "i_number_real_underflow": ACCEPTED,
    "i_number_too_big_neg_int": ACCEPTED,
    "i_number_too_big_pos_int": ACCEPTED,
    "i_number_very_big_negative_int": ACCEPTED,
    "i_object_key_lone_2nd_surrogate": ACCEPTED,
    "i_string_1st_surrogate_but_2nd_missing": ACCEPTED,
    "i_string_1st_valid_surrogate_2nd_invalid": ACCEPTED,
    "i_string_UTF-16LE_with_BOM": NOT_UTF_8,
    "i_string_UTF-8_invalid_sequence": NOT_UTF_8,
    "i_string_UTF8_surrogate_U+D800": NOT_UTF_8,
    "i_string_incomplete_surrogate_and_escape_valid": ACCEPTED,
    "i_string_incomplete_surrogate_pair": ACCEPTED,
    "i_string_incomplete_surrogates_escape_valid": ACCEPTED,
    "i_string_invalid_lonely_surrogate": ACCEPTED,
    "i_string_invalid_surrogate": ACCEPTED,
    "i_string_invalid_utf-8": NOT_UTF_8,
    "i_string_inverted_surrogates_U+1D11E": ACCEPTED,
    "i_string_iso_latin_1": NOT_UTF_8,
    "i_string_lone_second_surrogate": ACCEPTED,
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
    """A running Deckwatch, with access to the rows stored since the last check."""

    client: TestClient
    database: Database
    key: str
    sent: int = 0
    last_match: int = 0

    def event(self) -> bytes:
        """Return a new matching event on one line."""
        self.sent += 1
        return json.dumps(exec_event(event_id=f"neighbour-{self.sent}")).encode()

    def post(self, body: bytes, path: str = "/api/v1/events") -> tuple[int, dict[str, Any]]:
        answer = self.client.post(
            path, content=body, headers={"Authorization": f"Bearer {self.key}"}
        )
        assert answer.status_code < 500, answer.text
        return answer.status_code, answer.json()

    def send_events(self, body: bytes) -> dict[str, Any]:
        status, receipt = self.post(body)
        assert status == 200, receipt
        return receipt

    def stored(self) -> int:
        """Return the number of matches stored in alerts since the last call."""
        with self.database.read() as session:
            ids = session.exec(
                select(Match.id).where(
                    col(Match.id) > self.last_match, col(Match.alert_id).is_not(None)
                )
            ).all()
        self.last_match = max([self.last_match, *(match_id or 0 for match_id in ids)])
        return len(ids)


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
    return [event["error"] for event in receipt["rejected"]]


def on_a_line(raw: bytes) -> bytes:
    """Return the same JSON on one line."""
    return raw.replace(b"\n", b" ").strip()


def test_the_suite_is_complete() -> None:
    assert (len(VALID), len(INVALID), len(IMPLEMENTATION_DEFINED), len(FILES)) == (95, 188, 35, 318)
    assert {name for name in FILES if name.startswith("i_")} == IMPLEMENTATION_DEFINED.keys()


class TestValidJson:
    """None of these files is an event: each is rejected, but never for its syntax."""

    def test_is_parsed_on_a_line(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in VALID:
            with subtests.test(name):
                lines = service.event(), on_a_line(FILES[name]), service.event()
                receipt = service.send_events(b"\n".join(lines))
                (reason,) = reasons(receipt)
                assert not is_about_json(reason)
                assert (receipt["received"], receipt["matched"], service.stored()) == (3, 2, 2)

    def test_is_parsed_in_an_array(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in VALID:
            with subtests.test(name):
                receipt = service.send_events(
                    b"[%b,%b,%b]" % (service.event(), FILES[name], service.event())
                )
                (reason,) = reasons(receipt)
                assert not is_about_json(reason)
                assert (receipt["received"], receipt["matched"], service.stored()) == (3, 2, 2)

    def test_is_parsed_as_a_whole_body(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in VALID:
            with subtests.test(name):
                receipt = service.send_events(FILES[name])
                assert not any(map(is_about_json, reasons(receipt)))
                assert receipt["received"] == len(receipt["rejected"])

    def test_is_parsed_inside_an_event(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in VALID:
            with subtests.test(name):
                receipt = service.send_events(
                    service.event()[:-1] + b',"labels":' + FILES[name] + b"}"
                )
                assert (receipt["received"], receipt["rejected"], service.stored()) == (1, [], 1)

    def test_is_parsed_in_a_bulk_body(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in VALID:
            with subtests.test(name):
                statuses, (reason,) = bulk(service, on_a_line(FILES[name]))
                assert not is_about_json(reason)
                assert (statuses, service.stored()) == ([201, 400, 201], 2)


class TestInvalidJson:
    """Invalid JSON is rejected, and the valid events around it are stored."""

    def test_is_rejected_on_lines(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in INVALID:
            with subtests.test(name):
                take_quarantined(service.database)
                lines = [line for line in FILES[name].split(b"\n") if line.strip()]
                receipt = service.send_events(
                    b"\n".join((service.event(), *lines, service.event()))
                )
                assert name in EMPTY or any(map(is_about_json, reasons(receipt)))
                assert (receipt["received"], receipt["matched"]) == (2 + len(lines), 2)
                assert service.stored() == 2
                assert take_quarantined(service.database) == Counter(map(bytes.strip, lines))

    def test_is_rejected_in_an_array(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in INVALID:
            with subtests.test(name):
                receipt = service.send_events(
                    b"[%b,%b,%b]" % (service.event(), FILES[name], service.event())
                )
                assert any(map(is_about_json, reasons(receipt)))
                # An unclosed bracket or quote may take the event behind it into the same element.
                assert receipt["matched"] == service.stored() >= 1

    def test_is_rejected_as_a_whole_body(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in INVALID:
            with subtests.test(name):
                status, response = service.post(FILES[name])
                assert (status == 400) is (name in (*EMPTY, "n_structure_UTF8_BOM_no_data"))
                assert status == 400 or any(map(is_about_json, reasons(response)))

    def test_is_rejected_inside_an_event(self, service: Service, subtests: pytest.Subtests) -> None:
        """Also inside an event without a match, of which only the fields that rules read are decoded."""
        for name in INVALID:
            with subtests.test(name):
                quiet = json.dumps(benign_event()).encode()
                for event in (service.event(), quiet):
                    # A line end would end the event. A tab is equally invalid in strings and valid elsewhere.
                    inside = event[:-1] + b',"labels":' + FILES[name].replace(b"\n", b"\t") + b"}"
                    receipt = service.send_events(
                        b"\n".join((service.event(), inside, service.event()))
                    )
                    (reason,) = reasons(receipt)
                    assert is_about_json(reason)
                    assert (receipt["received"], receipt["matched"], service.stored()) == (3, 2, 2)

    def test_is_rejected_in_a_bulk_body(self, service: Service, subtests: pytest.Subtests) -> None:
        for name in INVALID:
            with subtests.test(name):
                statuses, bulk_reasons = bulk(service, FILES[name])
                if name in EMPTY:
                    assert bulk_reasons == [
                        "an action without its event: another action follows, or the body ends"
                    ]
                else:
                    assert any(map(is_about_json, bulk_reasons))
                assert (statuses[0], statuses[-1], service.stored()) == (201, 201, 2)
                assert set(statuses[1:-1]) == {400}


def test_implementation_defined_json_is_treated_alike_in_every_form(
    service: Service, subtests: pytest.Subtests
) -> None:
    for name in IMPLEMENTATION_DEFINED:
        with subtests.test(name):
            receipt = service.send_events(
                b"\n".join((service.event(), FILES[name], service.event()))
            )
            (reason,) = reasons(receipt)
            result = next((prefix for prefix in SYNTAX if reason.startswith(prefix)), ACCEPTED)
            assert result == IMPLEMENTATION_DEFINED[name]
            assert (receipt["received"], receipt["matched"], service.stored()) == (3, 2, 2)
            assert bulk(service, FILES[name]) == ([201, 400, 201], [reason])
            assert service.stored() == 2


def bulk(service: Service, raw: bytes) -> tuple[list[int], list[str]]:
    """Send `raw` between two events in a bulk body; return all statuses and the rejection reasons."""
    take_quarantined(service.database)  # so that `raw` is not answered as a repetition
    action = b'{"create":{}}'
    lines = action, service.event(), action, raw, action, service.event(), b""
    status, response = service.post(b"\n".join(lines), "/elastic/_bulk")
    assert status == 200, response
    items = [item for entry in response["items"] for item in entry.values()]
    reasons = [item["error"]["reason"] for item in items if item["status"] != 201]
    return [item["status"] for item in items], reasons
