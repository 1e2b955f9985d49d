"""The notifying role: alerts to people. The one owner of `audit.alerts` and of its log, `audit.incidents`.

Read, decide, write, then commit, and send only what is written: a transition goes into the log in one record with
the sends that it intends, the send follows, then its answer. Whoever gains ownership replays the log and stands
where the one before stood; what was intended and not answered goes out again, marked as a possible repeat.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from notifiers.channels import Channel, Receipt, Rejected
from notifiers.delivery import Pending, Try
from notifiers.incident import Answer, Cause, Entry, Send
from notifiers.judge import Judge
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from notifiers.postman import Outcome, Postman
from notifiers.render import Message as Rendered
from notifiers.render import headline, of_digest, of_incident, plain
from notifiers.route import Route
from pipeline.records import Command, DeadLetter
from pipeline.roles.incident_log import own_group, replayed
from pipeline.streams import ALERTS, COMMANDS, DEADLETTER, INCIDENTS, Batch, Message, Stored, Stream, StreamUnavailable
from rules.alert import Alert

_GROUP = "notify"
_LIMIT = 200
_WAIT = 0.2  # for alerts, while nobody's answer is awaited
_WAIT_BUSY = 0.02
_CARRY = timedelta(hours=6)
_log = logging.getLogger(__name__)


class Notify:
    """A Role over any Stream: `Notify(stream, policy, receivers)`; a Route alone is a Policy with nothing else in it.

    `receivers` maps a name to its channels in order of preference; it holds every receiver that `route` names.
    The channels and the stream are the caller's to close.
    """

    name = "notify"

    def __init__(
        self, stream: Stream, policy: Policy | Route, receivers: Mapping[str, Sequence[Channel]], *, wait: float = _WAIT
    ) -> None:
        self._policy = policy if isinstance(policy, Policy) else Policy(policy)
        unknown = self._policy.route.receivers() - receivers.keys()
        if unknown:
            raise ValueError(f"route names receivers that do not exist: {', '.join(sorted(unknown))}")
        self._stream = stream
        self._receivers = receivers
        self._wait = wait
        self._postman = Postman(receivers)
        self._own_group = own_group(_GROUP)
        self._ledger: Ledger | None = None  # None: not the owner, or what was written last is not known
        self._judge = Judge(self._policy, Ledger(self._policy))
        self._owner = False
        self._now: datetime | None = None
        self._carried: datetime | None = None
        self._end = 0  # where the log ends if nobody else writes to it
        self._outcomes: list[Outcome] = []  # what ended and is not yet written down

    def step(self, now: datetime) -> bool:
        answered = self._hear(now)
        if answered and self._ledger is not None:
            self._send(now)  # what is owed next does not wait for the next alert
        wait = min(_WAIT_BUSY, self._wait) if self._postman.busy else self._wait
        batch = self._stream.read(ALERTS, _GROUP, _LIMIT, wait)
        self._own(batch)
        if not self._owner:
            return answered
        if self._ledger is None:
            self._take_over(now)
            self._hear(now)  # what was sent is written down, or the log that was read would have it sent again
            batch = Batch()
        commands = self._stream.read(COMMANDS, self._own_group, _LIMIT, 0)
        self._decide([*batch.messages, *commands.messages], now)
        self._pass_time(now)
        self._carry(now)
        self._send(now)
        if batch.messages:
            self._stream.commit(ALERTS, _GROUP, {0: batch.messages[-1].offset + 1})
        return answered or bool(batch.messages) or bool(commands.messages)

    @property
    def sending(self) -> bool:
        """Whether a message is under way."""
        return bool(self._postman.busy) or bool(self._outcomes)

    def close(self) -> None:
        """Let the sends under way end; the next owner tells again, marked, what could not be written down."""
        self._postman.close(timeout=5.0)
        if self._now is not None:
            self._hear(self._now)

    def _own(self, batch: Batch) -> None:
        if 0 in batch.lost:
            self._owner, self._ledger, self._outcomes = False, None, []
        if 0 in batch.gained:
            self._owner, self._ledger = True, None
        for partition, count in batch.missing.items():
            _log.error("alerts were gone before they were read", extra={"partition": partition, "count": count})

    def _take_over(self, now: datetime) -> None:
        """Replay the log, and read on behind what it has decided."""
        self._end = self._stream.ends(INCIDENTS).get(0, 0)
        ledger = replayed(self._stream, self._policy, own_group(_GROUP))
        self._ledger, self._judge = ledger, Judge(self._policy, ledger)
        owed = list(ledger.owed())
        _log.info("took over", extra={"incidents": len(ledger.incidents), "owed": len(owed)})
        here = {send.id for send in self._postman.busy.values()} | {one.send.id for one in self._outcomes}
        counts = {name: len(channels) for name, channels in self._receivers.items()}
        self._write([self._again(send, now) for send in ledger.orphans(counts) if send.id not in here])
        self._write([self._moved(one.send, now) for one in owed if one.send.receiver not in self._receivers])
        start = max(ledger.positions.get(ALERTS, 0), self._stream.committed(ALERTS, _GROUP).get(0, 0))
        self._stream.seek(ALERTS, _GROUP, {0: start})
        self._stream.read(COMMANDS, self._own_group, 1, 1.0)  # joins the group
        self._stream.seek(COMMANDS, self._own_group, {0: ledger.positions.get(COMMANDS, 0)})

    def _again(self, send: Send, now: datetime) -> Entry:
        """Return the next attempt of one that was never answered."""
        channel = send.channel if send.channel < len(self._receivers.get(send.receiver, ())) else 0
        changes = {"repeat": True, "attempt": send.attempt + 1, "channel": channel}
        return Entry(time=now, intended=(send.model_copy(update=changes),))

    def _moved(self, send: Send, now: datetime) -> Entry:
        """Return the end of a send to a receiver that the config no longer has: the root's receiver gets it."""
        answer = Answer(
            send=send.id,
            receiver=send.receiver,
            channel=send.channel,
            attempt=send.attempt,
            done=True,
            failure="the config has no such receiver",
        )
        root = send.model_copy(update={"receiver": self._policy.route.receiver, "channel": 0})
        return Entry(time=now, intended=(root,), answered=answer)

    def _decide(self, messages: Sequence[Stored], now: datetime) -> None:
        assert self._ledger is not None
        entries = []
        for stored in messages:
            entry = self._entry(stored, now)
            if entry is not None:
                self._ledger.apply(entry)
                entries.append(entry)
        self._append(entries)

    def _entry(self, stored: Stored, now: datetime) -> Entry | None:
        cause = Cause(topic=stored.topic, offset=stored.offset)
        try:
            if stored.topic == ALERTS:
                return self._judge.alert(Alert.model_validate_json(stored.value), cause, now)
            said = Command.model_validate_json(stored.value)
            return self._judge.command(said.verb, f"{said.person} ({said.proof})", said.arguments, cause, now)
        except Exception as error:  # one record's fault costs that record
            _log.warning("set aside", extra={"topic": stored.topic, "offset": stored.offset, "reason": str(error)})
            self._set_aside(stored, f"{type(error).__name__}: {error}", now)
            return None

    def _pass_time(self, now: datetime) -> None:
        """Apply what is due one by one: each may change what is due next."""
        assert self._ledger is not None
        entries = []
        for entry in self._judge.due(now):
            self._ledger.apply(entry)
            entries.append(entry)
        self._append(entries)

    def _set_aside(self, stored: Stored, reason: str, now: datetime) -> None:
        letter = DeadLetter(
            stage="notify",
            reason=reason[:2000],
            time=now,
            topic=stored.topic,
            partition=stored.partition,
            offset=stored.offset,
            value=stored.value.decode("utf-8", "backslashreplace"),
        )
        self._stream.append(DEADLETTER, [Message(stored.key, letter.model_dump_json().encode())])

    def _write(self, entries: Sequence[Entry]) -> None:
        assert self._ledger is not None
        for entry in entries:
            self._ledger.apply(entry)
        self._append(entries)

    def _append(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        messages = [Message(_key(entry), entry.model_dump_json(exclude_none=True).encode()) for entry in entries]
        try:
            self._stream.append(INCIDENTS, messages)
            self._end += len(messages)
        except StreamUnavailable:
            self._ledger = None  # the log may hold them or not: it is read again before anything is decided
            raise

    def _carry(self, now: datetime) -> None:
        """Write anew what is open, so that it outlives the records of how it came to be."""
        if self._ledger is None:
            return
        if self._carried is None or now - self._carried < _CARRY:
            self._carried = self._carried or now
            return
        self._carried = now
        self._append(list(self._ledger.carry(now)))

    def _hear(self, now: datetime) -> bool:
        """Write down how sends ended. What cannot be written now is kept for the next step."""
        self._now = now
        self._outcomes += self._postman.outcomes()
        if self._ledger is None or not self._outcomes:
            return False
        self._write([_answered(outcome, now) for outcome in self._outcomes])
        self._outcomes = []
        return True

    def _send(self, now: datetime) -> None:
        """Give each idle receiver what it is owed first; attempts that are not yet written down are written first."""
        assert self._ledger is not None
        sends: list[Send] = []
        fresh: list[Entry] = []
        for receiver, channels in self._receivers.items():
            if receiver in self._postman.busy:
                continue
            step = self._ledger.attempt(receiver, len(channels), now)
            if isinstance(step, Pending | Try):
                sends.append(step.send)
                if isinstance(step, Try):
                    fresh.append(Entry(time=now, intended=(step.send,)))
        self._write(fresh)
        if sends and self._stream.ends(INCIDENTS).get(0, 0) != self._end:
            _log.warning("another notifier writes: nothing is sent before its records are read")
            self._ledger = None
            return
        for send in sends:
            self._dispatch(send, now)

    def _dispatch(self, send: Send, now: datetime) -> None:
        assert self._ledger is not None
        receipt = self._ledger.receipt(send)
        self._postman.take(send, self._rendered(send, now), Receipt(receipt) if receipt else None)

    def _rendered(self, send: Send, now: datetime) -> Rendered:
        assert self._ledger is not None
        name = send.incident or send.id
        note = "; ".join(self._ledger.failures(send))
        note = f"Another channel failed first: {note}" if note else ""
        incident = self._ledger.by_id(name)
        try:
            if send.digest is not None:
                return of_digest(send.digest, send.kind, now, name, repeat=send.repeat, note=note)
            if incident is not None:
                told = incident if send.alert is None else replace(incident, alert=send.alert)
                return of_incident(told, send.kind, now, repeat=send.repeat, note=note)
        except Exception:  # a fault in a template costs the form of the message, never the message
            _log.exception("message not rendered", extra={"send": send.id})
        return plain(name, f"{send.kind}: {headline(incident.alert) if incident else name}", now)


def _key(entry: Entry) -> str:
    if entry.transition is not None:
        return entry.transition.incident
    if entry.answered is not None:
        return entry.answered.incident or entry.answered.send
    return next((send.incident or send.id for send in entry.intended), "")


def _answered(outcome: Outcome, now: datetime) -> Entry:
    send, failure = outcome.send, outcome.failure
    answer = Answer(
        send=send.id,
        receiver=send.receiver,
        channel=send.channel,
        attempt=send.attempt,
        incident=send.incident,
        done=failure is None,
        receipt=outcome.receipt.id if outcome.receipt else None,
        failure=str(failure) if failure else None,
        rejected=isinstance(failure, Rejected),
        uncertain=getattr(failure, "uncertain", False),
        after=getattr(failure, "after", None),
    )
    return Entry(time=now, answered=answer)
