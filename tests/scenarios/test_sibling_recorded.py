"""The mistake that began this project, from recorded lines: production restored by somebody who meant staging."""

# ruff: noqa: E501  log lines are as long as they are

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.decode import Joiner, decode, understand
from collectors.environments import Environments
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from collectors.framing import Lines
from notifiers.incident import Cause, Incident
from notifiers.judge import Judge
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from notifiers.route import parse
from rules.correlator import Correlator
from rules.event import Value
from rules.groups import gravest_first, silent
from rules.match import Match
from rules.matcher import Matcher
from rules.replay import Replay, Shown
from rules.ruleset import load

LIBRARY = Path(__file__).parents[2] / "rules" / "library" / "databases"
FILES = [(path.name, path.read_text("utf-8")) for path in sorted(LIBRARY.glob("*.yml")) if "cases" not in path.name]
RULES = load([file for file in FILES if "sibling" in file[0]], {})
Naming = Sequence[tuple[Mapping[str, str], str, Sequence[str]]]
CTX = Context(received=datetime(2026, 11, 22, 11, 0, tzinfo=UTC))
BY_NAME: Naming = [({"db.namespace": "*_Production"}, "production", ()), ({"db.namespace": "*_Staging"}, "staging", ())]
BY_SERVER: Naming = [
    ({"mssql.audit.server_instance_name": "SQLPROD*"}, "production", ("db.namespace",)),
    ({"mssql.audit.server_instance_name": "SQLSTAGE*"}, "staging", ("db.namespace",)),
]  # fmt: skip
RESTORED = "{} Backup      Database was restored: Database: CustomerName_{}, creation date(time): 2024/01/01(00:00:00), first LSN: 1:2:3, last LSN: 1:2:9, number of dump devices: 1, device information: (FILE=1, TYPE=DISK: {{'D:\\Backup\\CustomerName.bak'}}). Informational message. No user action required.\n"
AUDITED = """audit_schema_version:1
event_time:{time}
sequence_number:1
action_id:{action}
succeeded:true
session_id:61
class_type:DB
session_server_principal_name:{who}
server_principal_name:{who}
server_instance_name:{server}
database_name:master
object_name:{database}
statement:{statement}
additional_information:
"""


def told(name: str, log: str, environments: Naming) -> list[Shown]:
    """Return the pages that the shipped sibling rules make of a recorded log."""
    known = Environments.of(environments, "unknown")
    joiner, matcher, replay = Joiner(FORMATS[name]), Matcher(RULES), Replay(RULES, every=False)
    out: list[Shown] = []
    for number, frame in enumerate([*joiner.feed(Lines().feed(log.encode())), *joiner.flush()], 1):
        parsed = understand(decode(frame.raw), FORMATS[name], CTX)
        fields: dict[str, Value] = {**parsed.fields, "host.id": "sql-1"}
        fields["service.environment"], base = known.of_event(fields)
        if base is not None:
            fields["tocsin.environment.base"] = base
        assert parsed.time is not None
        if matcher.match(fields):  # routed as in production
            out += [shown for shown in replay.feed(number, parsed.time, fields) if shown.group is not None]
    return out


def audited(time: str, database: str, action: str = "RS", who: str = "CORP\\mallory", server: str = "SQL1") -> str:
    statement = f"RESTORE DATABASE [{database}] FROM DISK = N'D:\\Backup\\CustomerName.bak' WITH REPLACE"
    return AUDITED.format(time=time, database=database, action=action, who=who, statement=statement, server=server)


def test_an_audited_restore_of_production_minutes_after_staging_asks_who_did_it_if_staging_was_meant() -> None:
    log = audited("2026-11-22 09:55:00.1000000", "CustomerName_Staging") + audited(
        "2026-11-22 10:07:00.2000000", "CustomerName_Production"
    )
    (page,) = told("mssql-audit", log, BY_NAME)
    assert "did you mean staging?" in page.title
    assert page.group == {"user.name": "mallory", "tocsin.environment.base": "CustomerName"}
    assert page.events == (1, 2)  # both statements are its proof


@pytest.mark.parametrize(
    ("what", "first", "second"),
    [
        ("another's work on staging", {"who": "CORP\\ada"}, {}),
        ("a backup of production", {}, {"action": "BA"}),
        ("another database's copy", {"database": "Other_Staging"}, {}),
        ("staging, forty minutes before", {"time": "2026-11-22 09:20:00.0000000"}, {}),
    ],
)
def test_near_misses_ask_nobody(what: str, first: dict[str, str], second: dict[str, str]) -> None:
    one = {"time": "2026-11-22 09:55:00.1000000", "database": "CustomerName_Staging", **first}
    two = {"time": "2026-11-22 10:07:00.2000000", "database": "CustomerName_Production", **second}
    log = audited(**one) + audited(**two)
    if second:
        log = log.replace(
            "RESTORE DATABASE [CustomerName_Production] FROM", "BACKUP DATABASE [CustomerName_Production] TO"
        )
    assert told("mssql-audit", log, BY_NAME) == [], what


def test_servers_that_carry_the_environment_in_their_name_hold_siblings_of_one_name() -> None:
    log = audited("2026-11-22 09:55:00.1000000", "CustomerName", server="SQLSTAGE1") + audited(
        "2026-11-22 10:07:00.2000000", "CustomerName", server="SQLPROD1"
    )
    (page,) = told("mssql-audit", log, BY_SERVER)
    assert page.group == {"user.name": "mallory", "tocsin.environment.base": "CustomerName"}


def test_a_batch_that_says_use_is_about_the_database_that_it_uses() -> None:
    log = audited("2026-11-22 09:55:00.1000000", "CustomerName_Staging") + AUDITED.format(
        time="2026-11-22 10:07:00.2000000", database="", action="DR", who="CORP\\mallory", server="SQL1",
        statement="USE [CustomerName_Production] DROP TABLE dbo.Orders",
    )  # fmt: skip
    assert len(told("mssql-audit", log, BY_NAME)) == 1


def test_an_errorlog_that_names_nobody_still_asks_whoever_is_on_that_server() -> None:
    log = RESTORED.format("2026-11-22 09:55:01.20", "Staging") + RESTORED.format("2026-11-22 10:07:44.71", "Production")
    (page,) = told("mssql-errorlog", log, BY_NAME)
    assert "did you mean staging?" in page.title
    assert page.group == {"host.id": "sql-1", "tocsin.environment.base": "CustomerName"}


def incidents(*logs: tuple[str, str], dbas: Sequence[str] = ("mallory",)) -> tuple[list[Incident], list[str]]:
    """Return the incidents that all rules on databases make of these logs, collected by one host in this order, and
    what people were sent."""
    rules = load(FILES, {"dbas": dbas})
    known, correlator, matcher = Environments.of(BY_NAME, "unknown"), Correlator(rules, "test"), Matcher(rules)
    policy = Policy(parse({"receiver": "security"}))
    ledger = Ledger(policy)
    judge, sent = Judge(policy, ledger), list[str]()
    for number, (name, log) in enumerate(logs):
        (frame,) = [*(joiner := Joiner(FORMATS[name])).feed(Lines().feed(log.encode())), *joiner.flush()]
        parsed = understand(decode(frame.raw), FORMATS[name], CTX)
        fields: dict[str, Value] = {**parsed.fields, "host.id": "sql-1", "event.id": f"e{number}"}
        fields["service.environment"], base = known.of_event(fields)
        fields["tocsin.environment.base"] = base
        time = parsed.time or CTX.received
        for hit in gravest_first(matcher.match(fields), silent(rules)):  # as detect hands them on
            match = Match(hit.rule.about.id, hit.rule.about.meaning, f"e{number}", time, time, time, fields)
            for alert in correlator.feed(match):
                entry = judge.alert(alert, Cause(topic="audit.alerts", offset=number), CTX.received)
                assert entry is not None
                ledger.apply(entry)
                sent += [send.kind for send in entry.intended]
    return list(ledger.incidents.values()), sent


STAGED = [
    ("mssql-audit", audited("2026-11-22 10:45:00.1000000", "CustomerName_Staging")),
    ("mssql-errorlog", RESTORED.format("2026-11-22 10:45:01.20", "Staging")),
]
WRONG = [
    ("mssql-audit", audited("2026-11-22 10:57:00.2000000", "CustomerName_Production")),
    ("mssql-errorlog", RESTORED.format("2026-11-22 10:57:44.71", "Production")),
]


def test_a_restore_that_both_the_audit_and_the_errorlog_tell_of_is_one_incident_and_one_page() -> None:
    (incident,), sent = incidents(*STAGED, *WRONG)
    assert sent == ["page"]
    assert incident.alert.fields["user.name"] == "mallory"


def test_where_the_log_that_names_nobody_is_read_first_the_name_is_told_of_the_same_incident() -> None:
    (incident,), sent = incidents(*STAGED[::-1], *WRONG[::-1])
    assert sent == ["page", "news"]
    assert incident.told["user.name"] == {"mallory"}


def test_another_person_who_does_the_same_is_told_of_and_another_database_is_an_incident_of_its_own() -> None:
    other = [
        ("mssql-audit", audited("2026-11-22 10:58:00.2000000", "CustomerName_Staging", who="CORP\\eve")),
        ("mssql-audit", audited("2026-11-22 10:59:00.2000000", "CustomerName_Production", who="CORP\\eve")),
    ]
    found, sent = incidents(*STAGED, *WRONG, *other)
    assert (len(found), sent) == (1, ["page", "news"])
    third = [(name, log.replace("CustomerName", "Ledger")) for name, log in [STAGED[0], WRONG[0]]]
    found, sent = incidents(*STAGED, *WRONG, *third)
    assert (len(found), sent) == (2, ["page", "page"])


@pytest.mark.parametrize("dbas", [("mallory",), ("ada",)])
@pytest.mark.parametrize("errorlog_first", [False, True])
def test_one_deed_is_one_incident_and_one_page_whatever_the_rules_and_logs_that_tell_of_it(
    dbas: tuple[str, ...], errorlog_first: bool
) -> None:
    logs = [*STAGED[::-1], *WRONG[::-1]] if errorlog_first else [*STAGED, *WRONG]
    (incident,), sent = incidents(*logs, dbas=dbas)
    assert (incident.level, sent) == ("critical", ["page", "news"] if errorlog_first else ["page"])  # news: the name
    assert incident.told["user.name"] == {"mallory"}


def test_a_change_that_turns_out_to_be_the_graver_mistake_is_told_as_the_same_incident() -> None:
    late = ("mssql-audit", audited("2026-11-22 10:58:00.2000000", "CustomerName_Production"))
    (incident,), sent = incidents(WRONG[0], STAGED[0], late, dbas=["ada"])
    assert (incident.level, sent) == ("critical", ["page", "graver"])


def test_production_changed_by_nobody_that_is_named_is_told_as_that() -> None:
    (incident,), sent = incidents(WRONG[1])
    assert sent == ["page"]
    assert incident.alert.rule.title == "Production database changed, by whom the log does not say"


def test_the_incident_of_another_person_s_change_is_news() -> None:
    other = ("mssql-audit", audited("2026-11-22 10:58:00.2000000", "CustomerName_Production", who="CORP\\eve"))
    (incident,), sent = incidents(WRONG[0], other, dbas=["ada"])
    assert (incident.told["user.name"], sent) == ({"mallory", "eve"}, ["page", "news"])
