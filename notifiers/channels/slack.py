"""Slack by its Web API (https://docs.slack.dev/reference/methods): one message an incident, edited as it changes.

An edit notifies nobody, so what is new goes into the message's thread as well. `parse` and link finding are off,
and everything that others wrote stands in plain_text: no mention and no link comes out of an event.
"""

from __future__ import annotations

import http.client
import urllib.error
from collections.abc import Callable
from typing import Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from notifiers.blocks import fallback
from notifiers.channels import Receipt, Rejected, Unavailable
from notifiers.escape import slack
from notifiers.message import Message

_LATER: Final = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
_GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})


class Slack:
    """A Channel that posts as a bot (scope chat:write). `channel` is an id or a #name; the token is a secret."""

    kind = "slack"

    def __init__(self, token: str, channel: str, base_url: str | None = None, timeout: float = 10.0) -> None:
        self._channel = channel
        # The client's own retries are off: an attempt is written down before it is made, each one.
        self._client = WebClient(
            token=token, base_url=base_url or WebClient.BASE_URL, timeout=int(timeout) or 1, retry_handlers=[]
        )

    def send(self, message: Message, previous: Receipt | None) -> Receipt:
        if previous is None:
            return self._post(message, None)
        try:
            self._update(message, previous)
        except Rejected as error:
            if str(error).rpartition(" ")[2] not in _GONE:
                raise
            return self._post(message, None)
        if message.change:
            self._post(message, previous)
        return previous

    def _post(self, message: Message, thread: Receipt | None) -> Receipt:
        channel, ts = _parts(thread) if thread else (self._channel, None)
        whole = thread is None
        answer = self._call(
            lambda: (
                self._client.chat_postMessage(
                    channel=channel,
                    text=fallback(message) if whole else fallback(message) + "\n" + slack(message.change),
                    blocks=list(message.blocks) if whole else None,
                    thread_ts=ts,
                    reply_broadcast=None if whole else message.loud,
                    parse="none",
                    link_names=False,
                    mrkdwn=False,
                    unfurl_links=False,
                    unfurl_media=False,
                ).data
            )
        )
        return Receipt(f"{answer.get('channel', channel)}:{answer.get('ts', '')}")

    def _update(self, message: Message, previous: Receipt) -> None:
        channel, ts = _parts(previous)
        self._call(
            lambda: (
                self._client.chat_update(
                    channel=channel,
                    ts=ts,
                    text=fallback(message),
                    blocks=list(message.blocks),
                    parse="none",
                    link_names=False,
                ).data
            )
        )

    def _call(self, method: Callable[[], object]) -> dict[str, object]:
        try:
            data = method()
        except SlackApiError as error:
            raise _fault(error) from error
        except SlackClientError as error:
            raise Unavailable(f"slack: {type(error).__name__}", uncertain=True) from error
        except urllib.error.URLError as error:  # nothing was sent, unless the time ran out while waiting
            raise Unavailable(f"slack: {error.reason}", uncertain=isinstance(error.reason, TimeoutError)) from error
        except (OSError, http.client.HTTPException, AttributeError, ValueError) as error:  # the last two: no object
            raise Unavailable(f"slack: {type(error).__name__}", uncertain=True) from error
        if not isinstance(data, dict):
            raise Unavailable("slack: an answer that is no JSON object", uncertain=True)
        return data


def _parts(receipt: Receipt) -> tuple[str, str]:
    channel, _, ts = receipt.id.rpartition(":")
    return channel, ts


def _fault(error: SlackApiError) -> Unavailable | Rejected:
    response = error.response
    status = int(getattr(response, "status_code", 0) or 0)
    headers = {str(name).lower(): value for name, value in (getattr(response, "headers", None) or {}).items()}
    data = getattr(response, "data", None)
    code = str(data.get("error") or "") if isinstance(data, dict) else ""
    if status == 429 or code in _LATER:
        return Unavailable(f"slack: {code or f'HTTP {status}'}", after=_seconds(headers.get("retry-after")))
    if status >= 500 or not code.replace("_", "").isalnum():  # no error of Slack's: a proxy's page, say
        return Unavailable(f"slack: HTTP {status}", after=_seconds(headers.get("retry-after")), uncertain=True)
    return Rejected(f"slack: {code}")


def _seconds(header: object) -> float | None:
    text = str(header[0] if isinstance(header, list) and header else header)
    return float(text) if text.isascii() and text.isdigit() else None
