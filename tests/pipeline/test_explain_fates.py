"""Whom an alert was told to, or what kept it quiet, as `audit.incidents` has it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifiers.entry import Answer, Entry, Fate, Send
from notifiers.policy import Policy
from notifiers.route import parse
from pipeline.commands.explain_fates import fates
from tests.standins.alerts import NOW, fired, root_login

POLICY = Policy(parse({"receiver": "security"}))
ALERT = root_login()
LATER = NOW + timedelta(seconds=30)


def decided(fate: Fate, *sends: Send) -> Entry:
    return Entry(time=NOW, transition=fired(ALERT, {"security": fate}), intended=sends)


def answered(send: str, *, receipt: str | None = None, failure: str | None = None) -> Entry:
    done = receipt is not None
    answer = Answer(send=send, receiver="security", channel=0, attempt=1, done=done, receipt=receipt, failure=failure)
    return Entry(time=LATER, answered=answer)


@pytest.mark.parametrize(
    "why",
    ["silence 7 by ada: disk swap", "inhibited by def-1", "muted by the interval nights", "outside of office"],
)
def test_what_muted_it_is_named(why: str) -> None:
    (row,) = fates([ALERT], [decided(Fate(how="muted", why=why))], POLICY)
    assert (row["how"], row["why"], row["incident"], row["receiver"]) == ("muted", why, "abc-1", "security")


def test_a_message_that_was_sent_says_when_it_arrived_or_what_was_answered() -> None:
    entry = decided(Fate(how="sent"), Send(id="s", receiver="security", kind="page", incident="abc-1"))
    cases: list[tuple[list[Entry], object, object]] = [
        ([entry], None, "not yet answered"),
        ([entry, answered("s", failure="HTTP 503")], None, "HTTP 503"),
        ([entry, answered("s", failure="HTTP 503"), answered("s", receipt="42")], "2026-11-22T02:14:30.000000Z", "42"),
        ([entry, answered("another", receipt="42")], None, "not yet answered"),
    ]
    for log, delivered, said in cases:
        (row,) = fates([ALERT], log, POLICY)
        assert (row["delivered"], row["answer"]) == (delivered, said)


@pytest.mark.parametrize("gathering", ["digest", "catchup", "group", "storm"])
def test_what_was_told_with_others_arrived_with_them(gathering: str) -> None:
    held = decided(Fate.model_validate({"how": "held", "why": "route,h", "gathering": gathering, "until": LATER}))
    together = Entry(time=LATER, intended=(Send(id="t", receiver="security", kind="group", gathered=("route,h",)),))
    (waiting,) = fates([ALERT], [held], POLICY)
    assert (waiting["how"], waiting["answer"]) == ("held", "not yet sent")
    (row,) = fates([ALERT], [held, together, answered("t", receipt="9")], POLICY)
    assert (row["why"], row["answer"]) == (f"told with others ({gathering})", "9")


def test_what_two_notifiers_wrote_of_one_alert_is_told_once() -> None:
    entry = decided(Fate(how="muted", why="silence 7 by ada: disk swap"))
    assert len(list(fates([ALERT], [entry, entry], POLICY))) == 1


def test_an_alert_that_is_only_recorded_says_so() -> None:
    (row,) = fates([root_login(urgency="record")], [], POLICY)
    assert (row["how"], "urgency is record" in str(row["why"])) == ("nobody was told", True)
