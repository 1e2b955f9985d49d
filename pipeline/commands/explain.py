"""`tocsin explain`: why an alert fired, and whether it still does; what became of an event, rule by rule (law 12)."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import msgspec

from pipeline import app
from pipeline.archive import Archive, streamed
from pipeline.commands.explain_alert import of_alert
from pipeline.commands.explain_event import of_event
from pipeline.commands.explain_fates import Row, fates
from pipeline.commands.explain_sources import Loaded, Log, loaded
from pipeline.commands.explain_text import text
from pipeline.commands.options import config_option, fail, load_config, told
from pipeline.settings import Config
from rules.alert import Alert
from rules.event import Event

_LONGEST = 200


@click.command()
@click.argument("name", metavar="ALERT|EVENT")
@click.option(
    "--format", "form", type=click.Choice(["table", "ndjson"]), help="Default: table on a terminal, else ndjson."
)
@config_option
def explain(name: str, form: str | None, path: Path | None) -> None:
    """Explain a page, or a silence.

    For an alert (or the incident that it is part of) the rule is run again over the events that are stored: what each
    clause read, what was measured against which threshold, and who was told. Exit 0 if the alert still holds, 1 if not.

    For an event, every rule that sees it: held, or the first clause that did not; and what became of what held.

    \b
    tocsin explain 1f0c…        an alert's id, as a message and `tocsin search` show it
    tocsin explain a3b5c7d9e1-2 an incident's, as `tocsin incidents list` does
    tocsin explain 9e41…        an event's (event.id)
    """
    if not name.strip() or len(name) > _LONGEST:
        raise click.UsageError("the id of an alert, an incident or an event is meant")
    config = load_config(path)
    with told(), closing(app.open_index(config)) as index, closing(Log(config)) as log:
        rows = list(_explained(name.strip(), config, Archive(index), log))
    _show(rows, form)
    if rows[-1].get("holds") is False:
        sys.exit(1)


def _explained(name: str, config: Config, archive: Archive, log: Log) -> Iterator[Row]:
    alerts = archive.alerts(name)
    event = None if alerts else archive.event(name)
    if not alerts and event is None:
        alerts = _elsewhere(name, archive, log)
    rules = loaded(config, log.stream)
    if event is not None:
        yield from _event(event, rules, archive, log)
        return
    conclusion: Row = {}
    for row in of_alert(alerts, rules, archive, log.stream):
        if row["what"] == "conclusion":
            conclusion = row
        else:
            yield row
    ids = tuple({one for alert in alerts for one in (alert.id, *alert.replaces)})
    yield from fates(alerts, log.entries(ids, archive), log.policy)
    yield conclusion


def _elsewhere(name: str, archive: Archive, log: Log) -> list[Alert]:
    """An incident's name stands for the alert that it shows; what is not indexed yet may be in the stream."""
    wanted = log.alert_of(name) or name
    found = archive.alerts(wanted) if wanted != name else []
    if not found and log.stream is not None:
        found = streamed(log.stream, lambda alert: wanted in (alert.id, *alert.replaces))
    if not found:
        raise _unknown(name, log)
    return found


def _event(event: Event, rules: Loaded, archive: Archive, log: Log) -> Iterator[Row]:
    alerts = archive.alerts_of(event)
    if not alerts and log.stream is not None:
        alerts = streamed(log.stream, lambda alert: event.id in alert.proof.events)
    by_id: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_id.setdefault(alert.id, []).append(alert)
    became = {name: list(fates(told_of, log.entries((name,), archive), log.policy)) for name, told_of in by_id.items()}
    yield from of_event(event, rules, by_id, became)


def _unknown(name: str, log: Log) -> SystemExit:
    places = "in the index (alerts, then events by event.id)"
    places += ", audit.alerts and audit.incidents" if log.stream is not None else f"; the stream was not: {log.fault}"
    return fail(
        f"no alert, incident or event has the id {name!r}. Looked {places}. What is older than its keep time is gone, "
        "and what is new may not be indexed yet (`tocsin status`). `tocsin incidents list --all` and "
        "`tocsin search event.kind:alert` show ids; an id must be given whole"
    )


def _show(rows: list[Row], form: str | None) -> None:
    if form == "ndjson" or (form is None and not sys.stdout.isatty()):
        for row in rows:
            click.echo(msgspec.json.encode(row))
        return
    width = shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else 1_000_000
    for row in rows:
        for said in text(row, width):
            click.echo(said)
