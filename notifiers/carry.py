"""Carrying incidents over: the log is kept for a week or so, an incident may be open for longer. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from notifiers.incident import Carried, Incident


def carried(one: Incident, receipts: Iterable[tuple[str, int, str]]) -> Carried:
    """Return an incident as a record that needs no other."""
    return Carried(
        incident=one.id,
        key=one.key,
        occurrence=one.occurrence,
        state=one.state,
        alert=one.alert,
        opened=one.opened,
        seen=one.seen,
        last=one.last,
        count=one.count,
        told={name: tuple(sorted(values)) for name, values in one.told.items()},
        level=one.level,
        heard=tuple(sorted(one.heard)),
        muted=dict(one.muted),
        remind=one.remind,
        person=one.person,
        until=one.until,
        graded=one.graded,
        notes=one.notes,
        receipts=tuple(receipts),
    )


def restored(one: Carried) -> Incident:
    """Return the incident that was carried."""
    return Incident(
        id=one.incident,
        key=one.key,
        occurrence=one.occurrence,
        state=one.state,
        alert=one.alert,
        opened=one.opened,
        seen=one.seen,
        last=one.last,
        count=one.count,
        told={name: frozenset(values) for name, values in one.told.items()},
        level=one.level,
        heard=frozenset(one.heard),
        muted=one.muted,
        remind=one.remind,
        person=one.person,
        until=one.until,
        graded=one.graded,
        notes=one.notes,
    )
