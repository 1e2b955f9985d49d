"""Route: which receivers an alert goes to, in Alertmanager's words and shape. Pure.

A tree of routes. Depth first: the root takes everything; the first child that matches stops its siblings unless it
says `continue`; a node receives only if no child matched. Children inherit the receiver. Matchers are anchored, and
an absent label is the empty text (Alertmanager 0.34, dispatch/route.go and pkg/labels/matcher.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal, TypeAlias, cast

import re2

from rules.alert import Alert
from rules.event import Value

Labels: TypeAlias = Mapping[str, str]
Op: TypeAlias = Literal["=", "!=", "=~", "!~"]

_MATCHER = re.compile(r'\s*(?P<label>[^\s=!~"{},]+|"[^"]*")\s*(?P<op>=~|!~|!=|=)\s*(?P<value>.*?)\s*', re.DOTALL)
_QUIET = re2.Options()
_QUIET.log_errors = False  # a fault is told by what is raised, not on stderr
_TIMERS = ("group_wait", "group_interval", "repeat_interval")
_LISTS = ("group_by", "mute_time_intervals", "active_time_intervals")
_KNOWN = frozenset({"receiver", "matchers", "match", "match_re", "continue", "routes", *_TIMERS, *_LISTS})
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class RouteError(ValueError):
    """A fault in the routing tree; `where` is the key's path, e.g. `route.routes[2].matchers`."""

    def __init__(self, where: str, fault: str) -> None:
        super().__init__(f"{where}: {fault}")
        self.where = where
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Matcher:
    """One test of one label."""

    label: str
    op: Op
    value: str

    def __call__(self, labels: Labels) -> bool:
        text = labels.get(self.label, "")
        if self.op in ("=", "!="):
            return (text == self.value) is (self.op == "=")
        return bool(re2.fullmatch(self.value, text)) is (self.op == "=~")

    def __str__(self) -> str:
        quoted = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.label}{self.op}"{quoted}"'


@dataclass(frozen=True, slots=True)
class Timing:
    """How alerts are gathered. None: not stated, and pages go out at once."""

    group_by: tuple[str, ...] = ()
    group_wait: timedelta | None = None
    group_interval: timedelta | None = None
    repeat_interval: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A node of the tree, what it inherits already filled in."""

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    go_on: bool = False  # `continue`: later siblings are asked too
    routes: tuple[Route, ...] = ()
    path: str = "route"  # stable name of the node: never two alike
    timing: Timing = Timing()
    mute: tuple[str, ...] = ()  # names of time intervals; not inherited
    active: tuple[str, ...] = ()

    def group(self, labels: Labels) -> str:
        """Return the name of the group that an alert belongs to here."""
        by = self.timing.group_by
        names = sorted(labels) if by == ("...",) else by
        return ",".join([self.path, *(f"{name}={labels[name]}" for name in names if name in labels)])

    def matches(self, labels: Labels) -> bool:
        return all(matcher(labels) for matcher in self.matchers)

    def receivers(self) -> frozenset[str]:
        """Return every receiver that the tree names."""
        return frozenset({self.receiver}).union(*(route.receivers() for route in self.routes))


def taken(route: Route, labels: Labels) -> Sequence[Route]:
    """Return the nodes that receive an alert with these labels, in the tree's order."""
    return tuple(_walk(route, labels))


def _walk(route: Route, labels: Labels) -> Iterator[Route]:
    matched = False
    for child in route.routes:
        if child.matches(labels):
            matched = True
            yield from _walk(child, labels)
            if not child.go_on:
                return
    if not matched:
        yield route


def receivers_of(route: Route, alert: Alert) -> tuple[str, ...]:
    """Return who hears of the alert, each once. Urgency `record` is for nobody."""
    if alert.rule.urgency == "record":
        return ()
    return tuple(dict.fromkeys(node.receiver for node in taken(route, labels_of(alert))))


def labels_of(alert: Alert) -> dict[str, str]:
    """Return the labels that routes match on: the rule's, the host's, the environment's, and the alert's key."""
    own = ("service.environment", "host.name", "host.id", "event.module", "event.dataset", "tocsin.class")
    labels = {name: _text(alert.fields.get(name)) for name in own}
    labels |= {name: _text(value) for name, value in alert.key.items()}
    labels |= {
        "alertname": alert.rule.title,
        "rule": alert.rule.id,
        "severity": alert.rule.level,
        "level": alert.rule.level,
        "urgency": alert.rule.urgency,
        "kind": alert.rule.kind,
        "product": _product(alert),
        "environment": labels["service.environment"] or "unknown",
    }
    return {name: value for name, value in labels.items() if value}


def _product(alert: Alert) -> str:
    return _text(alert.fields.get("db.system.name")) or _text(alert.fields.get("event.module"))


def _text(value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse(raw: object) -> Route:
    """Return the tree that a config's `route:` describes. Raises RouteError."""
    root = _node(raw, "route", None)
    if root.matchers or root.go_on:
        raise RouteError("route", "the root route takes every alert: it has no matchers, and nothing to continue with")
    if root.mute or root.active:
        raise RouteError("route", "the root route has no time intervals")
    return root


def _node(raw: object, where: str, parent: Route | None) -> Route:
    if not isinstance(raw, Mapping):
        raise RouteError(where, "expected a mapping with `receiver`")
    node = cast("Mapping[str, object]", raw)
    for name in node:
        if name not in _KNOWN:
            raise RouteError(f"{where}.{name}", f"unknown key, expected one of {', '.join(sorted(_KNOWN))}")
    receiver = node.get("receiver", parent.receiver if parent else None)
    if not isinstance(receiver, str) or not receiver:
        raise RouteError(f"{where}.receiver", "expected the name of a receiver")
    own = Route(
        receiver,
        tuple(_tests(node, where)),
        _flag(node, where),
        path=where,
        timing=_timing(node, where, parent.timing if parent else Timing()),
        mute=_names(node, "mute_time_intervals", where) or (),
        active=_names(node, "active_time_intervals", where) or (),
    )
    children = node.get("routes") or []
    if not isinstance(children, list):
        raise RouteError(f"{where}.routes", "expected a list of routes")
    return replace(own, routes=tuple(_node(one, f"{where}.routes[{n}]", own) for n, one in enumerate(children)))


def _timing(node: Mapping[str, object], where: str, parent: Timing) -> Timing:
    by = _names(node, "group_by", where)
    wait, interval, repeat = (
        getattr(parent, name) if node.get(name) is None else _duration(node[name], f"{where}.{name}")
        for name in _TIMERS
    )
    return Timing(parent.group_by if by is None else by, wait, interval, repeat)


def _names(node: Mapping[str, object], key: str, where: str) -> tuple[str, ...] | None:
    raw = node.get(key)
    if raw is None:
        return None
    if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
        raise RouteError(f"{where}.{key}", "expected a list of names")
    return tuple(raw)


def _duration(raw: object, where: str) -> timedelta:
    if isinstance(raw, timedelta):
        return raw
    parts = re.findall(r"(\d+)(ms|[smhdw])", str(raw))
    if not parts or "".join(number + unit for number, unit in parts) != str(raw):
        raise RouteError(where, f"{raw!r} is no time; write 30s, 5m, 1h30m")
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))


def _flag(node: Mapping[str, object], where: str) -> bool:
    value = node.get("continue", False)
    if not isinstance(value, bool):
        raise RouteError(f"{where}.continue", "expected true or false")
    return value


def _tests(node: Mapping[str, object], where: str) -> Iterator[Matcher]:
    listed = node.get("matchers") or []
    for text in [listed] if isinstance(listed, str) else cast("Iterable[object]", listed):
        yield from matchers(text, f"{where}.matchers")
    ops: tuple[tuple[str, Op], ...] = (("match", "="), ("match_re", "=~"))
    for name, op in ops:
        pairs = node.get(name) or {}
        if not isinstance(pairs, Mapping):
            raise RouteError(f"{where}.{name}", "expected label: value")
        for label, value in pairs.items():
            yield _checked(Matcher(str(label), op, str(value)), f"{where}.{name}")


def matchers(raw: object, where: str = "matchers") -> tuple[Matcher, ...]:
    """Return the matchers in one text: `severity="critical"`, or several within braces. Raises RouteError."""
    if not isinstance(raw, str):
        raise RouteError(where, f'expected a text like severity="critical", got {raw!r}')
    text = raw.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return (_matcher(text, where),)
    return tuple(_matcher(part, where) for part in _split(text[1:-1]) if part.strip())


def _split(text: str) -> Iterator[str]:
    quoted = escaped = False
    start = 0
    for at, sign in enumerate(text):
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = quoted
        elif sign == '"':
            quoted = not quoted
        elif sign == "," and not quoted:
            yield text[start:at]
            start = at + 1
    yield text[start:]


def _matcher(text: str, where: str) -> Matcher:
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise RouteError(where, f"{text!r} is no matcher: label, then =, !=, =~ or !~, then a value")
    op = cast("Op", found["op"])
    return _checked(Matcher(found["label"].strip('"'), op, _unquoted(found["value"], where)), where)


def _unquoted(text: str, where: str) -> str:
    if not text.startswith('"'):
        return text
    if len(text) < 2 or not text.endswith('"'):
        raise RouteError(where, f"{text} lacks its closing quote")
    escapes = {"n": "\n", '"': '"', "\\": "\\"}
    return re.sub(r"\\(.)", lambda found: escapes.get(found[1], found[0]), text[1:-1])


def _checked(matcher: Matcher, where: str) -> Matcher:
    if matcher.op in ("=~", "!~"):
        try:
            re2.compile(matcher.value, _QUIET)
        except re2.error as error:
            reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
            raise RouteError(where, f"{matcher.value!r} is no regular expression: {reason}") from error
    return matcher
