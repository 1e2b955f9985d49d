"""Law 2 for the last step: stopping the notifier at any instruction loses no page, and none comes twice unmarked.

The stream is cut at each of its writes in turn, before the write and after it, as a kill does; then a successor
takes over the same stream and the same channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from notifiers.channels import Receipt
from notifiers.message import Message as Rendered
from notifiers.route import parse
from pipeline.roles.intents import Intents
from pipeline.roles.notify import Means, Notify
from pipeline.streams import ALERTS, INCIDENTS, Message, StreamUnavailable
from rules.alert import Alert
from tests.standins.alerts import NOW, disk, root_login
from tests.standins.channels import Recorder
from tests.standins.fuse import Fuse, Killed
from tests.standins.prompt import PromptStream

STORY: Sequence[Alert] = (
    root_login("e1"),
    disk("d1"),
    root_login("e2"),  # a repeat
    root_login("e3", source="198.51.100.4"),  # news
    disk("d1", step="resolved"),
    disk("d2"),
)
EXPECTED = ["page e", "page d", "news e", "resolved d", "page d"]


def live(folder: Path, channel: Recorder, blows_at: int) -> tuple[bool, int]:
    """Run until all is told or the fuse blows. Return whether it lived, and how many writes it made."""
    stream = PromptStream(folder)
    fuse = Fuse(stream, blows_at)
    notify = Notify(fuse, parse({"receiver": "security"}), {"security": [channel]})
    quiet = 0
    try:
        while quiet < 3:
            quiet = 0 if notify.step(NOW) or notify.sending else quiet + 1
    except Killed:
        return False, fuse.writes
    else:
        return True, fuse.writes
    finally:
        stream.close()


def fill(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    stream = PromptStream(folder)
    stream.append(ALERTS, [Message(one.id, one.model_dump_json().encode()) for one in STORY])
    stream.close()


class Named(Recorder):
    def send(self, message: Rendered, previous: Receipt | None) -> Receipt:
        receipt = super().send(message, previous)
        word = message.subject.removeprefix("(possible repeat) ").partition(":")[0]
        kind = {"RESOLVED": "resolved", "NEW VALUE": "news"}.get(word, "page")
        marked = " again" if message.subject.startswith("(possible repeat)") else ""
        self.told.append(f"{kind} {'d' if 'Disk' in message.subject else 'e'}{marked}")
        return receipt

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []


def test_the_story_without_a_kill(tmp_path: Path) -> None:
    fill(tmp_path)
    channel = Named()
    lived, _ = live(tmp_path, channel, -1)
    assert lived
    assert channel.told == EXPECTED


def test_a_kill_at_any_write_loses_no_page_and_repeats_none_unmarked(tmp_path: Path) -> None:
    for blows_at in range(1000):
        folder = tmp_path / str(blows_at)
        fill(folder)
        channel = Named()
        lived, _ = live(folder, channel, blows_at)
        if lived:
            break
        assert live(folder, channel, -1)[0]
        judge(channel.told, f"killed at write {blows_at}")
    assert blows_at > 15  # the story's writes, each twice


def judge(told: list[str], when: str) -> None:
    unmarked = [one for one in told if not one.endswith(" again")]
    marked = [one.removesuffix(" again") for one in told if one.endswith(" again")]
    assert len(marked) <= 1, when  # the window between one send and its answer
    whole = list(told)
    if marked and unmarked.count(marked[0]) >= EXPECTED.count(marked[0]):
        whole.remove(marked[0] + " again")  # it had arrived before
    assert [one.removesuffix(" again") for one in whole] == EXPECTED, when


def test_kills_one_after_another_end_in_the_same_story(tmp_path: Path) -> None:
    fill(tmp_path)
    channel = Named()
    for blows_at in range(3, 12):
        live(tmp_path, channel, blows_at)
    assert live(tmp_path, channel, -1)[0]
    unmarked = [told for told in channel.told if not told.endswith(" again")]
    assert all(unmarked.count(told) <= EXPECTED.count(told) for told in unmarked)
    assert {told.removesuffix(" again") for told in channel.told} == set(EXPECTED)


class NoRoomForAnswers(PromptStream):
    """A full disk that takes a record now and then: what was intended, but not how it ended."""

    refused = 0

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        if topic == INCIDENTS and self.refused < 20 and any(b'"answered"' in one.value for one in messages):
            self.refused += 1
            raise StreamUnavailable("database or disk is full")
        super().append(topic, messages)


def test_what_was_sent_while_its_answer_could_not_be_written_is_not_sent_again(tmp_path: Path) -> None:
    fill(tmp_path)
    stream, channel = NoRoomForAnswers(tmp_path), Named()
    means = Means(intents=Intents(tmp_path / "intents.ndjson"))
    notify = Notify(stream, parse({"receiver": "security"}), {"security": [channel]}, means)
    quiet = 0
    while quiet < 30:
        quiet = 0 if notify.step(NOW) or notify.sending else quiet + 1
    stream.close()
    assert stream.refused == 20
    assert channel.told == EXPECTED
