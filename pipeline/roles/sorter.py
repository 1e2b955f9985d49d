"""Sorter: one record of `audit.alerts` or `audit.commands` -> what it makes happen. A fault costs the record."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from notifiers.incident import Cause, Entry
from notifiers.judge import CommandError, Judge
from notifiers.orders import OTHERS, VERBS, Order
from pipeline.records import ENGINE, PUBLISHED, Command, DeadLetter
from pipeline.signing import Forged, Guard
from pipeline.streams import ALERTS, Message, Stored
from rules.alert import Alert, Proof, Rule, alert_id

FORGED: Final = Rule(
    id="2f6f1c8e-3d0b-4b83-9a56-6c1d9f0e7a41",
    title="A command to Tocsin that nobody with the key gave",
    level="high",
    urgency="page",
    tell=("tocsin.command.person",),
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sorted:
    """What became of one record: what it causes, the dead letter that it is, the alert that it was."""

    entry: Entry | None = None
    letter: Message | None = None
    alert: Alert | None = None


class Sorter:
    """Reads the two topics in order. Commands before offset `obeyed` are read for their nonces alone."""

    def __init__(self, judge: Judge, guard: Guard, obeyed: int) -> None:
        self._judge = judge
        self._guard = guard
        self._obeyed = obeyed

    def sorted(self, stored: Stored, now: datetime) -> Sorted:
        """Return what a record causes."""
        cause = Cause(topic=stored.topic, offset=stored.offset)
        try:
            if stored.topic == ALERTS:
                alert = Alert.model_validate_json(stored.value)
                return Sorted(self._judge.alert(alert, cause, now), alert=alert)
            return Sorted(self._command(Command.model_validate_json(stored.value), stored, now))
        except Forged as error:
            entry = self._told(stored, str(error), now) if stored.offset >= self._obeyed else None
            return Sorted(entry, _letter(stored, error, now) if entry else None)
        except CommandError as error:
            refused = Entry(time=now, cause=cause, refused=str(error), command=_nonce(stored))
            return Sorted(refused, _letter(stored, error, now))
        except Exception as error:  # one record's fault costs that record
            return Sorted(letter=_letter(stored, error, now))

    def _command(self, said: Command, stored: Stored, now: datetime) -> Entry | None:
        if said.verb == PUBLISHED and said.person == ENGINE:
            return None
        self._guard.check(said, stored.time)  # of every verb: others than the notifier believe these records too
        if stored.offset < self._obeyed or (said.verb not in VERBS and said.verb not in OTHERS):
            return None
        order = Order(said.verb, f"{said.person} ({said.proof})", said.arguments, said.nonce)
        return self._judge.command(order, Cause(topic=stored.topic, offset=stored.offset), now)

    def _told(self, stored: Stored, why: str, now: datetime) -> Entry:
        """Tell people of it: whoever writes commands without the key is an intruder, or lacks the key."""
        said = Command.model_validate_json(stored.value)
        cause = Cause(topic=stored.topic, offset=stored.offset)
        told = self._judge.alert(_alert(said, why, stored), cause, now)
        entry = told or Entry(time=now, cause=cause)
        return entry.model_copy(update={"refused": why})


def _alert(said: Command, why: str, stored: Stored) -> Alert:
    event = f"{stored.topic}@{stored.offset}"
    return Alert(
        step="fired",
        id=alert_id(FORGED.id, {}, event),
        rule=FORGED,
        key={},
        time=stored.time,
        since=stored.time,
        received=stored.time,
        fields={
            "event.module": "tocsin",
            "event.dataset": "tocsin.command",
            "tocsin.class": "tocsin",
            "tocsin.command.person": said.person[:200],
            "tocsin.command.verb": said.verb[:200],
            "message": f"{said.verb} by {said.person} ({said.proof}): {why}"[:2000],
        },
        proof=Proof(rule_hash="built in", engine="tocsin", events=(event,), count=1),
    )


def _nonce(stored: Stored) -> str | None:
    return Command.model_validate_json(stored.value).nonce or None


def _letter(stored: Stored, error: Exception, now: datetime) -> Message:
    reason = f"{type(error).__name__}: {error}"
    _log.warning("set aside", extra={"topic": stored.topic, "offset": stored.offset, "reason": reason})
    letter = DeadLetter(
        stage="notify",
        reason=reason[:2000],
        time=now,
        topic=stored.topic,
        partition=stored.partition,
        offset=stored.offset,
        value=stored.value.decode("utf-8", "backslashreplace"),
    )
    return Message(stored.key, letter.model_dump_json().encode())
