"""Conceal: an event without the passwords that its statement, its other texts and its named values hold. Pure.

The statement is masked by its dialect's tokens (collectors/passwords.py). Where it stands word for word in another
field or in the raw text, in whatever quoting, it is exchanged there; raw text that says it otherwise is given up for
the message. A text that is no whole statement has no beginning to count quotes from: of it no more than one word
without blanks is masked, so that nothing that anybody did can hide there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from collectors.formats import Parsed
from collectors.formats.sql_lexer import Dialect
from collectors.passwords import hinted, masked, without_connections
from rules.event import Scalar, Value

Fields = dict[str, Value]
Swap = tuple[str, str]  # what stands there, and what is to
# What is no data of anybody's tables: who, where from, when, how long, and the names of things.
KEPT: Final = re.compile(
    r"(?:user|source|destination|host|service|log|network|tocsin|journald|systemd|container|kubernetes)\..*"
    r"|process\.(?:name|pid|executable)|event\.(?!original|reason).*|db\.(?!query\.text).*|file\.path"
    r"|postgresql\.log\.(?!detail|hint|context|internal_query|statement).*|pgaudit\.(?!parameter).*"
    r"|mysql\.(?:thread_id|error|slowlog|audit\.[a-z_]+$).*|mariadb\.audit\..*|mssql\.(?:log|audit)\..*"
    r"|winlog\.(?:channel|provider_name|computer_name|record_id|keywords)"
    r"|mongodb\.log\.(?:id|component|context|service)|mongodb\.audit\.role"
    r"|mongodb\.(?:log\.attr|audit\.param)\.(?:ns|type|remote|client|db|user|role|command|mechanism|principalName"
    r"|authenticationDatabase|appName|protocol|connectionId|connectionCount|uuid|queryHash)"
)
_SOUGHT: Final = 32  # passwords of one statement that are looked for outside of it
# A value by its name: filter.password, query_attributes.secret, password.$eq.
_NAMED: Final = re.compile(r"(?:password|passwd|passphrase|pwd|secret)(?:\.|\Z)", re.IGNORECASE)
_MASKED: Final = frozenset({"", "?", "xxx", "xxxxxx", "###", "*****", "<redacted>", "[REDACTED]"})  # as servers do


def conceal(text: str, parsed: Parsed, dialect: Dialect) -> tuple[str, Parsed]:
    """Return a record's text and its fields without passwords; both as they are where there is none."""
    old = parsed.fields
    if not _may_hold(text, old):
        return text, parsed
    statement = old.get("db.query.text")
    whole, secrets = masked(statement, dialect) if isinstance(statement, str) else ("", [])
    secrets = list(dict.fromkeys(secrets))[:_SOUGHT]
    swap = (statement, whole) if isinstance(statement, str) else None
    new = {name: _value(name, value, swap, secrets) for name, value in old.items()}
    raw = _swapped(text, *swap) if swap is not None else without_passwords(text)
    if new == old:
        return text if raw is None else raw, parsed
    if raw is None or raw == text or any(was in raw for was, _ in secrets) or _is_named(old, new):
        raw, new = str(new.get("message", "")), {**new, "tocsin.redacted": "passwords"}
    return raw, Parsed(parsed.time, new)


def _may_hold(text: str, fields: Fields) -> bool:
    """Say whether a password may be in there: looked for in what was decoded, as raw text may spell it \\u0050."""
    if hinted(text) or "\\u" in text:
        return True
    decoded = [str(fields[name]) for name in ("db.query.text", "message") if name in fields]
    return any(said not in text and hinted(said) for said in decoded)


def _is_named(old: Fields, new: Fields) -> bool:
    return any(new[name] is not value and new[name] == "?" for name, value in old.items() if _NAMED.search(name))


def _value(name: str, value: Value, swap: Swap | None, secrets: list[Swap]) -> Value:
    if isinstance(value, list):
        return [_one(name, item, swap, secrets) for item in value]
    return _one(name, value, swap, secrets)


def _one(name: str, value: Scalar, swap: Swap | None, secrets: list[Swap]) -> Scalar:
    if _NAMED.search(name) and not (value is None or isinstance(value, bool) or value in _MASKED):
        return "?"
    if not isinstance(value, str):
        return value
    if swap is not None and (found := _swapped(value, *swap)) is not None:
        return found
    if KEPT.fullmatch(name):
        return value
    for was, is_ in secrets:
        value = value.replace(was, is_)
    return without_passwords(_JSON.sub(r"\1?\2", value) if name.startswith("mongodb.") else value)


def _swapped(text: str, old: str, new: str) -> str | None:
    """Return the text with a statement exchanged, however it is written there; None: it is not there. What stands
    around it is no whole statement."""
    for written in _WRITINGS:
        said = written(old)
        if said and said in text:
            return written(new).join(map(without_passwords, text.split(said)))
    return None


def _escaped(said: str) -> str:
    return said.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _xml(said: str, apostrophe: str, quote: str) -> str:
    said = said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return said.replace("'", apostrophe).replace('"', quote)


_WRITINGS: Final[tuple[Callable[[str], str], ...]] = (
    lambda said: said,
    lambda said: said.replace("\n", "\n\t"),  # PostgreSQL's stderr
    _escaped,  # MariaDB's server_audit
    lambda said: said.replace('"', '""'),  # CSV
    lambda said: json.dumps(said)[1:-1],
    lambda said: json.dumps(said, ensure_ascii=False)[1:-1],
    lambda said: _xml(said, "&apos;", "&quot;"),
    lambda said: _xml(said, "&#39;", "&#34;"),
    lambda said: _xml(said, "'", '"'),
)

# Of a text that is no whole statement: the word, a blank, = or (, and one literal without blanks.
_BLANK: Final = r"(?:\s|\\[nrt])"
_SECRET: Final = re.compile(
    rf"(?:(?:PASS(?:WORD|WD)|SECRET)[\"`\]]?(?:{_BLANK}{{1,64}}(?=[NEX\\\"'&])|{_BLANK}{{0,16}}[=:]{_BLANK}{{0,16}}(?:\w{{1,32}}\()?|\()"
    rf"|IDENTIFIED{_BLANK}{{1,16}}(?:(?:WITH|VIA){_BLANK}{{1,16}}\S{{1,80}}{_BLANK}{{1,16}})?(?:BY|AS|USING){_BLANK}{{1,64}})"
    r"(?:N|E|U&|X)?",
    re.IGNORECASE,
)
_HELD: Final = re.compile(
    r"(?P<quote>')(?:''|\\[^\s;]|[^'\\\s;/]|/(?!\*))*"
    r"|(?P<double>\"\"?)(?:\\[^\s;]|[^\"\\\s;/]|/(?!\*))*"
    r"|(?P<escaped>\\{1,8}['\"])(?:\\{1,8}'\\{1,8}'|[^'\"\\\s;/]|/(?!\*))*"
    r"|(?P<xml>&(?:apos|quot|#39|#34);)(?:[^&'\"\s;/]|/(?!\*))*"
)
_JSON: Final = re.compile(
    r"""((?:password|passwd|pwd|secret)["']?\s{0,8}:\s{0,8}")(?:[^"\\]|\\.)*(")""", re.IGNORECASE | re.DOTALL
)


def without_passwords(text: str) -> str:
    """Return a text that is no whole statement with `?` for the one word in quotes behind PASSWORD and the like."""
    out: list[str] = []
    at = 0
    for found in _SECRET.finditer(text):
        held = _HELD.match(text, found.end()) if found.start() >= at else None
        if held is not None and held.lastgroup is not None:
            out += (text[at : found.end()], f"{held[held.lastgroup]}?")
            at = held.end()
    return without_connections("".join([*out, text[at:]]) if out else text)
