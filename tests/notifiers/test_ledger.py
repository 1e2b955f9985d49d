"""The ledger is a function of the log, and outlives the log's keep time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from notifiers.incident import Cause
from notifiers.judge import Judge
from notifiers.ledger import Ledger
from rules.event import rfc3339
from tests.standins.alerts import NOW, disk, root_login
from tests.standins.channels import Recorder
from tests.standins.desk import Desk

HOUR = timedelta(hours=1)


def test_an_incident_that_is_older_than_the_log_still_ends_for_whoever_heard_of_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, security=[Recorder()])
    desk.tell(disk("d1"))
    desk.settle()
    desk.command("silence", id="s1", matchers=["a=b"], ends=rfc3339(NOW + 99 * HOUR), reason="work")
    desk.settle()
    desk.wait(7 * HOUR)
    log = desk.log()
    kept = log[next(at for at, entry in enumerate(log) if entry.carried) :]
    ledger = Ledger(desk.policy())
    for entry in kept:
        ledger.apply(entry)
    ended = Judge(desk.policy(), ledger).alert(disk("d1", step="resolved"), Cause(topic="a", offset=9), desk.now)
    assert ended is not None
    (send,) = ended.intended
    assert (send.kind, send.receiver) == ("resolved", "security")
    assert ledger.receipt(send) is not None
    assert ledger.silences.get("s1") is not None
    desk.close()


def test_the_log_replayed_is_the_ledger_that_wrote_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, security=[Recorder()])
    desk.tell(root_login("e1"), root_login("e2", source="198.51.100.4"), disk("d1"), disk("d1", step="resolved"))
    desk.settle()
    first, second = Ledger(desk.policy()), Ledger(desk.policy())
    for entry in desk.log():
        first.apply(entry)
        second.apply(type(entry).model_validate_json(entry.model_dump_json()))
    assert first.incidents == second.incidents
    assert {one.state for one in first.incidents.values()} == {"triggered", "resolved"}
    assert not list(first.owed())
    desk.close()


def test_a_transition_whose_beginning_the_log_no_longer_holds_is_passed_over(tmp_path: Path) -> None:
    desk = Desk(tmp_path, security=[Recorder()])
    desk.tell(root_login("e1"), root_login("e2"))
    desk.settle()
    ledger = Ledger(desk.policy())
    for entry in desk.log()[1:]:
        ledger.apply(entry)
    assert ledger.incidents == {}
    desk.close()
