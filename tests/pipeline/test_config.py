"""The config: defaults that serve, and faults that name file, line, key and what was expected."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.config import ConfigError, load, parse, secret


def _faults(text: str, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "tocsin.yml", environment)
    return [str(fault) for fault in caught.value.faults]


def test_an_empty_file_is_the_defaults() -> None:
    config = parse("# nothing\n", "tocsin.yml", {})
    assert config.stream.kind == "sqlite"
    assert [source.kind for source in config.sources] == ["file", "journald", "host_metrics"]
    assert config.receivers[0].channels[0].kind == "terminal"


def test_a_stream_that_names_no_kind_is_the_embedded_one() -> None:
    stream = parse("stream: {keep: 1d, limit: 2MiB}", "tocsin.yml", {}).stream
    assert stream.kind == "sqlite"
    assert (stream.keep, stream.limit) == (timedelta(days=1), 2 * 2**20)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stream: {kind: kafak}", "tocsin.yml:1: stream: kind: expected one of 'sqlite', 'kafka'"),
        ("host:\n  nmae: x", "tocsin.yml:2: host.nmae: no such key here"),
        ("sources:\n- kind: host_metrics\n  every: ten", "tocsin.yml:3: sources[0].every: 'ten' is no duration"),
        ("stream: {keep: 99999999999d}", "tocsin.yml:1: stream.keep: '99999999999d' is longer than a century"),
        ("sources:\n- kind: file", "tocsin.yml:2: sources[0].paths: is required"),
        ("route: {receiver: nobody}", "tocsin.yml:1: route.receiver: no receiver named 'nobody'"),
        ("smtp: {port: 70000}", "tocsin.yml:1: smtp.port: input should be less than or equal to 65535"),
        ("state: /a\nstate: /b", "tocsin.yml:2: state: stands here twice"),
        ("a: [", "tocsin.yml:1: not YAML"),
        (
            "sources:\n- kind: file\n  paths: [/x]\n  format: syslgo",
            "tocsin.yml:4: sources[0].format: no format 'syslgo'",
        ),
        (
            "sources: [{kind: file, paths: [/x], timezone: Mars}]",
            "tocsin.yml:1: sources[0].timezone: no such time zone: 'Mars'",
        ),
        (
            "sources: [{kind: file, paths: [/x], format: postgresql, prefix: '%Y'}]",
            "tocsin.yml:1: sources[0].prefix: log_line_prefix '%Y'",
        ),
        ("sources:\n- kind: host_metrics\n  every: 0s", "tocsin.yml:3: sources[0].every: expected more than nothing"),
        ("sources: [{paths: [/x]}]", "tocsin.yml:1: sources[0]: `kind` is required"),
        ("stream:\n  kind: kafka\n  servers: [':::']", "tocsin.yml:3: stream.servers[0]: ':::' is no server"),
        ("index: {kind: elasticsearch, hosts: [es-1]}", "tocsin.yml:1: index.hosts[0]: 'es-1' is no address"),
        ("receivers: []", "tocsin.yml:1: receivers: nobody would be told"),
        (
            "receivers: [{name: a, channels: [{kind: email, to: [ada]}]}]",
            "tocsin.yml:1: receivers[0].channels[0].to: 'ada' is no address",
        ),
        (
            "route:\n  routes:\n  - matchers: ['severity=~((']",
            "tocsin.yml:3: route.routes[0].matchers: '((' is no regular expression: missing ): ((",
        ),
        ("host: {}\ninhibit_rules: [{source: x}]", "tocsin.yml:2: inhibit_rules[0].source: unknown key"),
        ('state: "a\\0b"', "tocsin.yml:1: state: a path holds no NUL"),
        ("a: &a [*a]", "tocsin.yml:1: nested without end"),
        ("a: " + "[" * 3000, "tocsin.yml:1: nested deeper than any config is"),
        ("? [a, b]\n: c", "tocsin.yml:1: ?: no such key here"),
        ("hello", "tocsin.yml:1: expected `key: value` lines"),
        ("environments: [{is: production}]", "tocsin.yml:1: environments[0]: matches nothing"),
        (
            "environments: [{words: {db.namespace: [pre-prod]}, is: staging}]",
            "tocsin.yml:1: environments[0].words.db.namespace: 'pre-prod' is the words pre, prod",
        ),
        ("environments: [{match: {db.namespace: x}, is: prod}]", "tocsin.yml:1: environments[0].is: expected one of"),
    ],
)
def test_a_fault_names_line_key_and_what_was_expected(text: str, fault: str) -> None:
    (said,) = _faults(text)
    assert said.startswith(fault)


def test_every_fault_is_told_at_once() -> None:
    assert len(_faults("host: {x: 1}\nsmtp: {port: 0}\nconsole: 3")) == 3


def test_variables_are_filled_in_and_a_missing_one_is_a_fault() -> None:
    slack = "receivers: [{name: a, channels: [{kind: slack, token: '${TOKEN}', channel: c}]}]"
    channel = parse(slack, "tocsin.yml", {"TOKEN": "xoxb-1"}).receivers[0].channels[0]
    assert channel.kind == "slack"
    assert channel.token == "xoxb-1"
    assert "the environment has no variable TOKEN" in _faults(slack)[0]


def test_a_secret_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    assert secret(None, tmp_path / "token") == "s3cret"
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="binary:1: this secret cannot be read: not UTF-8"):
        secret(None, tmp_path / "binary")
    with pytest.raises(ConfigError, match="no-such-file"):
        secret(None, tmp_path / "no-such-file")


def test_an_unreadable_config_is_a_fault_of_its_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yml:1: cannot be read"):
        load(tmp_path / "absent.yml")
