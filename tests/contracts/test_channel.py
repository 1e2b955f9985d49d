"""What every channel promises, held against a real SMTP server and the stand-in for Slack's Web API."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifiers.channels import Channel, Receipt, Rejected, Unavailable
from notifiers.channels.slack import Slack
from notifiers.channels.smtp import Server, Smtp
from notifiers.channels.terminal import Terminal
from notifiers.channels.webhook import Endpoint, Webhook, fingerprint
from notifiers.message import Message, Told
from tests.standins.certificates import Pair, self_signed
from tests.standins.hook import Hook, Said, hook
from tests.standins.mailbox import DROP, TAKE_AND_DROP, Mailbox, mailbox
from tests.standins.slack import Answer, Workspace, error, slack

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
PAGE = Message(
    incident="3f9a1c22b4-1",
    subject="Root login: root from 203.0.113.9 on db-7 [production]",
    text="Root login: root from 203.0.113.9 on db-7 [production]\n\n  Since 02:14:00 UTC\n",
    html="<p>Root login: root from 203.0.113.9 on db-7 [production]</p>",
    blocks=({"type": "section", "text": {"type": "plain_text", "text": "Root login", "emoji": False}},),
    time=NOW,
)
RESOLVED = replace(
    PAGE, subject="RESOLVED: " + PAGE.subject, text="RESOLVED: " + PAGE.text, change="RESOLVED: at 02:20:00 UTC"
)


@dataclass
class Rig:
    """A channel with its real counterpart, and the ways in which that one can be made to fail."""

    channel: Channel
    arrived: Callable[[], list[str]]  # the subject of each message that a person can see
    deny: Callable[[], None]  # the next attempt is refused for good
    fail: Callable[[], None]  # the next attempt fails for now
    drop: Callable[[], None] | None = None  # the next attempt is taken, and the answer lost


@contextmanager
def terminal_rig(folder: Path) -> Iterator[Rig]:
    out = _Pipe()
    yield Rig(
        Terminal(out), lambda: [line for line in out.getvalue().splitlines() if "on db-7" in line], out.shut, out.shut
    )


class _Pipe(io.StringIO):
    """A stream whose other end may go away for one write."""

    gone = False

    def shut(self) -> None:
        self.gone = True

    def write(self, text: str) -> int:
        if self.gone:
            self.gone = False
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


@contextmanager
def slack_rig(folder: Path) -> Iterator[Rig]:
    with slack() as workspace:
        yield Rig(
            Slack("xoxb-good", "#security", workspace.url, timeout=1),
            lambda: [post.text for post in workspace.posts],
            lambda: workspace.answers.append(error("channel_not_found")),
            lambda: workspace.answers.append(Answer(status=503, body="upstream down")),
            lambda: workspace.answers.append(Answer(taken=True, silent=True)),
        )


@contextmanager
def smtp_rig(folder: Path) -> Iterator[Rig]:
    made = self_signed(folder)
    with mailbox("starttls", made, auth=True) as box:
        server = Server(box.host, box.port, "starttls", "tocsin", "secret", str(made.cert), timeout=5)
        yield Rig(
            Smtp(server, "Tocsin <tocsin@example.org>", ["ada@example.org"]),
            box.subjects,
            lambda: box.answers.append("554 5.7.1 refused by policy"),
            lambda: box.answers.append("451 4.3.0 try again later"),
            lambda: box.answers.append(TAKE_AND_DROP),
        )


@contextmanager
def webhook_rig(folder: Path) -> Iterator[Rig]:
    with hook() as kept:
        yield Rig(
            Webhook(Endpoint(kept.url, secret=b"shared", timeout=1), "security"),
            kept.summaries,
            lambda: kept.answers.append(Said(404)),
            lambda: kept.answers.append(Said(503)),
            lambda: kept.answers.append(Said(silent=True)),
        )


@pytest.fixture(params=[terminal_rig, slack_rig, smtp_rig, webhook_rig], ids=["terminal", "slack", "smtp", "webhook"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    if request.param is smtp_rig and shutil.which("openssl") is None:
        pytest.skip("openssl makes the test server's certificate: apt-get install openssl")
    with request.param(tmp_path) as made:
        yield made


def test_a_message_arrives_once_and_its_receipt_is_returned(rig: Rig) -> None:
    receipt = rig.channel.send(PAGE, None)
    assert receipt.id
    assert [PAGE.subject in seen for seen in rig.arrived()] == [True]


def test_what_follows_says_so_and_keeps_the_incident_s_receipt(rig: Rig) -> None:
    first = rig.channel.send(PAGE, None)
    assert rig.channel.send(RESOLVED, first) == first
    assert any("RESOLVED" in seen for seen in rig.arrived())


def test_a_failure_that_may_pass_is_unavailable_and_the_next_attempt_arrives(rig: Rig) -> None:
    rig.fail()
    with pytest.raises(Unavailable):
        rig.channel.send(PAGE, None)
    before = len(rig.arrived())
    rig.channel.send(PAGE, None)
    assert (before, len(rig.arrived())) == (0, 1)


def test_a_refusal_is_rejected(rig: Rig) -> None:
    if rig.channel.kind == "terminal":
        pytest.skip("a terminal refuses nothing: it is there or it is not")
    rig.deny()
    with pytest.raises(Rejected):
        rig.channel.send(PAGE, None)
    assert rig.arrived() == []


def test_a_lost_answer_is_unavailable_and_says_that_the_message_may_have_arrived(rig: Rig) -> None:
    if rig.drop is None:
        pytest.skip("a terminal gives no answer that could be lost")
    rig.drop()
    with pytest.raises(Unavailable) as raised:
        rig.channel.send(PAGE, None)
    assert raised.value.uncertain
    assert len(rig.arrived()) == 1


# Slack


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with slack() as made:
        yield made


def _slack(workspace: Workspace, token: str = "xoxb-good", channel: str = "#security") -> Slack:
    return Slack(token, channel, workspace.url, timeout=1)


def test_slack_429_carries_its_retry_after_and_makes_one_request(workspace: Workspace) -> None:
    workspace.answers.append(Answer(429, json.dumps({"ok": False, "error": "ratelimited"}), {"Retry-After": "30"}))
    with pytest.raises(Unavailable) as raised:
        _slack(workspace).send(PAGE, None)
    assert (raised.value.after, raised.value.uncertain) == (30.0, False)
    assert len(workspace.requests) == 1


@pytest.mark.parametrize(
    "code", ["channel_not_found", "not_in_channel", "is_archived", "token_revoked", "msg_too_long"]
)
def test_slack_s_lasting_errors_are_rejections_that_name_them(workspace: Workspace, code: str) -> None:
    workspace.answers.append(error(code))
    with pytest.raises(Rejected, match=code):
        _slack(workspace).send(PAGE, None)


@pytest.mark.parametrize("code", ["internal_error", "fatal_error", "service_unavailable", "request_timeout"])
def test_slack_s_passing_errors_are_unavailability(workspace: Workspace, code: str) -> None:
    workspace.answers.append(error(code))
    with pytest.raises(Unavailable, match=code):
        _slack(workspace).send(PAGE, None)


def test_a_wrong_slack_token_is_a_rejection(workspace: Workspace) -> None:
    with pytest.raises(Rejected, match="invalid_auth"):
        _slack(workspace, token="xoxb-bad").send(PAGE, None)


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(502, "<html>bad gateway</html>"), Answer(200, "<html>"), Answer(200, "[]")]
)
def test_what_is_no_answer_of_slack_s_is_uncertain(workspace: Workspace, answer: Answer) -> None:
    workspace.answers.append(answer)
    with pytest.raises(Unavailable) as raised:
        _slack(workspace).send(PAGE, None)
    assert raised.value.uncertain


def test_slack_that_cannot_be_reached_is_certainly_not_told(workspace: Workspace) -> None:
    with pytest.raises(Unavailable) as raised:
        Slack("xoxb-good", "#security", "http://127.0.0.1:9/api/", timeout=1).send(PAGE, None)
    assert not raised.value.uncertain


def test_slack_edits_the_page_in_place_and_tells_the_change_in_its_thread(workspace: Workspace) -> None:
    channel = _slack(workspace)
    first = channel.send(PAGE, None)
    channel.send(RESOLVED, first)
    assert [(post.edits, post.text.split(":")[0]) for post in workspace.pages()] == [(1, "RESOLVED")]
    assert [post.thread_ts for post in workspace.posts[1:]] == [workspace.posts[0].ts]


def test_a_page_that_was_deleted_in_slack_is_posted_anew(workspace: Workspace) -> None:
    channel = _slack(workspace)
    receipt = channel.send(RESOLVED, Receipt("C0SECURITY:1600000000.000001"))
    assert [post.ts for post in workspace.pages()] == [receipt.id.rpartition(":")[2]]


# SMTP


@dataclass
class Post:
    box: Mailbox
    made: Pair


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the test server's certificate: apt-get install openssl")
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def post(made: Pair) -> Iterator[Post]:
    with ExitStack() as stack:
        yield Post(stack.enter_context(mailbox("starttls", made, auth=True)), made)


def _smtp(post: Post, *to: str, password: str = "secret", ca: bool = True) -> Smtp:
    box = post.box
    ca_file = str(post.made.cert) if ca else None
    server = Server(box.host, box.port, "starttls", "tocsin", password, ca_file, timeout=5)
    return Smtp(server, "Tocsin <tocsin@example.org>", to or ("ada@example.org",))


def test_mail_has_both_bodies_and_a_follow_up_is_in_the_same_thread(post: Post) -> None:
    channel = _smtp(post)
    first = channel.send(PAGE, None)
    channel.send(RESOLVED, first)
    page, resolved = post.box.mails
    assert [part.get_content_type() for part in page.iter_parts()] == ["text/plain", "text/html"]
    assert page["Message-ID"] == first.id
    assert (resolved["In-Reply-To"], resolved["References"]) == (first.id, first.id)
    assert page["Message-ID"] != resolved["Message-ID"]


def test_a_wrong_password_is_a_rejection(post: Post) -> None:
    with pytest.raises(Rejected, match="535"):
        _smtp(post, password="wrong").send(PAGE, None)


def test_a_server_whose_certificate_is_not_trusted_gets_no_password(post: Post) -> None:
    with pytest.raises(Rejected, match="CERTIFICATE_VERIFY_FAILED"):
        _smtp(post, ca=False).send(PAGE, None)
    assert post.box.attempts == 0


def test_a_password_is_never_configured_for_a_connection_in_the_clear() -> None:
    with pytest.raises(ValueError, match="without TLS"):
        Smtp(Server("127.0.0.1", 25, "none", "tocsin", "secret"), "tocsin@example.org", ["ada@example.org"])


def test_implicit_tls_serves_as_well(made: Pair) -> None:
    with mailbox("implicit", made, auth=False) as box:
        server = Server(box.host, box.port, "implicit", ca_file=str(made.cert), timeout=5)
        Smtp(server, "tocsin@example.org", ["ada@example.org"]).send(PAGE, None)
        assert box.subjects() == [PAGE.subject]


def test_a_server_without_starttls_is_a_rejection_where_starttls_is_asked_for() -> None:
    with mailbox("none", None, auth=False) as box, pytest.raises(Rejected, match="STARTTLS"):
        Smtp(Server(box.host, box.port, "starttls", timeout=5), "tocsin@example.org", ["ada@example.org"]).send(
            PAGE, None
        )


def test_a_disconnect_in_data_is_uncertain_whether_or_not_the_mail_was_taken(post: Post) -> None:
    for how in (DROP, TAKE_AND_DROP):
        post.box.answers.append(how)
        with pytest.raises(Unavailable) as raised:
            _smtp(post).send(PAGE, None)
        assert raised.value.uncertain
    assert len(post.box.mails) == 1


def test_a_4xx_to_the_mail_is_certainly_not_taken(post: Post) -> None:
    post.box.answers.append("452 4.2.2 mailbox full")
    with pytest.raises(Unavailable, match="452") as raised:
        _smtp(post).send(PAGE, None)
    assert not raised.value.uncertain


def test_one_address_that_is_refused_does_not_keep_the_mail_from_the_others(post: Post) -> None:
    post.box.refused["gone@example.org"] = "550 5.1.1 no such user"
    _smtp(post, "gone@example.org", "ada@example.org").send(PAGE, None)
    assert len(post.box.mails) == 1


def test_addresses_that_are_all_refused_are_a_rejection(post: Post) -> None:
    post.box.refused["gone@example.org"] = "550 5.1.1 no such user"
    with pytest.raises(Rejected, match="550"):
        _smtp(post, "gone@example.org").send(PAGE, None)


def test_a_server_that_is_not_there_is_unavailable_and_certainly_not_told() -> None:
    with pytest.raises(Unavailable) as raised:
        Smtp(Server("127.0.0.1", 9, "none", timeout=1), "tocsin@example.org", ["ada@example.org"]).send(PAGE, None)
    assert not raised.value.uncertain


def test_no_text_of_an_event_becomes_a_header(post: Post) -> None:
    hostile = replace(PAGE, subject="root\r\nBcc: mallory@example.org")
    with pytest.raises((Rejected, ValueError)):
        _smtp(post).send(hostile, None)
    assert post.box.attempts == 0


# Webhook

LABELS = {"alertname": "Root login over SSH", "severity": "high", "incident": "3f9a1c22b4-1"}
FIRES = replace(PAGE, alerts=(Told(LABELS, {"summary": PAGE.subject, "runbook_url": "https://x"}, NOW),))
ENDED = replace(RESOLVED, alerts=(Told(LABELS, {"summary": RESOLVED.subject}, NOW, NOW + timedelta(minutes=6)),))


@pytest.fixture
def kept() -> Iterator[Hook]:
    with hook() as made:
        yield made


def _webhook(kept: Hook, **more: str) -> Webhook:
    return Webhook(Endpoint(kept.url, secret=b"shared", timeout=1, **more), "security", "https://tocsin.example.org")


def test_a_webhook_is_alertmanager_s_version_4_from_the_page_to_its_end(kept: Hook) -> None:
    channel = _webhook(kept)
    first = channel.send(FIRES, None)
    channel.send(ENDED, first)
    page, end = kept.taken
    assert page == {
        "version": "4",
        "groupKey": '{}:{incident="3f9a1c22b4-1"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "security",
        "groupLabels": {"incident": "3f9a1c22b4-1"},
        "commonLabels": LABELS,
        "commonAnnotations": {"summary": PAGE.subject, "runbook_url": "https://x"},
        "externalURL": "https://tocsin.example.org",
        "alerts": [
            {
                "status": "firing",
                "labels": LABELS,
                "annotations": {"summary": PAGE.subject, "runbook_url": "https://x"},
                "startsAt": "2026-11-22T02:14:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": fingerprint(LABELS),
            }
        ],
    }
    assert (end["status"], end["groupKey"], end["alerts"][0]["endsAt"]) == (
        "resolved",
        page["groupKey"],
        "2026-11-22T02:20:00Z",
    )
    assert end["alerts"][0]["fingerprint"] == page["alerts"][0]["fingerprint"]
    assert end["commonAnnotations"]["change"] == "RESOLVED: at 02:20:00 UTC"


def test_a_webhook_is_signed_over_its_time_and_its_raw_body(kept: Hook) -> None:
    _webhook(kept, authorization="Bearer x").send(FIRES, None)
    ((headers, body),) = kept.requests
    seconds = str(int(NOW.timestamp()))
    mac = hmac.new(b"shared", seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["tocsin-signature"] == f"t={seconds},v1={mac}"
    assert headers["authorization"] == "Bearer x"


@pytest.mark.parametrize(
    ("said", "after"),
    [
        (Said(429, {"Retry-After": "30"}), 30.0),
        (Said(503, {"Retry-After": "Sun, 22 Nov 2026 02:15:30 GMT"}), 90.0),
        (Said(503, {"Retry-After": "soon"}), None),
        (Said(503, {"Retry-After": "Sun, 22 Nov 2026 01:00:00 GMT"}), 0.0),
        (Said(408), None),
    ],
)
def test_a_webhook_that_asks_for_rest_gets_it(kept: Hook, said: Said, after: float | None) -> None:
    kept.answers.append(said)
    with pytest.raises(Unavailable) as raised:
        _webhook(kept).send(FIRES, None)
    assert (raised.value.after, raised.value.uncertain) == (after, False)
    assert len(kept.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 504])
def test_behind_a_failing_server_the_message_may_have_arrived(kept: Hook, status: int) -> None:
    kept.answers.append(Said(status))
    with pytest.raises(Unavailable) as raised:
        _webhook(kept).send(FIRES, None)
    assert raised.value.uncertain


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 413])
def test_a_webhook_that_refuses_or_has_moved_is_a_rejection_and_is_not_followed(kept: Hook, status: int) -> None:
    kept.answers.append(Said(status, {"Location": kept.url}))
    with pytest.raises(Rejected, match=str(status)):
        _webhook(kept).send(FIRES, None)
    assert len(kept.requests) == 1


def test_a_webhook_that_cannot_be_reached_is_certainly_not_told_and_its_url_is_not_shown() -> None:
    channel = Webhook(Endpoint("http://127.0.0.1:9/secret-path", timeout=1), "security")
    with pytest.raises(Unavailable) as raised:
        channel.send(FIRES, None)
    assert (raised.value.uncertain, "secret-path" in str(raised.value)) == (False, False)


def test_a_digest_says_how_many_alerts_it_leaves_out(kept: Hook) -> None:
    many = tuple(Told({**LABELS, "incident": f"i-{n}"}, {"summary": "x"}, NOW) for n in range(3))
    _webhook(kept).send(replace(PAGE, alerts=many, left_out=37), None)
    (said,) = kept.taken
    assert (len(said["alerts"]), said["truncatedAlerts"]) == (3, 37)
    assert said["commonLabels"] == {"alertname": "Root login over SSH", "severity": "high"}


# Terminal


def test_a_pipe_gets_no_colour_and_a_terminal_does() -> None:
    plain, coloured = io.StringIO(), io.StringIO()
    Terminal(plain).send(PAGE, None)
    Terminal(coloured, colour=True).send(PAGE, None)
    assert ("\x1b" in plain.getvalue(), "\x1b" in coloured.getvalue()) == (False, True)


def test_a_terminal_that_knows_no_unicode_gets_escapes_and_not_an_error() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Terminal(out).send(replace(PAGE, text="user ünsal\n"), None)
    out.seek(0)
    assert "user \\xfcnsal" in out.read()
