"""The console over real HTTP: Slack's buttons and the links in e-mails, and whoever pretends to be either."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.channels.slack import Slack
from notifiers.channels.smtp import Server as MailServer
from notifiers.channels.smtp import Smtp
from notifiers.incident import Incident
from notifiers.render import Renderer
from notifiers.route import labels_of, matchers
from pipeline import app, keys
from pipeline.console.answering import Site, matchers_of
from pipeline.console.links import Link, links, token
from pipeline.console.server import Server
from pipeline.console.slack import Door
from pipeline.records import Command
from pipeline.roles.console import Console
from pipeline.settings import Config, ConsoleSettings, Person
from pipeline.state import StateError
from pipeline.streams import COMMANDS
from pipeline.streams.sqlite import SqliteStream
from rules.event import Value
from tests.standins.alerts import NOW, disk, root_login
from tests.standins.desk import KEY, Desk
from tests.standins.mailbox import Mailbox, mailbox
from tests.standins.slack import Workspace, slack

SECRET = "s3cret"
ADA = Person(name="Ada Byron", email="ada@example.org", slack="U0ADA", accounts=["ada"])
AT = int(NOW.timestamp())


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str


@dataclass
class Place:
    """A notifier with Slack and e-mail, a console beside it, and people who use both."""

    desk: Desk
    workspace: Workspace
    box: Mailbox
    console: Console
    port: int

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Make one request, the console working meanwhile."""
        answers: list[Answer] = []

        def talk() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request(method, path, body if method == "POST" else None, headers or {})
            said = connection.getresponse()
            answers.append(Answer(said.status, dict(said.getheaders()), said.read().decode()))
            connection.close()

        thread = threading.Thread(target=talk)
        thread.start()
        while thread.is_alive():
            self.console.step(self.desk.now)
            thread.join(0.01)
        return answers[0]

    def press(self, label: str, user: str = "U0ADA", at: int = AT, secret: str = SECRET) -> Answer:
        headers, body = self.workspace.press(label, user, at, secret)
        return self.ask("POST", "/slack/interactivity", body, headers)

    def said(self) -> str:
        """Return what Slack was last told to show to who pressed alone."""
        until = threading.Event()
        for _ in range(3000):
            if self.workspace.answered:
                return json.dumps(self.workspace.answered[-1])
            until.wait(0.01)
        raise AssertionError("nobody was answered")

    def commands(self) -> list[Command]:
        messages = self.desk.stream.read(COMMANDS, "look", 1000, 0).messages
        self.desk.stream.seek(COMMANDS, "look", {0: 0})
        return [Command.model_validate_json(one.value) for one in messages]

    def link(self, name: str) -> str:
        """Return path and query of a link in the last mail."""
        body = self.box.mails[-1].get_body(("plain",))
        assert body is not None
        (url,) = re.findall(rf"{name}: (\S+)", body.get_content())
        parts = urlsplit(url)
        return f"{parts.path}?{parts.query}"

    def state(self) -> str:
        self.desk.settle()
        return [one.transition.state for one in self.desk.log() if one.transition][-1]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with slack() as workspace, mailbox("none", None, auth=False) as box:
        links_of = links(KEY, "https://tocsin.example.org", timedelta(days=2), lambda to: to == ADA.email)
        mail = Smtp(MailServer(box.host, box.port, "none"), "tocsin@example.org", ["ada@example.org"], links_of)
        chat = Slack("xoxb-good", "#security", workspace.url, timeout=1)
        desk = Desk(tmp_path, security=[chat], mail=[mail])
        desk.route = {
            "receiver": "security",
            "routes": [{"receiver": "security", "continue": True}, {"receiver": "mail"}],
        }
        desk.renderer = Renderer(buttons=True)
        stream = SqliteStream(tmp_path)
        site = Site(KEY, [ADA], desk.put, Door(SECRET.encode()), lambda url: url.startswith(workspace.url[:-4]))
        console = Console(stream, site, desk.policy(), server := Server("127.0.0.1", 0), wait=0.01)
        yield Place(desk, workspace, box, console, server.port)
        console.close()
        stream.close()
        desk.close()


@pytest.fixture
def paged(place: Place) -> Place:
    place.desk.tell(root_login())
    place.desk.settle()
    return place


def test_a_button_acknowledges_in_the_name_of_who_pressed_it(paged: Place) -> None:
    assert paged.press("Acknowledge").status == 200
    assert paged.state() == "acknowledged"
    (step,) = [one.transition for one in paged.desk.log() if one.transition and one.transition.what == "acknowledged"]
    assert step.person == "Ada Byron (Slack's signature for user U0ADA)"
    assert "Acknowledged" in paged.said()
    assert [one["text"]["text"] for one in paged.workspace.buttons()] == ["Resolve", "Silence 1 h", "Explain"]


def test_a_silence_from_a_page_covers_that_incident_for_an_hour_and_no_other(paged: Place) -> None:
    paged.press("Silence 1 h")
    paged.desk.settle()
    paged.desk.tell(root_login("e2", source="198.51.100.4"), root_login("e3", host="db-8"))
    paged.desk.settle()
    assert [one.text.split(":")[0] for one in paged.workspace.pages()] == ["SILENCED", "Root login over SSH"]
    (said,) = paged.commands()
    assert said.arguments["ends"] == "2026-11-22T03:14:00.000000Z"


def test_a_silence_that_is_pressed_twice_is_one_silence(paged: Place) -> None:
    paged.press("Silence 1 h")
    paged.desk.settle()
    paged.desk.now += timedelta(minutes=5)
    paged.press("Silence 1 h", at=AT + 300)
    paged.desk.settle()
    first, second = (said.arguments for said in paged.commands())
    assert first["id"] == second["id"]
    assert second["ends"] == "2026-11-22T03:19:00.000000Z"


def test_explain_answers_only_who_pressed_and_commands_nothing(paged: Place) -> None:
    paged.press("Explain")
    assert "tocsin explain" in paged.said()
    assert paged.workspace.answered[0]["response_type"] == "ephemeral"
    assert paged.commands() == []


def test_a_slack_user_whom_the_config_does_not_know_is_told_so(paged: Place) -> None:
    assert paged.press("Acknowledge", user="U0MALLORY").status == 200
    assert "does not know the Slack user U0MALLORY" in paged.said()
    assert paged.commands() == []


@pytest.mark.parametrize(
    ("at", "secret"), [(AT, "another"), (AT - 301, SECRET), (AT + 301, SECRET)], ids=["forged", "old", "early"]
)
def test_what_slack_did_not_sign_just_now_is_refused(paged: Place, at: int, secret: str) -> None:
    assert paged.press("Acknowledge", at=at, secret=secret).status == 401
    assert paged.commands() == []


def test_a_body_that_was_changed_is_refused(paged: Place) -> None:
    headers, body = paged.workspace.press("Explain", "U0ADA", AT)
    changed = body.replace(b"explain", b"resolve")
    assert changed != body
    assert paged.ask("POST", "/slack/interactivity", changed, headers).status == 401


def test_a_request_that_was_seen_is_refused_by_the_console_and_by_the_notifier_if_that_forgot(paged: Place) -> None:
    headers, body = paged.workspace.press("Acknowledge", "U0ADA", AT)
    assert paged.ask("POST", "/slack/interactivity", body, headers).status == 200
    assert paged.ask("POST", "/slack/interactivity", body, headers).status == 401
    (said,) = paged.commands()
    paged.desk.put(said)
    paged.desk.settle()
    refused = [one.refused for one in paged.desk.log() if one.refused]
    assert refused == ["its nonce was used before: a copy"]


@pytest.mark.parametrize("body", [b"", b"payload=", b"payload=%7B%7D", b"payload=[1]", b"\xff\xfe", b"x=1&payload=1"])
def test_a_payload_that_is_none_is_refused(paged: Place, body: bytes) -> None:
    mac = hmac.new(SECRET.encode(), b"v0:%d:%s" % (AT, body), hashlib.sha256).hexdigest()
    headers = {"X-Slack-Request-Timestamp": str(AT), "X-Slack-Signature": f"v0={mac}"}
    assert paged.ask("POST", "/slack/interactivity", body, headers).status == 401


def test_who_presses_late_is_told_who_was_first(paged: Place) -> None:
    late, body = paged.workspace.press("Acknowledge", "U0ADA", AT + 1)
    paged.press("Acknowledge")
    assert "Acknowledged" in paged.said()
    paged.desk.settle()
    paged.workspace.answered.clear()
    assert paged.ask("POST", "/slack/interactivity", body, late).status == 200
    assert "already by Ada Byron" in paged.said()
    assert len(paged.commands()) == 1


# Links


class _Forms(HTMLParser):
    """What a browser would send when the page's one button is pressed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.method = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.method = named["method"]
        if tag == "input":
            self.fields[named["name"]] = named["value"]


def submit(place: Place, page: Answer) -> Answer:
    form = _Forms(page.body)
    assert form.method == "post"
    return place.ask("POST", "/act", urlencode(form.fields).encode())


def test_a_link_opens_a_page_whose_button_acknowledges(paged: Place) -> None:
    page = paged.ask("GET", paged.link("Acknowledge"))
    assert page.status == 200
    assert "Root login over SSH: root from 203.0.113.9 on db-7 [production]" in unescape(page.body)
    assert paged.commands() == []
    assert submit(paged, page).status == 200
    assert paged.state() == "acknowledged"
    (said,) = paged.commands()
    assert (said.person, said.proof) == ("Ada Byron", "mail link to ada@example.org")


def test_a_mail_scanner_that_opens_every_link_does_nothing(paged: Place) -> None:
    for name in ("Acknowledge", "Resolve", "Silence 1 h"):
        for method in ("GET", "HEAD", "GET"):
            assert paged.ask(method, paged.link(name)).status == 200
    assert paged.commands() == []


def test_a_link_serves_for_its_incident_its_person_and_its_action_alone(paged: Place) -> None:
    path = paged.link("Acknowledge")
    body, _, mac = path.removeprefix("/act?t=").partition(".")
    other = token(Link("x-1", "ada@example.org", "resolve", NOW + timedelta(days=1)), KEY).partition(".")[0]
    for changed in (f"{other}.{mac}", f"{body}.{mac[:-2]}", body, "", f"{body}.{mac}x", "é.é", f"{body[:-1]}.{mac}"):
        assert paged.ask("POST", "/act", urlencode({"t": changed}).encode()).status == 400
    assert paged.commands() == []


def test_a_link_signed_with_another_key_or_over_is_refused(paged: Place) -> None:
    incident = paged.desk.log()[0].transition
    assert incident is not None
    forged = token(Link(incident.incident, "ada@example.org", "ack", NOW + timedelta(days=1)), b"another key entirely")
    over = token(Link(incident.incident, "ada@example.org", "ack", NOW), KEY)
    stranger = token(Link(incident.incident, "eve@example.org", "ack", NOW + timedelta(days=1)), KEY)
    asked = [paged.ask("POST", "/act", urlencode({"t": one}).encode()) for one in (forged, over, stranger)]
    assert [one.status for one in asked] == [400, 400, 409]
    assert "does not know eve@example.org" in asked[2].body
    assert paged.commands() == []


def test_a_link_to_what_is_over_says_so(paged: Place) -> None:
    path = paged.link("Acknowledge")
    submit(paged, paged.ask("GET", paged.link("Resolve")))
    paged.desk.settle()
    page = paged.ask("GET", path)
    assert page.status == 409
    assert "resolved already by Ada Byron" in unescape(page.body)


def test_a_mail_to_somebody_whom_the_config_does_not_know_has_no_links(place: Place) -> None:
    mail = Smtp(
        MailServer(place.box.host, place.box.port, "none"),
        "tocsin@example.org",
        ["eve@example.org", "Ada <ada@example.org>"],
        links(KEY, "https://tocsin.example.org", timedelta(days=2), lambda to: to == ADA.email),
    )
    place.desk.receivers = {"security": [mail]}
    place.desk.route = {"receiver": "security"}
    place.desk.tell(root_login())
    place.desk.settle()
    bodies = {str(one["To"]): one.get_body(("html",)) for one in place.box.mails}
    linked = {to: body is not None and "/act?t=" in body.get_content() for to, body in bodies.items()}
    assert linked == {"eve@example.org": False, "Ada <ada@example.org>": True}


# Pages and HTTP


@pytest.mark.parametrize("path", ["/", "/healthz", "/act?t=x", "/slack/interactivity", "/..%2f", "/act"])
def test_every_answer_has_headers_that_let_nothing_in(place: Place, path: str) -> None:
    headers = place.ask("GET", path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_what_an_attacker_named_is_text_on_the_page(place: Place) -> None:
    place.desk.tell(root_login(user="<script>alert(1)</script>", host='"><img src=x onerror=y>'))
    place.desk.settle()
    page = place.ask("GET", place.link("Acknowledge"))
    assert "<script" not in page.body
    assert "<img" not in page.body
    assert "alert(1)" in page.body


def test_healthz_answers_while_the_console_works(place: Place) -> None:
    assert place.ask("GET", "/healthz").body == "ok\n"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/slack/interactivity", {}, 405),
        ("POST", "/healthz", {}, 405),
        ("POST", "/act", {"Content-Length": "999999999"}, 413),
        ("POST", "/act", {"Content-Length": "-1"}, 411),
        ("DELETE", "/act", {}, 501),
    ],
)
def test_what_is_no_request_of_ours_is_refused(
    place: Place, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert place.ask(method, path, headers=headers).status == status


def test_a_request_that_nobody_took_in_time_is_told_and_nothing_is_done_later(paged: Place) -> None:
    paged.console.close()
    server = Server("127.0.0.1", 0, patience=0.05)
    paged.port = server.port
    answers: list[int] = []

    def talk() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        headers, body = paged.workspace.press("Acknowledge", "U0ADA", AT)
        connection.request("POST", "/slack/interactivity", body, headers)
        answers.append(connection.getresponse().status)
        connection.close()

    thread = threading.Thread(target=talk)
    thread.start()
    thread.join()  # nobody took it: the role stands still
    assert answers == [503]
    assert server.take(0) is None
    server.close()


def test_people_are_found_by_account_slack_and_address() -> None:
    assert keys.by_account([ADA], "ada") == keys.by_slack([ADA], "U0ADA") == "Ada Byron"
    assert keys.by_email([ADA], "ADA@example.org") == "Ada Byron"
    assert keys.by_slack([Person(name="No Slack")], "") is None


def test_a_resolved_condition_needs_no_button_but_explain(place: Place) -> None:
    place.desk.tell(disk("d1"))
    place.desk.settle()
    place.desk.tell(disk("d1", step="resolved"))
    place.desk.settle()
    assert [one["text"]["text"] for one in place.workspace.buttons()] == ["Explain"]


def test_the_console_of_a_config_listens_and_a_place_that_is_taken_is_named(tmp_path: Path) -> None:
    config = Config(state=tmp_path, console=ConsoleSettings(listen="127.0.0.1:0"))
    with ExitStack() as opened:
        console = app.build("console", config, opened)
        assert isinstance(console, Console)
        port = console.port
        taken = Config(state=tmp_path, console=ConsoleSettings(listen=f"127.0.0.1:{port}"))
        with pytest.raises(StateError, match=rf"console.listen 127.0.0.1:{port}: Address already in use"):
            app.build("console", taken, opened)
        console.close()


@given(
    st.text(max_size=40), st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.text(max_size=5)))
)
def test_the_silence_of_a_page_covers_its_incident_whatever_an_attacker_named_it(text: str, value: Value) -> None:
    alert = root_login().model_copy(update={"key": {"host.name": text, "user.name": value}})
    incident = Incident(
        "i-1", "k", 1, "triggered", alert, opened=NOW, seen=NOW, last=NOW, count=1, told={}, level="high"
    )
    made = [str(one) for one in matchers_of(incident)]
    tests = [one for said in made for one in matchers(said)]
    assert len(tests) == 3
    assert all(test(labels_of(alert)) for test in tests)
    other = alert.model_copy(update={"rule": alert.rule.model_copy(update={"id": "another"})})
    assert not all(test(labels_of(other)) for test in tests)
