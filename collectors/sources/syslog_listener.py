"""Syslog from devices that cannot run a collector: a UDP, TCP or TLS port, and a number for each message.

Plain syslog has no acknowledgement. A message's identity is the receiver's epoch and sequence, both kept in the
position; where that is lost a new epoch begins. (Beside them stands a token of the run: after a restored backup a
number is given again, and a device may well say the same again.) Sequence numbers go to what is journalled and to
nothing else: what was read and not journalled when the process was killed is lost, and cannot be told.
"""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import msgspec

from collectors.sources import Batch, Loss, Record
from collectors.sources.connections import Connections
from collectors.sources.datagrams import Datagrams, Received, Receiver
from collectors.sources.tls_server import Tls, TlsError

PORTS: Final = {"udp": 514, "tcp": 514, "tls": 6514}  # RFC 5426, custom (RFC 6587 has none of its own), RFC 5425
_RETRY: Final = timedelta(seconds=10)
_PEERS_TOLD: Final = 200  # senders and their faults that are told one by one: a scan must not fill the log
_BURST: Final = 10_000  # datagrams looked at when none can be kept
_NO_ROOM: Final = (
    "datagrams were dropped by the kernel, which had no room for them; "
    "raise net.core.rmem_max, or let the senders use TCP"
)
_NO_JOURNAL: Final = "datagrams were dropped, as the journal had no room; let the senders use TCP, which waits"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a listener stands: `udp://0.0.0.0:514`."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Listen:
        """Read a URL. Raises ValueError that says how one is written."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{text!r} is no address: {error}") from error
        if parts.scheme not in PORTS or not parts.hostname or parts.path or parts.query or parts.username:
            raise ValueError(f"{text!r} is no address to listen on; write udp://0.0.0.0:514, tcp://... or tls://...")
        return cls(parts.scheme, parts.hostname, PORTS[parts.scheme] if port is None else port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class _Position(msgspec.Struct):
    epoch: str
    sequence: int = 0
    received: int = 0  # bytes


class SyslogSource:
    """Listens on one address. What is not asked for yet waits in the kernel: TCP senders are slowed down by that."""

    def __init__(
        self,
        listen: Listen,
        format_name: str = "syslog",
        tls: Tls | None = None,
        *,
        connections: int = 512,
        longest: int = 65536,
    ) -> None:
        self.name = f"syslog:{listen}"
        self.format: str | None = format_name
        self.listen, self.tls = listen, tls
        self._connections, self._longest = connections, longest
        self._receiver: Receiver | None = None
        self._tried: datetime | None = None
        self._at = _Position("")
        self._run = ""
        self._bytes: dict[int, int] = {}  # sequence -> bytes received until there, of what is not journalled
        self._durable = self._at
        self._lost = self._skipped = 0
        self._told: set[str] = set()

    # the port

    def open(self, position: str | None, now: datetime) -> None:
        self._at = _restored(position)
        self._run = secrets.token_hex(4)
        self._durable = msgspec.structs.replace(self._at)

    def read(self, now: datetime, limit: int) -> Batch:
        if self._receiver is None:
            fault = self._bind(now)
            if self._receiver is None:
                return Batch(troubles=fault)
        got = self._receiver.receive(now, limit)
        records = list(self._records(got))
        return Batch(records, None if got.more else now, self._news(got.troubles), self._losses(got.dropped))

    def position(self, journalled: Sequence[Record]) -> str:
        last = max((record.end for record in journalled), default=0)
        if last > self._durable.sequence:
            self._durable = _Position(self._at.epoch, last, self._bytes.get(last, self._durable.received))
            self._bytes = {n: size for n, size in self._bytes.items() if n > last}
        return msgspec.json.encode(self._durable).decode()

    def written(self) -> int | None:
        return self._at.received

    def close(self) -> None:
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None

    def skip(self, now: datetime) -> None:
        """Drop what UDP senders sent: to stop reading would lose it, and not count it. TCP senders wait."""
        if self._receiver is None or self.listen.scheme != "udp":
            return
        got = self._receiver.receive(now, _BURST)
        self._skipped += len(got.messages) + got.dropped

    # beside it

    def address(self) -> tuple[str, int] | None:
        """Return host and port that it listens on, None while it does not."""
        return self._receiver.address() if self._receiver else None

    def bind(self) -> None:
        """Take the address. Raises OSError, TlsError."""
        listen = self.listen
        if listen.scheme == "udp":
            self._receiver = Datagrams(listen.host, listen.port)
        else:
            tls = self.tls if listen.scheme == "tls" else None
            self._receiver = Connections(listen.host, listen.port, tls, most=self._connections, longest=self._longest)

    def _bind(self, now: datetime) -> list[str]:
        if self._tried is not None and now - self._tried < _RETRY:
            return []
        self._tried = now
        try:
            self.bind()
        except (OSError, TlsError) as error:
            return [unheard(self.listen, error)]
        return []

    def _records(self, got: Received) -> Iterator[Record]:
        for raw, fields in got.messages:
            self._at.sequence += 1
            self._at.received += len(raw)
            number = self._at.sequence
            self._bytes[number] = self._at.received
            yield Record(raw, f"{self._at.epoch}.{self._run}:{number}".encode(), "", number, fields=fields)

    def _losses(self, dropped: int) -> list[Loss]:
        skipped, self._skipped = self._skipped, 0
        losses = []
        for count, why in ((dropped, _NO_ROOM), (skipped, _NO_JOURNAL)):
            if count:
                self._lost += count
                origin = f"{self._at.epoch}:{self._at.sequence}:{self._lost}".encode()
                losses.append(Loss(origin, f"{self.name}: {count} {why}", records=count))
        return losses

    def _news(self, troubles: Sequence[str]) -> list[str]:
        fresh = [one for one in dict.fromkeys(troubles) if one not in self._told]
        room = _PEERS_TOLD - len(self._told)
        self._told.update(fresh[:room] if room > 0 else ())
        said = [f"{self.name}: {one}" for one in fresh[: max(room, 0)]]
        if 0 < room <= len(fresh):
            said.append(f"{self.name}: {_PEERS_TOLD} faults of senders told; further ones are not")
        return said


def _restored(position: str | None) -> _Position:
    try:
        if position:
            return msgspec.json.decode(position, type=_Position)
    except msgspec.MsgspecError:
        pass  # not a position: as good as lost
    return _Position(secrets.token_hex(8))


def unheard(listen: Listen, error: OSError | TlsError) -> str:
    """Return why an address cannot be listened on, and what to do."""
    if isinstance(error, TlsError):
        return f"{listen}: {error}"
    hint = _HINTS.get(error.errno or 0, "it is tried again every 10 s")
    return f"{listen}: {error.strerror or error}; {hint.format(port=listen.port)}"


_HINTS: Final = {
    errno.EACCES: "a port below 1024 needs root or CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=); or listen on "
    "one above and redirect {port} to it",
    errno.EADDRINUSE: "another program listens there, rsyslog perhaps: stop that, or choose another port; "
    "`ss -lnp 'sport = :{port}'` names it",
    errno.EADDRNOTAVAIL: "this host has no such address; 0.0.0.0 or [::] means all that it has",
    socket.EAI_NONAME: "no such host; 0.0.0.0 or [::] means all addresses of this one",
}
