"""E-mail by SMTP (RFC 5321): both bodies, one thread an incident, STARTTLS or implicit TLS, AUTH."""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal, NoReturn, TypeAlias

from notifiers.channels import Receipt, Rejected, Unavailable
from notifiers.message import Message

Tls: TypeAlias = Literal["starttls", "implicit", "none"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """The submission server. With a user name, the password is given to it under TLS only."""

    host: str
    port: int = 25
    tls: Tls = "starttls"
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None  # None: the system's
    timeout: float = 10.0


class Smtp:
    """A Channel that mails to fixed addresses, over one connection for each message."""

    kind = "email"

    def __init__(self, server: Server, sender: str, to: Sequence[str]) -> None:
        if server.username and server.tls == "none":
            raise ValueError("smtp: a password is not sent without TLS")
        self._server = server
        self._sender = sender
        self._to = tuple(to)

    def send(self, message: Message, previous: Receipt | None) -> Receipt:
        mail = self._mail(message, previous)
        connection = self._connect()
        try:
            self._deliver(connection, mail.as_bytes(policy=SMTP))
        finally:
            _leave(connection)
        return previous or Receipt(str(mail["Message-ID"]))

    def _mail(self, message: Message, previous: Receipt | None) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = message.subject
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._to)
        mail["Date"] = format_datetime(message.time)
        name = re.sub(r"[^A-Za-z0-9-]+", "-", message.incident)[:40]
        # Short enough that a reply's headers need no folding.
        mail["Message-ID"] = f"<{name}.{uuid.uuid4().hex[:12]}@{_address(self._sender).rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        if previous is not None:
            mail["In-Reply-To"] = previous.id
            mail["References"] = previous.id
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        return mail

    def _connect(self) -> smtplib.SMTP:
        """Return a connection that may mail. Nothing has been handed over yet, so no failure here is uncertain."""
        server = self._server
        connection: smtplib.SMTP | None = None
        try:
            context = ssl.create_default_context(cafile=server.ca_file)
            if server.tls == "implicit":
                connection = smtplib.SMTP_SSL(server.host, server.port, timeout=server.timeout, context=context)
            else:
                connection = smtplib.SMTP(server.host, server.port, timeout=server.timeout)
            if server.tls == "starttls":
                connection.starttls(context=context)
            if server.username:
                connection.login(server.username, server.password or "")
        except (smtplib.SMTPException, OSError) as error:
            if connection is not None:
                connection.close()
            _refuse(error)
        return connection

    def _deliver(self, connection: smtplib.SMTP, mail: bytes) -> None:
        handed_over = False
        try:
            connection.ehlo_or_helo_if_needed()
            _check(connection.mail(_address(self._sender)))
            self._recipients(connection)
            handed_over = True
            code, text = connection.data(mail)
        except (smtplib.SMTPException, OSError) as error:
            _refuse(error, uncertain=handed_over and not isinstance(error, smtplib.SMTPResponseException))
        _check((code, text))

    def _recipients(self, connection: smtplib.SMTP) -> None:
        """One address that the server takes is enough; those that it refuses are logged."""
        answers = {address: connection.rcpt(_address(address)) for address in self._to}
        refused = {address: answer for address, answer in answers.items() if answer[0] >= 300}
        if len(refused) == len(answers):
            _check(min(refused.values()))
        for address, (code, _) in refused.items():
            _log.warning("address refused", extra={"address": address, "code": code})


def _address(written: str) -> str:
    """Return the bare address in `Ada <ada@example.org>`."""
    return written.rpartition("<")[2].rstrip(">")


def _check(answer: tuple[int, bytes]) -> None:
    code, text = answer
    if code >= 300:
        raise_for(code, text)


def raise_for(code: int, text: bytes | str) -> NoReturn:
    """Raise what an SMTP answer means: 4xx Unavailable, 5xx Rejected (RFC 5321, 4.2.1)."""
    said = (text.decode("utf-8", "replace") if isinstance(text, bytes) else text)[:200]
    if 500 <= code < 600:
        raise Rejected(f"smtp: {code} {said}")
    raise Unavailable(f"smtp: {code} {said}")


def _refuse(error: smtplib.SMTPException | OSError, *, uncertain: bool = False) -> NoReturn:
    if isinstance(error, smtplib.SMTPResponseException):
        try:
            raise_for(error.smtp_code, error.smtp_error)
        except (Rejected, Unavailable) as told:
            raise told from error
    if isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError | FileNotFoundError):
        raise Rejected(f"smtp: {error}") from error
    raise Unavailable(f"smtp: {type(error).__name__}: {error}", uncertain=uncertain) from error


def _leave(connection: smtplib.SMTP) -> None:
    try:
        connection.quit()
    except (smtplib.SMTPException, OSError):
        connection.close()
