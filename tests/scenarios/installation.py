"""Tocsin as a user has it: real processes over one config, on either engine, that can be killed at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import yaml

from tests.services.elasticsearch import Elasticsearch
from tests.services.kafka import Kafka
from tests.standins.mailbox import Mailbox
from tests.standins.slack import Workspace

EMBEDDED = {"all": "run"}  # process -> its command
FLEET = {"collect": "collect", "detect": "detect", "index": "index", "notify": "notify"}
TOCSIN = [sys.executable, "-c", "from pipeline.cli import main; main()"]


class Installation:
    """One installation. `engine` is the config's `stream` and `index`; the rest is the same for every engine."""

    def __init__(self, folder: Path, engine: Mapping[str, object], settings: Mapping[str, object]) -> None:
        self.folder = folder
        self.roles = FLEET if "stream" in engine else EMBEDDED
        self.config = folder / "tocsin.yml"
        state = {"state": str(folder / "state")}
        self.config.write_text(yaml.safe_dump({**state, **engine, **settings}, sort_keys=False), "utf-8")
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *processes: str) -> None:
        """Start these processes, or all that are not running."""
        for name in processes or self.roles:
            if name not in self.running:
                with (self.folder / f"{name}.out").open("ab") as out:
                    self.running[name] = subprocess.Popen(
                        [*TOCSIN, self.roles[name], "-c", str(self.config)],
                        stdout=out,
                        stderr=out,
                        stdin=subprocess.DEVNULL,
                        env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    )

    def kill(self, name: str) -> None:
        """kill -9, as a crash would."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Ctrl-C for everything."""
        for process in self.running.values():
            process.send_signal(signal.SIGINT)
        for process in self.running.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Tocsin over the same config."""
        return subprocess.run(
            [*TOCSIN, arguments[0], "-c", str(self.config), *arguments[1:]],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def search(self, query: str) -> list[dict[str, object]]:
        """Return the hits of `tocsin search`, newest first, flat."""
        done = self.call("search", query, "--format", "ndjson", "--limit", "10000")
        assert done.returncode in (0, 1), done.stderr
        return [flat(msgspec.json.decode(line)) for line in done.stdout.splitlines()]

    def output(self) -> str:
        """Return what the processes said, for a failure's message."""
        return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.out")))


def flat(value: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested ECS as dotted names."""
    found: dict[str, object] = {}
    for name, inner in value.items():
        if isinstance(inner, dict):
            found |= flat(inner, f"{prefix}{name}.")
        else:
            found[prefix + name] = inner
    return found


Install = Callable[[Mapping[str, object]], Installation]


def until(true: Callable[[], object], what: str, installation: Installation, seconds: float = 60.0) -> None:
    """Return as soon as it is true. Raises AssertionError with what the processes said if it does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s\n{installation.output()}"
        time.sleep(0.05)


class Heard:
    """What people got to see, on Slack and by mail."""

    def __init__(self, workspace: Workspace, mailbox: Mailbox) -> None:
        self.workspace, self.mailbox = workspace, mailbox

    def pages(self, *words: str) -> list[str]:
        """Return Slack messages that stand in a channel and hold all the words."""
        return [shown for post in self.workspace.pages() if has(shown := post.shown(), words)]

    def mails(self, *words: str) -> list[str]:
        """Return mails that hold all the words, subject first."""
        return [text for mail in list(self.mailbox.mails) if has(text := _readable(mail), words)]

    def everywhere(self, *words: str) -> bool:
        """Say whether Slack and the mailbox both have it."""
        return bool(self.pages(*words)) and bool(self.mails(*words))


def has(text: str, words: Sequence[str]) -> bool:
    return all(word in text for word in words)


def _readable(mail: object) -> str:
    from email.message import EmailMessage

    assert isinstance(mail, EmailMessage)
    body = mail.get_body(("plain",))
    return f"{mail['Subject']}\n{body.get_content() if body else ''}"


def fleet(kafka: Kafka, elasticsearch: Elasticsearch, name: str) -> dict[str, object]:
    """Return the config of topics and indexes of their own on the session's servers."""
    unique = "".join(character if character.isalnum() else "-" for character in name.lower())
    return {
        "stream": {"kind": "kafka", "servers": kafka.servers, "topic_prefix": unique},
        "index": {
            "kind": "elasticsearch",
            "hosts": elasticsearch.hosts,
            "username": elasticsearch.username,
            "password": elasticsearch.password,
            "ca_file": str(elasticsearch.ca_file),
            "prefix": f"tocsin-{unique}",
        },
    }


def people(heard: Heard, folder: Path) -> dict[str, object]:
    """Return receivers for both inboxes, each told everything."""
    token = {"token": heard.workspace.token, "base_url": heard.workspace.url}
    box = heard.mailbox
    return {
        "receivers": [
            {"name": "slack", "channels": [{"kind": "slack", "channel": "#security", **token}]},
            {"name": "mail", "channels": [{"kind": "email", "to": ["security@example.org"]}]},
        ],
        "route": {"receiver": "mail", "routes": [{"receiver": "slack", "continue": True}, {"receiver": "mail"}]},
        "smtp": {
            "host": box.host,
            "port": box.port,
            "tls": "starttls",
            "ca_file": str(folder / "own.pem"),
            "username": "tocsin",
            "password": "secret",
            "sender": "tocsin@example.org",
        },
    }
