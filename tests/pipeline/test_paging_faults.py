"""A config that would page wrongly is refused before it is needed, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import cli
from pipeline.config import ConfigError, load, parse

HEAD = "receivers:\n  - name: ops\n    channels: [{kind: terminal}]\n"
ROUTES = HEAD + "route:\n  routes:\n"
INTERVAL = HEAD + "time_intervals:\n  - name: n\n    time_intervals:\n      - "
HOOK = "receivers:\n  - name: a\n    channels:\n      - "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("receivers:\n  - name: ops\n    channels: []\n", ":3: receivers[0].channels: "),
        ("receivers: []\n", ":1: receivers: nobody would be told"),
        (HEAD + "route:\n  receiver: opps\n", ":5: route.receiver: no receiver named 'opps'; there are ops"),
        (ROUTES + "    - {receiver: nobody}\n", ":6: route.routes[0].receiver: no receiver"),
        (ROUTES + "    - matchers: ['severity']\n", ":6: route.routes[0].matchers: 'severity' is no matcher"),
        (ROUTES + "    - matchers: ['a=~\"[\"']\n", ":6: route.routes[0].matchers: "),
        (ROUTES + "    - mute_time_intervals: [night]\n", ":6: route.routes[0].mute_time_intervals: no time interval"),
        (INTERVAL + "times: [{start_time: '22:00', end_time: '06:00'}]\n", ":7: time_intervals[0].time_intervals[0]"),
        (INTERVAL + "location: Mars/Olympus\n", ":7: time_intervals[0].time_intervals[0].location: no zone named"),
        (INTERVAL + "{location: UTC, times: [{start_time: '25:00', end_time: '06:00'}]}\n", "is no time of day"),
        (HEAD + "inhibit_rules:\n  - {source_matchers: ['a=b']}\n", ":5: inhibit_rules[0]: "),
        (HEAD + "console: {listen: '127.0.0.1'}\n", ":4: console.listen: '127.0.0.1' is no place"),
        (HEAD + "console: {url: tocsin.example.org}\n", ":4: console.url: "),
        (HEAD + "people:\n  - {name: A, slack: U1}\n  - {name: E, slack: U1}\n", ":6: people[1].slack: 'U1' belongs"),
        (HOOK + "{kind: webhook}\n", ":4: receivers[0].channels[0]: give either url or url_file"),
        (HOOK + "{kind: webhook, url: 'ftp://x'}\n", ":4: receivers[0].channels[0].url: "),
    ],
)
def test_a_fault_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, "t.yml", {})
    assert said in str(raised.value)


def test_a_config_that_is_not_found_by_itself_stands_in_the_commands_of_a_page(tmp_path: Path) -> None:
    path = tmp_path / "my tocsin.yml"
    path.write_text(HEAD)
    assert load(path).options == ("-c", str(path))
    assert parse(HEAD, "t.yml", {}).options == ()


def test_check_says_that_a_fleet_needs_one_key_for_its_commands(tmp_path: Path) -> None:
    config = tmp_path / "tocsin.yml"
    fleet = f"state: {tmp_path / 'state'}\nsources: [{{kind: host_metrics}}]\n"
    fleet += "stream: {kind: kafka, servers: ['127.0.0.1:9']}\n"
    config.write_text(fleet)
    own = CliRunner().invoke(cli, ["check", "--offline", "-c", str(config)])
    assert "name the same commands.key_file everywhere" in own.output
    key = tmp_path / "key"
    config.write_text(fleet + f"commands: {{key_file: {key}}}\n")
    missing = CliRunner().invoke(cli, ["check", "--offline", "-c", str(config)])
    assert (missing.exit_code, f"{key}: No such file" in missing.output) == (1, True)
    key.write_text("0" * 32)
    key.chmod(0o600)
    assert (
        f"commands are signed with {key}" in CliRunner().invoke(cli, ["check", "--offline", "-c", str(config)]).output
    )
