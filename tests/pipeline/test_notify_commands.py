"""The commands by which people act on incidents, from the command line to the stream and back."""

from __future__ import annotations

import json
import os
import pwd
import re
import threading
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from notifiers import inhibit, schedule
from notifiers.policy import Policy, checked
from notifiers.route import parse
from pipeline import app
from pipeline.cli import cli
from pipeline.commands.imported import converted
from pipeline.config import load
from pipeline.keys import caller, commands_key
from pipeline.roles.notify import Means, Notify
from pipeline.settings import Config, Person
from pipeline.state import StateError, folder, role_lock
from pipeline.streams import ALERTS, COMMANDS, Message
from rules.alert import Alert
from rules.event import Value
from tests.standins.alerts import disk, root_login
from tests.standins.channels import Recorder
from tests.standins.desk import settle
from tests.standins.prompt import PromptStream

ROOT = Path(__file__).parents[2]


class Site:
    """A config with its state, and a notifier that does its work when told to."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "tocsin.yml"
        receivers = [{"name": name, "channels": [{"kind": "terminal"}]} for name in ("security", "quiet")]
        routes = [{"matchers": ["severity=medium"], "receiver": "quiet", "group_by": ["host.name"]}]
        text = {"state": str(folder / "state"), "receivers": receivers}
        self.config.write_text(yaml.safe_dump({**text, "route": {"receiver": "security", "routes": routes}}))
        self.pager = Recorder()

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, [*words, "-c", str(self.config)], catch_exceptions=False)

    def rows(self, *words: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.run(*words).stdout.splitlines()]

    def work(self, *alerts: Alert) -> None:
        config = load(self.config)
        stream = PromptStream(config.state / "stream")
        stream.append(ALERTS, [Message(one.id, one.model_dump_json().encode()) for one in alerts])
        policy = Policy(parse({"receiver": "security"}))
        notify = Notify(stream, policy, {"security": [self.pager]}, Means(commands_key(config)))
        settle(lambda: notify, app.now())
        notify.close()
        stream.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_an_incident_is_listed_acknowledged_and_shown_with_who_did_it(site: Site) -> None:
    site.work(root_login(time=app.now()))
    (row,) = site.rows("incidents", "list")
    name = str(row["incident"])
    assert site.run("incidents", "ack", name[:6], "--note", "mine").exit_code == 0
    site.work()
    (shown,) = site.rows("incidents", "show", name)
    assert shown["state"] == "acknowledged"
    timeline = shown["timeline"]
    assert isinstance(timeline, list)
    (step,) = [one for one in timeline if one["what"] == "acknowledged"]
    assert f"uid={os.getuid()}" in step["person"]
    assert step["note"] == "mine"
    assert [one["what"] for one in timeline] == [
        "fired",
        "intended",
        "delivered",
        "acknowledged",
        "intended",
        "delivered",
    ]


def test_the_statements_that_made_an_incident_together_are_shown_with_it(site: Site) -> None:
    staging: dict[str, Value] = {
        "@timestamp": "2026-11-22T02:03:09.000000Z",
        "service.environment": "staging",
        "db.namespace": "acme_staging",
        "db.query.text": "DROP TABLE orders",
    }
    wrong: dict[str, Value] = {
        "@timestamp": "2026-11-22T02:14:00.000000Z",
        "service.environment": "production",
        "db.namespace": "acme_production",
        "db.query.text": "/* tidy up */ DROP TABLE orders",
        "tocsin.db.kind": "ddl",
        "db.operation.name": "DROP TABLE",
        "tocsin.db.object": "orders",
    }
    one = root_login(time=app.now()).model_copy(update={"beside": (staging, wrong)})
    site.work(one, root_login("e2", source="198.51.100.4", time=app.now()))  # news, of one rule alone
    (row,) = site.rows("incidents", "list")
    (shown,) = site.rows("incidents", "show", str(row["incident"]))
    assert shown["statements"] == [
        {
            "where": "staging: acme_staging",
            "when": "2026-11-22 02:03:09 UTC",
            "what": "DROP TABLE orders",
            "did": "",
        },
        {
            "where": "production: acme_production",
            "when": "2026-11-22 02:14:00 UTC",
            "what": "… DROP TABLE orders",
            "did": "DROP TABLE (ddl): orders",
        },
    ]
    said = site.run("incidents", "show", str(row["incident"]), "--format", "table").stdout
    assert "2026-11-22 02:14:00 UTC  [production: acme_production] DROP TABLE (ddl): orders" in said
    assert "| … DROP TABLE orders" in said


def test_a_resolved_incident_leaves_the_list_and_stays_in_the_whole_one(site: Site) -> None:
    site.work(disk(time=app.now()))
    (row,) = site.rows("incidents", "list")
    site.run("incidents", "resolve", str(row["incident"]))
    site.work()
    assert (site.rows("incidents", "list"), len(site.rows("incidents", "list", "--all"))) == ([], 1)


def test_what_cannot_be_done_is_said_with_exit_1_and_reaches_no_stream(site: Site) -> None:
    site.work(root_login(time=app.now()))
    for words in (
        ("incidents", "ack", "nope"),
        ("silence", "add", "a=~.*", "--for", "2h", "--reason", "all"),
        ("silence", "add", "a=b", "--for", "90d", "--reason", "long"),
        ("silence", "end", "nope"),
    ):
        result = site.run(*words)
        assert (result.exit_code, bool(result.stderr), result.stdout) == (1, True, "")
    stream = app.open_stream(load(site.config))
    assert stream.ends(COMMANDS) == {0: 0}
    stream.close()


def test_a_silence_is_listed_until_it_is_ended(site: Site) -> None:
    site.run("silence", "add", 'host.name="db-7"', "--for", "2h", "--reason", "disk swap")
    site.work()
    (row,) = site.rows("silence", "list")
    assert (row["matchers"], row["reason"]) == (['host.name="db-7"'], "disk swap")
    site.work(root_login(time=app.now()))
    assert [one.subject.split(":")[0] for one in site.pager.sent] == ["SILENCED"]
    site.run("silence", "end", str(row["id"]))
    site.work()
    assert site.rows("silence", "list") == []


def test_route_test_says_who_when_and_by_which_route(site: Site) -> None:
    assert site.rows("route", "test", "severity=high") == [
        {"receiver": "security", "when": "at once", "route": "route", "group": "route"}
    ]
    (row,) = site.rows("route", "test", "severity=medium", "host.name=db-7")
    assert (row["receiver"], row["when"], row["group"]) == ("quiet", "in 30 s", "route.routes[0],host.name=db-7")
    assert site.rows("route", "test", "severity=low") == []


def test_notify_test_tries_every_channel_and_names_it(site: Site) -> None:
    result = site.run("notify-test", "security")
    assert result.exit_code == 0
    assert "sent    security, channel 1 (terminal)" in result.stdout
    assert site.run("notify-test", "nobody").exit_code == 2


ALERTMANAGER = """
global:
  smtp_smarthost: 'mail.example.org:587'
  smtp_from: am@example.org
  smtp_auth_password: hunter2
  slack_api_url: 'https://hooks.example.org/x'
route:
  receiver: ops
  group_by: [alertname, cluster]
  group_wait: 30s
  repeat_interval: 4h
  routes:
    - {match: {severity: critical}, receiver: pager, continue: true}
    - {match_re: {service: "db|cache"}, receiver: ops, mute_time_intervals: [weekend]}
receivers:
  - name: ops
    slack_configs: [{channel: '#ops', api_url: 'https://hooks.example.org/x'}]
    email_configs: [{to: 'a@example.org, b@example.org'}]
  - {name: pager, pagerduty_configs: [{routing_key: k}]}
inhibit_rules:
  - {source_match: {severity: critical}, target_match_re: {severity: 'warning|info'}, equal: [cluster]}
time_intervals:
  - {name: weekend, time_intervals: [{weekdays: ['saturday', 'sunday'], days_of_month: ['1:7', '-3:-1']}]}
templates: ['*.tmpl']
"""


def test_an_alertmanager_config_becomes_tocsin_s_and_what_is_lost_is_named() -> None:
    made, left = converted(yaml.safe_load(ALERTMANAGER))
    checked(Policy(parse(made["route"]), inhibit.parse(made["inhibit_rules"]), schedule.parse(made["time_intervals"])))
    assert made["smtp"] == {"host": "mail.example.org", "port": 587, "sender": "am@example.org"}
    assert "hunter2" not in json.dumps(made)
    lost = "\n".join(left)
    for part in ("bot token", "pagerduty_configs", "templates", "smtp_auth_password", "no zone"):
        assert part in lost


def test_the_imported_config_is_one_that_tocsin_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_TOKEN", "xoxb-x")
    original, made = tmp_path / "am.yml", tmp_path / "tocsin.yml"
    original.write_text(ALERTMANAGER)
    result = CliRunner().invoke(cli, ["route", "import", str(original)])
    assert result.exit_code == 1
    made.write_text(result.stdout)
    assert [one.name for one in load(made).receivers] == ["ops", "pager"]


def test_the_routing_in_the_documentation_is_one_that_tocsin_takes() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "paging.md").read_text(), re.DOTALL)
    (block,) = [one for one in blocks if one.startswith("route:")]
    made = yaml.safe_load(block)
    checked(Policy(parse(made["route"]), inhibit.parse(made["inhibit_rules"]), schedule.parse(made["time_intervals"])))


# Who waits for whom, and who may


@pytest.mark.slow
def test_a_command_says_that_it_waits_where_no_notifier_runs(site: Site) -> None:
    site.work(root_login(time=app.now()))
    (row,) = site.rows("incidents", "list")
    assert "no notifier runs over this state" in site.run("incidents", "ack", str(row["incident"])).stderr
    assert (
        "no notifier runs over this state" in site.run("silence", "add", "a=b", "--for", "1h", "--reason", "x").stderr
    )
    config = load(site.config)
    with role_lock(config, "notify"):
        said = site.run("incidents", "note", str(row["incident"]), "hm")
    assert (said.exit_code, "no notifier has taken it yet" in said.stderr) == (0, True)


def test_what_the_notifier_refuses_is_told_by_the_command_that_asked(site: Site) -> None:
    site.work(root_login(time=app.now()))
    (row,) = site.rows("incidents", "list")
    name = str(row["incident"])
    config = load(site.config)
    stop = threading.Event()

    def serve() -> None:
        stream = app.open_stream(config)
        policy = Policy(parse({"receiver": "security"}))
        notify = Notify(stream, policy, {"security": [site.pager]}, Means(commands_key(config), wait=0.01))
        while not stop.is_set():
            notify.step(app.now())
        notify.close()
        stream.close()

    thread = threading.Thread(target=serve)
    with role_lock(config, "notify"):
        thread.start()
        done = site.run("incidents", "snooze", name, "1h", "--note", "lunch")
        refused = site.run("incidents", "severity", name, "high")
        stop.set()
        thread.join()
    assert (done.exit_code, done.stderr) == (0, "")
    assert (refused.exit_code, f"incident {name} is high already" in refused.stderr) == (1, True)
    (shown,) = site.rows("incidents", "show", name)
    assert (shown["state"], str(shown["notes"])[:9]) == ("snoozed", "['lunch (")


def test_the_key_is_made_once_for_its_owner_alone(site: Site) -> None:
    config = load(site.config)
    key = commands_key(config)
    path = folder(config) / "commands.key"
    assert (commands_key(config), path.stat().st_mode & 0o777, len(key)) == (key, 0o600, 64)
    path.chmod(0o644)
    with pytest.raises(StateError, match="others may read this key"):
        commands_key(config)
    path.write_text("short")
    path.chmod(0o600)
    with pytest.raises(StateError, match="16 bytes"):
        commands_key(config)


def test_whoever_is_not_known_commands_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(load(site.config))
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    said = site.run("silence", "add", "a=b", "--for", "1h", "--reason", "x")
    assert said.exit_code == 1
    assert "uid 54321 is not known: `people` in the config lists no such account" in said.stderr


def test_an_account_that_people_lists_commands_under_the_person_s_name(tmp_path: Path) -> None:
    config = Config(state=tmp_path, people=[Person(name="Ada Byron", accounts=[pwd.getpwuid(os.getuid()).pw_name])])
    assert caller(config)[0] == "Ada Byron"
