"""What the Elasticsearch index makes of each answer to a bulk request; a stand-in gives what no healthy node does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

import msgspec
import pytest

from pipeline.indexes import Document, IndexUnavailable
from pipeline.indexes.elasticsearch import ElasticsearchIndex
from tests.services.process import free_port
from tests.standins.serving import Quiet, serving

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
Answer = tuple[int, object]
Answering = Callable[[Callable[[str, str], Answer]], ElasticsearchIndex]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Return what opens an index over a server that is a function of method and path."""

    def start(answer: Callable[[str, str], Answer]) -> ElasticsearchIndex:
        class Handler(Quiet):
            def _serve(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, body = answer(self.command, self.path.partition("?")[0])
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_PUT = do_POST = _serve  # noqa: N815 http.server's names

        return ElasticsearchIndex([started.enter_context(serving(Handler))])

    with ExitStack() as started:
        yield start


def bulk(statuses: Sequence[int]) -> Callable[[str, str], Answer]:
    """A node with the template in place that gives the items of a bulk request these statuses."""
    items = [
        {"create": {"status": one} | ({"error": {"type": "t", "reason": "r"}} if one >= 300 else {})}
        for one in statuses
    ]

    def answer(method: str, path: str) -> Answer:
        if path.startswith("/_index_template"):
            return 200, {"index_templates": [{"name": "tocsin", "index_template": {"version": 99}}]}
        return 200, {"items": items}

    return answer


def documents(count: int) -> list[Document]:
    out = []
    for number in range(count):
        id_ = f"{number:032x}"
        value = msgspec.json.encode({"@timestamp": "2026-11-22T12:00:00.000000Z", "event.id": id_})
        out.append(Document(id_, "auth", NOON, value))
    return out


def test_a_repeat_is_success(answering: Answering) -> None:
    assert list(answering(bulk([201, 409])).put(documents(2))) == []


def test_what_the_mapping_refuses_is_refused_with_the_reason(answering: Answering) -> None:
    (refused,) = answering(bulk([201, 400, 201])).put(documents(3))
    assert (refused.document.id, refused.reason) == (f"{1:032x}", "t: r")


@pytest.mark.parametrize("status", [429, 500, 503, 401, 403, 404])
def test_what_a_retry_or_an_operator_can_mend_is_no_refusal(answering: Answering, status: int) -> None:
    with pytest.raises(IndexUnavailable, match="1 of 3"):
        answering(bulk([201, status, 400])).put(documents(3))


def test_an_answer_with_items_missing_is_not_taken_for_success(answering: Answering) -> None:
    with pytest.raises(IndexUnavailable, match="1 of 2"):
        answering(bulk([201])).put(documents(2))


def test_an_answer_that_is_no_bulk_answer_is_not_taken_for_success(answering: Answering) -> None:
    def answer(method: str, path: str) -> Answer:
        return (200, {}) if path == "/_bulk" else bulk([])(method, path)

    with pytest.raises(IndexUnavailable):
        answering(answer).put(documents(1))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_node_that_answers_with_a_fault_is_unavailable(answering: Answering, status: int) -> None:
    with pytest.raises(IndexUnavailable):
        answering(lambda method, path: (status, {"error": "busy"})).put(documents(1))


def test_a_node_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(IndexUnavailable):
        ElasticsearchIndex([f"http://127.0.0.1:{free_port()}"]).put(documents(1))
