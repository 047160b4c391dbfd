"""Elasticsearch's Python clients, versions 8 and 9, send events in each of their ways to send in bulk."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import elasticsearch8
import elasticsearch8.helpers
import elasticsearch9
import elasticsearch9.helpers
import pytest

from tests.shippers.conftest import Deckwatch, EventSample, invalid_event, is_invalid

LIBRARIES: list[Any] = [elasticsearch8, elasticsearch9]
# The ways in which these clients can send an API key.
AUTHENTICATION: dict[str, Callable[[str], dict[str, Any]]] = {
    "an id and a key": lambda key: {"api_key": ("any-id", key)},
    "a key": lambda key: {"api_key": key},
    "a password": lambda key: {"basic_auth": ("elastic", key)},
    "a bearer": lambda key: {"bearer_auth": key},
}


@pytest.fixture(params=LIBRARIES, ids=["8", "9"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


def name_of(library: Any, what: str) -> str:
    return f"python-{library.__version__[0]}-{what}"


def client_of(library: Any, deckwatch: Deckwatch, sent: EventSample, **more: Any) -> Any:
    options: dict[str, Any] = {"api_key": ("any-id", sent.key), "http_compress": True} | more
    return library.Elasticsearch(deckwatch.url, **options)


def actions(sent: EventSample) -> Iterator[dict[str, Any]]:
    for number, event in enumerate(sent.events):
        yield {
            "_op_type": ("create", "index")[number % 2],
            "_index": "logs",
            "_id": f"id-{number}",
            "_source": event,
        }


def test_bulk_sends_everything_and_raises_for_the_bad_ones_alone(
    deckwatch: Deckwatch, library: Any
) -> None:
    sent = deckwatch.new_sample(name_of(library, "bulk"))
    with client_of(library, deckwatch, sent) as client:
        with pytest.raises(library.helpers.BulkIndexError) as raised:
            library.helpers.bulk(client, actions(sent))
        errors = [item for one in raised.value.errors for item in one.values()]
        assert [one["status"] for one in errors] == [400] * sent.invalid_count
        assert all(is_invalid(one["data"]) for one in errors)
        assert all("no known agent format" in one["error"]["reason"] for one in errors)
        sent.wait_for_arrival()
        # A program that retries sends the valid events again. It gets no error, and nothing is stored twice.
        good = [one for one in actions(sent) if not is_invalid(one["_source"])]
        assert library.helpers.bulk(client, good) == (len(good), [])
    assert sent.alerts() == {f"{sent.name}-a": 6, f"{sent.name}-b": 6}


@pytest.mark.parametrize("way", ["streaming_bulk", "parallel_bulk"])
@pytest.mark.parametrize("compressed", [True, False], ids=["gzip", "plain"])
def test_streaming_and_parallel_bulk_say_of_each_event_what_became_of_it(
    deckwatch: Deckwatch, library: Any, way: str, compressed: bool
) -> None:
    sent = deckwatch.new_sample(name_of(library, f"{way}-{compressed}").lower())
    send = getattr(library.helpers, way)
    with client_of(library, deckwatch, sent, http_compress=compressed) as client:
        told = list(send(client, actions(sent), chunk_size=5, raise_on_error=False))
    by_id = {item["_id"]: ok for ok, one in told for item in one.values()}
    assert by_id == {
        f"id-{number}": not is_invalid(event) for number, event in enumerate(sent.events)
    }
    sent.wait_for_arrival()


@pytest.mark.parametrize("dressed", AUTHENTICATION)
def test_a_client_may_present_its_key_in_each_of_its_ways(
    deckwatch: Deckwatch, library: Any, dressed: str
) -> None:
    sent = deckwatch.new_sample(name_of(library, dressed.replace(" ", "-")))
    way = {"api_key": None} | AUTHENTICATION[dressed](sent.key)
    with client_of(library, deckwatch, sent, **way) as client:
        assert client.info()["cluster_name"] == "deckwatch"
        assert client.ping()
        assert client.cluster.health()["status"] == "green"
        assert client.license.get()["license"]["status"] == "active"
        operations: list[dict[str, Any]] = []
        for event in sent.events:
            operations += [{"create": {}}, event]
        answer = client.bulk(index="logs", operations=operations)
        assert answer["errors"] is True
        assert [one["create"]["status"] for one in answer["items"]] == [
            400 if is_invalid(event) else 201 for event in sent.events
        ]
        client.indices.refresh(index="logs")
    sent.wait_for_arrival()


def test_a_client_is_told_in_its_own_words_that_its_key_is_unknown(
    deckwatch: Deckwatch, library: Any
) -> None:
    with (
        library.Elasticsearch(deckwatch.url, api_key="dw_unknown") as client,
        pytest.raises(library.AuthenticationException) as raised,
    ):
        client.info()
    assert raised.value.status_code == 401
    assert "An API key is required" in raised.value.body["error"]["reason"]


def test_index_and_create_send_one_event_per_request(deckwatch: Deckwatch, library: Any) -> None:
    """The client's `index()` without an id sends `POST /{index}/_doc`; with an id, `PUT`."""
    sent = deckwatch.new_sample(name_of(library, "index"))
    ways: list[tuple[str, dict[str, str]]] = [
        ("index", {}),
        ("index", {"id": "a/b"}),
        ("create", {"id": "c"}),
    ]
    with client_of(library, deckwatch, sent) as client:
        for number, event in enumerate(sent.events):
            method, options = ways[number % 3]
            send = partial(getattr(client, method), index="logs", document=event, **options)
            if is_invalid(event):
                with pytest.raises(
                    library.BadRequestError, match="no known agent format"
                ) as raised:
                    send()
                assert raised.value.error == "document_parsing_exception"
                continue
            answer = send()
            assert (answer["result"], answer["_index"]) == ("created", "logs")
            assert answer["_id"] == options.get("id", answer["_id"])
        sent.wait_for_arrival()
        # A program that repeats a rejected request is told that it is already known.
        assert client.index(index="logs", document=invalid_event(0))["result"] == "noop"


def test_templates_policies_and_pipelines_can_be_checked_and_created(
    deckwatch: Deckwatch, library: Any
) -> None:
    sent = deckwatch.new_sample(name_of(library, "templates"))
    with client_of(library, deckwatch, sent) as client:
        assert client.indices.exists_index_template(name="falco")
        assert client.indices.put_index_template(name="falco", index_patterns=["falco-*"])[
            "acknowledged"
        ]
        assert client.cluster.exists_component_template(name="falco")
        assert client.cluster.put_component_template(name="falco", template={})["acknowledged"]
        assert "falco" in client.ilm.get_lifecycle(name="falco")
        assert client.ilm.put_lifecycle(name="falco", policy={"phases": {}})["acknowledged"]
        assert "falco" in client.ingest.get_pipeline(id="falco")
        assert client.ingest.put_pipeline(id="falco", processors=[])["acknowledged"]
