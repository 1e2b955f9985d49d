"""What people do about an incident, and whoever writes commands without being one of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.records import Command
from pipeline.signing import Forged, Guard, derived, signed
from pipeline.streams import COMMANDS, DEADLETTER, Message
from rules.event import Value, rfc3339
from tests.standins.alerts import NOW, disk, root_login
from tests.standins.channels import Recorder
from tests.standins.desk import KEY, Desk

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def words(pager: Recorder) -> list[str]:
    heads = [one.subject.split(":")[0] for one in pager.sent]
    return ["PAGE" if head.startswith("Root login") else head for head in heads]


def paged(desk: Desk, pager: Recorder) -> str:
    desk.tell(root_login("e1"))
    desk.settle()
    return pager.sent[0].incident


def snooze(desk: Desk, incident: str, span: timedelta) -> None:
    desk.command("snooze", incident=incident, until=rfc3339(desk.now + span))
    desk.settle()


def state(desk: Desk) -> str:
    return [one.transition.state for one in desk.log() if one.transition][-1]


# Snooze


def test_a_snoozed_incident_pages_again_when_its_time_has_come_and_not_before(desk: Desk, pager: Recorder) -> None:
    incident = paged(desk, pager)
    snooze(desk, incident, HOUR)
    assert "until 03:14:00 UTC by ada" in pager.sent[1].change
    desk.wait(HOUR - MINUTE)
    assert words(pager) == ["PAGE", "SNOOZED"]
    desk.wait(MINUTE)
    assert words(pager) == ["PAGE", "SNOOZED", "SNOOZE OVER"]
    assert pager.sent[2].loud
    desk.wait(HOUR)
    assert (len(pager.sent), state(desk)) == (3, "triggered")


def test_what_is_new_wakes_a_snoozed_incident_at_once_and_a_repeat_does_not(desk: Desk, pager: Recorder) -> None:
    snooze(desk, paged(desk, pager), HOUR)
    desk.tell(root_login("e2"))
    desk.settle()
    assert (words(pager)[2:], state(desk)) == ([], "snoozed")
    desk.tell(root_login("e3", source="198.51.100.4"))
    desk.settle()
    assert words(pager)[2:] == ["REOPENED"]
    desk.wait(2 * HOUR)
    assert len(pager.sent) == 3


def test_an_incident_does_not_end_of_itself_while_it_sleeps(desk: Desk, pager: Recorder) -> None:
    snooze(desk, paged(desk, pager), 6 * HOUR)
    desk.wait(5 * HOUR)
    assert state(desk) == "snoozed"
    desk.wait(HOUR)
    assert words(pager)[-1] == "SNOOZE OVER"
    desk.wait(5 * HOUR)
    assert state(desk) == "resolved"


def test_a_condition_that_ends_while_it_sleeps_is_told_and_never_wakes(desk: Desk, pager: Recorder) -> None:
    desk.tell(disk("d1"))
    desk.settle()
    snooze(desk, pager.sent[0].incident, HOUR)
    desk.tell(disk("d1", step="resolved"))
    desk.wait(2 * HOUR)
    assert [one.subject.split(":")[0] for one in pager.sent][1:] == ["SNOOZED", "RESOLVED"]


def test_a_snooze_survives_a_kill_and_a_log_written_anew(desk: Desk, pager: Recorder) -> None:
    snooze(desk, paged(desk, pager), 8 * HOUR)
    desk.wait(7 * HOUR)  # past the time at which open incidents are written anew
    desk.kill()
    desk.wait(HOUR)
    assert words(pager) == ["PAGE", "SNOOZED", "SNOOZE OVER"]


@pytest.mark.parametrize(
    ("until", "why"),
    [
        (rfc3339(NOW), "over before it begins"),
        (rfc3339(NOW + timedelta(days=31)), "30 days long at most"),
        ("soon", "soon"),
        (None, "''"),
    ],
)
def test_a_snooze_without_a_sound_end_is_refused(desk: Desk, pager: Recorder, until: Value, why: str) -> None:
    incident = paged(desk, pager)
    desk.command("snooze", incident=incident, until=until)
    desk.settle()
    (refused,) = [one.refused for one in desk.log() if one.refused]
    assert why in refused
    assert state(desk) == "triggered"


# Notes, severity, hand-over


def test_a_note_is_silent_and_stands_in_every_later_message(desk: Desk, pager: Recorder) -> None:
    incident = paged(desk, pager)
    desk.command("note", incident=incident, note="it is the <b>pentest</b>")
    desk.settle()
    assert len(pager.sent) == 1
    desk.command("ack", incident=incident)
    desk.settle()
    assert "it is the <b>pentest</b> (ada (test))" in pager.sent[1].text
    assert "<b>pentest" not in pager.sent[1].html


def test_a_severity_that_a_person_gave_is_told_and_outlasts_the_rule_s(desk: Desk, pager: Recorder) -> None:
    duty = Recorder()
    desk.receivers = {"security": [pager], "duty": [duty]}
    desk.route = {
        "receiver": "security",
        "routes": [{"matchers": ["severity=critical"], "receiver": "duty", "continue": True}, {"receiver": "security"}],
    }
    incident = paged(desk, pager)
    assert duty.sent == []
    desk.command("severity", incident=incident, severity="critical")
    desk.settle()
    assert [one.text.split("  ")[0] for one in duty.sent] == ["CRITICAL"]
    desk.kill()
    desk.tell(root_login("e2", source="198.51.100.4"))
    desk.settle()
    assert duty.sent[1].text.startswith("CRITICAL  NEW VALUE")


def test_a_severity_that_is_none_or_the_same_is_refused(desk: Desk, pager: Recorder) -> None:
    incident = paged(desk, pager)
    for level in ("terrible", "high"):
        desk.command("severity", incident=incident, severity=level)
    desk.settle()
    assert len([one for one in desk.log() if one.refused]) == 2


def test_what_was_acknowledged_and_given_back_is_open_again_and_told(desk: Desk, pager: Recorder) -> None:
    incident = paged(desk, pager)
    desk.command("ack", incident=incident)
    desk.command("assign", incident=incident, to="grace")
    desk.settle()
    assert [one.transition.assignee for one in desk.log() if one.transition][-1] == "grace"
    desk.command("unassign", incident=incident)
    desk.settle()
    assert words(pager)[-1] == "NOBODY HAS IT"
    assert state(desk) == "triggered"


def test_a_command_that_was_refused_is_not_tried_again_after_a_restart(desk: Desk, pager: Recorder) -> None:
    incident = paged(desk, pager)
    desk.command("ack", incident=incident)
    desk.command("ack", incident=incident)  # refused: it is acknowledged
    desk.settle()
    desk.tell(root_login("e2", source="198.51.100.4"))
    desk.settle()
    desk.kill()
    desk.settle()
    assert state(desk) == "triggered"


# Who may command


def command(**changes: object) -> Command:
    said = Command(verb="ack", person="ada", proof="test", time=NOW, arguments={"incident": "x-1"}, nonce="n1")
    return said.model_copy(update=changes)


def test_a_command_is_obeyed_once() -> None:
    guard, said = Guard(KEY), signed(command(), KEY)
    guard.check(said, NOW + timedelta(seconds=3))
    with pytest.raises(Forged, match="used before"):
        guard.check(said, NOW + timedelta(seconds=4))


@pytest.mark.parametrize(
    "changes",
    [
        {"person": "root"},
        {"proof": "os-user uid=0"},
        {"verb": "resolve"},
        {"arguments": {"incident": "y-1"}},
        {"time": NOW + timedelta(seconds=1)},
        {"nonce": "n2"},
        {"mac": ""},
        {"mac": "é"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_command_of_which_anything_was_changed_is_forged(changes: dict[str, object]) -> None:
    with pytest.raises(Forged):
        Guard(KEY).check(signed(command(), KEY).model_copy(update=changes), NOW)


@pytest.mark.parametrize("later", [-6 * MINUTE, 6 * MINUTE, timedelta(days=3)])
def test_a_copy_that_is_appended_at_another_time_is_forged(later: timedelta) -> None:
    with pytest.raises(Forged, match="a copy"):
        Guard(KEY).check(signed(command(), KEY), NOW + later)


def test_another_key_and_a_key_for_another_purpose_sign_nothing_here() -> None:
    for key in (b"another key", derived(KEY, "tocsin mail link")):
        with pytest.raises(Forged, match="another key"):
            Guard(KEY).check(signed(command(), key), NOW)
    with pytest.raises(Forged, match="no key"):
        Guard(b"").check(signed(command(), KEY), NOW)


def test_who_can_merely_write_to_the_stream_silences_nothing_and_is_told_of(desk: Desk, pager: Recorder) -> None:
    arguments: dict[str, Value] = {"matchers": ['host.name="db-7"'], "ends": rfc3339(NOW + HOUR), "reason": "quiet"}
    desk.put(Command(verb="silence", person="mallory", proof="trust me", time=NOW, arguments=arguments))
    desk.tell(root_login("e1"))
    desk.settle()
    forged, page = pager.sent
    assert page.subject.startswith("Root login over SSH")
    assert forged.subject == "A command to Tocsin that nobody with the key gave [environment unknown]"
    assert "silence by mallory (trust me): not signed" in forged.text
    assert desk.stream.ends(DEADLETTER)[0] == 1


def test_forged_commands_are_one_incident_and_not_a_flood(desk: Desk, pager: Recorder) -> None:
    for number in range(50):
        desk.put(command(nonce=f"n{number}"))
    desk.settle()
    assert len(pager.sent) == 1
    desk.kill()
    desk.settle()
    assert (len(pager.sent), desk.stream.ends(DEADLETTER)[0]) == (1, 50)


def test_an_old_command_that_is_copied_to_the_end_is_not_obeyed_after_a_restart_either(
    desk: Desk, pager: Recorder
) -> None:
    incident = paged(desk, pager)
    desk.command("ack", incident=incident)
    desk.settle()
    (stored,) = desk.stream.read(COMMANDS, "thief", 10, 0).messages
    desk.tell(root_login("e2", source="198.51.100.4"))  # reopened
    desk.settle()
    desk.kill()
    desk.times[desk.stream.ends(COMMANDS)[0]] = desk.now
    desk.stream.append(COMMANDS, [Message(stored.key, stored.value)])
    desk.settle()
    assert [one.refused for one in desk.log() if one.refused] == ["its nonce was used before: a copy"]
    assert "A command to Tocsin" in pager.sent[-1].subject


def test_the_rule_set_that_detection_publishes_needs_no_signature(desk: Desk, pager: Recorder) -> None:
    desk.put(command(verb="ruleset", person="tocsin", mac=""))
    desk.settle()
    assert (pager.sent, desk.log()) == ([], [])


@pytest.mark.parametrize("verb", ["replay", "enrol", "revoke", "ruleset", "anything"])
def test_an_unsigned_command_that_others_than_the_notifier_obey_is_told_of(
    desk: Desk, pager: Recorder, verb: str
) -> None:
    desk.put(command(verb=verb, person="mallory"))
    desk.settle()
    (forged,) = pager.sent
    assert f"{verb} by mallory (test): not signed" in forged.text


@pytest.mark.parametrize("verb", ["replay", "enrol", "revoke"])
def test_a_signed_command_that_others_obey_is_not_the_notifiers(desk: Desk, pager: Recorder, verb: str) -> None:
    desk.command(verb)
    desk.settle()
    assert (pager.sent, desk.log(), desk.stream.ends(DEADLETTER)[0]) == ([], [], 0)
