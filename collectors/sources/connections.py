"""Syslog over TCP (RFC 6587) and TLS (RFC 5425): many senders, none of whom can hold up or starve the others.

Bytes are taken from a connection only when records are asked for; until then they wait in the kernel, whose window
closes and slows the sender down. What is held here is bounded: connections, half frames, handshakes.
"""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from collectors.framing import SyslogFrames
from collectors.sources.datagrams import MOST, Received, bound, peer_name, trimmed
from collectors.sources.tls_server import Tls, TlsError, allowed, context, refusal, subject
from rules.event import Value

_CHUNK: Final = 16 * 1024  # one TLS record: nothing stays behind where a selector cannot see it
_ACCEPTED: Final = 64  # new connections in one read
_HANDSHAKE: Final = timedelta(seconds=10)


@dataclass(slots=True, eq=False)
class _Connection:
    socket: socket.socket
    peer: str
    since: datetime  # when it last gave anything
    frames: SyslogFrames
    fields: dict[str, Value] = field(default_factory=dict)
    shaking: bool = False  # TLS is still being agreed upon


class Connections:
    """A listening socket and what it accepted; at most `most` connections with at most `longest` bytes held of each.

    With all taken, a new one takes the place of the one silent longest, among those of the address that has most.
    Raises OSError if the address cannot be had, TlsError if the files cannot serve.
    """

    def __init__(self, host: str, port: int, tls: Tls | None, *, most: int, longest: int) -> None:
        self._tls, self._most, self._longest = tls, most, longest
        self._context = context(tls) if tls else None
        self._stamp = tls.stamp() if tls else ()
        self._listening = bound(socket.SOCK_STREAM, host, port)
        self._listening.listen(128)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._open: dict[int, _Connection] = {}  # by file descriptor; who was served last stands last

    def receive(self, now: datetime, limit: int) -> Received:
        got, taken = Received(), 0
        ready = {key.fd for key, _ in self._selector.select(0)}
        if self._listening.fileno() in ready:
            self._accept(now, got)
        for one in [one for one in self._open.values() if one.shaking]:
            self._shake(one, now, got)
        waiting = deque(one for fd, one in self._open.items() if fd in ready and not one.shaking)
        while waiting:
            if len(got.messages) >= limit or taken >= MOST:
                got.more = True
                break
            one = waiting.popleft()
            size = self._take(one, now, got)
            if size:  # a chunk each in turn: nobody starves
                taken += size
                waiting.append(one)
        return got

    def address(self) -> tuple[str, int]:
        host, port, *_ = self._listening.getsockname()
        return host, port

    def close(self) -> None:
        for one in self._open.values():
            one.socket.close()
        self._open.clear()
        self._listening.close()
        self._selector.close()

    # who comes

    def _accept(self, now: datetime, got: Received) -> None:
        made = self._renewed(got)
        for _ in range(_ACCEPTED):
            try:
                accepted, address = self._listening.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                got.troubles.append(
                    f"a connection cannot be taken: {error.strerror}; {_MEND.get(error.errno or 0, '')}"
                )
                return
            while len(self._open) >= self._most:
                self._make_room(got)
            try:
                one = self._taken(accepted, peer_name(address), made, now)
            except OSError:  # it was reset before we came to it
                accepted.close()
                continue
            self._open[one.socket.fileno()] = one
            self._selector.register(one.socket, selectors.EVENT_READ)

    def _taken(self, accepted: socket.socket, peer: str, made: ssl.SSLContext | None, now: datetime) -> _Connection:
        accepted.setblocking(False)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if made is not None:
            accepted = made.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        fields: dict[str, Value] = {"log.source.address": peer}
        return _Connection(accepted, peer, now, SyslogFrames(self._longest), fields, shaking=made is not None)

    def _renewed(self, got: Received) -> ssl.SSLContext | None:
        """Return the context, read anew once a certificate was renewed; one that cannot serve keeps the old."""
        if self._tls is not None and self._tls.stamp() != self._stamp:
            try:
                self._context = context(self._tls)
                self._stamp = self._tls.stamp()
            except TlsError as error:
                got.troubles.append(f"{error}; the certificate read before it still serves")
        return self._context

    def _make_room(self, got: Received) -> None:
        crowd, _ = Counter(one.peer for one in self._open.values()).most_common(1)[0]
        silent = min((one for one in self._open.values() if one.peer == crowd), key=lambda one: one.since)
        got.troubles.append(
            f"all {self._most} connections are taken: the one silent longest of those of {crowd} is closed for each "
            "new one; raise `connections` if these are your devices"
        )
        self._end(silent, got)

    def _shake(self, one: _Connection, now: datetime, got: Received) -> None:
        """Go on with the handshake; who is not through in time, or may not come in, is let go."""
        assert isinstance(one.socket, ssl.SSLSocket)
        try:
            one.socket.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if now - one.since > _HANDSHAKE:
                got.troubles.append(f"{one.peer}: no TLS handshake within 10 s; does it speak TLS?")
                self._end(one, got)
            return
        except OSError as error:
            got.troubles.append(f"{one.peer}: {refusal(error)}")
            self._end(one, got)
            return
        one.shaking, one.since = False, now
        certificate = one.socket.getpeercert()
        if not certificate:
            return
        one.fields["tls.client.subject"] = subject(certificate)
        if self._tls is not None and not allowed(certificate, self._tls.client_names):
            got.troubles.append(f"{one.peer}: {subject(certificate)} is not among client_names; add it if it is yours")
            self._end(one, got)

    # what they say

    def _take(self, one: _Connection, now: datetime, got: Received) -> int:
        """Take one chunk; return its size, 0 if there was none or the sender has ended."""
        try:
            chunk = one.socket.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except ssl.SSLError as error:
            got.troubles.append(f"{one.peer}: {refusal(error)}")
            chunk = b""
        except OSError:  # reset
            chunk = b""
        if not chunk:
            self._end(one, got)
            return 0
        one.since = now
        for frame in one.frames.feed(chunk):
            raw = frame.raw if frame.more else trimmed(frame.raw)
            if raw:
                got.messages.append((raw, one.fields))
        self._open[one.socket.fileno()] = self._open.pop(one.socket.fileno())
        return len(chunk)

    def _end(self, one: _Connection, got: Received) -> None:
        """Close a connection; the half message that it leaves is a record too."""
        self._selector.unregister(one.socket)
        del self._open[one.socket.fileno()]
        one.socket.close()
        last = one.frames.flush()
        if last is not None:
            got.messages.append((last.raw, one.fields))


_MEND: Final = {
    errno.EMFILE: "raise LimitNOFILE of the service, or lower `connections`",
    errno.ENFILE: "the whole host is out of file descriptors",
}
