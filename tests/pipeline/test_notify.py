"""The notifying role over the embedded stream: who is told what, how often, and what a restart changes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from notifiers.channels import Rejected, Unavailable
from notifiers.route import parse
from pipeline.roles.notify import Notify
from pipeline.streams import ALERTS, DEADLETTER, Batch, Message
from pipeline.streams.sqlite import SqliteStream
from tests.standins.alerts import NOW, disk, root_login
from tests.standins.channels import Recorder
from tests.standins.desk import Desk

HOUR = timedelta(hours=1)


def test_a_root_login_is_one_page_that_says_what_who_where_and_production(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login())
    desk.settle()
    assert pager.subjects() == ["Root login over SSH: root from 203.0.113.9 on db-7 [production]"]


def test_the_intent_is_in_the_log_before_the_send_and_the_answer_after_it(desk: Desk, pager: Recorder) -> None:
    pager.open.clear()
    desk.tell(root_login())
    desk.until(lambda: pager.attempts == 1)
    assert [(bool(e.intended), bool(e.answered)) for e in desk.log()] == [(True, False)]
    pager.open.set()
    desk.settle()
    assert [(bool(e.intended), bool(e.answered)) for e in desk.log()] == [(True, False), (False, True)]


def test_every_transition_names_the_alert_that_caused_it(desk: Desk) -> None:
    desk.tell(disk("d1"), disk("d1", step="resolved"))
    desk.settle()
    causes = [(e.transition.what, e.cause.offset) for e in desk.log() if e.transition and e.cause]
    assert causes == [("fired", 0), ("cleared", 1)]


def test_a_repeat_is_gathered_in_silence(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"), root_login("e2"), root_login("e3"))
    desk.settle()
    assert len(pager.sent) == 1


def test_a_second_intruder_is_never_hidden_in_the_first_one_s_incident(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1", source="203.0.113.9"), root_login("e2", source="198.51.100.4"))
    desk.settle()
    assert [one.subject.split(":")[0] for one in pager.sent] == ["Root login over SSH", "NEW VALUE"]
    assert "198.51.100.4" in pager.sent[1].subject
    assert pager.sent[0].incident == pager.sent[1].incident


def test_a_condition_resolves_by_itself_and_who_heard_the_page_hears_that(desk: Desk, pager: Recorder) -> None:
    desk.tell(disk("d1"))
    desk.settle()
    desk.tell(disk("d1", step="resolved", time=NOW + timedelta(minutes=5)))
    desk.settle()
    assert [one.subject.split(":")[0] for one in pager.sent] == ["Disk filling on db-7 /var [production]", "RESOLVED"]
    assert pager.previous[1] is not None


def test_a_condition_that_comes_back_is_the_next_occurrence_and_pages_again(desk: Desk, pager: Recorder) -> None:
    desk.tell(disk("d1"), disk("d1", step="resolved"), disk("d2"))
    desk.settle()
    names = [one.incident for one in pager.sent]
    assert [name.rpartition("-")[2] for name in names] == ["1", "1", "2"]


def test_the_same_alert_twice_in_the_stream_changes_nothing(desk: Desk, pager: Recorder) -> None:
    desk.tell(disk("d1"), disk("d1"), disk("d1", step="resolved"), disk("d1"), disk("d1", step="resolved"))
    desk.settle()
    assert len(pager.sent) == 2


def test_urgency_record_is_for_nobody(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login(level="low", urgency="record"))
    desk.settle()
    assert (pager.sent, desk.log()) == ([], [])


def test_an_unreadable_alert_costs_itself_and_not_the_page_behind_it(desk: Desk, pager: Recorder) -> None:
    desk.stream.append(ALERTS, [Message("x", b'{"step": "exploded"'), Message("y", b"\xff\x00")])
    desk.tell(root_login())
    desk.settle()
    assert (len(pager.sent), desk.stream.ends(DEADLETTER)[0]) == (1, 2)


# Old news


def test_what_stood_in_the_logs_before_the_first_start_is_told_in_one_digest(desk: Desk, pager: Recorder) -> None:
    desk.tell(*[root_login(f"e{n}", host=f"db-{n % 7}", time=NOW - 30 * HOUR, old=True) for n in range(40)])
    desk.settle()
    assert pager.sent == []
    desk.until(lambda: bool(pager.sent), seconds=1)
    desk.settle()
    assert [one.subject.split(" from ")[0] for one in pager.sent] == ["OLD NEWS: 40 alerts"]
    assert "40 x" in pager.sent[0].text


def test_a_live_login_pages_though_its_incident_was_only_told_as_old(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1", time=NOW - HOUR, old=True))
    desk.until(lambda: len(pager.sent) == 1, seconds=1)
    desk.tell(root_login("e2", time=desk.now))
    desk.settle()
    assert pager.subjects()[1] == "Root login over SSH: root from 203.0.113.9 on db-7 [production]"


def test_a_value_that_only_the_digest_told_is_still_news_later(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1", source="198.51.100.4", time=NOW - HOUR, old=True))
    desk.until(lambda: len(pager.sent) == 1, seconds=1)
    desk.tell(
        root_login("e2", source="203.0.113.9", time=desk.now), root_login("e3", source="198.51.100.4", time=desk.now)
    )
    desk.settle()
    assert [one.subject.split(":")[0] for one in pager.sent[1:]] == ["Root login over SSH", "NEW VALUE"]


def test_alerts_judged_late_join_one_catch_up_message(desk: Desk, pager: Recorder) -> None:
    desk.tell(*[root_login(f"e{n}", host=f"db-{n}", time=NOW - 2 * HOUR) for n in range(9)])
    desk.until(lambda: bool(pager.sent), seconds=1)
    desk.settle()
    assert [one.subject.split(" from ")[0] for one in pager.sent] == ["CAUGHT UP: 9 alerts"]


def test_a_critical_alert_that_comes_late_goes_out_at_once_and_says_so(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login(level="critical", time=NOW - 7 * HOUR))
    desk.settle()
    assert pager.subjects()[0].endswith("(happened 2026-11-21 19:14:00 UTC, seen 02:14:00 UTC)")


def test_a_digest_that_was_not_told_before_a_kill_is_told_after_it(desk: Desk, pager: Recorder) -> None:
    desk.tell(*[root_login(f"e{n}", time=NOW - 30 * HOUR, old=True) for n in range(5)])
    desk.settle()
    desk.kill()
    desk.until(lambda: bool(pager.sent), seconds=1)
    desk.settle()
    assert [one.subject.split(" from ")[0] for one in pager.sent] == ["OLD NEWS: 5 alerts"]


# Channels that fail


def test_a_page_is_tried_again_until_the_service_takes_it(tmp_path: Path) -> None:
    pager = Recorder(*[Unavailable("down")] * 3)
    desk = Desk(tmp_path, security=[pager])
    desk.tell(root_login())
    desk.until(lambda: bool(pager.sent), seconds=1)
    assert (pager.attempts, len(pager.sent)) == (4, 1)
    assert "possible repeat" not in pager.sent[0].subject


def test_what_the_service_asks_for_is_waited(tmp_path: Path) -> None:
    pager = Recorder(Unavailable("HTTP 429", after=30))
    desk = Desk(tmp_path, security=[pager])
    desk.tell(root_login())
    desk.until(lambda: bool(pager.sent), seconds=1)
    assert NOW + timedelta(seconds=30) < desk.now < NOW + timedelta(seconds=40)


def test_an_attempt_that_may_have_arrived_is_marked_when_it_is_made_again(tmp_path: Path) -> None:
    pager = Recorder(Unavailable("time-out", uncertain=True))
    desk = Desk(tmp_path, security=[pager])
    desk.tell(root_login())
    desk.until(lambda: bool(pager.sent), seconds=1)
    assert pager.sent[0].subject.startswith("(possible repeat) ")


def test_a_refusal_goes_to_the_next_channel_at_once_and_says_why(tmp_path: Path) -> None:
    slack, mail = Recorder(Rejected("slack: channel_not_found")), Recorder()
    desk = Desk(tmp_path, security=[slack, mail])
    desk.tell(root_login())
    desk.settle()
    assert (len(slack.sent), len(mail.sent)) == (0, 1)
    assert "channel_not_found" in mail.sent[0].text


def test_a_service_that_stays_down_is_passed_over_after_a_minute(tmp_path: Path) -> None:
    slack, mail = Recorder(*[Unavailable("down")] * 99), Recorder()
    desk = Desk(tmp_path, security=[slack, mail])
    desk.tell(root_login())
    desk.until(lambda: bool(mail.sent), seconds=1)
    assert timedelta(seconds=59) < desk.now - NOW < timedelta(seconds=75)


def test_a_message_that_every_channel_refuses_goes_round_again_and_holds_up_no_other(tmp_path: Path) -> None:
    pager = Recorder(Rejected("too long"))
    desk = Desk(tmp_path, security=[pager])
    desk.tell(root_login("e1", host="db-1"), root_login("e2", host="db-2"))
    desk.settle()
    assert ["db-2" in one.subject for one in pager.sent] == [True]
    desk.until(lambda: len(pager.sent) == 2, seconds=5)
    assert "db-1" in pager.sent[1].subject


def test_a_slow_server_delays_no_other_receiver(tmp_path: Path) -> None:
    slow, quick = Recorder(), Recorder()
    slow.open.clear()
    desk = Desk(tmp_path, slow=[slow], quick=[quick])
    desk.route = {"receiver": "slow", "routes": [{"receiver": "slow", "continue": True}, {"receiver": "quick"}]}
    desk.tell(*[root_login(f"e{n}", host=f"db-{n}") for n in range(5)])
    desk.until(lambda: len(quick.sent) == 5)
    assert (slow.attempts, slow.sent) == (1, [])
    slow.open.set()


def test_a_channel_that_breaks_its_promise_costs_an_attempt_and_not_the_role(tmp_path: Path) -> None:
    pager = Recorder(ZeroDivisionError("a bug"))
    desk = Desk(tmp_path, security=[pager])
    desk.tell(root_login())
    desk.until(lambda: bool(pager.sent), seconds=1)
    assert len(pager.sent) == 1


# Restarts


def test_a_restart_pages_nobody_twice(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"), disk("d1"))
    desk.settle()
    desk.kill()
    desk.settle()
    desk.tell(root_login("e2"), disk("d1", step="resolved"))
    desk.settle()
    assert [one.subject.split(":")[0] for one in pager.sent][2:] == ["RESOLVED"]
    assert pager.previous[2] is not None


def test_what_was_intended_and_not_answered_is_sent_again_and_marked(desk: Desk, pager: Recorder) -> None:
    pager.open.clear()
    desk.tell(root_login())
    desk.until(lambda: pager.attempts == 1)
    desk.kill()
    pager.open.set()
    desk.settle()
    assert pager.subjects()[-1].startswith("(possible repeat) ")
    desk.kill()
    count = len(pager.sent)
    desk.settle()
    assert len(pager.sent) == count


def test_an_alert_whose_offset_was_not_committed_is_not_judged_again(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"))
    desk.settle()
    desk.stream.commit(ALERTS, "notify", {0: 0})
    desk.kill()
    desk.settle()
    assert len(pager.sent) == 1


def test_a_receiver_that_the_config_no_longer_has_owes_its_pages_to_the_root_s(desk: Desk, tmp_path: Path) -> None:
    desk.receivers = {"night": [Recorder(*[Unavailable("down")] * 9)]}
    desk.route = {"receiver": "night"}
    desk.tell(root_login())
    desk.settle()
    day = Recorder()
    desk.receivers, desk.route = {"day": [day]}, {"receiver": "day"}
    desk.kill()
    desk.settle()
    desk.kill()
    desk.settle()
    assert len(day.sent) == 1


def test_time_ends_the_incident_of_an_event_and_the_next_one_pages(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"))
    desk.settle()
    desk.now += timedelta(hours=5)
    desk.settle()
    desk.tell(root_login("e2", time=desk.now))
    desk.settle()
    assert [one.incident.rpartition("-")[2] for one in pager.sent] == ["1", "2"]


class Waits(SqliteStream):
    """Notes how long each read of alerts may wait, and how many sends had begun by then."""

    def __init__(self, folder: Path, pager: Recorder) -> None:
        super().__init__(folder)
        self.pager = pager
        self.seen: list[tuple[int, float]] = []

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        if topic == ALERTS:
            self.seen.append((self.pager.attempts, wait))
        return super().read(topic, group, limit, wait)


def test_what_is_owed_next_does_not_wait_for_the_next_alert(tmp_path: Path) -> None:
    pager = Recorder()
    stream = Waits(tmp_path, pager)
    alerts = [root_login(f"e{n}", host=f"db-{n}") for n in range(5)]
    stream.append(ALERTS, [Message(one.id, one.model_dump_json().encode()) for one in alerts])
    notify = Notify(stream, parse({"receiver": "security"}), {"security": [pager]}, wait=0.2)
    while len(pager.sent) < 5:
        notify.step(NOW)
    notify.close()
    stream.close()
    assert all(wait < 0.1 for begun, wait in stream.seen if 0 < begun < 5)


def test_who_was_overtaken_without_knowing_sends_nothing_before_it_has_read_what_the_other_wrote(
    desk: Desk, pager: Recorder
) -> None:
    desk.settle()
    other = Desk(desk.folder, security=[pager])
    desk.tell(root_login("e1"))
    other.settle()
    desk.settle()
    assert [one.startswith("Root login") for one in pager.subjects()] == [True]
    other.close()


def test_what_one_rule_takes_back_does_not_end_an_incident_that_others_share(desk: Desk, pager: Recorder) -> None:
    shared = {"incident": {"name": "x", "host.id": "h"}}
    one, other = (root_login(name, host=name).model_copy(update=shared) for name in ("e1", "e2"))
    desk.tell(one, other, one.model_copy(update={"step": "resolved"}))
    desk.settle()
    told = [(entry.transition.what, entry.transition.state) for entry in desk.log() if entry.transition]
    assert told == [("fired", "triggered"), ("repeated", "triggered")]
    assert len(pager.sent) == 1
