"""The index on Elasticsearch: `<prefix>-<class>-<day>`, create-only, every item of a bulk answer read.

Privileges it needs, and no more: `monitor` and `manage_index_templates` on the cluster; on `<prefix>-*` auto_configure,
create, read, monitor, and delete_index where it also applies retention.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from elastic_transport import TransportError
from elastic_transport.client_utils import DEFAULT
from elasticsearch import ApiError, Elasticsearch, NotFoundError

from pipeline.indexes import Document, Found, IndexUnavailable, Page, Query, Refused
from pipeline.indexes.mapping import KINDS, LONGEST, ODD, VERSION, template
from pipeline.indexes.repeats import another, sealed
from pipeline.search.to_elasticsearch import candidates
from rules.evaluate import compiled
from rules.event import CLASSES, Event, EventClass, Fields, Scalar, Value, instant, rfc3339
from rules.predicate import And

_BULK_BYTES: Final = 4 * 1024 * 1024
_PAGE: Final = 500
_MOST_DAYS_NAMED: Final = 31  # a longer range is asked of every index
_decode: Final = msgspec.json.Decoder(dict[str, Value])
# What may make a document odd: null, an empty list, a number with an exponent, a letter beyond ASCII, a long word.
_SUSPECT: Final = re.compile(rb"null|\[\]|\d[eE.]|[^\x00-\x7f]|[^ \\/\"()=<>-]{256}")
_LONG_WORD: Final = re.compile(r"""[^\s/\\()\[\]{}<>=+*&%$#@!?|"~^`-]{256}""")
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)  # what date_nanos can hold
_LAST: Final = datetime(2262, 1, 1, tzinfo=UTC)
_ANSWER: Final = "items.*.status,items.*.error.type,items.*.error.reason"
_NEWEST_FIRST: Final = [
    {"@timestamp": {"order": "desc", "format": "strict_date_optional_time_nanos", "numeric_type": "date_nanos"}},
    {"event.id": {"order": "desc"}},
]
_REFUSALS: Final = frozenset({400, 413})


class ElasticsearchIndex:
    """An Index on a cluster. The index template is written before the first put, if there is none as new."""

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        username: str | None = None,
        password: str | None = None,
        ca_file: Path | None = None,
        prefix: str = "tocsin",
    ) -> None:
        self._client = Elasticsearch(
            list(hosts),
            basic_auth=None if username is None else (username, password or ""),
            request_timeout=30,
            max_retries=0,
            ca_certs=DEFAULT if ca_file is None else str(ca_file),
        )
        self._prefix = prefix
        self._prepared = False

    def put(self, documents: Sequence[Document]) -> Sequence[Refused]:
        with _mapped():
            self._prepare()
            refused: list[Refused] = []
            for chunk in _chunks(_readable(documents, refused)):
                refused.extend(self._bulk(chunk))
            return refused

    def search(self, query: Query) -> Page:
        decide = compiled(query.predicate)
        hits: list[Event] = []
        with _mapped():
            for fields in self._candidates(query):
                if decide(fields):
                    hits.append(Event(str(fields["event.id"]), instant(str(fields["@timestamp"])), fields))
                if len(hits) > query.limit:
                    break
        return Page(hits[: query.limit], more=len(hits) > query.limit)

    def drop(self, event_class: EventClass, before: date) -> int:
        """Remove the class's whole days before that day, and return how many went. Raises IndexUnavailable."""
        old = [self._name(named, day) for named, day, _ in self.days() if named == event_class and day < before]
        with _mapped():
            for name in old:
                self._client.indices.delete(index=name, ignore_unavailable=True)
        return len(old)

    def days(self) -> Sequence[tuple[EventClass, date, int]]:
        """Return what there is: class, day and size in bytes, oldest first. Raises IndexUnavailable."""
        with _mapped():
            stats = self._client.indices.stats(index=f"{self._prefix}-*", metric="store", level="indices")
        shape = re.compile(rf"{re.escape(self._prefix)}-({'|'.join(CLASSES)})-(\d{{4}}-\d\d-\d\d)")
        found = []
        for name, told in stats.get("indices", {}).items():
            matched = shape.fullmatch(name)
            if matched:
                (event_class,) = (one for one in CLASSES if one == matched[1])
                size = int(told["total"]["store"]["size_in_bytes"])
                found.append((event_class, date.fromisoformat(matched[2]), size))
        return sorted(found, key=lambda one: one[1])

    def count(self, since: datetime | None, until: datetime | None) -> int:
        """Return about how many documents there are within the bounds."""
        query = Query(And(()), since, until)
        asked = {"bool": {"filter": _bounds(query)}}
        with _mapped():
            found = self._client.count(index=self._indices(query), ignore_unavailable=True, query=asked)
        return int(found["count"])

    def scan(self, since: datetime | None, until: datetime | None) -> Iterator[Found]:
        """Yield every document within the bounds. Raises IndexUnavailable."""
        with _mapped():
            for hit in self._hits(Query(And(()), since, until, limit=_PAGE)):
                source: dict[str, Value] = hit["_source"]
                source.pop(ODD, None)
                yield Found(hit["_id"], source)

    def close(self) -> None:
        self._client.close()

    def _prepare(self) -> None:
        if self._prepared:
            return
        try:
            there = self._client.indices.get_index_template(name=self._prefix)
            version = there["index_templates"][0]["index_template"].get("version", 0)
        except NotFoundError:
            version = 0
        if version < VERSION:
            self._client.perform_request(
                "PUT",
                f"/_index_template/{self._prefix}",
                headers={"content-type": "application/json", "accept": "application/json"},
                body=template(self._prefix),
            )
        self._prepared = True

    def _bulk(self, documents: Sequence[tuple[Document, bytes]]) -> Iterator[Refused]:
        """Store, and yield what never can be. Raises IndexUnavailable if any may be stored by a retry."""
        lines: list[Any] = []  # the client passes bytes on as they are, though its types do not say so
        for document, source in documents:
            place = {"_index": self._name(document.event_class, _day(document.time)), "_id": document.id}
            lines += (msgspec.json.encode({"create": place}), source)
        answer = self._client.bulk(operations=lines, filter_path=_ANSWER)
        items = answer.body.get("items", [])
        if len(items) != len(documents):
            raise IndexUnavailable(f"bulk answered {len(items)} of {len(documents)} documents")
        again: list[str] = []
        there: list[Document] = []
        for (document, _), item in zip(documents, items, strict=True):
            status, error = item["create"]["status"], item["create"].get("error", {})
            if status in _REFUSALS:
                yield Refused(document, f"{error.get('type')}: {error.get('reason')}")
            elif status == 409 and sealed(document):
                there.append(document)
            elif status != 409 and status >= 300:
                again.append(f"{status} {error.get('type')}: {error.get('reason')}")
        if again:
            raise IndexUnavailable(f"{len(again)} of {len(documents)} documents were not taken: {again[0]}")
        if there:
            yield from self._others(there)

    def _others(self, documents: Sequence[Document]) -> Iterator[Refused]:
        """Yield those of them under whose ids another record is stored."""
        places = [{"_index": self._name(one.event_class, _day(one.time)), "_id": one.id} for one in documents]
        answer = self._client.mget(docs=places)
        for document, found in zip(documents, answer["docs"], strict=True):
            if found.get("found") and another(found["_source"], document):
                yield Refused(document, "another record has its id", repeats=True)

    def _candidates(self, query: Query) -> Iterator[Fields]:
        """Yield the documents that may be hits, newest first."""
        for hit in self._hits(query):
            source: dict[str, Value] = hit["_source"]
            source.pop(ODD, None)
            yield source

    def _hits(self, query: Query) -> Iterator[Mapping[str, Any]]:
        """Yield what the index narrows the query to, newest first, a page at a time."""
        asked = {"bool": {"filter": [*_bounds(query), candidates(query.predicate)]}}
        after: list[str | int] | None = None
        while True:
            answer = self._client.search(
                index=self._indices(query),
                ignore_unavailable=True,
                allow_no_indices=True,
                query=asked,
                sort=_NEWEST_FIRST,
                size=min(_PAGE, query.limit + 1),
                search_after=after,
                track_total_hits=False,
                allow_partial_search_results=False,  # a shard that is away must not look like nothing found
            )
            hits = answer["hits"]["hits"]
            yield from hits
            if not hits:
                return
            after = hits[-1]["sort"]

    def _indices(self, query: Query) -> list[str]:
        if query.since is None or query.until is None:
            return [f"{self._prefix}-*"]
        first, last = _day(query.since), _day(query.until)
        if (last - first).days > _MOST_DAYS_NAMED:
            return [f"{self._prefix}-*"]
        return [f"{self._prefix}-*-{(first + timedelta(days=n)).isoformat()}" for n in range((last - first).days + 1)]

    def _name(self, event_class: EventClass, day: date) -> str:
        return f"{self._prefix}-{event_class}-{day.isoformat()}"


def _bounds(query: Query) -> list[dict[str, object]]:
    bounds = {
        edge: rfc3339(moment) for edge, moment in (("gte", query.since), ("lt", query.until)) if moment is not None
    }
    return [{"range": {"@timestamp": bounds}}] if bounds else []


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _chunks(documents: Iterator[tuple[Document, bytes]]) -> Iterator[list[tuple[Document, bytes]]]:
    chunk: list[tuple[Document, bytes]] = []
    size = 0
    for one in documents:
        if chunk and size + len(one[1]) > _BULK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += len(one[1])
    if chunk:
        yield chunk


def _readable(documents: Sequence[Document], refused: list[Refused]) -> Iterator[tuple[Document, bytes]]:
    """Yield each document with the JSON to store: its own, or with the mark that makes it a candidate always."""
    for document in documents:
        try:
            fields = _decode.decode(document.value)
            if fields["event.id"] != document.id or instant(str(fields["@timestamp"])) != document.time:
                raise ValueError("event.id and @timestamp are not the document's")
            if not _FIRST <= document.time < _LAST:
                raise ValueError(f"the time {rfc3339(document.time)} is none that the index can hold")
        except (msgspec.MsgspecError, KeyError, ValueError) as fault:
            refused.append(Refused(document, f"not a flat ECS object: {fault}"))
            continue
        if _SUSPECT.search(document.value) and _odd(fields, document.value):
            yield document, msgspec.json.encode({**fields, ODD: True})
        else:
            yield document, document.value


def _odd(fields: Fields, raw: bytes) -> bool:
    return any(
        _odd_value(name, one, raw)
        for name, value in fields.items()
        for one in (value if isinstance(value, list) and value else [None] if isinstance(value, list) else [value])
    )


def _odd_value(name: str, value: Scalar, raw: bytes) -> bool:
    """Whether the index would hold another text than rules.values.text_of gives."""
    if value is None:
        return True
    if isinstance(value, str):
        return len(value) > LONGEST or "\u0130" in value or _LONG_WORD.search(value) is not None
    return isinstance(value, float) and name not in KINDS and str(value).encode() not in raw


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (ApiError, TransportError) as fault:
        raise IndexUnavailable(f"Elasticsearch: {type(fault).__name__}: {str(fault)[:500]}") from fault
