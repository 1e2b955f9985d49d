"""What container engines write about a line of output: Kubernetes' CRI log and Docker's json-file.

The line itself is read as JSON where it is an object, else it is the message as it stands: a container's output
says nothing that is believed of its host.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Parsed, ParseError, when
from collectors.formats.json_text import object_of, scalar_or_list
from rules.event import Value

Fields = dict[str, Value]
# https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
_CRI: Final = re.compile(r"(\S{20,40}) (stdout|stderr) ([FP])(?::[\w:]{0,64})?(?: |$)", re.ASCII)


def parse_cri(text: str, ctx: Context) -> Parsed:
    """Return the event of one CRI line, or of several whose parts (P) a full one (F) ends."""
    stamp, stream = "", ""
    parts: list[str] = []
    for line in text.split("\n"):
        found = _CRI.match(line)
        if found is None:
            if not parts:
                raise ParseError("no CRI log line: no time, stream and tag")
            parts.append("\n" + line)
            continue
        stamp, stream = stamp or found[1], found[2]
        parts.append(line[found.end() :])
    time = when.iso(stamp, ctx)
    if time is None:
        raise ParseError("no CRI log line: its time is none")
    return Parsed(time[0], _fields("".join(parts), stream))


def _fields(message: str, stream: str) -> Fields:
    return {
        "event.kind": "event",
        "event.module": "container",
        "event.dataset": "container.log",
        "log.iostream": stream,
        "message": message,
    }


def continues_cri(first: str, line: str) -> bool:
    """Say whether `line` completes a partial one of the same stream."""
    before, after = _CRI.match(first), _CRI.match(line)
    return before is not None and after is not None and before[3] == "P" and before[2] == after[2]


def parse_docker(text: str, ctx: Context) -> Parsed:
    """Return the event of one json-file line (or of several that together end with a line break)."""
    message, stream, stamp = [], "", ""
    attributes: Fields = {}
    for line in text.split("\n"):
        record = object_of(line)
        if not isinstance(record.get("log"), str):
            raise ParseError("no line of Docker's json-file: no log")
        message.append(str(record["log"]))
        stream, stamp = str(record.get("stream", "")), stamp or str(record.get("time", ""))
        extra = record.get("attrs")
        if isinstance(extra, dict):
            attributes |= {f"container.labels.{name}": scalar_or_list(value) for name, value in extra.items()}
    time = when.iso(stamp, ctx)
    fields = _fields("".join(message).removesuffix("\n"), stream)
    return Parsed(time[0] if time else None, fields | attributes)


def continues_docker(first: str, line: str) -> bool:
    """Say whether the line before was a part: its text does not end with a line break."""
    return first.startswith('{"log":') and '\\n","' not in first and '\\n"}' not in first and line.startswith('{"log":')
