"""What `tocsin explain` reads beside the index: the loaded rules with their texts, and the notifier's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from notifiers.entry import Entry
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from pipeline import app, rulesets
from pipeline.archive import Archive
from pipeline.commands.people import policy
from pipeline.roles.incident_log import entries
from pipeline.settings import Config
from pipeline.streams import Stream, StreamUnavailable
from pipeline.streams.whole import own_group
from rules.explain import Tree, tree_of
from rules.faults import Fault
from rules.ruleset import RuleSet
from rules.sigma import Rule


@dataclass(slots=True)
class Loaded:
    """The rule set, with what its files say, for the names of selections."""

    ruleset: RuleSet
    texts: Mapping[str, str]
    lists: Mapping[str, Sequence[str]]
    _trees: dict[str, Tree] = field(init=False, default_factory=dict)

    def tree(self, rule: Rule) -> Tree:
        """Return the rule's clauses, read from its text once."""
        known = self._trees.get(rule.about.id)
        if known is None:
            source = self.texts.get(rule.about.file)
            filters = [one for one in self.ruleset.filters if not one.missing]
            known = self._trees[rule.about.id] = tree_of(rule, source, self.lists, filters)
        return known


def loaded(config: Config) -> Loaded:
    """Return the rules as the config names them now; faults are `tocsin check`'s to tell."""
    faults: list[Fault] = []
    named = {name: one if isinstance(one, list) else {"file": one.file} for name, one in config.rules.lists.items()}
    texts = dict(rulesets.sources(config.rules.paths, faults))
    return Loaded(app.open_rules(config), texts, rulesets.lists(named, faults))


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
