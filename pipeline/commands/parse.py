"""`tocsin parse`: raw log in, one nested ECS object a record out."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import BinaryIO, Final

import click
import msgspec

from collectors.decode import Joiner, decode, understand
from collectors.formats import Context, Format, Parsed, ParseError
from collectors.formats.registry import FORMATS
from collectors.formats.when import zone as zone_named
from collectors.framing import Frame, Lines
from collectors.redact import REDACTIONS, Redaction, redact
from collectors.sessions import Sessions
from rules.event import nested, rfc3339

_CHUNK: Final = 1 << 18


class Zone(click.ParamType[tzinfo]):
    """An IANA name or an offset."""

    name = "zone"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        try:
            return zone_named(str(value))
        except ParseError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--format", "name", default="auto", type=click.Choice(sorted(FORMATS)), help="What the log is.")
@click.option("--host", help="The collecting host (host.name); host.hostname is the name in the line.")
@click.option("--timezone", "zone", type=Zone(), default="UTC", help="For times that state none: IANA name or +01:00.")
@click.option(
    "--year", type=click.IntRange(1, 9999), help="For times that state none; default: the latest not in the future."
)
@click.option("--prefix", help="PostgreSQL's log_line_prefix; guessed when absent.")
@click.option(
    "--redact",
    "how",
    default="none",
    type=click.Choice(REDACTIONS),
    help="What a source with this `redact` would keep.",
)
@click.argument("file", type=click.File("rb"), default="-")
def parse(  # noqa: PLR0913, PLR0917  a click command takes its options as arguments
    name: str, host: str | None, zone: tzinfo, year: int | None, prefix: str | None, how: Redaction, file: BinaryIO
) -> None:
    """Raw log in, one nested ECS object a record out (NDJSON), in order. A line that no format knows comes out with
    its raw text."""
    from pipeline.app import now

    ctx = Context(received=now(), zone=zone, year=year, prefix=prefix)
    format_ = FORMATS[name]
    out = sys.stdout.buffer
    encode, sessions = msgspec.json.Encoder().encode, Sessions()
    for frame in _records(file, format_):
        text = decode(frame.raw).removesuffix("\r")
        parsed = understand(text, format_, ctx)
        sessions.join("", parsed)
        event = _event(frame, *redact(how, text, parsed), ctx)
        if host:
            event["host.name"] = host
        out.write(encode(nested(event)) + b"\n")
    out.flush()


def _records(file: BinaryIO, format_: Format) -> Iterator[Frame]:
    """Yield the records of a file as they come, so that `tail -f | tocsin parse` does not wait for the end."""
    lines, joiner = Lines(), Joiner(format_)
    for chunk in _chunks(file):
        yield from joiner.feed(lines.feed(chunk))
    last = lines.flush()
    if last is not None:
        yield from joiner.feed([last])
    yield from joiner.flush()


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's bytes as they come; UTF-16 that says so (SQL Server writes its ERRORLOG in it) as UTF-8."""
    read = getattr(file, "read1", file.read)
    chunk = read(_CHUNK)
    if not chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        while chunk:
            yield chunk
            chunk = read(_CHUNK)
        return
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    while chunk:
        yield decoder.decode(chunk).encode("utf-8", "replace")
        chunk = read(_CHUNK)


def _event(frame: Frame, text: str, parsed: Parsed, ctx: Context) -> dict[str, object]:
    fields: dict[str, object] = {"@timestamp": rfc3339((parsed.time or ctx.received).astimezone(UTC)), **parsed.fields}
    fields["event.original"] = text
    if frame.more or frame.part > 1:
        fields["tocsin.part.number"] = frame.part
    return fields
