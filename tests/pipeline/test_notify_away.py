"""While the stream is away, what is owed and what time makes happen goes on, once; the log is made whole later."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from notifiers.channels import Unavailable
from pipeline.roles.intents import Intents
from pipeline.streams import INCIDENTS, Batch, Message, StreamUnavailable
from rules.event import rfc3339
from tests.standins.alerts import NOW, disk, root_login
from tests.standins.channels import Recorder
from tests.standins.desk import Desk

MINUTE = timedelta(minutes=1)


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A notifier that has taken over."""
    desk.settle()
    return desk


def pass_time(desk: Desk, span: timedelta, steps: int = 8) -> None:
    """Let time pass while the stream may be away, and let each send end that is not held open."""
    breath = threading.Event()
    for _ in range(steps):
        desk.now += span / steps
        for turn in range(20):
            with suppress(StreamUnavailable):
                desk.role().step(desk.now)
            if turn > 2 and not desk.role().sending:
                break
            breath.wait(0.001)  # a stream that is away does not wait for its reader


def away(desk: Desk, *, full: bool = False) -> None:
    desk.role()
    assert desk.office is not None
    desk.office.away, desk.office.full = not full, full


def back(desk: Desk) -> None:
    assert desk.office is not None
    desk.office.away = desk.office.full = False
    desk.settle()


def subjects(pager: Recorder) -> list[str]:
    return [one.subject.split(":")[0] for one in pager.sent]


def test_a_page_whose_service_was_down_goes_out_while_the_stream_is_away_and_stays_one(
    desk: Desk, pager: Recorder
) -> None:
    pager.fail.extend([Unavailable("down")] * 3)
    desk.tell(root_login("e1", level="critical"))
    desk.settle()
    away(desk)
    pass_time(desk, 2 * MINUTE)
    assert subjects(pager) == ["Root login over SSH"]
    assert "stream is away" in pager.sent[0].text
    back(desk)
    desk.kill()
    desk.settle()
    assert len(pager.sent) == 1
    answered = [one.answered for one in desk.log() if one.answered]
    assert [one.done for one in answered][-1:] == [True]


def test_timers_go_on_while_the_stream_is_away(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"))
    desk.settle()
    desk.command("snooze", incident=pager.sent[0].incident, until=rfc3339(NOW + 10 * MINUTE))
    desk.settle()
    away(desk)
    pass_time(desk, 11 * MINUTE)
    assert subjects(pager) == ["Root login over SSH", "SNOOZED", "SNOOZE OVER"]
    back(desk)
    assert [one.transition.what for one in desk.log() if one.transition][-1] == "awake"
    desk.kill()
    pass_time(desk, MINUTE)
    assert len(pager.sent) == 3


def test_a_full_disk_holds_no_page_back_and_each_comes_once(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1", level="critical"), disk("d1"))
    away(desk, full=True)
    pass_time(desk, MINUTE)
    assert len(pager.sent) == 2
    assert desk.stream.ends(INCIDENTS)[0] == 0
    back(desk)
    desk.kill()
    pass_time(desk, MINUTE)
    assert len(pager.sent) == 2
    assert [one.transition.what for one in desk.log() if one.transition] == ["fired", "fired"]


def test_where_intents_cannot_be_kept_the_page_says_that_it_may_come_twice(tmp_path: Path) -> None:
    pager = Recorder()
    desk = Desk(tmp_path, security=[pager])
    desk.intents = tmp_path / "no" / "such" / "folder"
    desk.settle()
    desk.tell(root_login("e1", level="critical"))
    away(desk, full=True)
    pass_time(desk, MINUTE)
    assert subjects(pager) == ["(possible repeat) Root login over SSH"]
    back(desk)  # from memory
    desk.kill()
    desk.settle()
    assert len(pager.sent) == 1
    desk.close()


def test_a_process_that_dies_while_the_stream_is_away_leaves_its_intents_to_its_successor(
    desk: Desk, pager: Recorder
) -> None:
    desk.tell(root_login("e1", level="critical"))
    away(desk, full=True)
    pass_time(desk, MINUTE)
    assert len(pager.sent) == 1
    desk.kill()
    desk.settle()
    assert len(pager.sent) == 1


def test_a_process_that_dies_between_such_a_send_and_its_answer_repeats_it_marked(desk: Desk, pager: Recorder) -> None:
    pager.open.clear()
    desk.tell(root_login("e1", level="critical"))
    away(desk, full=True)
    pass_time(desk, MINUTE)
    assert pager.attempts == 1
    desk.kill()
    pager.open.set()
    desk.settle()
    assert subjects(pager)[-1] == "(possible repeat) Root login over SSH"
    assert [one for one in subjects(pager) if not one.startswith("(")] in ([], ["Root login over SSH"])


def test_an_append_that_was_taken_though_it_seemed_to_fail_changes_nothing(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"))
    desk.settle()
    desk.command("note", incident=pager.sent[0].incident, note="once")
    away(desk, full=True)
    pass_time(desk, MINUTE)
    assert desk.office is not None
    kept = Intents(desk.intents).pending
    desk.stream.append(INCIDENTS, [Message("x", one.model_dump_json(exclude_none=True).encode()) for one in kept])
    back(desk)
    desk.kill()
    desk.command("ack", incident=pager.sent[0].incident)
    desk.settle()
    assert pager.sent[-1].text.count("once (ada (test))") == 1


def test_two_owners_while_the_stream_was_away_agree_once_it_is_back(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"))
    desk.settle()
    desk.command("snooze", incident=pager.sent[0].incident, until=rfc3339(NOW + 10 * MINUTE))
    desk.settle()
    away(desk)
    pass_time(desk, 11 * MINUTE)
    other_pager = Recorder()
    other = Desk(desk.folder, security=[other_pager])  # a stand-by that has taken over meanwhile
    other.intents, other.now = None, desk.now
    other.settle()
    assert len(other_pager.sent) == 1  # it cannot know: this is the window, and the first one said so
    assert "another notifier" in pager.sent[-1].text
    back(desk)
    other.settle()
    assert (len(pager.sent), len(other_pager.sent)) == (3, 1)
    other.close()


def test_who_loses_the_alerts_with_the_stream_goes_on_and_who_loses_them_to_another_does_not(
    desk: Desk, pager: Recorder
) -> None:
    pager.fail.extend([Unavailable("down")] * 2)
    desk.tell(root_login("e1"))
    desk.settle()
    away(desk)
    assert desk.office is not None
    desk.office.changes.append(Batch(lost=frozenset({0})))
    pass_time(desk, MINUTE)
    assert len(pager.sent) == 1
    desk.office.away = False
    desk.office.changes.append(Batch(gained=frozenset({0})))
    desk.settle()
    pager.fail.extend([Unavailable("down")] * 2)
    desk.tell(disk("d1"))
    desk.settle()
    desk.office.changes.append(Batch(lost=frozenset({0})))  # the stream answers: another has them now
    pass_time(desk, MINUTE)
    assert len(pager.sent) == 1


def test_half_a_line_of_intents_was_never_acted_on(tmp_path: Path) -> None:
    path = tmp_path / "intents.ndjson"
    path.write_bytes(b'{"time":"2026-11-22T02:14:00Z","refused":"x"}\n{"time":"2026-11-2')
    assert [one.refused for one in Intents(path).pending] == ["x"]
