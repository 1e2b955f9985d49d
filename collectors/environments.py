"""Which events are production: by patterns, lists, networks and the words that names are made of. Pure.

What no rule names is the host's own environment, `unknown` unless the config says otherwise: nothing is ever taken for
production, or for staging, because nobody said what it is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from rules.event import Value

Test: TypeAlias = Callable[[str], str | None]  # a value -> what is left of it without its environment; None: it is none
_GRAVE: Final = "production"
_WILD: Final = {"*": "(.*)", "?": "(.)"}
# A word is a run of letters or of digits; a capital after small letters begins one, and so does the last of several
# capitals before a small letter: CustomerNameProduction, prod-db-01, SQLProd; PRODUCTS and reproduction are one each.
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")
_DENYING: Final = frozenset({"non", "not", "no", "pre", "un", "post", "ex"})  # non-prod, pre_production
_SEPARATORS: Final = " _-.:/\\"


@dataclass(frozen=True, slots=True)
class EnvironmentRule:
    """Where all tests hold, the environment is `name`. `base`: fields whose values name the thing whatever its
    environment is; without it, what is left by the tests does (`Customer` of `Customer_Production`)."""

    tests: tuple[tuple[str, Test], ...]
    name: str
    base: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        match: Mapping[str, str | Sequence[str]],
        base: Sequence[str] = (),
        words: Mapping[str, Sequence[str]] | None = None,
    ) -> EnvironmentRule:
        """Compile field -> pattern(s), any of which may match, and field -> words, any of which may stand in it."""
        globs = (
            (field, _any(map(_pattern, [texts] if isinstance(texts, str) else texts))) for field, texts in match.items()
        )
        named = ((field, _worded(frozenset(word.lower() for word in found))) for field, found in (words or {}).items())
        return cls((*globs, *named), name, tuple(base))


@dataclass(frozen=True, slots=True)
class Environments:
    """The rules in order, the first that holds decides; else the host's own."""

    rules: tuple[EnvironmentRule, ...]
    default: str

    @classmethod
    def of(cls, rules: Sequence[tuple[Mapping[str, str], str, Sequence[str]]], default: str) -> Environments:
        """Compile (field -> pattern with `*` and `?`, environment, base fields) rules."""
        return cls(tuple(EnvironmentRule.of(name, match, base) for match, name, base in rules), default)

    def of_event(self, fields: Mapping[str, Value]) -> tuple[str, str | None]:
        """Return the environment of one event, and what the event is about without its environment, if known.

        A statement is about the database that it names, where it names one: DROP DATABASE runs in another. One that may
        run in any of several is production if any of them is, else what the last one is, which is the likeliest.
        """
        if "tocsin.db.target" in fields:
            fields = {**fields, "db.namespace": fields["tocsin.db.target"]}
        named = fields.get("db.namespace")
        if not isinstance(named, list) or not named:
            return self._of(fields)
        found = [self._of({**fields, "db.namespace": one}) for one in named]
        return next((one for one in found if one[0] == _GRAVE), found[-1])

    def may_be_production(self, name: str) -> bool:
        """Say whether a database of this name may be production, on whichever host it is."""
        for rule in self.rules:
            tests = [test for field, test in rule.tests if field == "db.namespace"]
            if tests and all(test(name) is not None for test in tests):
                if rule.name == _GRAVE:
                    return True
                if len(tests) == len(rule.tests):
                    return False
        return self.default == _GRAVE

    def _of(self, fields: Mapping[str, Value]) -> tuple[str, str | None]:
        for rule in self.rules:
            left = [_found(fields.get(name), test) for name, test in rule.tests]
            if all(one is not None for one in left):
                named = [str(fields[name]) for name in rule.base if fields.get(name) is not None]
                return rule.name, "/".join(named) or "/".join(text for text in left if text) or None
        return self.default, None


def _found(value: Value, test: Test) -> str | None:
    values = value if isinstance(value, list) else [value]
    return next((left for one in values if one is not None and (left := test(str(one))) is not None), None)


def _any(tests: Iterable[Test]) -> Test:
    listed = tuple(tests)
    return listed[0] if len(listed) == 1 else lambda text: next((v for t in listed if (v := t(text)) is not None), None)


def _pattern(text: str) -> Test:
    """Return the test of a network (10.1.0.0/16), or of a pattern whose `*` is any text and `?` one character."""
    network = _network(text)
    if network is not None:
        return lambda value: "" if (found := _address(value)) is not None and found in network else None
    parts = (_WILD.get(part, re.escape(part)) for part in re.split(r"([*?])", text))
    compiled = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    return lambda value: "".join(hit.groups("")) if (hit := compiled.fullmatch(value)) else None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def words_of(name: str) -> list[str]:
    """Return the words that a name is made of, as it spells them."""
    return _WORD.findall(name)


def _worded(words: frozenset[str]) -> Test:
    """Return the test of a name that has one of these words; what is left is the name without it."""

    @lru_cache(maxsize=4096)
    def test(text: str) -> str | None:
        before = ""
        for found in _WORD.finditer(text[:1024]):
            word = found[0].lower()
            if word in words and before not in _DENYING:
                return _without(text, found.start(), found.end())
            before = word
        return None

    return test


def _without(text: str, start: int, end: int) -> str:
    """Take a word out of a name, and one of the separators that it stood between."""
    head, tail = text[:start], text[end:]
    if head[-1:] and head[-1] in _SEPARATORS:
        head = head[:-1]
    elif tail[:1] and tail[0] in _SEPARATORS:
        tail = tail[1:]
    return head + tail
