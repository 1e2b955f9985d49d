"""What `tocsin explain` finds in an index, SQLite's and Elasticsearch's alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from notifiers.entry import Answer, Entry
from pipeline.archive import Archive
from pipeline.indexes import Document, Index
from pipeline.indexes.documents import document
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.streams import ALERTS, INCIDENTS, Stored
from rules.alert import Alert
from rules.event import Value, rfc3339
from tests.standins.alerts import NOW, fired, root_login

EVENT = "5f2b1c9e7a3d4068b1c2d3e4f5a6b7c8"
FIRED = root_login(EVENT)
SETTLED = FIRED.model_copy(update={"step": "settled", "replaces": ("earlier",)})
OTHER = root_login("0123456789abcdef0123456789abcdef", host="web-1")


def stored(topic: str, offset: int, value: str) -> Document:
    made = document(Stored(topic, 0, offset, NOW + timedelta(seconds=offset), "", value.encode()))
    assert made is not None
    return made


def entries() -> list[Entry]:
    answer = Answer(send="s", receiver="security", channel=0, attempt=1, done=True, incident="abc-1", receipt="42")
    return [Entry(time=NOW, transition=fired(FIRED)), Entry(time=NOW + timedelta(seconds=1), answered=answer)]


@pytest.fixture(params=["sqlite", pytest.param("elasticsearch", marks=pytest.mark.server)])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    fields: dict[str, Value] = {"@timestamp": rfc3339(NOW), "event.id": EVENT, "user.name": "root"}
    documents = [Document(EVENT, "auth", NOW, msgspec.json.encode(fields))]
    told: list[Alert] = [FIRED, SETTLED, OTHER]
    documents += [stored(ALERTS, place, one.model_dump_json()) for place, one in enumerate(told)]
    documents += [stored(INCIDENTS, place, one.model_dump_json()) for place, one in enumerate(entries())]
    with closing(_index(request, tmp_path)) as index:
        assert not index.put(documents)
        if request.param == "elasticsearch":
            request.getfixturevalue("elasticsearch").request("POST", "/tocsin-*/_refresh")
        yield Archive(index)


def _index(request: pytest.FixtureRequest, folder: Path) -> Index:
    if request.param == "sqlite":
        return SqliteIndex(folder)
    from pipeline.indexes.elasticsearch import ElasticsearchIndex

    server = request.getfixturevalue("elasticsearch")
    return ElasticsearchIndex(
        server.hosts,
        username=server.username,
        password=server.password,
        ca_file=server.ca_file,
        prefix="tocsin-" + request.function.__name__[-20:].replace("_", ""),
    )


def test_an_index_gives_back_an_alert_its_events_and_what_was_told(archive: Archive) -> None:
    assert [one.step for one in archive.alerts(FIRED.id)] == ["fired", "settled"]
    assert [one.id for one in archive.alerts("earlier")] == [FIRED.id]
    event = archive.event(EVENT)
    assert event is not None
    assert [one.step for one in archive.alerts_of(event)] == ["fired", "settled"]
    assert [one.id for one in archive.events([EVENT, "gone"], NOW, NOW)] == [EVENT]
    found = archive.entries([FIRED.id])
    assert [(one.transition is not None, one.answered is not None) for one in found] == [(True, False), (False, True)]
    assert archive.event("nothing") is None
    assert archive.alerts("nothing") == []


def test_an_alert_that_was_tampered_with_beyond_reading_is_none(tmp_path: Path) -> None:
    made = msgspec.json.decode(stored(ALERTS, 0, FIRED.model_dump_json()).value)
    made["event.original"] = "{"
    with closing(SqliteIndex(tmp_path)) as index:
        index.put([Document(made["event.id"], "tocsin", NOW, msgspec.json.encode(made))])
        assert Archive(index).alerts(FIRED.id) == []
