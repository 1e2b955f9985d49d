"""An alert explained: its proof, run again over the stored events, clause by clause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from pipeline import __version__
from pipeline.archive import Archive
from pipeline.commands.explain_fates import Row
from pipeline.commands.explain_signs import signs
from pipeline.commands.explain_sources import Loaded
from pipeline.streams import Stream
from rules.absence import absence
from rules.alert import Alert
from rules.conditions import HEARTBEATS
from rules.event import Event, rfc3339
from rules.explain import Reading
from rules.predicate import And, Or
from rules.proof import Judged, Rerun, altered
from rules.rerun import below, rerun
from rules.sigma import Rule


def of_alert(alerts: Sequence[Alert], loaded: Loaded, archive: Archive, stream: Stream | None) -> Iterator[Row]:
    """Yield what is to be said of one alert, given all its transitions; the last row is the conclusion.

    `stream` is asked for what the index does not keep: signs of what was absent.
    """
    alert = chosen(alerts)
    yield _head(alert, alerts)
    yield from _differences(alert, loaded)
    events = _events(alert, loaded, archive)
    alone = next((rule for rule in loaded.ruleset.rules if rule.about.id == alert.rule.id), None)
    loaded.pinned = alert.proof.commands if alone is not None else {}
    found = _run_again(alert, alone, loaded, events, stream)
    counted = {judged.event for judged in found.judged if judged.counted}
    for judged in found.judged:
        if judged.counted or judged.event not in counted:  # that another rule does not hold for it says nothing
            yield from _clauses(judged)
    yield from _altered(alert, events)
    for one in found.measures:
        yield {"what": "measure", "name": one.name, "then": one.then, "now": one.now, "asked": one.asked}
    reasons = [*loaded.unknown(alert), *found.reasons]
    verdict = "does not hold any more" if reasons else "holds"
    yield {"what": "conclusion", "holds": not reasons, "verdict": verdict, "because": reasons}


def _run_again(
    alert: Alert, alone: Rule | None, loaded: Loaded, events: Sequence[Event], stream: Stream | None
) -> Rerun:
    if alone is None or alone.alerting.absent is None or alert.step == "resolved":
        return rerun(alert, loaded.ruleset, events, loaded.tree)
    found = absence(alert, alone, signs(alert, stream))
    if alone.logsource.service == HEARTBEATS:
        return found  # which are no events
    last = rerun(alert, loaded.ruleset, events, loaded.tree)
    return Rerun(last.judged, found.measures, (*last.reasons, *found.reasons))


def chosen(alerts: Sequence[Alert]) -> Alert:
    """Return the transition whose proof counts: as settled, else as fired, else the last there is."""
    for step in ("settled", "updated", "fired"):
        found = [one for one in alerts if one.step == step]
        if found:
            return found[-1]
    return alerts[-1]


def _head(alert: Alert, alerts: Sequence[Alert]) -> Row:
    proof = alert.proof
    return {
        "what": "alert",
        "alert": alert.id,
        "replaces": list(alert.replaces),
        "rule": alert.rule.id,
        "title": alert.rule.title,
        "level": alert.rule.level,
        "kind": alert.rule.kind,
        "urgency": alert.rule.urgency,
        "steps": [{"step": one.step, "time": rfc3339(one.time)} for one in alerts],
        "key": alert.key,
        "since": rfc3339(alert.since),
        "time": rfc3339(alert.time),
        "window": _window(alert),
        "events": proof.count,
        "named": len(proof.events),
        "engine": proof.engine,
        "rule_hash": proof.rule_hash,
        "lists": proof.lists,
        "commands": proof.commands,
    }


def _window(alert: Alert) -> Row | None:
    start, end = alert.proof.window_start, alert.proof.window_end
    return {"after": rfc3339(start), "until": rfc3339(end)} if start and end else None


def _differences(alert: Alert, loaded: Loaded) -> Iterator[Row]:
    """What judges now is not what judged then."""
    proof, ruleset = alert.proof, loaded.ruleset
    meanings = {rule.about.id: rule.about.meaning for rule in ruleset.rules}
    meanings |= {one.about.id: one.about.meaning for one in ruleset.correlations}
    pairs: list[tuple[str, str | None, str | None]] = [
        ("rule", proof.rule_hash, meanings.get(alert.rule.id)),
        ("engine", proof.engine, __version__),
        *(
            (f"list {name}", then, ruleset.lists.get(name))
            for name, then in proof.lists.items()
            if name not in proof.commands
        ),
    ]
    for of, then, now in pairs:
        if then != now:
            yield {"what": "difference", "of": of, "then": then, "now": now}


def _events(alert: Alert, loaded: Loaded, archive: Archive) -> list[Event]:
    """Return the contributors that are stored. Where the proof names only the first and last of them, the others are
    what the rules find within the window; the proof's digest says whether they are the same."""
    proof = alert.proof
    start, end = proof.window_start or alert.since, proof.window_end or alert.time
    named = archive.events(proof.events, min(start, alert.since), max(end, alert.time))
    if proof.count <= len(proof.events):
        return named
    wanted = below(loaded.ruleset, alert.rule.id)
    live = loaded.ruleset.live.names
    rules = [rule for rule in loaded.ruleset.rules if rule.about.id in wanted]
    asked = Or(tuple(And(()) if rule.lists & live else rule.predicate for rule in rules))
    more = {one.id: one for one in archive.matching(asked, start, end) if start < one.time <= end}
    more.update((one.id, one) for one in named)
    return sorted(more.values(), key=lambda one: (one.time, one.id))


def _clauses(judged: Judged) -> Iterator[Row]:
    base: Row = {"what": "clause", "event": judged.event, "time": rfc3339(judged.time), "rule": judged.title}
    if judged.unseen is not None:
        yield {**base, "held": False, "wanted": "an event of the rule's logsource", "there": judged.unseen}
        return
    for reading in judged.readings:
        yield {**base, **row_of(reading), "counted": judged.counted}


def row_of(reading: Reading) -> Row:
    """Return a clause's reading as a row: `held` is whether it stood as the condition asks."""
    row = asdict(reading)
    row["held"] = reading.good
    return row


def _altered(alert: Alert, events: Sequence[Event]) -> Iterator[Row]:
    """The event that caused the alert, as it is stored, against what the alert carried of it."""
    cause = next((one for one in events if one.id == alert.fields.get("event.id")), None)
    for name, (then, now) in altered(alert, cause).items() if cause is not None else ():
        yield {"what": "altered", "event": str(alert.fields["event.id"]), "field": name, "then": then, "now": now}
