"""Alerts as the detecting role writes them, a line each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from notifiers.entry import Fate, Transition
from rules.alert import Alert, Level, Proof, Rule, Step, Urgency, alert_id
from rules.event import Value

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
ROOT_LOGIN = Rule(
    id="0a2a1c52-5f5f-4a51-9d21-2c0f6f6d2c11",
    title="Root login over SSH",
    level="high",
    kind="event",
    urgency="page",
    tell=("user.name", "source.ip"),
    runbook="https://runbooks.example.org/root-login",
)
DISK = Rule(
    id="77d3bb3e-6b5b-4c0e-8f0e-5d1a6a3c9a10", title="Disk filling", level="high", kind="condition", urgency="page"
)


def root_login(
    event: str = "e1",
    *,
    source: str = "203.0.113.9",
    user: str = "root",
    host: str = "db-7",
    time: datetime = NOW,
    level: Level = "high",
    urgency: Urgency = "page",
    old: bool = False,
    step: Step = "fired",
) -> Alert:
    fields: dict[str, Value] = {
        "user.name": user,
        "source.ip": source,
        "host.name": host,
        "service.environment": "production",
        "event.module": "sshd",
        "event.original": f"sshd[811]: Accepted publickey for {user} from {source} port 50022 ssh2",
    }
    rule = ROOT_LOGIN.model_copy(update={"level": level, "urgency": urgency})
    return _alert(rule, {"host.name": host}, event, step, time, fields, old=old)


def disk(event: str = "d1", *, step: Step = "fired", time: datetime = NOW, host: str = "db-7") -> Alert:
    fields: dict[str, Value] = {
        "host.name": host,
        "service.environment": "production",
        "system.filesystem.mount_point": "/var",
        "system.filesystem.used.pct": 0.93,
    }
    key: dict[str, Value] = {"host.name": host, "system.filesystem.mount_point": "/var"}
    alert = _alert(DISK, key, event, step, time, fields)
    values: dict[str, Value] = {"system.filesystem.used.pct": "0.93, threshold gte 0.9"}
    return alert.model_copy(update={"proof": alert.proof.model_copy(update={"values": values})})


def _alert(
    rule: Rule,
    key: dict[str, Value],
    event: str,
    step: Step,
    time: datetime,
    fields: dict[str, Value],
    *,
    old: bool = False,
) -> Alert:
    return Alert(
        step=step,
        id=alert_id(rule.id, key, event),
        rule=rule,
        key=key,
        time=time,
        since=time,
        received=time + timedelta(milliseconds=5),
        old=old,
        fields=fields,
        proof=Proof(rule_hash="r1", engine="test", events=(event,), count=1),
    )


def fired(alert: Alert, fates: Mapping[str, Fate] | None = None) -> Transition:
    """The first step of an incident."""
    return Transition(
        incident="abc-1",
        key="abc",
        occurrence=1,
        what="fired",
        state="triggered",
        alert_id=alert.id,
        mark="m",
        event_time=NOW,
        alert=alert,
        fates=dict(fates or {}),
    )
