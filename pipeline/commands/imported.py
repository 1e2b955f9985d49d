"""Alertmanager's config (0.28's keys) -> Tocsin's, with a list of what has no equivalent. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from notifiers import inhibit, schedule
from notifiers.route import RouteError, parse

_ROUTE: Final = frozenset(
    {
        "receiver",
        "matchers",
        "match",
        "match_re",
        "continue",
        "group_by",
        "group_wait",
        "group_interval",
        "repeat_interval",
        "mute_time_intervals",
        "active_time_intervals",
    }
)
_PAIRS: Final = (("source_match", "="), ("source_match_re", "=~"), ("target_match", "="), ("target_match_re", "=~"))


def converted(raw: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """Return Tocsin's config and what was left out. Raises RouteError where the original itself is wrong."""
    left: list[str] = []
    made: dict[str, object] = {"receivers": [_receiver(one, left) for one in _maps(raw.get("receivers"))]}
    made["route"] = _route(_map(raw.get("route")), "route", left)
    rules = [_inhibit(one) for one in _maps(raw.get("inhibit_rules"))]
    intervals = [
        _interval(one, left) for key in ("time_intervals", "mute_time_intervals") for one in _maps(raw.get(key))
    ]
    if rules:
        made["inhibit_rules"] = rules
    if intervals:
        made["time_intervals"] = intervals
    smtp = _smtp(_map(raw.get("global")), left)
    if smtp:
        made["smtp"] = smtp
    left += [f"{key}: no equivalent" for key in raw if key in ("templates", "tracing")]
    parse(made["route"])
    inhibit.parse(rules)
    schedule.parse(intervals)
    return made, left


def _maps(raw: object) -> list[Mapping[str, object]]:
    return [_map(one) for one in raw] if isinstance(raw, list) else []


def _map(raw: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", raw) if isinstance(raw, Mapping) else {}


def _route(raw: Mapping[str, object], where: str, left: list[str]) -> dict[str, object]:
    made: dict[str, object] = {key: value for key, value in raw.items() if key in _ROUTE}
    left += [f"{where}.{key}: no equivalent" for key in raw if key not in _ROUTE and key != "routes"]
    routes = [_route(one, f"{where}.routes[{n}]", left) for n, one in enumerate(_maps(raw.get("routes")))]
    return {**made, "routes": routes} if routes else made


def _receiver(raw: Mapping[str, object], left: list[str]) -> dict[str, object]:
    name = str(raw.get("name", ""))
    channels = [*_slack(raw, name, left), *_email(raw)]
    known = ("name", "slack_configs", "email_configs")
    left += [f"receiver {name}: {key} has no equivalent" for key in raw if key not in known]
    if not channels:
        left.append(f"receiver {name}: no channel is left; the terminal stands in")
        channels = [{"kind": "terminal"}]
    return {"name": name, "channels": channels}


def _slack(raw: Mapping[str, object], name: str, left: list[str]) -> Iterator[dict[str, object]]:
    for one in _maps(raw.get("slack_configs")):
        left.append(f"receiver {name}: Slack needs a bot token (chat:write) in SLACK_TOKEN, not an incoming webhook")
        yield {"kind": "slack", "token": "${SLACK_TOKEN}", "channel": str(one.get("channel", ""))}


def _email(raw: Mapping[str, object]) -> Iterator[dict[str, object]]:
    for one in _maps(raw.get("email_configs")):
        yield {"kind": "email", "to": [part.strip() for part in str(one.get("to", "")).split(",")]}


def _inhibit(raw: Mapping[str, object]) -> dict[str, object]:
    made: dict[str, list[object]] = {"source_matchers": [], "target_matchers": []}
    for side in ("source_matchers", "target_matchers"):
        listed = raw.get(side)
        made[side] += listed if isinstance(listed, list) else []
    for key, op in _PAIRS:
        side = f"{key.partition('_')[0]}_matchers"
        made[side] += [f'{label}{op}"{value}"' for label, value in _map(raw.get(key)).items()]
    equal = raw.get("equal")
    return {**made, "equal": equal if isinstance(equal, Sequence) and not isinstance(equal, str) else []}


def _interval(raw: Mapping[str, object], left: list[str]) -> dict[str, object]:
    name = str(raw.get("name", ""))
    made = []
    for one in _maps(raw.get("time_intervals")):
        if "location" not in one:
            left.append(f"time interval {name}: states no zone; UTC, as Alertmanager takes it, was written in")
        made.append({"location": "UTC", **one})
    if not made:
        raise RouteError(f"time_intervals.{name}", "holds no interval")
    return {"name": name, "time_intervals": made}


def _smtp(raw: Mapping[str, object], left: list[str]) -> dict[str, object]:
    made: dict[str, object] = {}
    host, _, port = str(raw.get("smtp_smarthost", "")).rpartition(":")
    if host:
        made |= {"host": host, "port": int(port) if port.isdigit() else 25}
    names = {"smtp_from": "sender", "smtp_auth_username": "username", "smtp_auth_password_file": "password_file"}
    made |= {ours: str(raw[theirs]) for theirs, ours in names.items() if theirs in raw}
    if raw.get("smtp_require_tls") is False:
        made["tls"] = "none"
    known = {*names, "smtp_smarthost", "smtp_require_tls", "resolve_timeout"}
    left += [f"global.{key}: no equivalent; secrets are not copied" for key in raw if key not in known]
    return made
