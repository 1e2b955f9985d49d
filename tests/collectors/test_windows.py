"""Windows' Security log and RDP sessions, as NXLog, Winlogbeat and the event's XML carry them: who, from where, outcome.

Names and values as Microsoft's descriptions of the events have them.
"""

# ruff: noqa: E501  a row is an event

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from collectors.decode import understand
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from rules.event import Value

CTX = Context(received=datetime(2026, 11, 22, 9, 30, tzinfo=UTC))
SECURITY = ("Microsoft-Windows-Security-Auditing", "Security")
RDP = ("Microsoft-Windows-TerminalServices-LocalSessionManager", "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational")  # fmt: skip
ADMIN = {"SubjectUserSid": "S-1-5-21-1", "SubjectUserName": "admin", "SubjectDomainName": "EX"}
ALICE = {"TargetUserSid": "S-1-5-21-2", "TargetUserName": "alice", "TargetDomainName": "EX"}
PEER = {"IpAddress": "10.0.0.9", "IpPort": "51234", "WorkstationName": "WS1", "LogonType": "3", "ProcessId": "0x0", "ProcessName": "-"}  # fmt: skip
BOB = {"TargetUserSid": "S-1-0-0", "TargetUserName": "bob", "TargetDomainName": "EX"}
FROM = {"source.ip": "10.0.0.9", "source.port": 51234}

# (event, provider and channel, its data, what it must say; None: must not say)
EVENTS: list[tuple[int, tuple[str, str], dict[str, str], dict[str, Value | None]]] = [
    (4624, SECURITY, ALICE | PEER, {"event.action": "logged-in", "event.outcome": "success", "user.name": "alice", "user.domain": "EX", "process.pid": None, **FROM}),
    (4624, SECURITY, ALICE | PEER | {"IpAddress": "-", "IpPort": "-", "LogonType": "5"}, {"source.ip": None, "source.port": None, "winlog.logon.type": "Service"}),
    (4625, SECURITY, BOB | PEER | {"Status": "0xc000006d", "SubStatus": "0xc000006a"}, {"event.outcome": "failure", "user.name": "bob", "user.id": None, "event.reason": "wrong password", **FROM}),
    (4634, SECURITY, ALICE, {"event.action": "logged-out", "event.type": ["end"], "user.name": "alice"}),
    (4648, SECURITY, ADMIN | {"TargetUserName": "root", "IpAddress": "10.0.0.9", "IpPort": "0"}, {"user.name": "admin", "user.effective.name": "root", "source.port": None}),
    (4672, SECURITY, ADMIN, {"event.action": "logged-in-special", "user.name": "admin"}),
    (4720, SECURITY, ADMIN | {"TargetUserName": "new", "TargetSid": "S-1-5-21-9"}, {"event.category": ["iam"], "user.name": "admin", "user.target.name": "new", "user.target.id": "S-1-5-21-9"}),
    (4728, SECURITY, ADMIN | {"MemberName": "CN=Bob B,DC=ex", "TargetUserName": "Domain Admins"}, {"group.name": "Domain Admins", "user.target.name": "Bob B", "user.name": "admin"}),
    (4740, SECURITY, ADMIN | {"TargetUserName": "bob", "TargetDomainName": "WS1"}, {"user.target.name": "bob", "user.target.domain": None, "source.domain": "WS1"}),
    (4751, SECURITY, ADMIN | {"MemberSid": "S-1-5-21-3", "TargetUserName": "All"}, {"event.action": "added-member-to-group", "group.name": "All", "user.target.name": "S-1-5-21-3"}),
    (4768, SECURITY, BOB | {"Status": "0x6", "IpAddress": "::ffff:10.0.0.9", "IpPort": "51234"}, {"event.outcome": "failure", "event.reason": "no such user", "user.name": "bob", **FROM}),
    (4769, SECURITY, {"TargetUserName": "alice@EX.ORG", "Status": "0x0", "IpAddress": "::ffff:10.0.0.9"}, {"event.outcome": "success", "user.name": "alice", "user.domain": "EX.ORG"}),
    (4771, SECURITY, {"TargetUserName": "bob", "Status": "0x18", "IpAddress": "::ffff:10.0.0.9"}, {"event.outcome": "failure", "event.reason": "wrong password", "source.ip": "10.0.0.9"}),
    (4776, SECURITY, {"TargetUserName": "bob", "Workstation": "WS1", "Status": "0xC000006A"}, {"event.outcome": "failure", "user.name": "bob", "source.domain": "WS1", "event.reason": "wrong password"}),
    (4776, SECURITY, {"TargetUserName": "bob", "Workstation": "WS1", "Status": "0x0"}, {"event.outcome": "success", "event.reason": None}),
    (4778, SECURITY, {"AccountName": "alice", "AccountDomain": "EX", "ClientAddress": "10.0.0.9"}, {"user.name": "alice", "user.domain": "EX", "source.ip": "10.0.0.9"}),
    (21, RDP, {"User": "EX\\alice", "SessionID": "2", "Address": "10.0.0.9"}, {"event.action": "rdp-logon", "user.name": "alice", "user.domain": "EX", "source.ip": "10.0.0.9"}),
    (25, RDP, {"User": "EX\\alice", "SessionID": "2", "Address": "LOCAL"}, {"event.action": "rdp-reconnected", "source.ip": None}),
    (1149, RDP, {"Param1": "alice", "Param2": "EX", "Param3": "10.0.0.9"}, {"event.action": "rdp-authenticated", "user.name": "alice", "user.domain": "EX", "source.ip": "10.0.0.9"}),
]  # fmt: skip


def xml(code: int, of: tuple[str, str], data: dict[str, str]) -> str:
    inner = "".join(f"<Data Name='{name}'>{value}</Data>" for name, value in data.items())
    return (
        f"<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='{of[0]}'/><EventID>{code}</EventID>"
        f"<TimeCreated SystemTime='2026-11-22T02:00:00.1234567Z'/><Channel>{of[1]}</Channel><Computer>dc1</Computer></System>"
        f"<EventData>{inner}</EventData></Event>"
    )


def winlogbeat(code: int, of: tuple[str, str], data: dict[str, str]) -> str:
    inner = {
        "event_id": str(code),
        "provider_name": of[0],
        "channel": of[1],
        "computer_name": "dc1",
        "event_data": data,
    }
    return json.dumps({"@timestamp": "2026-11-22T02:00:00.123Z", "winlog": inner})


def nxlog(code: int, of: tuple[str, str], data: dict[str, str]) -> str:
    head = {
        "EventTime": "2026-11-22T02:00:00.123000+00:00",
        "Hostname": "dc1",
        "EventID": code,
        "SourceName": of[0],
        "Channel": of[1],
    }
    return json.dumps(head | data)


@pytest.mark.parametrize("carrier", [xml, winlogbeat, nxlog])
@pytest.mark.parametrize(("code", "of", "data", "must"), EVENTS)
def test_an_event_says_the_same_whoever_carries_it(carrier, code, of, data, must) -> None:  # type: ignore[no-untyped-def]
    time, fields = understand(carrier(code, of, data), FORMATS["auto"], CTX)
    assert {name: fields.get(name) for name in must} == must
    assert (fields["event.code"], fields["host.hostname"]) == (str(code), "dc1")
    assert time is not None
    assert time.isoformat(timespec="milliseconds") == "2026-11-22T02:00:00.123+00:00"


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"EventType": "AUDIT_FAILURE"}, "failure"),
        ({"EventType": "AUDIT_SUCCESS"}, "success"),
        ({"Keywords": -9218868437227405312}, "failure"),  # 0x8010000000000000, as NXLog writes a signed number
        ({"Keywords": -9214364837600034816}, "success"),
    ],
)
def test_where_no_status_is_given_the_audit_keyword_decides(said: dict[str, object], outcome: str) -> None:
    event = {
        "EventTime": "2026-11-22 02:00:00",
        "EventID": 4723,
        "SourceName": SECURITY[0],
        "Channel": "Security",
        **ADMIN,
        **said,
    }
    assert understand(json.dumps(event), FORMATS["auto"], CTX).fields["event.outcome"] == outcome


def test_sysmons_own_event_type_stays_in_its_data() -> None:
    event = {
        "EventTime": "2026-11-22 02:00:00",
        "EventID": 13,
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventType": "SetValue",
    }
    assert understand(json.dumps(event), FORMATS["auto"], CTX).fields["winlog.event_data.EventType"] == "SetValue"
