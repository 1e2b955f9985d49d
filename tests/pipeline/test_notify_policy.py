"""Routing in time: silences, inhibition, intervals, groups, reminders, storms, and what people command.

The numbered scenarios are the edge cases of Alertmanager's semantics, each with the answer that Tocsin gives.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifiers.channels import Unavailable
from notifiers.escape import line
from pipeline.streams import DEADLETTER
from rules.event import rfc3339
from tests.standins.alerts import NOW, disk, root_login
from tests.standins.channels import Recorder
from tests.standins.desk import Desk

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def words(pager: Recorder) -> list[str]:
    """Return the first word of each message: PAGE where it is a page."""
    known = ("NEW VALUE", "REOPENED", "STILL SO", "ACKNOWLEDGED", "RESOLVED", "SILENCED", "GROUP", "STORM", "OLD NEWS")
    return [next((word for word in known if one.startswith(word)), "PAGE") for one in pager.subjects()]


def silence(desk: Desk, *matchers: str, span: timedelta = HOUR, name: str = "s1") -> None:
    desk.command("silence", id=name, matchers=list(matchers), ends=rfc3339(desk.now + span), reason="planned work")
    desk.settle()


# People


def test_an_acknowledged_incident_is_quiet_until_something_is_new(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"))
    desk.settle()
    desk.command("ack", incident=pager.sent[0].incident, note="it is me")
    desk.settle()
    desk.tell(root_login("e2"))
    desk.settle()
    desk.tell(root_login("e3", source="198.51.100.4"))
    desk.settle()
    assert words(pager) == ["PAGE", "ACKNOWLEDGED", "REOPENED"]
    assert "by ada" in pager.sent[1].change


def test_a_closed_incident_opens_its_next_occurrence(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"))
    desk.settle()
    desk.command("resolve", incident=pager.sent[0].incident)
    desk.settle()
    desk.tell(root_login("e2", time=NOW + MINUTE))
    desk.settle()
    assert words(pager) == ["PAGE", "RESOLVED", "PAGE"]
    assert pager.sent[2].incident.endswith("-2")


def test_a_command_that_cannot_be_carried_out_is_set_aside_with_the_reason(desk: Desk) -> None:
    desk.command("ack", incident="no-such")
    desk.command("silence", id="s", matchers=["a=~.*"], ends=rfc3339(NOW + HOUR), reason="everything")
    desk.command("silence", id="s", matchers=["a=b"], ends=rfc3339(NOW + HOUR), reason=" ")
    desk.command("silence", id="s", matchers=["a=b"], ends=rfc3339(NOW + 1000 * HOUR), reason="for ever")
    desk.command("silence", id="s", matchers=["a=b"], ends=rfc3339(NOW - HOUR), reason="too late")
    desk.settle()
    assert desk.stream.ends(DEADLETTER)[0] == 5


def test_an_acknowledgement_survives_a_kill(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"))
    desk.settle()
    desk.command("ack", incident=pager.sent[0].incident)
    desk.settle()
    desk.kill()
    desk.tell(root_login("e2", source="198.51.100.4"))
    desk.settle()
    assert words(pager) == ["PAGE", "ACKNOWLEDGED", "REOPENED"]


# Silences


def test_a_silence_keeps_a_page_back_and_says_so_once(desk: Desk, pager: Recorder) -> None:
    silence(desk, 'host.name="db-7"')
    desk.tell(root_login("e1"), disk("d1"))
    desk.settle()
    assert words(pager) == ["SILENCED"]
    assert "silence s1 by ada (test): planned work" in pager.sent[0].text


def test_a_silence_that_ended_keeps_nothing_back(desk: Desk, pager: Recorder) -> None:
    silence(desk, 'host.name="db-7"')
    desk.command("unsilence", id="s1")
    desk.settle()
    desk.tell(root_login("e1", time=desk.now))
    desk.settle()
    assert words(pager) == ["PAGE"]


def test_a_condition_that_outlasts_its_silence_pages_when_that_ends(desk: Desk, pager: Recorder) -> None:
    silence(desk, 'host.name="db-7"')
    desk.tell(disk("d1"))
    desk.settle()
    desk.wait(HOUR + MINUTE)
    assert words(pager) == ["SILENCED", "PAGE"]


def test_the_end_of_what_was_paged_is_told_under_a_silence(desk: Desk, pager: Recorder) -> None:
    desk.tell(disk("d1"))
    desk.settle()
    silence(desk, 'host.name="db-7"')
    desk.tell(disk("d1", step="resolved"))
    desk.settle()
    assert words(pager) == ["PAGE", "RESOLVED"]


def test_alerts_about_tocsin_itself_cannot_be_silenced(desk: Desk, pager: Recorder) -> None:
    silence(desk, 'host.name="db-7"')
    alert = root_login()
    desk.tell(alert.model_copy(update={"fields": {**alert.fields, "event.module": "tocsin"}}))
    desk.settle()
    assert words(pager) == ["PAGE"]


# Inhibition

INHIBIT = [
    {"source_matchers": ["severity=critical"], "target_matchers": ["severity!=critical"], "equal": ["host.name"]}
]


def test_a_graver_alert_of_the_same_host_keeps_the_others_quiet_and_of_another_does_not(
    desk: Desk, pager: Recorder
) -> None:
    desk.inhibit = list(INHIBIT)
    desk.tell(root_login("e1", level="critical", host="db-7"), disk("d1", host="db-7"), disk("d2", host="db-8"))
    desk.settle()
    assert [("Root" in one, "db-8" in one) for one in pager.subjects()] == [(True, False), (False, True)]


def test_what_was_inhibited_and_still_is_so_pages_when_its_source_ends(desk: Desk, pager: Recorder) -> None:
    desk.inhibit = list(INHIBIT)
    desk.tell(root_login("e1", level="critical"), disk("d1"))
    desk.settle()
    desk.command("resolve", incident=pager.sent[0].incident)
    desk.settle()
    desk.wait(2 * MINUTE)
    assert words(pager) == ["PAGE", "RESOLVED", "PAGE"]
    assert "Disk" in pager.subjects()[2]


# Time intervals, in three zones, across changes of the clock

NIGHT = "22:00", "06:00"


def interval(zone: str, start: str = "22:00", end: str = "06:00", **more: object) -> list[object]:
    one = {"times": [{"start_time": start, "end_time": end}], "location": zone, **more}
    return [{"name": "night", "time_intervals": [one]}]


@pytest.mark.parametrize(
    ("zone", "moment", "quiet"),
    [
        ("UTC", datetime(2026, 11, 22, 21, 59, tzinfo=UTC), False),
        ("UTC", datetime(2026, 11, 22, 22, 0, tzinfo=UTC), True),
        ("UTC", datetime(2026, 11, 23, 5, 59, tzinfo=UTC), True),
        ("UTC", datetime(2026, 11, 23, 6, 0, tzinfo=UTC), False),
        ("Europe/Berlin", datetime(2026, 3, 28, 5, 30, tzinfo=UTC), False),  # 06:30 in winter
        ("Europe/Berlin", datetime(2026, 3, 29, 3, 30, tzinfo=UTC), True),  # 05:30 in summer, the night of the change
        ("Europe/Berlin", datetime(2026, 3, 29, 4, 30, tzinfo=UTC), False),  # 06:30 in summer
        ("Europe/Berlin", datetime(2026, 10, 25, 4, 30, tzinfo=UTC), True),  # 05:30, back in winter
        ("America/New_York", datetime(2026, 11, 1, 10, 30, tzinfo=UTC), True),  # 05:30 EST
        ("America/New_York", datetime(2026, 10, 31, 10, 30, tzinfo=UTC), False),  # 06:30 EDT
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 18, 30, tzinfo=UTC), True),  # 05:00, half an hour was added
    ],
)
def test_a_quiet_night_is_a_night_of_its_zone(
    desk: Desk, pager: Recorder, zone: str, moment: datetime, quiet: bool
) -> None:
    desk.now = moment
    desk.intervals = interval(zone)
    desk.route = {"receiver": "security", "routes": [{"mute_time_intervals": ["night"]}]}
    desk.tell(root_login("e1", time=moment))
    desk.settle()
    assert (pager.sent == []) is quiet


def test_a_night_that_begins_on_friday_ends_on_saturday(desk: Desk, pager: Recorder) -> None:
    desk.intervals = interval("UTC", weekdays=["friday"])
    desk.route = {"receiver": "security", "routes": [{"mute_time_intervals": ["night"]}]}
    for number, (day, hour) in enumerate([(20, 23), (21, 5), (21, 23), (20, 5)]):  # 20 November 2026 is a Friday
        desk.now = datetime(2026, 11, day, hour, tzinfo=UTC)
        desk.tell(root_login(f"e{number}", host=f"db-{number}", time=desk.now))
        desk.settle()
    assert ["db-2" in one or "db-3" in one for one in pager.subjects()] == [True, True]


def test_outside_of_its_active_times_a_route_is_quiet(desk: Desk, pager: Recorder) -> None:
    desk.intervals = interval("UTC", "09:00", "17:00")
    desk.route = {"receiver": "security", "routes": [{"active_time_intervals": ["night"]}]}
    desk.tell(disk("d1"))
    desk.settle()
    assert pager.sent == []
    desk.wait(7 * HOUR)
    assert words(pager) == ["PAGE"]


# Groups and reminders


def test_what_comes_within_group_wait_is_one_message(desk: Desk, pager: Recorder) -> None:
    desk.route = {"receiver": "security", "group_by": ["alertname"]}
    desk.tell(*[root_login(f"e{n}", host=f"db-{n}", level="medium", urgency="notify") for n in range(7)])
    desk.settle()
    assert pager.sent == []
    desk.wait(timedelta(seconds=30))
    assert pager.subjects()[0].startswith("GROUP: 7 alerts")


def test_a_page_waits_for_no_group(desk: Desk, pager: Recorder) -> None:
    desk.route = {"receiver": "security", "group_by": ["alertname"]}
    desk.tell(root_login("e1"))
    desk.settle()
    assert words(pager) == ["PAGE"]


def test_a_group_of_one_is_an_ordinary_message(desk: Desk, pager: Recorder) -> None:
    desk.route = {"receiver": "security", "group_by": ["alertname"]}
    desk.tell(root_login("e1", level="medium", urgency="notify"))
    desk.settle()
    desk.wait(timedelta(seconds=31))
    assert words(pager) == ["PAGE"]


def test_a_group_s_next_message_waits_for_its_interval(desk: Desk, pager: Recorder) -> None:
    desk.route = {"receiver": "security", "group_by": ["alertname"], "group_interval": "5m"}
    desk.tell(root_login("e1", host="db-1", level="medium", urgency="notify"))
    desk.settle()
    desk.wait(timedelta(seconds=30))
    desk.tell(root_login("e2", host="db-2", level="medium", urgency="notify", time=desk.now))
    desk.settle()
    desk.wait(4 * MINUTE)
    assert len(pager.sent) == 1
    desk.wait(MINUTE)
    assert len(pager.sent) == 2


def test_nobody_having_acknowledged_it_is_told_again_and_an_acknowledgement_ends_that(
    desk: Desk, pager: Recorder
) -> None:
    desk.route = {"receiver": "security", "repeat_interval": "10m"}
    desk.tell(disk("d1"))
    desk.settle()
    desk.wait(9 * MINUTE)
    assert words(pager) == ["PAGE"]
    desk.wait(MINUTE)
    assert words(pager) == ["PAGE", "STILL SO"]
    desk.command("ack", incident=pager.sent[0].incident)
    desk.settle()
    desk.wait(HOUR)
    assert words(pager) == ["PAGE", "STILL SO", "ACKNOWLEDGED"]


# Storms


def test_a_storm_is_a_few_messages_and_one_that_counts_the_rest(desk: Desk, pager: Recorder) -> None:
    desk.storm = 5
    desk.tell(*[root_login(f"e{n}", host=f"db-{n}") for n in range(100)])
    desk.settle()
    assert words(pager) == ["PAGE"] * 5
    desk.wait(MINUTE)
    assert words(pager)[5:] == ["STORM"]
    assert "95 alerts" in pager.subjects()[5]


def test_the_end_of_a_storm_s_alert_is_told_with_it_and_not_before(desk: Desk, pager: Recorder) -> None:
    desk.storm = 1
    desk.tell(disk("d1", host="db-1"), disk("d2", host="db-2"), disk("d2", host="db-2", step="resolved"))
    desk.settle()
    desk.wait(MINUTE)
    assert words(pager) == ["PAGE", "PAGE"]
    assert "resolved meanwhile" in pager.subjects()[1]


# The twelve edge cases


def test_edge_1_what_resolved_while_silenced_and_fires_again_is_told(desk: Desk, pager: Recorder) -> None:
    desk.tell(disk("d1"))
    desk.settle()
    silence(desk, 'host.name="db-7"', span=MINUTE)
    desk.tell(disk("d1", step="resolved"))
    desk.settle()
    desk.now += 2 * MINUTE
    desk.tell(disk("d2", time=desk.now))
    desk.settle()
    assert words(pager) == ["PAGE", "RESOLVED", "PAGE"]


def test_edge_2_a_reminder_does_not_slip_by_a_tick(desk: Desk, pager: Recorder) -> None:
    desk.route = {"receiver": "security", "repeat_interval": "5m"}
    desk.tell(disk("d1"))
    desk.settle()
    for _ in range(12):
        desk.wait(5 * MINUTE + timedelta(seconds=1))
    assert words(pager).count("STILL SO") == 12


def test_edge_3_of_two_sources_the_first_to_resolve_does_not_lift_the_inhibition(desk: Desk, pager: Recorder) -> None:
    desk.inhibit = list(INHIBIT)
    first, second = root_login("e1", level="critical"), disk("x1")
    critical = second.rule.model_copy(update={"level": "critical", "id": "other"})
    second = second.model_copy(update={"rule": critical, "id": "x1"})
    desk.tell(first, second)
    desk.settle()
    desk.command("resolve", incident=pager.sent[0].incident)
    desk.settle()
    desk.tell(disk("d1"))
    desk.settle()
    desk.wait(2 * MINUTE)
    assert [("Disk" in one, word) for one, word in zip(pager.subjects(), words(pager), strict=True)] == [
        (False, "PAGE"),
        (True, "PAGE"),
        (False, "RESOLVED"),
    ]


def test_edge_4_two_routes_alike_each_have_their_group(desk: Desk, pager: Recorder, tmp_path: Path) -> None:
    twin = {"matchers": ['severity="medium"'], "group_by": ["host.name"], "receiver": "security"}
    desk.route = {"receiver": "security", "routes": [{**twin, "continue": True}, dict(twin)]}
    policy = desk.policy()
    labels = {"severity": "medium", "host.name": "db-7"}
    names = [node.group(labels) for node in policy.route.routes]
    assert len(set(names)) == 2


def test_edge_5_an_event_over_in_an_instant_pages(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1"), root_login("e1", step="resolved"))
    desk.settle()
    assert words(pager)[0] == "PAGE"


def test_edge_6_a_crash_right_after_the_alert_was_read_forgets_nothing(desk: Desk, pager: Recorder) -> None:
    pager.open.clear()
    desk.tell(root_login("e1"), disk("d1"))
    desk.until(lambda: pager.attempts == 1)
    desk.kill()
    pager.open.set()
    desk.settle()
    assert {"Root" in one for one in pager.subjects()} == {True, False}


def test_edge_7_a_receiver_that_fails_for_ever_changes_nothing_for_the_others(tmp_path: Path) -> None:
    broken, well = Recorder(*[Unavailable("down")] * 500), Recorder()
    desk = Desk(tmp_path, broken=[broken], well=[well])
    desk.route = {"receiver": "well", "routes": [{"receiver": "broken", "continue": True}, {"receiver": "well"}]}
    desk.tell(disk("d1"), disk("d1", step="resolved"))
    desk.settle()
    for _ in range(20):
        desk.wait(10 * MINUTE)
    assert words(well) == ["PAGE", "RESOLVED"]
    desk.close()


def test_edge_8_no_alert_is_dropped_however_many_groups_there_are(desk: Desk, pager: Recorder) -> None:
    desk.storm = 3
    desk.route = {"receiver": "security", "group_by": ["host.name"], "group_wait": "1s"}
    desk.tell(*[root_login(f"e{n}", host=f"db-{n}", level="medium", urgency="notify") for n in range(60)])
    desk.settle()
    desk.wait(2 * MINUTE)
    assert words(pager) == ["STORM"]
    assert pager.subjects()[0].startswith("STORM: 60 alerts")


def test_edge_9_a_slow_receiver_cancels_no_send(desk: Desk, pager: Recorder) -> None:
    pager.open.clear()
    desk.route = {"receiver": "security", "group_by": ["host.name"], "group_interval": "1s"}
    desk.tell(root_login("e1"), disk("d1"))
    desk.until(lambda: pager.attempts == 1)
    desk.now += 10 * MINUTE
    desk.role().step(desk.now)
    pager.open.set()
    desk.settle()
    assert len(pager.sent) == 2


def test_edge_10_a_group_that_waits_waits_on_after_a_restart(desk: Desk, pager: Recorder) -> None:
    desk.route = {"receiver": "security", "group_by": ["host.name"]}
    desk.tell(root_login("e1", level="medium", urgency="notify"))
    desk.settle()
    desk.now += timedelta(seconds=20)
    desk.kill()
    desk.settle()
    assert pager.sent == []
    desk.wait(timedelta(seconds=10))
    assert words(pager) == ["PAGE"]


def test_edge_11_an_inhibited_target_that_resolves_first_is_never_told(desk: Desk, pager: Recorder) -> None:
    desk.inhibit = list(INHIBIT)
    desk.tell(root_login("e1", level="critical"), disk("d1"), disk("d1", step="resolved"))
    desk.settle()
    desk.command("resolve", incident=pager.sent[0].incident)
    desk.settle()
    desk.wait(10 * MINUTE)
    assert words(pager) == ["PAGE", "RESOLVED"]


def test_edge_12_an_alert_that_became_graver_is_told_in_the_same_incident(desk: Desk, pager: Recorder) -> None:
    desk.tell(root_login("e1", level="medium", urgency="notify"))
    desk.settle()
    desk.tell(root_login("e2", level="critical"))
    desk.settle()
    assert len(pager.sent) == 2
    assert len({one.incident for one in pager.sent}) == 1
    assert "GRAVER" in line(pager.subjects()[1])
