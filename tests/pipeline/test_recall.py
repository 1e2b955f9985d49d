"""What a page says of the actor's last half hour, and that no page waits for it longer than 300 ms (law 8)."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from notifiers.render import Said
from pipeline.indexes import Document, IndexUnavailable, Page, Query, Refused
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.roles.recall import Recall, recollected
from rules.alert import Alert, Proof
from rules.event import Value, classify, rfc3339
from tests.standins.alerts import NOW, root_login
from tests.standins.channels import Recorder
from tests.standins.desk import Desk

MINUTE = timedelta(minutes=1)


def event(name: str, time: datetime, **fields: Value) -> Document:
    whole: dict[str, Value] = {"@timestamp": rfc3339(time), "event.id": name, "host.id": "h1", "host.name": "db-7"}
    whole |= {key.replace("__", "."): value for key, value in fields.items()}
    return Document(name, classify(whole), time, msgspec.json.encode(whole))


def login(**more: Value) -> Alert:
    alert = root_login("e9")
    return alert.model_copy(update={"fields": {**alert.fields, "host.id": "h1", "event.id": "e9", **more}})


def index_of(folder: Path, *documents: Document) -> SqliteIndex:
    index = SqliteIndex(folder)
    index.put(documents)
    return index


def test_a_page_tells_what_the_actor_did_before_with_counts_and_the_latest_first(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        *[
            event(
                f"f{n}", NOW - n * MINUTE, event__action="ssh_login", event__outcome="failure", source__ip="203.0.113.9"
            )
            for n in range(3, 9)
        ],
        event("s1", NOW - MINUTE, process__command_line="rm -rf /var/log", user__name="root", event__action="sudo"),
        event("e9", NOW, source__ip="203.0.113.9", event__action="ssh_login"),  # the alert's own
        event("o1", NOW - 31 * MINUTE, source__ip="203.0.113.9", event__action="too old"),
        event("x1", NOW - MINUTE, source__ip="198.51.100.4", event__action="another address"),
        event("x2", NOW - MINUTE, user__name="root", host__id="h2", event__action="root of another host"),
    )
    assert recollected(index, login()).recent == (
        "2026-11-22 02:13:00 UTC  sudo on db-7 rm -rf /var/log",
        "2026-11-22 02:11:00 UTC  ssh_login failure on db-7 (x6)",
    )
    index.close()


def test_the_statements_that_made_an_alert_stand_side_by_side_though_the_last_is_not_indexed_yet(
    tmp_path: Path,
) -> None:
    staging: dict[str, Value] = {"service__environment": "staging", "db__namespace": "Customer_Staging"}
    index = index_of(tmp_path, event("q1", NOW - 5 * MINUTE, db__query__text="DROP TABLE orders", **staging))
    fields: dict[str, Value] = {
        "event.id": "q2",
        "service.environment": "production",
        "db.namespace": "Customer_Production",
        "db.query.text": "DROP TABLE orders",
        "user.name": "dana",
    }
    proof = Proof(
        rule_hash="h", engine="t", events=("q1", "q2"), count=2, window_start=NOW - 30 * MINUTE, window_end=NOW
    )
    alert = root_login().model_copy(update={"fields": fields, "proof": proof})
    assert recollected(index, alert).statements == (
        "2026-11-22 02:09:00 UTC  [staging] Customer_Staging: DROP TABLE orders",
        "2026-11-22 02:14:00 UTC  [production] Customer_Production: DROP TABLE orders",
    )
    index.close()


class Scripted:
    """A Recollection whose answer is there when the test says so."""

    def __init__(self, said: Said | None) -> None:
        self.said = said
        self.asked: list[str] = []

    def ask(self, alert: Alert) -> None:
        self.asked.append(alert.id)

    def answer(self, alert_id: str) -> Said | None:
        return self.said

    def close(self) -> None:
        """Nothing is held."""


def desk_with(folder: Path, said: Said | None) -> tuple[Desk, Recorder]:
    pager = Recorder()
    desk = Desk(folder, security=[pager])
    desk.recollection = Scripted(said)
    return desk, pager


def test_what_is_known_in_time_stands_in_the_page(tmp_path: Path) -> None:
    desk, pager = desk_with(tmp_path, Said(recent=("02:13:00 UTC  sudo on db-7",)))
    desk.tell(root_login())
    desk.settle()
    assert "In the 30 minutes before, the same actor:\n    02:13:00 UTC  sudo on db-7" in pager.sent[0].text
    assert desk.now == NOW
    desk.close()


def test_a_page_waits_300_ms_for_the_index_and_then_says_that_it_is_not_known(tmp_path: Path) -> None:
    desk, pager = desk_with(tmp_path, None)
    desk.tell(root_login())
    desk.settle()
    assert pager.sent == []
    desk.wait(timedelta(milliseconds=299))
    assert pager.sent == []
    desk.wait(timedelta(milliseconds=1))
    assert "not known, the index did not answer in time" in pager.sent[0].text
    desk.close()


def test_nobody_is_asked_about_what_pages_nobody_or_ends(tmp_path: Path) -> None:
    desk, pager = desk_with(tmp_path, Said(recent=()))
    desk.tell(root_login("e1"), root_login("e2"))
    desk.settle()
    desk.command("resolve", incident=pager.sent[0].incident)
    desk.settle()
    assert isinstance(desk.recollection, Scripted)
    assert len(desk.recollection.asked) == 1
    assert "30 minutes before" not in pager.sent[1].text
    desk.close()


class Stuck:
    """An index that answers nobody until it is told to."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def put(self, documents: Sequence[Document]) -> Sequence[Refused]:
        return ()

    def search(self, query: Query) -> Page:
        assert self.released.wait(30)
        raise IndexUnavailable("too late")

    def close(self) -> None:
        """Nothing is held."""


def test_an_index_that_hangs_or_fails_answers_nothing_and_holds_nobody_up() -> None:
    stuck = Stuck()
    recall = Recall(lambda: stuck)
    for number in range(30):
        recall.ask(root_login(f"e{number}"))  # returns at once
    assert recall.answer(root_login("e0").id) is None
    stuck.released.set()
    recall.close()


def test_an_index_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    tries: list[Mapping[str, str]] = []

    def opened() -> SqliteIndex:
        tries.append({})
        if len(tries) == 1:
            raise IndexUnavailable("not yet")
        return index_of(tmp_path)

    recall = Recall(opened)
    waiter = threading.Event()
    for _ in range(3000):
        recall.ask(login())
        if recall.answer(login().id) is not None:
            break
        waiter.wait(0.01)
    assert recall.answer(login().id) == Said(recent=())
    recall.close()
