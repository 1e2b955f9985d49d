"""MongoDB's text log (2.4 to 4.2): `TIME LEVEL COMPONENT [context] message`; before 3.0 without level and component."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, mongodb, when
from collectors.formats.address import source
from rules.event import Value

Fields = dict[str, Value]
_HEAD: Final = re.compile(r" (?:([FEWID]|D[1-5])(?: ([A-Z_]{1,16}|-))? +)?\[([^\]\s]{1,128})\] ?", re.ASCII)
_OLD_STAMP: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?", re.ASCII
)
_PEER: Final = re.compile(
    r"(?:connection accepted from|end connection|received client metadata from) \[?([0-9A-Za-z.:%-]*?)\]?:(\d{1,5})"
    r"(?= |$)",
    re.ASCII,
)
# "... failed for alice on admin from client 1.2.3.4:5 ; ..." (3.0 and newer): the name is the attacker's.
_FAILED: Final = re.compile(r"SASL (\S+) authentication failed for (.*) on (\S+) from client (\S*) ; (.*)$", re.DOTALL)
_OLD_FAILED: Final = re.compile(
    r"Failed to authenticate (.*)@(\S+?)(?: from client (\S+?))?(?: with mechanism (\S+?))?: (.*)$", re.DOTALL
)
_SUCCESS: Final = re.compile(
    r"Successfully authenticated as principal (.*) on (\S+?)(?: from client (\S+))?$", re.DOTALL
)
_COMMAND: Final = re.compile(
    r"(command|query|getmore|insert|update|remove) (\S+) (?:appName: \"[^\"]*\" )?(?:command: )?(\w*)", re.ASCII
)
# CMD: drop shop.card; dropDatabase shop starting; createCollection: shop.card with ...
_CHANGED: Final = re.compile(
    r"(?:CMD: (\w{1,32}) (\S+)|(dropDatabase|createCollection:) (\S+)(?= (?:starting|with )|$))"
)
_SPOKEN: Final = {"createCollection:": "create"}
_EVERYTHING: Final = re.compile(r"(?:\bq|query): \{ ?\}(?!.*limit: 1\b)")
_DURATION: Final = re.compile(r" (\d{1,12})ms$", re.ASCII)
_OPERATIONS: Final = {"query": "find", "getmore": "getMore", "remove": "delete"}


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one line. Raises ParseError if it has no time and context of MongoDB's."""
    found = when.iso(text, ctx) or _old_time(text, ctx)
    head = _HEAD.match(text, found[1]) if found is not None else None
    if found is None or head is None:
        raise ParseError("no text log of MongoDB: no time and [context]")
    fields = mongodb.base("mongodb.log")
    level, component, context = head.groups()
    if level:
        fields["log.level"] = level
        if level in ("E", "F"):
            fields["event.type"] = ["error"]
    if component and component != "-":
        fields["mongodb.log.component"] = component
    fields["mongodb.log.context"] = context
    message = text[head.end() :].lstrip(" ")
    fields["message"] = message
    _understand(message, fields)
    return Parsed(found[0], fields)


def _old_time(text: str, ctx: Context) -> tuple[datetime, int] | None:
    found = _OLD_STAMP.match(text)
    if found is None or found[1] not in when.MONTHS:
        return None
    month, day, hour, minute, second, fraction = found.groups()
    micro = int((fraction + "00000")[:6]) if fraction else 0
    return when.yearless(when.MONTHS[month], int(day), (int(hour), int(minute), int(second)), micro, ctx), found.end()


def _understand(message: str, fields: Fields) -> None:
    peer = _PEER.match(message)
    if peer is not None:
        source(fields, peer[1], peer[2])
        ended = message.startswith("end ")
        fields["event.category"] = ["database", "network"]
        fields["event.type"] = ["info", "connection", "end" if ended else "start"]
        fields["event.action"] = "connection-ended" if ended else "connection-accepted"
        return
    if _login(message, fields):
        return
    changed = _CHANGED.match(message)
    if changed is not None:
        name = changed[1] or _SPOKEN.get(changed[3], changed[3])
        mongodb.operation(name, {}, changed[2] or changed[4], fields)
        fields["event.action"], fields["event.outcome"] = name, "unknown"
        return
    command = _COMMAND.match(message)
    if command is not None and "." in command[2]:
        kind, namespace, name = command.groups()
        verb = name if kind == "command" and name else _OPERATIONS.get(kind, kind)
        mongodb.operation(verb, {}, namespace, fields)
        everything = _EVERYTHING.search(message, 0, 4096) if verb in ("delete", "update") else None
        if everything is not None and ("multi: true" in message[:4096] or verb == "delete"):
            fields["tocsin.db.unbounded"] = True
        fields["event.action"] = "slow-query"
        duration = _DURATION.search(message, max(0, len(message) - 16))
        if duration is not None:
            fields["event.duration"] = int(duration[1]) * 1_000_000


def _login(message: str, fields: Fields) -> bool:
    """Who was let in or refused."""
    failed = _FAILED.match(message) if message.startswith("SASL ") else None
    old = _OLD_FAILED.match(message) if message.startswith("Failed to authenticate ") else None
    good = _SUCCESS.match(message) if message.startswith("Successfully authenticated ") else None
    if failed is not None:
        user, database, client, why = failed[2], failed[3], failed[4], failed[5]
    elif old is not None:
        user, database, client, why = old[1], old[2], old[3] or "", old[5]
    elif good is not None:
        user, database, client, why = good[1], good[2], good[3] or "", ""
    else:
        return False
    fields["event.category"] = ["database", "authentication"]
    fields["event.action"] = "authentication"
    fields["event.outcome"] = "success" if good else "failure"
    fields["tocsin.db.kind"] = "session"
    fields["user.name"] = user
    fields["db.namespace"] = database
    host, _, port = client.rpartition(":")
    source(fields, host.strip("[]"), port)
    if why:
        fields["event.reason"] = why
    return True


FORMAT = Format("mongodb-text", parse)
