"""`tocsin explain` over the real roles: why a page was sent and whether its proof still stands, and why none was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from notifiers.policy import Policy
from pipeline import app
from pipeline.adapters import build_policy
from pipeline.cli import cli
from pipeline.config import load
from pipeline.indexes import Document, Query
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.keys import commands_key
from pipeline.records import Command
from pipeline.roles.detect import Detect
from pipeline.roles.index import Indexer
from pipeline.roles.notify import Means, Notify
from pipeline.signing import signed
from pipeline.streams import COMMANDS, EVENTS, Message
from rules.event import Value, instant, rfc3339
from rules.predicate import Field, Text
from tests.standins.channels import Recorder
from tests.standins.desk import settle
from tests.standins.prompt import PromptStream

Row = dict[str, object]
START = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
NOW = START + timedelta(minutes=2)

RULES = """
title: Root login
id: 11111111-1111-4111-8111-111111111111
logsource: {product: linux, service: auth}
detection:
    login: {event.action: ssh_login, event.outcome: success}
    who: {user.name: [root, toor]}
    filter_bastion: {source.ip|cidr: 10.9.0.0/16}
    condition: login and who and not filter_bastion
level: high
alert: {key: [host.id]}
---
title: Refused
id: 22222222-2222-4222-8222-222222222222
name: refused
logsource: {product: linux, service: auth}
detection:
    selection: {event.outcome: failure}
    condition: selection
level: low
---
title: Refused in number
id: 33333333-3333-4333-8333-333333333333
correlation: {type: event_count, rules: [refused], group-by: [host.id], timespan: 5m, condition: {gte: 3}}
level: critical
---
title: Odd windows service
id: 44444444-4444-4444-8444-444444444444
logsource: {product: windows}
detection:
    selection: {event.action: service}
    condition: selection
level: high
---
title: Filling
id: 66666666-6666-4666-8666-666666666666
logsource: {category: host_metrics}
detection:
    selection: {used|gte: 0.9}
    condition: selection
level: high
alert: {kind: condition, key: [host.id, mount], clear: {used|lt: 0.8}}
---
title: Quiet habit
id: 55555555-5555-4555-8555-555555555555
logsource: {product: linux, service: auth}
detection:
    selection: {user.name: svc}
    condition: selection
level: low
"""


class Site:
    """One host's worth of Tocsin: the roles over one state folder, worked by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "tocsin.yml"
        self.rules = folder / "rules.yml"
        self.rules.write_text(RULES)
        receivers = [{"name": "security", "channels": [{"kind": "terminal"}]}]
        text = {"state": str(folder / "state"), "receivers": receivers, "rules": {"paths": [str(self.rules)]}}
        self.config.write_text(yaml.safe_dump(text))

    def event(self, name: str, second: int, **fields: Value) -> dict[str, Value]:
        base: dict[str, Value] = {
            "@timestamp": rfc3339(START + timedelta(seconds=second)),
            "event.id": name,
            "event.created": rfc3339(START + timedelta(seconds=second)),
            "tocsin.class": "auth",
            "host.id": "h1",
        }
        return base | {key.replace("_", "."): value for key, value in fields.items()}

    def work(self, *events: dict[str, Value]) -> None:
        """Put the events on the stream and let every role work until nothing is left."""
        config = load(self.config)
        stream = PromptStream(config.state / "stream")
        stream.append(EVENTS, [Message("h1", msgspec.json.encode(one)) for one in events])
        detect = Detect(stream, app.open_rules(config), engine="0.1")
        index = SqliteIndex(self.folder / "state" / "index")
        policy: Policy = build_policy(config)
        notify = Notify(stream, policy, {"security": [Recorder()]}, Means(commands_key(config)))
        for _ in range(2):
            detect.step(NOW)
        settle(lambda: notify, NOW)
        notify.close()
        Indexer(stream, index).step(NOW)
        index.close()
        stream.close()

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, [*words, "-c", str(self.config)], catch_exceptions=False)

    def explain(self, name: str) -> tuple[int, list[Row]]:
        result = self.run("explain", name)
        return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]

    def alert(self, rule: str) -> str:
        """Return the id of the only alert of a rule."""
        hits = [
            json.loads(line)
            for line in self.run("search", f'event.dataset:tocsin.alert rule.name:"{rule}"').stdout.splitlines()
        ]
        (name,) = {hit["tocsin"]["alert"]["id"] for hit in hits}
        return str(name)

    def silence(self, label: str, value: str) -> None:
        config = load(self.config)
        stream = app.open_stream(config)
        ends = rfc3339(NOW + timedelta(hours=1))
        arguments: dict[str, Value] = {"matchers": [f'{label}="{value}"'], "ends": ends, "reason": "disk swap"}
        said = Command(verb="silence", person="ada", proof="test", time=app.now(), arguments=arguments, nonce="1")
        command = signed(said, commands_key(config))
        stream.append(COMMANDS, [Message("ada", command.model_dump_json().encode())])
        stream.close()

    def store(self, event: dict[str, Value]) -> None:
        """Put another document in the place of the stored one, as somebody with the files at hand would."""
        folder = self.folder / "state" / "index"
        old = SqliteIndex(folder)
        kept = list(old.search(Query(Field("tocsin.class", Text(("auth",))))).hits)
        old.close()
        for path in folder.glob("auth-*.db*"):
            path.unlink()
        stored = {one.id: dict(one.fields) for one in kept} | {str(event["event.id"]): event}
        new = SqliteIndex(folder)
        new.put([_document(fields) for fields in stored.values()])
        new.close()


def _document(fields: Mapping[str, Value]) -> Document:
    return Document(str(fields["event.id"]), "auth", instant(str(fields["@timestamp"])), msgspec.json.encode(fields))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def login(site: Site, name: str = "e1", **fields: Value) -> dict[str, Value]:
    said: dict[str, Value] = {"event_action": "ssh_login", "event_outcome": "success", "user_name": "root"}
    return site.event(name, 0, **{**said, "source_ip": "203.0.113.9", **fields})


def refused(site: Site, number: int) -> dict[str, Value]:
    return site.event(f"r{number}", 10 * number, event_outcome="failure", user_name="ada")


def of(rows: list[Row], what: str) -> list[Row]:
    return [row for row in rows if row["what"] == what]


def test_an_alert_holds_and_each_clause_says_what_it_read(site: Site) -> None:
    site.work(login(site))
    code, rows = site.explain(site.alert("Root login"))
    assert (code, rows[-1]["verdict"], rows[-1]["because"]) == (0, "holds", [])
    clauses = [(row["selection"], row["field"], row["wanted"], row["there"], row["held"]) for row in of(rows, "clause")]
    assert clauses == [
        ("login", "event.action", "is 'ssh_login'", "ssh_login", True),
        ("login", "event.outcome", "is 'success'", "success", True),
        ("who", "user.name", "is one of 'root', 'toor'", "root", True),
        ("filter_bastion", "source.ip", "is an address in 10.9.0.0/16", "203.0.113.9", True),
    ]
    (head,) = of(rows, "alert")
    assert (head["key"], head["engine"]) == ({"host.id": "h1"}, "0.1")
    (fate,) = of(rows, "fate")
    assert (fate["receiver"], fate["how"], fate["step"]) == ("security", "sent", "fired")
    assert fate["delivered"]


def test_another_stored_event_gives_another_answer(site: Site) -> None:
    site.work(login(site))
    name = site.alert("Root login")
    site.store(login(site, user_name="mallory"))
    code, rows = site.explain(name)
    assert (code, rows[-1]["verdict"]) == (1, "does not hold any more")
    assert rows[-1]["because"] == ["event e1: who: user.name is one of 'root', 'toor'; it is 'mallory'"]
    assert [(row["field"], row["then"], row["now"]) for row in of(rows, "altered")] == [
        ("user.name", "root", "mallory")
    ]


def test_a_change_that_the_rule_does_not_read_is_shown_as_altered(site: Site) -> None:
    site.work(login(site))
    name = site.alert("Root login")
    site.store(login(site, source_ip="198.51.100.1"))
    code, rows = site.explain(name)
    assert code == 0
    assert [(row["field"], row["now"]) for row in of(rows, "altered")] == [("source.ip", "198.51.100.1")]


def test_a_correlation_is_measured_again_over_its_contributors(site: Site) -> None:
    site.work(*(refused(site, number) for number in (1, 2, 3)))
    code, rows = site.explain(site.alert("Refused in number"))
    assert code == 0
    (measure,) = of(rows, "measure")
    assert (measure["name"], measure["then"], measure["now"], measure["asked"]) == ("event_count", 3, 3, "gte 3")
    assert [row["event"] for row in of(rows, "clause")] == ["r1", "r2", "r3"]
    (head,) = of(rows, "alert")
    assert head["window"] == {"after": "2026-11-22T02:09:30.000000Z", "until": "2026-11-22T02:14:30.000000Z"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event.outcome": "success"}, "selection: event.outcome is 'failure'; it is 'success'"),
        ({"host.id": "h2"}, "it is of another group: host.id 'h2'"),
        ({"tocsin.class": "tocsin"}, "does not see it"),
        ({"@timestamp": "2026-11-22T01:00:00.000000Z"}, "event_count is 2; gte 3 is asked"),
    ],
)
def test_one_contributor_changed_and_the_correlation_does_not_hold(
    site: Site, change: dict[str, Value], reason: str
) -> None:
    site.work(*(refused(site, number) for number in (1, 2, 3)))
    name = site.alert("Refused in number")
    site.store(refused(site, 2) | change)
    code, rows = site.explain(name)
    assert (code, rows[-1]["holds"]) == (1, False)
    because = rows[-1]["because"]
    assert isinstance(because, list)
    assert reason in "; ".join(because)


def test_a_rule_that_means_something_else_now_is_said(site: Site) -> None:
    site.work(login(site))
    name = site.alert("Root login")
    site.rules.write_text(RULES.replace("[root, toor]", "[toor]"))
    code, rows = site.explain(name)
    assert code == 1
    assert [row["of"] for row in of(rows, "difference") if row["of"] != "engine"] == ["rule"]


def test_an_incident_s_id_stands_for_its_alert(site: Site) -> None:
    site.work(login(site))
    (incident,) = [json.loads(line) for line in site.run("incidents", "list").stdout.splitlines()]
    code, rows = site.explain(incident["incident"])
    assert (code, rows[0]["alert"]) == (0, site.alert("Root login"))


def test_an_alert_that_is_not_indexed_yet_is_found_in_the_stream(site: Site) -> None:
    site.work(login(site))
    name = site.alert("Root login")
    for path in (site.folder / "state" / "index").glob("tocsin-*.db*"):
        path.unlink()
    code, rows = site.explain(name)
    assert (code, rows[0]["alert"]) == (0, name)


def test_what_the_stream_no_longer_keeps_is_in_the_index(site: Site) -> None:
    site.work(login(site))
    name = site.alert("Root login")
    told = [row["how"] for row in of(site.explain("e1")[1], "fate")]
    shutil.rmtree(next((site.folder / "state").glob("stream")))
    for asked in (name, "e1"):
        code, rows = site.explain(asked)
        assert (code, [row["how"] for row in of(rows, "fate")], of(rows, "alert")[0]["alert"]) == (0, told, name)
        assert of(rows, "fate")[0]["delivered"]


def test_an_event_that_paged_says_what_held_and_whom_it_was_told_to(site: Site) -> None:
    site.work(login(site))
    code, rows = site.explain("e1")
    assert code == 0
    assert [(row["title"], row["outcome"]) for row in of(rows, "rule")] == [
        ("Root login", "held"),
        ("Refused", "not held"),
        ("Quiet habit", "not held"),
    ]
    assert [(row["reason"], row["rules"]) for row in of(rows, "skipped")] == [
        ("logsource product windows", 1),
        ("logsource category host_metrics", 1),
    ]
    assert (rows[-1]["verdict"], rows[-1]["because"]) == ("told", ["security heard of it"])


def test_an_event_that_no_rule_held_for_names_each_rule_s_first_failing_clause(site: Site) -> None:
    site.work(login(site, source_ip="10.9.3.4"))
    _, rows = site.explain("e1")
    rule = of(rows, "rule")[0]
    assert (rule["selection"], rule["field"], rule["there"], rule["negated"]) == (
        "filter_bastion",
        "source.ip",
        "10.9.3.4",
        True,
    )
    assert rows[-1]["because"] == ["no rule held for it"]


def test_an_event_below_a_correlation_s_threshold_says_which(site: Site) -> None:
    site.work(refused(site, 1))
    _, rows = site.explain("r1")
    (row,) = of(rows, "correlation")
    assert (row["title"], row["group"], row["fired"]) == ("Refused in number", {"host.id": "h1"}, False)
    assert "event_count gte 3 within 0:05:00 was not reached" in str(rows[-1]["because"])


def sample(site: Site, name: str, second: int, **fields: Value) -> dict[str, Value]:
    return site.event(name, second, mount="/", **fields) | {"tocsin.class": "metrics"}


def test_a_condition_holds_by_the_reading_that_began_it_whatever_came_since(site: Site) -> None:
    site.work(sample(site, "m1", 1, used=0.95), sample(site, "m2", 2, used=0.7))
    code, rows = site.explain(site.alert("Filling"))
    (head,) = of(rows, "alert")
    steps = head["steps"]
    assert isinstance(steps, list)
    assert ([step["step"] for step in steps], code) == (["fired", "resolved"], 0)
    (measure,) = of(rows, "measure")
    assert (measure["then"], measure["now"], measure["asked"]) == (0.95, 0.95, "gte 0.9")


@pytest.mark.parametrize(
    ("fields", "state"),
    [({"used": 0.7}, "clear"), ({"used": 0.85}, "neither holding nor clear"), ({}, "says nothing")],
)
def test_a_condition_says_how_things_stand_where_it_does_not_hold(
    site: Site, fields: dict[str, Value], state: str
) -> None:
    site.work(sample(site, "m1", 1, **fields))
    _, rows = site.explain("m1")
    assert [row["state"] for row in of(rows, "rule")] == [state]


def test_a_rule_that_is_only_recorded_says_that_nobody_is_told(site: Site) -> None:
    site.work(login(site, user_name="svc", event_action="other"))
    _, rows = site.explain("e1")
    assert rows[-1]["verdict"] == "quiet"
    assert "urgency is record" in str(rows[-1]["because"])


def test_a_silence_is_named_with_who_and_why(site: Site) -> None:
    site.work()
    site.silence("host.id", "h1")
    site.work(login(site))
    _, rows = site.explain("e1")
    assert rows[-1]["verdict"] == "quiet"
    assert "muted: silence" in str(rows[-1]["because"])
    assert "disk swap" in str(rows[-1]["because"])


def test_a_repeat_is_silent_because_the_incident_has_told_it(site: Site) -> None:
    site.work(login(site))
    site.work(login(site, "e2"))
    _, rows = site.explain("e2")
    (fate,) = of(rows, "fate")
    assert (fate["step"], fate["how"]) == ("repeated", "silent")
    assert "security heard of it" in str(fate["why"])


def test_old_news_is_told_with_the_digest(site: Site) -> None:
    site.work(login(site) | {"tocsin.backlog": True})
    _, rows = site.explain("e1")
    (fate,) = of(rows, "fate")
    assert (fate["how"], fate["why"]) == ("held", "told with others (digest)")


def test_an_unknown_id_says_where_was_looked_and_what_to_try(site: Site) -> None:
    site.work(login(site))
    result = site.run("explain", "nothing")
    assert (result.exit_code, result.stdout) == (1, "")
    for part in ("'nothing'", "audit.alerts", "tocsin incidents list --all", "tocsin status"):
        assert part in result.stderr


def test_an_id_is_never_empty(site: Site) -> None:
    assert site.run("explain", " ").exit_code == 2


def test_on_a_terminal_it_reads_as_text_and_log_text_cannot_move_the_cursor(site: Site) -> None:
    site.work(login(site, message="\x1b[2J"))
    result = site.run("explain", "e1", "--format", "table")
    assert "HELD Root login" in result.stdout
    assert "=> told" in result.stdout
    assert "\x1b" not in result.stdout
