"""The notifying role with its real channels: an SMTP server with STARTTLS and AUTH, and the stand-in for Slack."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from notifiers.channels.slack import Slack
from notifiers.channels.smtp import Server, Smtp
from tests.standins.alerts import NOW, disk, root_login
from tests.standins.certificates import self_signed
from tests.standins.desk import Desk
from tests.standins.mailbox import TAKE_AND_DROP, Mailbox, mailbox
from tests.standins.slack import Answer, Workspace, error, slack


@dataclass
class Office:
    desk: Desk
    workspace: Workspace
    box: Mailbox


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Slack first, e-mail as its fallback; and a second receiver with e-mail alone."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the test server's certificate: apt-get install openssl")
    made = self_signed(tmp_path)
    with slack() as workspace, mailbox("starttls", made, auth=True) as box:
        server = Server(box.host, box.port, "starttls", "tocsin", "secret", str(made.cert), timeout=5)
        mail = Smtp(server, "Tocsin <tocsin@example.org>", ["ada@example.org"])
        chat = Slack("xoxb-good", "#security", workspace.url, timeout=1)
        desk = Desk(tmp_path / "state", security=[chat, mail], archive=[mail])
        desk.route = {"receiver": "security"}
        yield Office(desk, workspace, box)
        desk.close()


def both(office: Office) -> None:
    office.desk.route = {
        "receiver": "security",
        "routes": [{"receiver": "security", "continue": True}, {"receiver": "archive"}],
    }


def test_a_root_login_is_in_slack_and_in_the_mailbox_with_user_source_host_and_time(office: Office) -> None:
    both(office)
    office.desk.tell(root_login())
    office.desk.settle()
    body = office.box.mails[0].get_body(("plain",))
    assert body is not None
    (post,) = office.workspace.posts
    for shown in (post.shown(), body.get_content()):
        assert all(part in shown for part in ("root", "203.0.113.9", "db-7", "production", "02:14:00 UTC"))


def test_a_resolved_disk_is_edited_in_slack_and_threaded_in_the_mailbox(office: Office) -> None:
    both(office)
    office.desk.tell(disk("d1"))
    office.desk.settle()
    office.desk.tell(disk("d1", step="resolved"))
    office.desk.settle()
    (page,) = office.workspace.pages()
    assert (page.edits, page.text.startswith("RESOLVED")) == (1, True)
    assert office.box.mails[1]["In-Reply-To"] == office.box.mails[0]["Message-ID"]


def test_a_burst_of_429_is_obeyed_and_makes_no_request_too_many(office: Office) -> None:
    limited = Answer(429, json.dumps({"ok": False, "error": "ratelimited"}), {"Retry-After": "7"})
    office.workspace.answers.extend([limited] * 3)
    office.desk.tell(root_login())
    office.desk.until(lambda: bool(office.workspace.posts), seconds=1)
    office.desk.settle()
    assert len(office.workspace.requests) == 4
    assert office.desk.now - NOW >= timedelta(seconds=21)
    assert office.box.mails == []


def test_pages_that_wait_out_a_429_are_merged_into_one_and_none_is_lost(office: Office) -> None:
    limited = Answer(429, json.dumps({"ok": False, "error": "ratelimited"}), {"Retry-After": "30"})
    office.workspace.answers.append(limited)
    office.desk.tell(*[root_login(f"e{n}", host=f"db-{n}") for n in range(12)])
    office.desk.settle()
    assert len(office.workspace.requests) == 1
    office.desk.kill()  # what was merged stays so
    office.desk.wait(timedelta(seconds=31))
    first, rest = (post.text for post in office.workspace.posts)
    assert "on db-0 [production]" in first
    assert rest.startswith("STORM: 11 alerts")
    shown = office.workspace.posts[1].shown()
    assert all(f"on db-{n} [production]" in shown for n in range(1, 12))
    assert len(office.workspace.requests) == 3


def test_a_long_outage_leaves_two_messages_and_not_hundreds(office: Office) -> None:
    office.desk.receivers = {"security": office.desk.receivers["security"][:1]}  # Slack alone
    office.desk.route = {"receiver": "security"}
    office.workspace.answers.extend([Answer(503)] * 500)
    for number in range(60):
        office.desk.tell(root_login(f"e{number}", host=f"db-{number}", time=office.desk.now))
        office.desk.wait(timedelta(minutes=1))
    office.workspace.answers.clear()
    office.desk.wait(timedelta(minutes=2))
    office.desk.wait(timedelta(minutes=2))
    assert 2 <= len(office.workspace.posts) <= 7
    counted = [int(post.text.split("STORM: ")[1].split()[0]) for post in office.workspace.posts if "STORM" in post.text]
    assert sum(counted) + len(office.workspace.posts) - len(counted) == 60


def test_an_outage_of_hours_goes_by_mail_and_slack_takes_over_again_after_it(office: Office) -> None:
    office.workspace.answers.extend([Answer(503)] * 400)
    office.desk.tell(root_login("e1"))
    for _ in range(40):
        office.desk.wait(timedelta(minutes=5))
    assert [one.startswith("(possible repeat) Root login") for one in office.box.subjects()] == [True]
    asked = len(office.workspace.requests)
    assert asked < 60
    office.workspace.answers.clear()
    office.desk.tell(root_login("e2", host="db-8", time=office.desk.now))
    office.desk.wait(timedelta(minutes=2))
    assert len(office.workspace.posts) == 1
    assert len(office.box.mails) == 1


def test_a_channel_that_is_not_there_is_told_through_the_other(office: Office) -> None:
    office.workspace.answers.append(error("channel_not_found"))
    office.desk.tell(root_login())
    office.desk.settle()
    body = office.box.mails[0].get_body(("plain",))
    assert body is not None
    assert "channel_not_found" in body.get_content()


def test_an_answer_lost_after_the_mail_was_taken_is_one_more_mail_and_marked(office: Office) -> None:
    office.desk.route = {"receiver": "archive"}
    office.box.answers.append(TAKE_AND_DROP)
    office.desk.tell(root_login())
    office.desk.until(lambda: len(office.box.mails) == 2, seconds=1)
    office.desk.settle()
    assert [one.startswith("(possible repeat)") for one in office.box.subjects()] == [False, True]


def test_a_mail_server_s_4xx_is_tried_again_and_its_5xx_is_not(office: Office) -> None:
    office.desk.route = {"receiver": "archive"}
    office.box.answers.extend(["451 4.3.0 later", "554 5.7.1 no"])
    office.desk.tell(root_login())
    office.desk.wait(timedelta(seconds=2))
    office.desk.wait(timedelta(seconds=60))
    assert (office.box.attempts, office.box.mails) == (2, [])


def test_a_hostile_user_name_reaches_both_as_text(office: Office) -> None:
    both(office)
    office.desk.tell(root_login(user="<!channel>\r\nBcc: x@evil.example <a href='https://evil.example'>"))
    office.desk.settle()
    (post,) = office.workspace.posts
    assert "<!channel>" not in post.text
    assert "mrkdwn" not in json.dumps(post.blocks)
    mail = office.box.mails[0]
    assert mail["Bcc"] is None
    page = mail.get_body(("html",))
    assert page is not None
    assert "<a href='https://evil" not in page.get_content()
