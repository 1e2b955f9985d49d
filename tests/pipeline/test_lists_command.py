"""`tocsin lists` over the real roles: a change counts from then on, is recorded, and takes back nothing before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from pipeline import app
from pipeline.cli import cli
from pipeline.config import load
from pipeline.streams import ALERTS, COMMANDS, EVENTS, MATCHES, Message, Stream
from rules.alert import Alert
from rules.event import Value, instant, rfc3339
from rules.lists import entry

RULES = """
title: Somebody who is not on call
id: 1f0d9c1e-7a39-4c1e-9a68-0c3f5f7d2a01
logsource: {product: linux, service: auth}
detection:
    it: {event.action: ssh_login}
    known: {user.name|expand: '%on_call%'}
    condition: it and not known
level: low
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "rules.yml").write_text(RULES)
    path = tmp_path / "tocsin.yml"
    path.write_text(
        f"state: {tmp_path / 'state'}\nsources: [{{kind: host_metrics}}]\n"
        f"rules: {{paths: [{tmp_path / 'rules.yml'}], lists: {{on_call: {{from: commands}}, dbas: [ann]}}}}\n"
    )
    return str(path)


def asked(config: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "-c", config])


def rows(done: Result) -> list[Mapping[str, object]]:
    assert done.exit_code in (0, 1), done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def values(config: str, *arguments: str) -> list[object]:
    return [row["value"] for row in rows(asked(config, "lists", "show", "on_call", *arguments))]


def judged(config: str, *happened: tuple[str, str]) -> dict[str, Alert]:
    """Log people in, let detect and index do their work, and return the alerts by the event that they are of."""
    read = load(Path(config))
    with app.running(read, ["detect", "index"]):
        stream = app.open_stream(read)
        stamp = rfc3339(app.now())
        base: dict[str, Value] = {
            "@timestamp": stamp,
            "event.created": stamp,
            "event.module": "sshd",
            "event.category": ["authentication"],
            "event.action": "ssh_login",
            "tocsin.class": "auth",
            "host.id": "h",
        }
        stream.append(EVENTS, [
            Message("h", msgspec.json.encode(base | {"event.id": name, "user.name": user})) for name, user in happened
        ])  # fmt: skip
        end = stream.ends(EVENTS)[0]
        for _ in range(200):
            if _is_done(stream, end):
                break
            app.pause(0.05)
        found = [Alert.model_validate_json(one.value) for one in stream.read(ALERTS, "test", 100, 0).messages]
        stream.close()
    return {str(one.fields["event.id"]): one for one in found}


def _is_done(stream: Stream, end: int) -> bool:
    """Whether everything up to there was judged and indexed, and so was what came of it."""
    read = [("detect", EVENTS, end), ("index", EVENTS, end), ("correlate", MATCHES, None), ("index", ALERTS, None)]
    return all(
        stream.committed(topic, group).get(0, 0) >= (stream.ends(topic)[0] if upto is None else upto)
        for group, topic, upto in read
    )


def test_a_change_counts_from_then_on_and_what_was_told_before_it_still_holds(config: str) -> None:
    assert judged(config, ("e1", "ann"), ("e2", "eve")).keys() == {"e1", "e2"}
    done = asked(config, "lists", "add", "on_call", "ann", "--for", "8h", "--reason", "night shift")
    assert (done.exit_code, done.output) == (0, "list on_call holds 1 values\n")
    found = judged(config, ("e3", "ann"), ("e4", "eve"))
    assert found.keys() == {"e1", "e2", "e4"}
    assert found["e4"].proof.commands["on_call"] >= 0
    assert asked(config, "lists", "remove", "on_call", "ann").exit_code == 0
    found = judged(config, ("e5", "ann"))
    assert found.keys() == {"e1", "e2", "e4", "e5"}
    for alert in found.values():
        explained = rows(asked(config, "explain", alert.id))
        assert explained[-1]["holds"], explained
    silent = rows(asked(config, "explain", "e3"))
    (rule,) = [row for row in silent if row["what"] == "rule"]
    assert (rule["outcome"], rule["there"]) == ("not held", "ann")


def test_an_alert_whose_list_is_no_longer_known_does_not_hold_and_that_is_the_reason(config: str) -> None:
    asked(config, "lists", "set", "on_call", "ann")
    alert = judged(config, ("e1", "eve"))["e1"]
    (Path(config).parent / "state" / "commands.key").unlink()  # nobody can tell any more who signed it
    (last,) = [row for row in rows(asked(config, "explain", alert.id)) if row["what"] == "conclusion"]
    offset = alert.proof.commands["on_call"]
    assert last["because"] == [
        f"what list on_call held by the command at {offset} of audit.commands is not known any more"
    ]


def test_lists_are_set_added_to_and_taken_from_and_each_change_is_shown(config: str, tmp_path: Path) -> None:
    (tmp_path / "people").write_text("ann\nCORP\\svc#1\t# until spring\n# nobody else\n")
    asked(config, "lists", "set", "on_call", "--file", str(tmp_path / "people"), "--reason", "new rota")
    asked(config, "lists", "add", "on_call", "carl", "--until", "2999-01-01T00:00:00Z")
    assert values(config) == ["ann", "CORP\\svc#1", "carl"]
    assert values(config, "--at", "2999-01-01T00:00:00Z") == ["ann", "CORP\\svc#1"]  # his time is over
    asked(config, "lists", "add", "on_call", "dora")
    asked(config, "lists", "remove", "on_call", "ann", "carl")
    assert values(config) == ["CORP\\svc#1", "dora"]
    assert rows(asked(config, "lists", "list"))[0]["values"] == 2
    changes = rows(asked(config, "lists", "show", "on_call", "--history"))
    assert [row["said"] for row in changes] == [
        "set 2 values",
        "add carl until 2999-01-01T00:00:00.000000Z",
        "add dora",
        "remove ann, carl",
    ]
    assert changes[0]["reason"] == "new rota"
    after = rfc3339(instant(str(changes[2]["time"])) + timedelta(microseconds=1))
    assert values(config, "--at", after) == ["ann", "CORP\\svc#1", "carl", "dora"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("add", "dbas", "eve"), 1, "commands change no list 'dbas' (on_call): write `rules.lists: {dbas: {from: "),
        (("remove", "on_call", "eve"), 1, "list on_call does not hold 'eve'"),
        (("add", "on_call", "a\nb"), 1, "is no value: 1 to 1000 printable characters"),
        (("add", "on_call", "eve", "--for", "x"), 2, "'x'"),
        (("add", "on_call", "eve", "--for", "1h", "--until", "2030-01-01T00:00:00Z"), 2, "either --for or --until"),
        (("add", "on_call", "eve", "--until", "2000-01-01T00:00:00Z"), 2, "is over; name a time that is to come"),
        (("add", "on_call", "eve", "--until", "yesterday"), 2, "write it with its zone: 2026-11-22T18:00:00Z"),
        (("show", "on_call", "--at", "0"), 2, "'0' is no time; write it with its zone"),
        (("show", "on_call", "--at", "2026-11-22T18:00:00"), 2, "is no time; write it with its zone"),
        (("show", "nope"), 1, "commands change no list 'nope'"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_what_cannot_be_is_told_and_changes_nothing(
    config: str, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = asked(config, "lists", *arguments)
    assert (done.exit_code, told in done.output) == (code, True), done.output
    assert app.open_stream(load(Path(config))).ends(COMMANDS)[0] == 0


def test_a_file_that_is_not_utf_8_is_told_with_what_to_do_and_changes_nothing(config: str, tmp_path: Path) -> None:
    (tmp_path / "people").write_bytes(b"ann\nren\xe9\n")
    done = asked(config, "lists", "set", "on_call", "--file", str(tmp_path / "people"))
    assert done.exit_code == 1
    assert "people is not UTF-8 (it holds a byte 0xe9): save it as UTF-8" in done.output
    assert values(config) == []


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("ann", "ann"),
        ("  ann # spring", "ann"),
        ("#ann", ""),
        ("ann\t#x", "ann"),
        ("CORP\\svc#1 #2", "CORP\\svc#1"),
        ("", ""),
    ],
)
def test_a_comment_in_a_lists_file_begins_where_no_word_goes_on(line: str, value: str) -> None:
    assert entry(line) == value


def test_a_value_with_which_a_rule_cannot_be_read_is_refused(config: str, tmp_path: Path) -> None:
    text = RULES.replace("user.name|expand: '%on_call%'", "user.name|re|expand: '^%on_call%$'")
    (tmp_path / "rules.yml").write_text(text)
    assert asked(config, "lists", "add", "on_call", "a.*").exit_code == 0
    done = asked(config, "lists", "add", "on_call", "a(")
    assert done.exit_code == 1
    assert "'Somebody who is not on call'" in done.output
    assert values(config) == ["a.*"]
