"""Slack's Block Kit for one message, built of `plain_text` parts, in which Slack reads neither mentions nor links.

At most 50 blocks, 10 fields a section, 3000 characters a text (https://docs.slack.dev/reference/block-kit/blocks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from notifiers.escape import slack
from notifiers.message import BLOCK, Message, plain_text
from notifiers.view import Beside, View

BUTTONS: Final[Mapping[str, str]] = {
    "ack": "Acknowledge",
    "resolve": "Resolve",
    "silence": "Silence 1 h",
    "explain": "Explain",
}
_HEADER: Final = 150
_STYLES: Final[Mapping[str, str]] = {"ack": "primary"}


def blocks(view: View, incident: str, actions: Sequence[str]) -> tuple[dict[str, object], ...]:
    """Return the message's blocks. `actions` are its buttons, which the console answers."""
    head = f"{view.level.upper()}  {view.subject}" if view.level else view.subject
    # A header is bold and holds 150 characters.
    made: list[dict[str, object]] = [
        {"type": "header" if len(head) <= _HEADER else "section", "text": plain_text(head)}
    ]
    made += [{"type": "context", "elements": [plain_text(text)]} for text in view.warnings]
    if view.beside:  # a section's fields stand in two columns
        columns = [plain_text(f"{one.where}\n{one.when}\n{_what(one)}"[:1900]) for one in view.beside[:10]]
        made.append({"type": "section", "fields": columns})
    facts = [f"{name}: {value}" for name, value in view.facts[:30]]
    for at in range(0, len(facts), 10):
        made.append({"type": "section", "fields": [plain_text(text[:1900]) for text in facts[at : at + 10]]})
    said = "" if view.beside else "\n".join(view.statements)
    for text in (view.event, said, "\n".join(view.recent), "\n".join(view.lines)):
        if text:
            made.append({"type": "section", "text": plain_text(text)})
    if view.runbook:
        made.append({"type": "section", "text": plain_text(f"Runbook: {view.runbook}")})
    if actions:
        made.append({"type": "actions", "elements": [_button(name, incident) for name in actions]})
    commands = "\n".join(view.commands)
    code = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": commands[:BLOCK] or " "}]}
    made.append({"type": "rich_text", "elements": [code]})
    return tuple(made)


def _what(one: Beside) -> str:
    return f"{one.did}\n{one.what}" if one.did else one.what


def _button(name: str, incident: str) -> dict[str, object]:
    style = {"style": _STYLES[name]} if name in _STYLES else {}
    return {"type": "button", "action_id": name, "value": incident, "text": plain_text(BUTTONS[name]), **style}


def fallback(message: Message) -> str:
    """Return the one line that Slack shows in notifications, where it reads mrkdwn: escaped."""
    return slack(message.subject)
