"""A host that fell silent, explained: the heartbeats that are in no index are found where the correlator read them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from pipeline import app
from pipeline.cli import cli
from pipeline.commands.explain_signs import signs
from pipeline.config import load as load_config
from pipeline.records import heartbeat
from pipeline.roles.detect import Detect
from pipeline.streams import ALERTS, EVENTS, MATCHES, Message
from pipeline.streams.moments import from_moment
from rules.absence import absence
from rules.alert import Alert
from rules.conditions import SILENCE
from rules.match import encode
from rules.ruleset import load
from rules.sigma import Rule
from tests.pipeline.memory_stream import Log, MemoryStream

BEGAN = datetime(2026, 11, 22, 2, tzinfo=UTC)
LIBRARY = Path(__file__).parents[2] / "rules" / "library" / "tocsin" / "host_silent.yml"
RULES = load([("host_silent.yml", LIBRARY.read_text("utf-8"))], {})
(SILENT,) = RULES.rules


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


@pytest.fixture
def log() -> Log:
    """Ten minutes of two hosts, of which one says nothing after two."""
    log = Log(2, BEGAN)
    source, role = MemoryStream(log), Detect(MemoryStream(log), RULES, engine="test")
    for second in range(0, 600, 5):
        log.now = at(second)
        for host in ("speaks", "falls-silent") if second <= 120 else ("speaks",):
            source.append(EVENTS, [Message(host, msgspec.json.encode(heartbeat(host, "auth", at(second))))])
        role.step(log.now)
        role.step(log.now)
    return log


def fired(log: Log) -> Alert:
    (alert,) = [Alert.model_validate_json(one.value) for one in log.topic(ALERTS)[0]]
    return alert


def test_the_silence_is_measured_again_from_what_the_correlator_had_read(log: Log) -> None:
    alert = fired(log)
    assert (alert.key, alert.proof.window_start, alert.proof.window_end) == (
        {"host.id": "falls-silent"},
        at(120),
        at(420),
    )
    found = absence(alert, SILENT, signs(alert, MemoryStream(log)))
    assert found.reasons == ()
    (measure,) = found.measures
    assert (measure.name, measure.then, measure.now, measure.asked) == (SILENCE, 300, 300, "gte 300.0")


def test_one_heartbeat_more_in_what_is_stored_and_it_does_not_hold(log: Log) -> None:
    alert = fired(log)
    found = signs(alert, MemoryStream(log))
    assert found is not None
    more = msgspec.structs.replace(found[-1], event="heartbeat more", time=at(200), appended=at(200))
    place = next(n for n, one in enumerate(log.topic(MATCHES)[0]) if one.time >= at(200))
    kept = log.topic(MATCHES)[0]
    kept[place] = replace(kept[place], value=encode(more))
    reasons = absence(alert, SILENT, signs(alert, MemoryStream(log))).reasons
    assert reasons == ("there was a sign of it within that time, which the stream took at 2026-11-22T02:03:20.000000Z",)


def test_a_rule_that_asks_for_more_now_does_not_hold(log: Log) -> None:
    alert = fired(log)
    longer: Rule = replace(SILENT, alerting=replace(SILENT.alerting, absent=timedelta(minutes=10)))
    reasons = absence(alert, longer, signs(alert, MemoryStream(log))).reasons
    assert reasons == ("0:10:00 without a sign are asked now, and 0:05:00 then",)


def test_where_the_matches_are_gone_it_is_said_why_not_and_what_is_stored(log: Log) -> None:
    alert = fired(log)
    log.topic(MATCHES)[0][:] = [one for one in log.topic(MATCHES)[0] if one.time > at(500)]
    assert signs(alert, MemoryStream(log)) is None
    (reason,) = absence(alert, SILENT, None).reasons
    assert reason.startswith("cannot be run again: heartbeats are not kept in the index")
    assert "source 'auth' of host 'falls-silent' was read up to 2026-11-22T02:02:00.000000Z" in reason
    assert "no sign from 2026-11-22T02:02:00.000000Z to 2026-11-22T02:07:00.000000Z" in reason


def test_the_command_runs_it_again(tmp_path: Path) -> None:
    text = LIBRARY.read_text("utf-8").replace("absent: 5m", "absent: 1s")
    (tmp_path / "silent.yml").write_text(text, "utf-8")
    path = tmp_path / "tocsin.yml"
    path.write_text(f"state: {tmp_path / 'state'}\nrules: {{paths: [{tmp_path / 'silent.yml'}]}}\n")
    config = load_config(path)
    with app.running(config, ["detect", "index"]), closing(app.open_stream(config)) as stream:
        stream.append(EVENTS, [Message("h", msgspec.json.encode(heartbeat("h", "auth", app.now())))])
        for _ in range(400):
            if stream.committed(ALERTS, "index").get(0, 0) > 0:
                break
            app.pause(0.05)
        (told,) = [Alert.model_validate_json(one.value) for one in stream.read(ALERTS, "test", 10, 0).messages]
    done = CliRunner().invoke(cli, ["explain", told.id, "-c", str(path)])
    rows = [msgspec.json.decode(line, type=dict[str, object]) for line in done.stdout.splitlines()]
    (measure,) = [row for row in rows if row["what"] == "measure"]
    assert (measure["name"], measure["now"], measure["asked"]) == (SILENCE, 1.0, "gte 1.0")
    assert (rows[-1]["holds"], done.exit_code) == (True, 0), rows


@pytest.mark.parametrize("second", [-10, 0, 3, 120, 122, 594, 595, 9_999])
def test_a_topic_is_read_from_a_moment_on_without_what_stands_before(log: Log, second: int) -> None:
    wanted = [one.offset for one in log.topic(MATCHES)[0] if one.time >= at(second)]
    found = [one.offset for one in from_moment(MemoryStream(log), MATCHES, "test", at(second))]
    assert found == wanted
