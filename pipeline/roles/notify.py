"""The notifying role: alerts to people. The one owner of `audit.alerts` and of its log, `audit.incidents`.

Read, decide, write, then commit, and send only what is written: a transition goes into the log in one record with
the sends that it intends, the send follows, then its answer. Whoever gains ownership replays the log and stands
where the one before stood; what was intended and not answered goes out again, marked as a possible repeat. While
the stream is away, timers and sends go on over intents kept here (pipeline.roles.logbook).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifiers.channels import Channel, Receipt
from notifiers.delivery import Pending, Try
from notifiers.incident import Entry, Send
from notifiers.judge import Judge
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from notifiers.postman import Outcome, Postman
from notifiers.render import Renderer
from notifiers.route import Route
from pipeline.roles.attempts import again, answered, moved
from pipeline.roles.incident_log import replayed
from pipeline.roles.intents import Intents
from pipeline.roles.logbook import Logbook
from pipeline.roles.sorter import Sorter
from pipeline.roles.writer import Writer
from pipeline.signing import Guard
from pipeline.streams import ALERTS, COMMANDS, DEADLETTER, INCIDENTS, Batch, Message, Stored, Stream, StreamUnavailable
from pipeline.streams.whole import own_group

_GROUP = "notify"
_LIMIT = 200
_WAIT = 0.2  # for alerts, while nobody's answer is awaited
_WAIT_BUSY = 0.02
_CARRY = timedelta(hours=6)
_LETTERS = 1000  # dead letters that wait for the stream at most
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What the role works with, beside stream, policy and channels. Without a key no command is obeyed."""

    key: bytes = b""
    writer: Writer = field(default_factory=lambda: Writer(Renderer()))
    intents: Intents = field(default_factory=Intents)
    wait: float = _WAIT


class Notify:
    """A Role over any Stream: `Notify(stream, policy, receivers)`; a Route alone is a Policy with nothing else in it.

    `receivers` maps a name to its channels in order of preference; it holds every receiver that `route` names.
    The channels and the stream are the caller's to close.
    """

    name = "notify"

    def __init__(
        self,
        stream: Stream,
        policy: Policy | Route,
        receivers: Mapping[str, Sequence[Channel]],
        means: Means | None = None,
        *,
        wait: float | None = None,
    ) -> None:
        self._policy = policy if isinstance(policy, Policy) else Policy(policy)
        unknown = self._policy.route.receivers() - receivers.keys()
        if unknown:
            raise ValueError(f"route names receivers that do not exist: {', '.join(sorted(unknown))}")
        means = means or Means()
        self._stream = stream
        self._receivers = receivers
        self._wait = means.wait if wait is None else wait
        self._key = means.key
        self._writer = means.writer
        self._book = Logbook(stream, means.intents)
        self._postman = Postman(receivers)
        self._own_group = own_group(_GROUP)
        self._ledger: Ledger | None = None  # None: not the owner, or what was written last is not known
        self._judge = Judge(self._policy, Ledger(self._policy))
        self._sorter = Sorter(self._judge, Guard(self._key), 0)
        self._owner = False
        self._now: datetime | None = None
        self._carried: datetime | None = None
        self._outcomes: list[Outcome] = []  # what ended and is not yet written down
        self._letters: list[Message] = []
        self._holds = False  # a message waits for what the index knows

    def step(self, now: datetime) -> bool:
        """One round. While the stream is away, what time makes happen goes on, and StreamUnavailable is raised."""
        self._book.merge()
        heard = self._hear(now)
        if heard and self._ledger is not None:
            self._send(now)  # what is owed next does not wait for the next alert
        try:
            batch = self._read()
            if self._owner and self._ledger is None:
                self._take_over(now)
                self._hear(now)  # what was sent is written down, or the log that was read would have it sent again
                batch = Batch()
        except StreamUnavailable:
            self._alone(now)
            raise
        if self._ledger is None:
            return heard
        if not self._owner:
            self._alone(now)
            return heard
        commands = self._commands()
        self._decide([*batch.messages, *commands], now)
        self._pass_time(now)
        self._carry(now)
        self._send(now)
        if batch.messages:
            self._stream.commit(ALERTS, _GROUP, {0: batch.messages[-1].offset + 1})
        return heard or bool(batch.messages) or bool(commands)

    @property
    def sending(self) -> bool:
        """Whether a message is under way."""
        return bool(self._postman.busy) or bool(self._outcomes)

    def close(self) -> None:
        """Let the sends under way end; the next owner tells again, marked, what could not be written down."""
        self._postman.close(timeout=5.0)
        self._writer.close()
        if self._now is not None:
            self._hear(self._now)

    # Owning

    def _read(self) -> Batch:
        wait = min(_WAIT_BUSY, self._wait) if self._postman.busy or self._holds else self._wait
        batch = self._stream.read(ALERTS, _GROUP, _LIMIT, wait)
        if 0 in batch.lost:
            self._owner = False
        if 0 in batch.gained:
            self._owner, self._ledger = True, None
        if not self._owner and self._ledger is not None and not self._cut_off():
            self._ledger, self._outcomes = None, []
        for partition, count in batch.missing.items():
            _log.error("alerts were gone before they were read", extra={"partition": partition, "count": count})
        return batch

    def _cut_off(self) -> bool:
        """Say whether ownership was lost with the stream, and not to another: nobody else is known to go on."""
        if self._book.away:
            return True
        try:
            self._stream.ends(INCIDENTS)
        except StreamUnavailable:
            return True
        return False

    def _commands(self) -> Sequence[Stored]:
        try:
            return self._stream.read(COMMANDS, self._own_group, _LIMIT, 0).messages
        except StreamUnavailable:
            return ()  # the alerts that were read are judged all the same; the next round says that it is away

    def _take_over(self, now: datetime) -> None:
        """Replay the log, and read on behind what it has decided. Raises StreamUnavailable, and owns nothing then."""
        self._book.opened()
        ledger = replayed(self._stream, self._policy, own_group(_GROUP))
        start = max(ledger.positions.get(ALERTS, 0), self._stream.committed(ALERTS, _GROUP).get(0, 0))
        self._stream.seek(ALERTS, _GROUP, {0: start})
        self._stream.read(COMMANDS, self._own_group, 1, 1.0)  # joins the group
        self._stream.seek(COMMANDS, self._own_group, {0: 0})  # what was obeyed is read again for its nonces alone
        self._ledger, self._judge = ledger, Judge(self._policy, ledger)
        self._sorter = Sorter(self._judge, Guard(self._key), ledger.positions.get(COMMANDS, 0))
        owed = list(ledger.owed())
        _log.info("took over", extra={"incidents": len(ledger.incidents), "owed": len(owed)})
        here = {send.id for send in self._postman.busy.values()} | {one.send.id for one in self._outcomes}
        counts = {name: len(channels) for name, channels in self._receivers.items()}
        self._write([again(send, self._receivers, now) for send in ledger.orphans(counts) if send.id not in here])
        self._write(
            [
                moved(one.send, self._policy.route.receiver, now)
                for one in owed
                if one.send.receiver not in self._receivers
            ]
        )

    # Deciding

    def _decide(self, messages: Sequence[Stored], now: datetime) -> None:
        assert self._ledger is not None
        entries = []
        for stored in messages:
            found = self._sorter.sorted(stored, now)
            if found.letter is not None:
                self._letters.append(found.letter)
            if found.entry is not None:
                self._ledger.apply(found.entry)
                entries.append(found.entry)
                if found.alert is not None and any(send.alert for send in found.entry.intended):
                    self._writer.foresee(found.alert, now)
        self._book.write(entries)
        self._post_letters()

    def _post_letters(self) -> None:
        if not self._letters:
            return
        try:
            self._stream.append(DEADLETTER, self._letters)
        except StreamUnavailable:
            del self._letters[:-_LETTERS]
        else:
            self._letters = []

    def _pass_time(self, now: datetime) -> None:
        """Apply what is due one by one: each may change what is due next."""
        assert self._ledger is not None
        entries = []
        for entry in self._judge.due(now):
            self._ledger.apply(entry)
            entries.append(entry)
        self._book.write(entries)

    def _alone(self, now: datetime) -> None:
        """Without the stream nothing new is read; what is owed, and what time makes happen, goes on."""
        if self._ledger is not None:
            self._pass_time(now)
            self._send(now)

    def _write(self, entries: Sequence[Entry]) -> None:
        assert self._ledger is not None
        for entry in entries:
            self._ledger.apply(entry)
        self._book.write(entries)

    def _carry(self, now: datetime) -> None:
        """Write anew what is open, so that it outlives the records of how it came to be."""
        assert self._ledger is not None
        if self._carried is None or now - self._carried < _CARRY or self._book.away:
            self._carried = self._carried or now
            return
        self._carried = now
        self._book.write(list(self._ledger.carry(now)))

    # Sending

    def _hear(self, now: datetime) -> bool:
        """Write down how sends ended. What cannot be written now is kept for the next step."""
        self._now = now
        self._outcomes += self._postman.outcomes()
        if self._ledger is None or not self._outcomes:
            return False
        self._write([answered(outcome, now) for outcome in self._outcomes])
        self._outcomes = []
        return True

    def _send(self, now: datetime) -> None:
        """Give each idle receiver what it is owed first; attempts that are not yet written down are written first."""
        assert self._ledger is not None
        self._holds = False
        sends: list[Send] = []
        fresh: list[Entry] = []
        for receiver, channels in self._receivers.items():
            if receiver in self._postman.busy:
                continue
            step = self._ledger.attempt(receiver, len(channels), now)
            if not isinstance(step, Pending | Try):
                continue
            if self._writer.waits(step.send, now):
                self._holds = True
                continue
            sends.append(step.send)
            if isinstance(step, Try):
                fresh.append(Entry(time=now, intended=(step.send,)))
        self._write(fresh)
        if sends and self._book.overtaken():
            _log.warning("another notifier writes: nothing is sent before its records are read")
            self._ledger = None
            return
        for send in sends:
            self._dispatch(send, now)

    def _dispatch(self, send: Send, now: datetime) -> None:
        assert self._ledger is not None
        receipt = self._ledger.receipt(send)
        note = ""
        if self._book.away:
            note = "Tocsin's stream is away: another notifier, if there is one, may send this too."
            send = send.model_copy(update={"repeat": send.repeat or not self._book.durable})
        message = self._writer.message(send, self._ledger, now, note)
        self._postman.take(send, message, Receipt(receipt) if receipt else None)
