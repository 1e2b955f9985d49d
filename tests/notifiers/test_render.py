"""Messages: the first line, what follows, and that nothing which others wrote breaks out of its place."""

from __future__ import annotations

import json
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.blocks import fallback
from notifiers.escape import inert, line, shell, slack, term
from notifiers.incident import Cause, Incident
from notifiers.judge import Judge
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from notifiers.render import Renderer, Said
from notifiers.route import parse
from notifiers.statement import uncommented
from rules.alert import Alert
from rules.event import Value
from tests.standins.alerts import NOW, disk, root_login

of_incident = Renderer().incident


def incident_of(alert: Alert) -> Incident:
    policy = Policy(parse({"receiver": "security"}))
    ledger = Ledger(policy)
    entry = Judge(policy, ledger).alert(alert, Cause(topic="audit.alerts", offset=0), NOW + timedelta(seconds=1))
    assert entry is not None
    ledger.apply(entry)
    (incident,) = ledger.incidents.values()
    return incident


def hostile(text: str) -> Incident:
    alert = root_login()
    fields = {**alert.fields, "user.name": text, "host.name": text, "event.original": text}
    return incident_of(alert.model_copy(update={"fields": fields, "key": {"host.name": text}}))


def test_the_first_line_tells_what_where_who_and_production() -> None:
    first = of_incident(incident_of(root_login()), "page", NOW).text.splitlines()[0]
    assert first == "HIGH  Root login over SSH: root from 203.0.113.9 on db-7 [production]"


def test_an_environment_that_nobody_named_is_said_to_be_unknown() -> None:
    alert = root_login()
    fields = {name: value for name, value in alert.fields.items() if name != "service.environment"}
    message = of_incident(incident_of(alert.model_copy(update={"fields": fields})), "page", NOW)
    assert message.subject.endswith("[environment unknown]")


def test_a_page_says_since_when_why_the_event_the_runbook_and_how_to_go_on() -> None:
    text = of_incident(incident_of(disk()), "page", NOW).text
    assert "Since                        02:14:00 UTC" in text
    assert "0.93, threshold gte 0.9" in text
    text = of_incident(incident_of(root_login()), "page", NOW).text
    assert "Accepted publickey for root from 203.0.113.9 port 50022 ssh2" in text
    assert "Runbook: https://runbooks.example.org/root-login" in text
    assert "$ tocsin search 'user.name:root AND source.ip:203.0.113.9 AND host.name:db-7' --since 1h" in text


def test_what_may_have_arrived_before_says_so_in_its_first_line() -> None:
    message = of_incident(incident_of(root_login()), "page", NOW, Said(repeat=True))
    assert message.subject.startswith("(possible repeat) ")
    assert "it may have reached you before" in message.text


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(name for name, _ in attrs)))


@given(st.text(max_size=300))
def test_no_text_changes_the_shape_of_a_message(text: str) -> None:
    message, plain = (of_incident(hostile(one), "page", NOW) for one in (text, "x"))
    assert _Tags(message.html).seen == _Tags(plain.html).seen or not text
    assert "\n" not in message.subject
    assert len(message.subject) < 2000
    assert all(part.isprintable() for part in message.text.split("\n"))
    for part in json.loads(json.dumps(message.blocks)):
        assert part["type"] in ("header", "section", "rich_text", "context")


@pytest.mark.parametrize(
    "text",
    ["<!channel>", "<@U123>", "<https://evil.example|click>", "*bold* <!here>", "&lt;!channel&gt;"],
)
def test_no_mention_and_no_link_reaches_slack(text: str) -> None:
    message = of_incident(hostile(text), "page", NOW)
    shown = json.dumps(message.blocks)
    assert '"mrkdwn"' not in shown  # plain_text and rich_text alone, in which Slack reads neither
    assert "<" not in fallback(message)
    assert slack(text).count("<") == 0


def test_a_link_that_an_attacker_wrote_is_not_one() -> None:
    assert (
        inert("see https://evil.example/a and www.evil.example")
        == "see https[:]//evil.example/a and www[.]evil.example"
    )


def test_terminal_escapes_and_text_that_turns_round_are_shown_not_obeyed() -> None:
    assert line("\x1b[2J\x07 root\u202etoor\x9b31m") == "\\x1b[2J\\x07 root\\u202etoor\\x9b31m"


def test_a_command_to_paste_runs_nothing_else() -> None:
    command = shell("tocsin", "search", term("user.name", "$(reboot)'; `id` \" OR *"))
    assert command == """tocsin search 'user.name:"$(reboot)'"'"'; `id` \\" OR *"'"""


def test_a_line_of_many_megabytes_is_cut() -> None:
    message = of_incident(hostile("a" * 5_000_000), "page", NOW)
    assert len(message.text) < 10_000
    assert all(len(json.dumps(block)) < 40_000 for block in message.blocks)


def siblings(production: str = "RESTORE DATABASE [Acme_Production] FROM DISK = 'x'") -> Incident:
    staging: dict[str, Value] = {
        "@timestamp": "2026-11-22T02:03:09.000000Z",
        "service.environment": "staging",
        "db.namespace": "Acme_Staging",
        "db.query.text": "RESTORE DATABASE [Acme_Staging] FROM DISK = 'x'",
    }
    wrong: dict[str, Value] = {
        "@timestamp": "2026-11-22T02:14:00.000000Z",
        "service.environment": "production",
        "db.namespace": "master",
        "tocsin.db.target": "Acme_Production",
        "db.query.text": production,
        "tocsin.db.kind": "restore",
        "db.operation.name": "RESTORE DATABASE",
        "tocsin.db.object": "Acme_Production",
        "tocsin.db.object_type": "database",
    }
    alert = root_login()
    fields = {**alert.fields, **wrong}
    return incident_of(alert.model_copy(update={"beside": (wrong, staging), "fields": fields}))


def test_two_statements_that_made_an_alert_stand_side_by_side_whatever_the_index_said() -> None:
    wanted = (
        "staging: Acme_Staging", "2026-11-22 02:03:09 UTC", "RESTORE DATABASE [Acme_Staging] FROM DISK = 'x'",
        "production: Acme_Production", "2026-11-22 02:14:00 UTC", "RESTORE DATABASE [Acme_Production] FROM DISK = 'x'",
    )  # fmt: skip
    message = of_incident(siblings(), "page", NOW)
    fields = [block["fields"] for block in message.blocks if "fields" in block]
    (told,) = message.alerts
    shown = (message.text, message.html.replace("&#39;", "'"), json.dumps(fields), told.annotations["statements"])
    assert [word for text in shown for word in wanted if word not in text and f"[{word}]" not in text] == []
    assert all(text.index("Acme_Staging") < text.rindex("Acme_Production") for text in shown)
    assert len(fields[0]) == 2  # type: ignore[arg-type]  # two columns


@pytest.mark.parametrize(
    "hides", ["/* nothing to see */" * 100, "-- nothing to see\n" * 100, "/*" + "x" * 3_000 + "*/"]
)
def test_no_comment_hides_what_a_statement_does(hides: str) -> None:
    message = of_incident(siblings(f"{hides} RESTORE DATABASE [Acme_Production] FROM DISK = 'x'"), "page", NOW)
    fields = json.dumps([block["fields"] for block in message.blocks if "fields" in block])
    (told,) = message.alerts
    for text in (message.text, message.html, fields, told.annotations["statements"]):
        assert "RESTORE DATABASE (restore): database Acme_Production" in text
        assert "RESTORE DATABASE [Acme_Production] FROM" in text
        assert "nothing to see" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/* a */ -- b\n  DROP TABLE t", "… DROP TABLE t"),
        ("/*! DROP TABLE t */ SELECT 1", "/*! DROP TABLE t */ SELECT 1"),  # MySQL runs it
        ("/*M! DROP TABLE t */ SELECT 1", "/*M! DROP TABLE t */ SELECT 1"),  # MariaDB runs it
        ("/* /* */ DROP TABLE t; -- */", "… DROP TABLE t; -- */"),  # MySQL nests none
        ("--1; DROP TABLE t\n", "--1; DROP TABLE t\n"),  # no comment in MySQL
        ("/* only */", "/* only */"),
        ("/* endless DROP TABLE t", "/* endless DROP TABLE t"),
        ("  SELECT 1", "  SELECT 1"),
    ],
)
def test_only_what_every_database_passes_over_is_left_out(text: str, shown: str) -> None:
    assert uncommented(text) == shown


def test_comments_cost_linear_time() -> None:
    for text in ("/* " * 300_000, "/**/" * 250_000, "-- \n" * 250_000, " " * 1_000_000):
        assert uncommented(text) == text


def test_the_first_line_names_the_database_that_a_statement_is_about() -> None:
    assert "on Acme_Production [production]" in of_incident(siblings(), "page", NOW).subject


def test_a_statement_beside_another_breaks_out_of_no_place() -> None:
    message = of_incident(siblings("<b onmouseover=x>\nHIGH  another page"), "page", NOW)
    assert "<b onmouseover" not in message.html
    assert not any(row.startswith("HIGH  another") for row in message.text.splitlines())
