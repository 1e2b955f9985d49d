"""Sigma's detection items: `field|modifier|...: values` -> a predicate. Modifiers apply left to right."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeAlias

from rules import predicate as p
from rules.event import Scalar
from rules.faults import RuleError, meant
from rules.patterns import Pattern, join, parse
from rules.predicate import Wildcard
from rules.regex import searcher

Form: TypeAlias = Pattern | bytes  # bytes between an encoding and its base64
Transform: TypeAlias = Callable[[Form], list[Form]]

EXPANSION_LIMIT = 1_000  # alternatives that one value may become
_DASHES = ("-", "/", "–", "—", "―")
_DASH = re.compile(r"\B[-/]\b")
_PLACEHOLDER = re.compile(r"\\%|%([A-Za-z0-9_.-]+)%")


@dataclass(slots=True)
class Lists:
    """The lists that `|expand` reads, and what was asked of them."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)

    def get(self, name: str) -> Sequence[str]:
        self.used.add(name)
        if name not in self.values:
            self.missing.add(name)
        return self.values.get(name, ())


def _contains(form: Form) -> list[Form]:
    return [join(Wildcard.ANY, *_text(form, "contains"), Wildcard.ANY)]


def _startswith(form: Form) -> list[Form]:
    return [join(*_text(form, "startswith"), Wildcard.ANY)]


def _endswith(form: Form) -> list[Form]:
    return [join(Wildcard.ANY, *_text(form, "endswith"))]


def _text(form: Form, modifier: str) -> Pattern:
    if not isinstance(form, bytes):
        return form
    try:
        return (form.decode("utf-8"),)
    except UnicodeDecodeError:
        raise RuleError(f"{modifier}: the encoded text is no text; put base64 or base64offset between") from None


def _plain(form: Form, modifier: str) -> bytes:
    if isinstance(form, bytes):
        return form
    if any(isinstance(part, Wildcard) for part in form):
        raise RuleError(f"{modifier}: no wildcards allowed in the value")
    return "".join(part for part in form if isinstance(part, str)).encode("utf-8", "replace")


def _base64(form: Form) -> list[Form]:
    return [(base64.b64encode(_plain(form, "base64")).decode(),)]


def _base64offset(form: Form) -> list[Form]:
    """Three texts, one for each place within base64's groups of three; what neighbours would change is cut off."""
    raw = _plain(form, "base64offset")
    out: list[Form] = []
    for offset, start in enumerate((0, 2, 3)):
        encoded = base64.b64encode(b" " * offset + raw).decode()
        out.append((encoded[start : (None, -3, -2)[(len(raw) + offset) % 3]],))
    return out


def _encode(modifier: str, encoding: str) -> Transform:
    def encode(form: Form) -> list[Form]:
        if isinstance(form, bytes):
            raise RuleError(f"{modifier}: the value is encoded already")
        return [_plain(form, modifier).decode("utf-8").encode(encoding)]

    return encode


def _windash(form: Form) -> list[Form]:
    """Every `-` or `/` at the start of a word becomes each of five dashes."""
    parts: list[list[str | Wildcard]] = []
    for part in _text(form, "windash"):
        if isinstance(part, Wildcard):
            parts.append([part])
            continue
        at = 0
        for found in _DASH.finditer(part):
            parts += [[part[at : found.start()]], list(_DASHES)]
            at = found.end()
        parts.append([part[at:]])
    if 5 ** sum(len(choices) > 1 for choices in parts) > EXPANSION_LIMIT:
        raise RuleError("windash: more than 4 dashes in one value; use a regular expression")
    return [join(*choice) for choice in product(*parts)]


TRANSFORMS: Mapping[str, Transform] = {
    "contains": _contains,
    "startswith": _startswith,
    "endswith": _endswith,
    "base64": _base64,
    "base64offset": _base64offset,
    "wide": _encode("wide", "utf-16-le"),
    "utf16le": _encode("utf16le", "utf-16-le"),
    "utf16be": _encode("utf16be", "utf-16-be"),
    "utf16": _encode("utf16", "utf-16"),
    "windash": _windash,
}
_REGEX_FLAGS = {"i": "i", "ignorecase": "i", "m": "m", "multiline": "m", "s": "s", "dotall": "s"}
_AFFIXES = ("contains", "startswith", "endswith")
_COMPARISONS = ("lt", "lte", "gt", "gte")
_TIME_PARTS = ("minute", "hour", "day", "week", "month", "year")
_FLAGS = ("all", "neq", "cased")
_LEADING = ("re", "cidr", "exists", "fieldref", *_COMPARISONS, *_TIME_PARTS)
MODIFIERS = (*_FLAGS, *_LEADING, *_REGEX_FLAGS, *TRANSFORMS, "expand")


@dataclass(frozen=True, slots=True)
class Key:
    """A detection item's key, read: the field (empty for keywords) and how its values are to be taken."""

    field: str
    chain: tuple[str, ...]  # the modifiers that rewrite or replace the value, in order
    every: bool = False
    negated: bool = False
    cased: bool = False


def key_of(text: str) -> Key:
    """Read `field|modifier|...`. Raises RuleError for a modifier that is unknown or out of place."""
    name, *modifiers = text.split("|")
    for modifier in modifiers:
        if modifier not in MODIFIERS:
            raise RuleError(f"{text}: unknown modifier {modifier!r}{meant(modifier.strip(), MODIFIERS)}")
    chain = tuple(modifier for modifier in modifiers if modifier not in _FLAGS)
    key = Key(name, chain, "all" in modifiers, "neq" in modifiers, "cased" in modifiers)
    _ordered(text, key)
    return key


def _ordered(text: str, key: Key) -> None:
    chain = key.chain
    for place, modifier in enumerate(chain):
        if modifier in _LEADING and place and not (modifier in _COMPARISONS and chain[0] in _TIME_PARTS):
            raise RuleError(f"{text}: {modifier!r} reads the value as it is written and must come first")
        if modifier in _REGEX_FLAGS and chain[0] != "re":
            raise RuleError(f"{text}: {modifier!r} is a flag of 're' and must come after it")
    if not chain or chain[0] not in _LEADING:
        return
    allowed = _allowed_after(chain[0])
    for modifier in chain[1:]:
        if modifier not in allowed:
            raise RuleError(f"{text}: {modifier!r} cannot follow {chain[0]!r}")
    if key.cased and chain[0] != "fieldref":
        raise RuleError(f"{text}: 'cased' cannot go with {chain[0]!r}")
    if not key.field and chain[0] != "re":
        raise RuleError(f"{text}: {chain[0]!r} needs a field")


def _allowed_after(first: str) -> tuple[str, ...]:
    if first == "re":
        return (*_REGEX_FLAGS, *_AFFIXES, "expand")
    if first == "fieldref":
        return _AFFIXES
    return _COMPARISONS if first in _TIME_PARTS else ()


def alternatives(key: Key, value: Scalar, lists: Lists) -> list[p.Test]:
    """Return the tests that one value stands for, any of which suffices. Raises RuleError."""
    if key.chain[:1] == ("re",) and "expand" in key.chain and isinstance(value, str):
        return [_regex(text, key.chain[1:]) for text in _expanded(value, lists)]
    if key.chain and key.chain[0] in _LEADING:
        return [_leading(key, value)]
    if isinstance(value, str):
        return [p.Text(_text(form, "value"), key.cased) for form in _forms(key.chain, value, lists)]
    needs = "cased" if key.cased else next((modifier for modifier in key.chain if modifier != "expand"), None)
    if needs is not None:
        raise RuleError(f"{needs!r} needs text, not {_name(value)}")
    return [_literal(value)]


def _name(value: Scalar) -> str:
    return "null" if value is None else f"{value!r} (a number or boolean: quote it)"


def _literal(value: Scalar) -> p.Test:
    if value is None:
        return p.Null()
    if isinstance(value, bool):
        return p.Boolean(value)
    assert not isinstance(value, str)
    return p.Number(value)


def _forms(chain: tuple[str, ...], value: str, lists: Lists) -> list[Form]:
    forms: list[Form] = [parse(text) for text in _expanded(value, lists)] if "expand" in chain else [parse(value)]
    for modifier in chain:
        if modifier != "expand":
            forms = [out for form in forms for out in TRANSFORMS[modifier](form)]
        if len(forms) > 100 * EXPANSION_LIMIT:
            raise RuleError(f"{modifier}: one value becomes more than {100 * EXPANSION_LIMIT} alternatives")
    return forms


def _expanded(value: str, lists: Lists) -> list[str]:
    """Replace each `%name%` by each entry of its list; an entry may hold wildcards. `\\%` is a plain percent."""
    choices: list[Sequence[str]] = []
    at, size = 0, 1
    for found in _PLACEHOLDER.finditer(value):
        entries = ("%",) if found[1] is None else lists.get(found[1])
        choices += [(value[at : found.start()],), entries]
        at = found.end()
        size *= len(entries)
    if size > 100 * EXPANSION_LIMIT:
        raise RuleError(f"expand: one value becomes {size} alternatives")
    return ["".join(choice) for choice in product(*choices, (value[at:],))]


def _leading(key: Key, value: Scalar) -> p.Test:
    first, *rest = key.chain
    if first == "re":
        return _regex(value, rest)
    if first == "cidr":
        return p.Cidr(_network(value))
    if first == "exists":
        if not isinstance(value, bool):
            raise RuleError("exists takes true or false")
        return p.Exists(value)
    if first == "fieldref":
        return _reference(key, value, rest)
    if first in _COMPARISONS:
        return _comparison(first, value)
    if len(rest) > 1:
        raise RuleError(f"{first} takes one of {', '.join(_COMPARISONS)}")
    test = _comparison(rest[0], value) if rest else p.Number(_number(first, value))
    return p.TimePart(first, test)  # type: ignore[arg-type]  # one of _TIME_PARTS


def _regex(value: Scalar, rest: Sequence[str]) -> p.Regex:
    """`contains` and its like add nothing to a search."""
    if value is None or isinstance(value, bool):
        raise RuleError("re needs text")
    flags = "".join(sorted({_REGEX_FLAGS[name] for name in rest if name in _REGEX_FLAGS}))
    searcher(str(value), flags)
    return p.Regex(str(value), flags)


def _network(value: Scalar) -> str:
    try:
        if isinstance(value, str):
            return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise RuleError(f"cidr: {error}") from error
    raise RuleError(f"cidr needs a network such as 10.0.0.0/8, not {value!r}")


def _number(modifier: str, value: Scalar) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RuleError(f"{modifier} needs a number (unquoted), not {value!r}")
    return value


def _comparison(modifier: str, value: Scalar) -> p.Compare:
    return p.Compare(modifier, _number(modifier, value))  # type: ignore[arg-type]  # one of _COMPARISONS


def _reference(key: Key, value: Scalar, rest: Sequence[str]) -> p.SameAs:
    if not isinstance(value, str) or not value:
        raise RuleError("fieldref needs the name of a field")
    if any(isinstance(part, Wildcard) for part in parse(value)):
        raise RuleError(f"fieldref: {value!r} is no field's name: it takes no wildcards")
    if len(rest) > 1:
        raise RuleError("fieldref takes one of contains, startswith, endswith")
    how = rest[0] if rest else "equals"
    return p.SameAs(value, how, key.cased)  # type: ignore[arg-type]
