"""What the config's keys cannot show one by one: names that are nowhere, addresses that are none, a secret twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from collectors.environments import words_of
from pipeline import source_meaning
from pipeline.settings import Config, EmailSettings, SlackSettings, WebhookSettings

Key = tuple[str | int, ...]


def faults(config: Config) -> Iterator[tuple[Key, str]]:
    """Yield each fault with the way to its key. What a role would fail on at every try is told before it starts."""
    if "\0" in str(config.state):
        yield ("state",), "a path holds no NUL"
    for where, what in source_meaning.faults(config.sources):
        yield ("sources", *where), what
    if config.host.id != "auto" and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}", config.host.id):
        yield ("host", "id"), f"{config.host.id!r} is no id; letters, digits and _ . : - only, 128 at most"
    for name, kept in config.index.keep:
        if kept is not None and not kept:
            yield ("index", "keep", name), "keeps nothing: each index would go at once; write 1d or more"
    yield from _environments(config)
    yield from _servers(config)
    yield from _console(config)
    yield from _receivers(config)
    yield from _routing(config)


def _environments(config: Config) -> Iterator[tuple[Key, str]]:
    for n, rule in enumerate(config.environments):
        if not rule.match and not rule.words:
            yield ("environments", n), "matches nothing: give match or words, a field and what it must look like"
        for field, words in rule.words.items():
            for word in words:
                parts = words_of(word)
                if parts != [word]:
                    several = f"the words {', '.join(parts)}" if parts else "no word"
                    yield ("environments", n, "words", field), f"{word!r} is {several}; names are compared word by word"


def _servers(config: Config) -> Iterator[tuple[Key, str]]:
    if config.stream.kind == "kafka":
        for n, server in enumerate(config.stream.servers):
            if not re.fullmatch(r"[^\s/]*[^\s/:\]]\]?:\d{1,5}", server):
                yield ("stream", "servers", n), f"{server!r} is no server; write host:9092"
    if config.index.kind == "elasticsearch":
        for n, host in enumerate(config.index.hosts):
            if not _is_url(host):
                yield ("index", "hosts", n), f"{host!r} is no address; write https://host:9200"


def _console(config: Config) -> Iterator[tuple[Key, str]]:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:]+):(\d{1,5})", config.console.listen)
    if found is None or int(found[2]) > 65535:
        yield ("console", "listen"), f"{config.console.listen!r} is no place; write 127.0.0.1:8514"
    if config.console.url is not None and not _is_url(config.console.url, port=False):
        yield ("console", "url"), f"{config.console.url!r} is no address; write https://tocsin.example.org"
    for name in ("slack", "email"):
        given = [getattr(one, name) for one in config.people]
        for n, one in enumerate(given):
            if one is not None and one in given[:n]:
                yield ("people", n, name), f"{one!r} belongs to another person already"


def _is_url(text: str, *, port: bool = True) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is not None or not port)
    except ValueError:
        return False


def _receivers(config: Config) -> Iterator[tuple[Key, str]]:
    names = [receiver.name for receiver in config.receivers]
    if not names:
        yield ("receivers",), "nobody would be told; name one, or leave the key out for the terminal"
    for n, receiver in enumerate(config.receivers):
        if receiver.name in names[:n]:
            yield ("receivers", n, "name"), f"a second receiver named {receiver.name!r}"
        for c, channel in enumerate(receiver.channels):
            here: Key = ("receivers", n, "channels", c)
            if isinstance(channel, SlackSettings) and (channel.token is None) == (channel.token_file is None):
                yield here, "give either token or token_file"
            elif isinstance(channel, WebhookSettings):
                if (channel.url is None) == (channel.url_file is None):
                    yield here, "give either url or url_file"
                elif channel.url is not None and not _is_url(channel.url, port=False):
                    yield (*here, "url"), "expected https://host/path"
            elif isinstance(channel, EmailSettings):
                wrong = [one for one in channel.to if not re.fullmatch(r"[^\s@]+@[^\s@]+", one)]
                if wrong:
                    yield (*here, "to"), f"{wrong[0]!r} is no address; write ada@example.org"
    yield from _unknown(config.route.model_dump(by_alias=True), ("route",), names)


def _unknown(route: Mapping[str, object], key: Key, names: Sequence[str]) -> Iterator[tuple[Key, str]]:
    receiver, children = route.get("receiver"), route.get("routes")
    if receiver is not None and receiver not in names:
        yield (*key, "receiver"), f"no receiver named {receiver!r}; there are {', '.join(names)}"
    for n, child in enumerate(children if isinstance(children, list) else []):
        yield from _unknown(child, (*key, "routes", n), names)


def _routing(config: Config) -> Iterator[tuple[Key, str]]:
    """Judge routes as the notifier will; on a host that only collects, its packages may be absent."""
    if not config.receivers:
        return
    try:
        from notifiers.route import RouteError  # noqa: PLC0415
        from pipeline.adapters import build_policy  # noqa: PLC0415
    except ImportError:
        return
    try:
        build_policy(config)
    except RouteError as error:
        steps = re.findall(r"\[(\d+)\]|([^.\[\]]+)", error.where)
        yield tuple(int(number) if number else name for number, name in steps), error.fault
