"""`tocsin status` and `tocsin deadletter`: loss is a number, and what was set aside can be sent through again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from pipeline import app
from pipeline.cli import cli
from pipeline.commands.status_fleet import merged, of_fleet, openmetrics
from pipeline.config import load
from pipeline.records import Command, DeadLetter
from pipeline.roles.witnessing import PREFIX
from pipeline.streams import COMMANDS, DEADLETTER, EVENTS, STATE, Message, Stored, Stream
from pipeline.watched import Chain, Host, Source, kept

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
EVENT = b'{"event.id":"e1","host.id":"h1","tocsin.source":"file:a","@timestamp":"2026-11-22T02:14:00.000000Z"}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tocsin.yml"
    path.write_text(yaml.safe_dump({"state": str(tmp_path / "state")}))
    return path


def run(path: Path, *arguments: str) -> Result:
    done = CliRunner().invoke(cli, [*arguments, "-c", str(path)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def rows(done: Result) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in done.stdout.splitlines()]


def put(path: Path, topic: str, *messages: Message) -> None:
    stream: Stream = app.open_stream(load(path))
    stream.append(topic, messages)
    stream.close()


def everything(path: Path, topic: str) -> list[Stored]:
    stream: Stream = app.open_stream(load(path))
    found = list(stream.read(topic, "test", 1000, 0).messages)
    stream.close()
    return found


def letter(reason: str, value: bytes = EVENT, offset: int | None = 7) -> Message:
    one = DeadLetter(
        stage="index", reason=reason, time=NOW, topic=EVENTS, partition=0, offset=offset, value=value.decode()
    )
    return Message("h1", one.model_dump_json().encode())


def test_what_a_host_lost_is_on_the_status(path: Path) -> None:
    source = Source("e", 0, counted=93, written=100, missing=7, up_to="2026-11-22T02:14:00Z", before=(50, 2))
    put(path, STATE, Message(f"{PREFIX}0/h1", kept(Host("e", {}, {"file:a": source}))), Message(f"{PREFIX}0", b"9"))
    put(path, DEADLETTER, letter("400: no"))
    done = run(path, "status", "--format", "ndjson")
    (row,) = [one for one in rows(done) if one.get("source") == "file:a"]
    assert (row["host"], row["written"], row["delivered"], row["set_aside"], row["lost"]) == ("h1", 150, 140, 1, 9)
    assert row["lag_seconds"] > 0
    assert done.exit_code == 1


def test_what_was_refused_in_a_hosts_name_is_set_aside_and_lessens_nothing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(path, STATE, Message(f"{PREFIX}0/h1", kept(Host("e", {}, {"file:a": Source("e", 0, written=100)}))))
    refused = DeadLetter(stage="detect", reason="forged: x", time=NOW, topic=EVENTS, value=EVENT.decode())
    put(path, DEADLETTER, letter("400: no"), Message("h1", refused.model_dump_json().encode()))
    stream: Stream = app.open_stream(load(path))
    (row,) = of_fleet(stream, NOW)
    assert (row["set_aside"], row["delivered"]) == (2, 99)
    assert capsys.readouterr().err == ""
    (row,) = of_fleet(stream, NOW, most=1)
    stream.close()
    assert row["set_aside"] == 1
    assert capsys.readouterr().err == "only the first 1 dead letters are counted: set_aside is too low\n"


def test_what_is_stored_of_a_host_and_cannot_be_read_hides_no_other(path: Path) -> None:
    good = kept(Host("", {"h2/collect/first/auth": Chain("e", 1, 0, 1, 0)}, {"file:b": Source("e", 0, written=1)}))
    put(path, STATE, Message(f"{PREFIX}0/h1", b"{"), Message(f"{PREFIX}0/h2", good))
    found = rows(run(path, "status", "--format", "ndjson"))
    assert [row["host"] for row in found if row.get("source") == "file:b"] == ["h2"]


def test_a_hosts_own_row_shows_what_the_centre_missed() -> None:
    own = [{"source": "file:a", "written": 100, "delivered": 100, "set_aside": 0, "lost": 1}]
    fleet = [
        {"host": "h1", "source": "file:a", "written": 100, "delivered": 97, "set_aside": 0, "lost": 3},
        {"host": "h2", "source": "file:a", "written": 5, "delivered": 5, "set_aside": 0, "lost": 0},
    ]
    here, there = merged(own, fleet, "h1")
    assert (here["delivered"], here["lost"]) == (97, 4)
    assert there["host"] == "h2"


def test_the_numbers_can_be_scraped(path: Path) -> None:
    put(path, DEADLETTER, letter("400: no"))
    text = run(path, "status", "--format", "openmetrics").stdout
    assert text.endswith("# EOF\n")
    assert 'tocsin_reader_lag_records{topic="audit.events",reader="detect"} 0' in text
    assert "tocsin_deadletters 1" in text


def test_a_hosts_names_cannot_break_the_metrics() -> None:
    lines = list(openmetrics([{"host": 'h"1\n', "source": "a\\b", "lost": 3}]))
    assert lines[2] == 'tocsin_source_lost_records_total{host="h\\"1\\n",source="a\\\\b"} 3'


def test_dead_letters_are_listed_once_each(path: Path) -> None:
    put(path, DEADLETTER, letter("400: no"), letter("400: no"), letter("forged: x", offset=8))
    done = run(path, "deadletter", "list")
    assert [(row["id"], row["reason"], row["offset"]) for row in rows(done)] == [
        ("0-0", "400: no", 7),
        ("0-2", "forged: x", 8),
    ]
    assert done.exit_code == 1


def test_without_dead_letters_the_list_is_empty(path: Path) -> None:
    done = run(path, "deadletter", "list")
    assert (done.stdout, done.exit_code) == ("", 0)


def test_one_is_shown_whole(path: Path) -> None:
    put(path, DEADLETTER, letter("400: no"))
    (row,) = rows(run(path, "deadletter", "show", "0-0"))
    assert row["value"].encode() == EVENT


def test_an_id_that_is_none_is_said(path: Path) -> None:
    done = run(path, "deadletter", "show", "9-9\x1b")
    assert done.exit_code == 1
    assert "no dead letter is called" in done.stderr
    assert "\x1b" not in done.stderr


def test_what_is_sent_through_again_is_the_same_record_and_it_is_recorded_who_did_it(path: Path) -> None:
    put(path, DEADLETTER, letter("400: no"), letter("gone", b"", None))
    done = run(path, "deadletter", "replay", "--all")
    assert "1 sent through again" in done.stdout
    assert "1 tell of a number only" in done.stderr
    (sent,) = everything(path, EVENTS)
    assert (sent.key, sent.value) == ("h1", EVENT)
    (said,) = [Command.model_validate_json(one.value) for one in everything(path, COMMANDS)]
    assert (said.verb, said.arguments) == ("replay", {"deadletters": ["0-0"]})
    assert said.person
    assert said.mac


def test_all_means_those_that_were_not_sent_before(path: Path) -> None:
    put(path, DEADLETTER, letter("400: no"))
    run(path, "deadletter", "replay", "0-0")
    assert rows(run(path, "deadletter", "list")) == []
    assert [row["replayed"] for row in rows(run(path, "deadletter", "list", "--all"))] == [True]
    assert "0 sent through again" in run(path, "deadletter", "replay", "--all").stdout
    assert len(everything(path, EVENTS)) == 1


def test_a_replay_that_nobody_with_the_key_asked_for_hides_no_dead_letter(path: Path) -> None:
    put(path, DEADLETTER, letter("400: no"))
    forged = Command(
        verb="replay", person="mallory", proof="none", time=NOW, arguments={"deadletters": ["0-0"]}, nonce="x"
    )
    put(path, COMMANDS, Message("mallory", forged.model_dump_json().encode()))
    assert [row["replayed"] for row in rows(run(path, "deadletter", "list"))] == [False]


def test_which_ones_must_be_said(path: Path) -> None:
    assert run(path, "deadletter", "replay").exit_code == 2
    assert run(path, "deadletter", "replay", "0-0", "--all").exit_code == 2


@pytest.mark.parametrize("value", [b"[1,2]", b'{"host.id":' + b"[" * 5_000 + b"]" * 5_000 + b"}", b'{"event.id":[{}]}'])
def test_a_hostile_record_in_the_dead_letters_breaks_no_command(path: Path, value: bytes) -> None:
    put(path, DEADLETTER, letter("400: no", value))
    assert run(path, "status", "--format", "ndjson").exit_code == 1
    assert run(path, "verify", "--format", "ndjson").exit_code == 0
    assert "1 sent through again" in run(path, "deadletter", "replay", "--all").stdout
