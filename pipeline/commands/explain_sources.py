"""What `tocsin explain` reads beside the index: the loaded rules with their texts, and the notifier's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from notifiers.entry import Entry
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from pipeline import app, rulesets
from pipeline.archive import Archive
from pipeline.commands.people import policy
from pipeline.keys import commands_key
from pipeline.lists import History, history
from pipeline.roles.incident_log import entries
from pipeline.roles.live import CREATED, received
from pipeline.settings import Config
from pipeline.state import StateError
from pipeline.streams import Stream, StreamUnavailable
from pipeline.streams.whole import own_group
from rules.alert import Alert
from rules.event import Event
from rules.explain import Tree, tree_of
from rules.faults import Fault
from rules.lists import Reading, Timeline, read_again
from rules.ruleset import RuleSet
from rules.sigma import Rule

_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Loaded:
    """The rule set, with what its files say, for the names of selections, and the lists that commands changed.

    `pinned` are the commands by which an alert's own lists were read: it may have been judged without a newer one.
    """

    ruleset: RuleSet
    texts: Mapping[str, str]
    lists: Mapping[str, Sequence[str]]
    history: History | None = None
    pinned: Mapping[str, int] = field(default_factory=dict)
    _trees: dict[tuple[str, ...], Tree] = field(init=False, default_factory=dict)

    def tree(self, rule: Rule, event: Event) -> Tree:
        """Return the rule's clauses, read from its text once, with its lists as they were when the event came."""
        live = {name: self.reading(name, event) for name in sorted(rule.lists & self.ruleset.live.names)}
        place = (rule.about.id, *(one.hash for one in live.values()))
        known = self._trees.get(place)
        if known is None:
            held = {name: one.values for name, one in live.items()}
            judged = next(iter(read_again(self.ruleset, [rule], held)), rule) if live else rule
            source = self.texts.get(rule.about.file)
            filters = [one for one in self.ruleset.filters if not one.missing]
            known = self._trees[place] = tree_of(judged, source, {**self.lists, **held}, filters)
        return known

    def reading(self, name: str, event: Event) -> Reading:
        """Return what a list held for an event; nothing where that is not known, which `unknown` tells."""
        timeline = self.history.timeline(name) if self.history is not None else Timeline()
        moment = received(event.fields.get(CREATED), _LAST)
        moment = event.time if moment == _LAST else moment
        pinned = timeline.at(self.pinned[name], moment) if name in self.pinned else None
        return pinned or timeline.as_of(moment)

    def unknown(self, alert: Alert) -> list[str]:
        """Return, in sentences, which of an alert's lists cannot be read as they were."""
        out: list[str] = []
        for name, offset in alert.proof.commands.items():
            timeline = self.history.timeline(name) if self.history is not None else None
            found = timeline.at(offset, alert.received) if timeline is not None else None
            if found is None:
                out.append(f"what list {name} held by the command at {offset} of audit.commands is not known any more")
        return out


def loaded(config: Config, stream: Stream | None) -> Loaded:
    """Return the rules as the config names them now; faults are `tocsin check`'s to tell. Where rules read lists that
    commands change, those come from the stream."""
    faults: list[Fault] = []
    texts = dict(rulesets.sources(config.rules.paths, faults))
    ruleset = app.open_rules(config)
    out = Loaded(ruleset, texts, rulesets.configured(config.rules, faults)[0])
    if ruleset.live.files and stream is not None:
        with suppress(StreamUnavailable, StateError):  # then it is told that they are not known
            out.history = history(stream, commands_key(config))
    return out


class Log:
    """The notifier's log, and the stream that holds it. A stream that is away costs what only it knows."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.fault = ""
        self.stream: Stream | None = None
        try:
            self.stream = app.open_stream(config)
        except StreamUnavailable as error:
            self.fault = str(error)

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()

    @cached_property
    def policy(self) -> Policy:
        return policy(self._config)

    @cached_property
    def _log(self) -> list[Entry]:
        try:
            return list(entries(self.stream, own_group("explain"))) if self.stream is not None else []
        except StreamUnavailable as error:
            self.fault = str(error)
            return []

    def entries(self, alerts: Sequence[str], archive: Archive) -> list[Entry]:
        """Return the log as the stream keeps it; of what is older, what the index holds of these alerts."""
        ids = set(alerts)
        if any(entry.transition is not None and entry.transition.alert_id in ids for entry in self._log):
            return self._log
        return archive.entries(alerts)

    def alert_of(self, incident: str) -> str | None:
        """Return the id of the alert that an incident shows, by the incident's name or the only name that begins so."""
        if "-" not in incident and len(incident) > 10:
            return None  # an incident is called by ten digits and its occurrence
        ledger = Ledger(self.policy)
        for entry in self._log:
            ledger.apply(entry)
        exact = ledger.by_id(incident)
        found = [exact] if exact else [one for one in ledger.incidents.values() if one.id.startswith(incident)]
        if len(found) == 1 and found[0] is not None:
            return found[0].alert.id
        past = [one.transition for one in self._log if one.transition and one.transition.incident == incident]
        return next((step.alert_id for step in reversed(past) if step.alert_id), None)
