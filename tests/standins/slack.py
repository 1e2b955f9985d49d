"""A stand-in for Slack's Web API, written from its public reference (https://docs.slack.dev/reference/methods).

Every raw request is kept. What the next requests are answered with can be said beforehand: an `ok: false` error, a
status with headers, silence, or an answer that is lost after the message was taken.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.standins.serving import Quiet, serving


@dataclass(frozen=True)
class Answer:
    """What one request is answered with. `taken`: the message is stored all the same; `silent`: nothing comes back."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    taken: bool = False
    silent: bool = False


def error(code: str) -> Answer:
    return Answer(body=json.dumps({"ok": False, "error": code}))


@dataclass(frozen=True)
class Request:
    method: str
    token: str
    arguments: dict[str, object]


@dataclass
class Post:
    """A message as people see it, after its edits."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, object]]
    thread_ts: str | None = None
    edits: int = 0

    def shown(self) -> str:
        return self.text + "\n" + "\n".join(_texts(self.blocks))


def _texts(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        text = part.get("text")
        if isinstance(text, str):
            yield text
        for value in part.values():
            yield from _texts(value)
    elif isinstance(part, list):
        for one in part:
            yield from _texts(one)


class Workspace:
    """One workspace: its channels by name, the token that is good, and what was posted."""

    def __init__(self, token: str = "xoxb-good") -> None:
        self.token = token
        self.channels = {"#security": "C0SECURITY", "#oncall": "C0ONCALL"}
        self.requests: list[Request] = []
        self.posts: list[Post] = []
        self.answers: deque[Answer] = deque()  # for the next requests, in order
        self.url = ""
        self.answered: list[dict[str, object]] = []  # what came to response_urls
        self._lock = threading.Lock()
        self.released = threading.Event()  # ends the silence of `silent` answers

    def pages(self) -> list[Post]:
        """Return the messages that stand in a channel, threads left out."""
        return [post for post in self.posts if post.thread_ts is None]

    def press(self, label: str, user: str, at: int, secret: str = "s3cret") -> tuple[dict[str, str], bytes]:
        """Return headers and body of what Slack sends when a person presses a button of the last page."""
        button = next(one for one in self.buttons() if one["text"]["text"] == label)
        payload = {
            "type": "block_actions",
            "user": {"id": user, "username": "someone"},
            "team": {"id": "T0ACME"},
            "actions": [{"type": "button", "action_id": button["action_id"], "value": button["value"]}],
            "response_url": self.url.replace("/api/", "/actions/T0ACME/1"),
        }
        body = urlencode({"payload": json.dumps(payload)}).encode()
        mac = hmac.new(secret.encode(), b"v0:%d:%s" % (at, body), hashlib.sha256).hexdigest()
        stated = {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": f"v0={mac}"}
        return stated | {"Content-Type": "application/x-www-form-urlencoded"}, body

    def buttons(self) -> list[Any]:
        """Return the buttons of the last page as it stands."""
        blocks: list[Any] = [one for one in self.pages()[-1].blocks if one["type"] == "actions"]
        return [button for block in blocks for button in block["elements"]]

    def handle(self, method: str, token: str, arguments: dict[str, object]) -> Answer:
        with self._lock:
            self.requests.append(Request(method, token, arguments))
            said = self.answers.popleft() if self.answers else None
            if said is not None and not said.taken:
                return said
            answer = self._call(method, token, arguments)
            return said or answer

    def _call(self, method: str, token: str, arguments: dict[str, object]) -> Answer:
        if token != self.token:
            return error("invalid_auth")
        if method == "auth.test":
            return _ok({"user_id": "U0TOCSIN", "team": "acme"})
        channel = str(arguments.get("channel", ""))
        channel = self.channels.get(channel, channel)
        if channel not in self.channels.values():
            return error("channel_not_found")
        blocks = arguments.get("blocks") or []
        if isinstance(blocks, str):
            blocks = json.loads(blocks)
        assert isinstance(blocks, list)
        fault = _invalid(blocks)
        if fault:
            return error(fault)
        if not blocks and not arguments.get("text"):
            return error("no_text")
        if method == "chat.postMessage":
            return self._post(channel, arguments, blocks)
        if method == "chat.update":
            return self._update(channel, arguments, blocks)
        return error("unknown_method")

    def _post(self, channel: str, arguments: dict[str, object], blocks: list[dict[str, object]]) -> Answer:
        ts = f"1700000000.{len(self.posts) + 1:06d}"
        thread = arguments.get("thread_ts")
        if thread is not None and all(post.ts != thread for post in self.posts):
            return error("thread_not_found")
        self.posts.append(Post(channel, ts, str(arguments.get("text", "")), blocks, str(thread) if thread else None))
        return _ok({"channel": channel, "ts": ts})

    def _update(self, channel: str, arguments: dict[str, object], blocks: list[dict[str, object]]) -> Answer:
        for post in self.posts:
            if post.channel == channel and post.ts == arguments.get("ts"):
                post.text, post.blocks, post.edits = str(arguments.get("text", "")), blocks, post.edits + 1
                return _ok({"channel": channel, "ts": post.ts})
        return error("message_not_found")


def _invalid(blocks: list[dict[str, object]]) -> str | None:
    """Block Kit's limits: 50 blocks, 3000 characters a text, 150 a header, 2000 a field, 10 fields a section."""
    if len(blocks) > 50:
        return "invalid_blocks"
    for block in blocks:
        text, fields = block.get("text"), block.get("fields", [])
        assert isinstance(fields, list)
        most = 150 if block["type"] == "header" else 3000
        if isinstance(text, dict) and not 0 < len(text["text"]) <= most:
            return "invalid_blocks"
        if len(fields) > 10 or any(not 0 < len(one["text"]) <= 2000 for one in fields):
            return "invalid_blocks"
    return None


def _ok(values: dict[str, object]) -> Answer:
    return Answer(body=json.dumps({"ok": True, **values}))


@contextmanager
def slack() -> Iterator[Workspace]:
    """Serve a workspace on a free loopback port."""
    workspace = Workspace()

    class Handler(Quiet):
        def do_POST(self) -> None:  # noqa: N802 http.server's name
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = self.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
            arguments: dict[str, object] = dict(parse_qsl(body)) if form else json.loads(body or "{}")
            if self.path.startswith("/actions/"):
                workspace.answered.append(arguments)
                self.send_response(200)
                self.end_headers()
                return
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            answer = workspace.handle(self.path.rpartition("/")[2], token, arguments)
            if answer.silent:
                workspace.released.wait(30)
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body.encode())

    with serving(Handler) as url:
        workspace.url = f"{url}/api/"
        try:
            yield workspace
        finally:
            workspace.released.set()
