"""Draw the pictures of docs/paging.md: an e-mail as a browser shows it, a Slack message from its blocks.

Both are what the notifier really sends, to the stand-ins that the tests use; Chromium draws them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.message import EmailMessage
from html import escape
from pathlib import Path

from notifiers.channels.slack import Slack
from notifiers.channels.smtp import Server, Smtp
from notifiers.render import Renderer, Said
from pipeline.console.links import links
from rules.alert import Alert
from tests.standins.alerts import root_login
from tests.standins.desk import KEY, Desk
from tests.standins.mailbox import mailbox
from tests.standins.slack import Post, slack

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
RECENT = (
    "2026-11-22 02:13:41 UTC  ssh_login failure on db-7 (x14)",
    "2026-11-22 02:11:02 UTC  ssh_login failure on web-2 (x3)",
)


class Known:
    """What the index would have said."""

    def ask(self, alert: Alert) -> None:
        """It is known already."""

    def answer(self, alert_id: str) -> Said:
        return Said(recent=RECENT)

    def close(self) -> None:
        """Nothing is held."""


def sent() -> tuple[EmailMessage, Post]:
    """Return the mail and the Slack message of one root login."""
    with tempfile.TemporaryDirectory() as folder, slack() as workspace, mailbox("none", None, auth=False) as box:
        of_person = links(KEY, "https://tocsin.example.org", timedelta(days=2), lambda to: True)
        mail = Smtp(Server(box.host, box.port, "none"), "Tocsin <tocsin@example.org>", ["ada@example.org"], of_person)
        desk = Desk(Path(folder), security=[Slack("xoxb-good", "#security", workspace.url)], mail=[mail])
        desk.route = {
            "receiver": "security",
            "routes": [{"receiver": "security", "continue": True}, {"receiver": "mail"}],
        }
        desk.renderer, desk.recollection = Renderer(buttons=True), Known()
        desk.tell(root_login())
        desk.settle()
        desk.close()
        return box.mails[0], workspace.posts[0]


def mail_page(mail: EmailMessage) -> str:
    """Return the mail as a reader shows it: its headers over its HTML."""
    body = mail.get_body(("html",))
    assert body is not None
    head = "".join(f"<div><b>{name}</b> {escape(str(mail[name]))}</div>" for name in ("From", "To", "Subject"))
    style = "font:13px system-ui;padding:14px 16px;background:#f2f3f5;border-bottom:1px solid #d5d8dc;line-height:1.6"
    page: str = body.get_content()
    return page.replace('style="margin:0;padding:16px;', 'style="margin:0;padding:0;background:#fff;', 1).replace(
        "<p style=", f'<div style="{style}">{head}</div><div style="padding:16px"><p style=', 1
    )


SLACK = """<style>body{margin:0;padding:18px 22px;font:15px/1.46 Lato,system-ui,sans-serif;color:#1d1c1d;
background:#fff}.header{font-size:18px;font-weight:900}
.who{font-weight:900}.app{font-size:10px;background:#ddd;border-radius:3px;padding:1px 4px;margin:0 6px}
.time{color:#616061;font-size:12px}section{margin:6px 0;white-space:pre-wrap}.fields{display:grid;
grid-template-columns:1fr 1fr;gap:4px 18px;margin:8px 0;white-space:pre-wrap}
.button{display:inline-block;border:1px solid #bbb;
border-radius:4px;padding:5px 12px;margin:4px 8px 8px 0;font-weight:700;font-size:13px}.primary{background:#007a5a;
border-color:#007a5a;color:#fff}pre{background:#f8f8f8;border:1px solid #ddd;border-radius:4px;padding:8px;
font-size:12px;white-space:pre-wrap}</style>"""


def slack_page(post: Post) -> str:
    """Return the message drawn block by block, and nothing that is not in its blocks."""
    head = '<span class="who">Tocsin</span><span class="app">APP</span><span class="time">02:14</span>'
    return SLACK + head + "".join(part for block in post.blocks for part in _drawn(block))


def _drawn(block: Mapping[str, object]) -> Iterator[str]:
    elements = block.get("elements")
    fields = block.get("fields")
    if isinstance(fields, list):
        yield '<div class="fields">' + "".join(f"<div>{_text(one)}</div>" for one in fields) + "</div>"
    elif block["type"] == "actions" and isinstance(elements, list):
        for one in elements:
            yield f'<span class="button {escape(str(one.get("style", "")))}">{_text(one["text"])}</span>'
    elif block["type"] == "rich_text" and isinstance(elements, list):
        for one in elements:
            yield "<pre>" + "".join(escape(str(part["text"])) for part in one["elements"]) + "</pre>"
    elif block["type"] == "context" and isinstance(elements, list):
        yield "".join(f'<section class="time">{_text(one)}</section>' for one in elements)
    else:
        yield f'<section class="{escape(str(block["type"]))}">{_text(block["text"])}</section>'


def _text(part: object) -> str:
    assert isinstance(part, dict)
    assert part["type"] == "plain_text"
    return escape(str(part["text"]))


def draw(page: str, target: Path, height: int) -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"one of {', '.join(BROWSERS)} draws the pictures: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(page, encoding="utf-8")
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
        quiet += ["--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={folder}/b"]
        subprocess.run(
            [browser, "--headless", *quiet, f"--screenshot={target}", f"--window-size=760,{height}", str(source)],
            check=True,
            capture_output=True,
            timeout=90,
        )


def main(folder: Path) -> None:
    mail, post = sent()
    draw(mail_page(mail), folder / "mail.png", 590)
    draw(slack_page(post), folder / "slack.png", 470)


if __name__ == "__main__":
    main(Path(__file__).parent)
