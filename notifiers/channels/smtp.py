"""E-mail by SMTP (RFC 5321): both bodies, one thread an incident, STARTTLS or implicit TLS, AUTH."""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Literal, NoReturn, TypeAlias

from notifiers.channels import Receipt, Rejected, Unavailable
from notifiers.message import Message

Links: TypeAlias = Callable[[Message, str], Sequence[tuple[str, str]]]  # for an address: (name, URL)
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
    """A Channel that mails to fixed addresses, over one connection for each message.

    With `links`, each address for which it has any gets a copy of its own: a link is bound to a person.
    """

    kind = "email"

    def __init__(self, server: Server, sender: str, to: Sequence[str], links: Links | None = None) -> None:
        if server.username and server.tls == "none":
            raise ValueError("smtp: a password is not sent without TLS")
        self._server = server
        self._sender = sender
        self._to = tuple(to)
        self._links = links

    def send(self, message: Message, previous: Receipt | None) -> Receipt:
        name = re.sub(r"[^A-Za-z0-9-]+", "-", message.incident)[:40]
        # Short enough that a reply's headers need no folding.
        own = f"<{name}.{uuid.uuid4().hex[:12]}@{_address(self._sender).rpartition('@')[2]}>"
        copies = [(to, self._mail(said, to, own, previous)) for to, said in self._copies(message)]
        connection = self._connect()
        try:
            self._deliver_all(connection, copies)
        finally:
            _leave(connection)
        return previous or Receipt(own)

    def _copies(self, message: Message) -> Sequence[tuple[Sequence[str], Message]]:
        found = {to: self._links(message, _address(to)) for to in self._to} if self._links else {}
        rest = [to for to in self._to if not found.get(to)]
        own = [([to], _linked(message, links)) for to, links in found.items() if links]
        return [(rest, message), *own] if rest else own

    def _mail(self, message: Message, to: Sequence[str], own: str, previous: Receipt | None) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = message.subject
        mail["From"] = self._sender
        mail["To"] = ", ".join(to)
        mail["Date"] = format_datetime(message.time)
        mail["Message-ID"] = own
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

    def _deliver_all(self, connection: smtplib.SMTP, copies: Sequence[tuple[Sequence[str], EmailMessage]]) -> None:
        """One copy that is taken is enough, as one address is; what became of the others is logged."""
        failures: list[Unavailable | Rejected] = []
        for to, mail in copies:
            try:
                self._deliver(connection, to, mail.as_bytes(policy=SMTP))
            except (Unavailable, Rejected) as failure:
                failures.append(failure)
        if len(failures) == len(copies):
            raise next((one for one in failures if isinstance(one, Unavailable)), failures[0])
        for one in failures:
            _log.warning("copy refused", extra={"reason": str(one)})

    def _deliver(self, connection: smtplib.SMTP, to: Sequence[str], mail: bytes) -> None:
        handed_over = False
        try:
            connection.ehlo_or_helo_if_needed()
            _check(connection.mail(_address(self._sender)))
            self._recipients(connection, to)
            handed_over = True
            code, text = connection.data(mail)
        except (smtplib.SMTPException, OSError) as error:
            _refuse(error, uncertain=handed_over and not isinstance(error, smtplib.SMTPResponseException))
        _check((code, text))

    def _recipients(self, connection: smtplib.SMTP, to: Sequence[str]) -> None:
        """One address that the server takes is enough; those that it refuses are logged."""
        answers = {address: connection.rcpt(_address(address)) for address in to}
        refused = {address: answer for address, answer in answers.items() if answer[0] >= 300}
        if len(refused) == len(answers):
            _check(min(refused.values()))
        for address, (code, _) in refused.items():
            _log.warning("address refused", extra={"address": address, "code": code})


def _linked(message: Message, links: Sequence[tuple[str, str]]) -> Message:
    """Return the message with links to pages that act; the pages ask first, since mail scanners follow links."""
    text = "".join(f"  {name}: {url}\n" for name, url in links)
    html = "".join(
        f'<a href="{escape(url)}" style="display:inline-block;margin:0 8px 8px 0;padding:10px 16px;border-radius:6px;'
        f'background:#44546a;color:#fff;text-decoration:none;font-weight:600">{escape(name)}</a>'
        for name, url in links
    )
    before, end, after = message.html.rpartition("</body>")
    whole = f"{before}<p>{html}</p>{end}{after}" if end else f"{message.html}<p>{html}</p>"
    return replace(message, text=f"{message.text}\n{text}", html=whole)


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
