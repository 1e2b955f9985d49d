"""Real SMTP servers by aiosmtpd, with STARTTLS, implicit TLS and AUTH, whose answers can be said beforehand."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Literal

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.standins.certificates import Pair


@dataclass
class Mailbox:
    """What arrived, and what the next mails are answered with (`""` takes the mail; DROP hangs up in DATA)."""

    host: str = "127.0.0.1"
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    answers: deque[str] = field(default_factory=deque)
    attempts: int = 0
    users: dict[str, str] = field(default_factory=lambda: {"tocsin": "secret"})
    refused: dict[str, str] = field(default_factory=dict)  # address -> answer to RCPT
    released: threading.Event = field(default_factory=threading.Event)

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


DROP = "drop"  # hang up after the mail was read, before it is answered
TAKE_AND_DROP = "take and drop"  # the same, the mail being kept: only the answer is lost


class _Handler:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self._mailbox.refused:
            return self._mailbox.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        mailbox = self._mailbox
        mailbox.attempts += 1
        said = mailbox.answers.popleft() if mailbox.answers else ""
        if said in ("", TAKE_AND_DROP):
            assert isinstance(envelope.content, bytes)
            parsed = message_from_bytes(envelope.content, policy=default)
            assert isinstance(parsed, EmailMessage)
            mailbox.mails.append(parsed)
        if said in (DROP, TAKE_AND_DROP):
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return said or "250 OK"


class _OnFreePort(Controller):
    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mailbox(tls: Literal["starttls", "implicit", "none"], made: Pair | None, *, auth: bool) -> Iterator[Mailbox]:
    """Run a server on a free loopback port until the block ends."""
    box = Mailbox()

    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        good = box.users.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=good, handled=False)

    context = made.server_context() if made else None
    options: dict[str, Any] = {"authenticator": check, "auth_required": auth, "auth_require_tls": tls == "starttls"}
    if tls == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    controller = _OnFreePort(
        _Handler(box), hostname=box.host, port=0, ssl_context=context if tls == "implicit" else None, **options
    )
    controller.start()
    box.port = controller.port
    try:
        yield box
    finally:
        box.released.set()
        controller.stop()
