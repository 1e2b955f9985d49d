"""YAML -> Config. A fault is one line: file, line, key, and what was expected; all faults are told at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from pipeline import meaning
from pipeline.settings import Config

PLACES = (Path("~/.config/tocsin/tocsin.yml"), Path("/etc/tocsin/tocsin.yml"))
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in one place."""

    file: str
    line: int
    key: str
    expected: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.key}: {self.expected}"
            if self.key
            else f"{self.file}:{self.line}: {self.expected}"
        )


class ConfigError(Exception):
    """The config cannot be used; `faults` says all that is wrong with it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


def load(path: Path | None = None) -> Config:
    """Return the config in `path`, else in the first of PLACES that exists, else the defaults.

    Raises ConfigError, an unreadable file included.
    """
    found = path or next((place.expanduser() for place in PLACES if place.expanduser().is_file()), None)
    if found is None:
        return Config()
    try:
        text = found.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError([Fault(str(found), 1, "", f"cannot be read: {reason}")]) from error
    config = parse(text, str(found), os.environ)
    if found not in [place.expanduser() for place in PLACES]:
        config.named(str(found.resolve()))
    return config


def parse(text: str, file: str, environment: Mapping[str, str]) -> Config:
    """Return the config in a YAML text, `${NAME}` filled in from `environment`. Raises ConfigError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise ConfigError([Fault(file, line, "", f"not YAML: {reason}")]) from error
    except RecursionError as error:
        raise ConfigError([Fault(file, 1, "", "nested deeper than any config is")]) from error
    if root is None:
        return Config()
    reader = _Reader(file, environment)
    try:
        data = reader.value(root, ())
    except RecursionError as error:  # an alias within what it stands for
        raise ConfigError([Fault(file, 1, "", "nested without end")]) from error
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        reader.faults += [reader.fault(item["loc"], _expected(item)) for item in error.errors()]
    else:
        reader.faults += [reader.fault(where, what) for where, what in meaning.faults(config)]
    if reader.faults:
        raise ConfigError(sorted(reader.faults, key=lambda fault: fault.line))
    return config


class _Reader:
    """Turns YAML nodes into data and remembers on which line each key stood."""

    def __init__(self, file: str, environment: Mapping[str, str]) -> None:
        self._file = file
        self._environment = environment
        self._lines: dict[_Path, int] = {}
        self.faults: list[Fault] = []

    def value(self, node: yaml.Node, path: _Path) -> object:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, n)) for n, item in enumerate(node.value)]
        value: object = yaml.SafeLoader("").construct_object(node, deep=True)
        return self._filled(value, path) if isinstance(value, str) else value

    def _pairs(self, node: yaml.MappingNode, path: _Path) -> Iterator[tuple[str, object]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            here = (*path, key)
            self._lines[here] = key_node.start_mark.line + 1
            if key in seen:
                self.faults.append(self.fault(here, "stands here twice; the second would hide the first"))
            seen.add(key)
            yield key, self.value(value_node, here)

    def _filled(self, text: str, path: _Path) -> str:
        def fill(found: re.Match[str]) -> str:
            if found[1] not in self._environment:
                self.faults.append(self.fault(path, f"the environment has no variable {found[1]}"))
            return self._environment.get(found[1], "")

        return _VARIABLE.sub(fill, text)

    def fault(self, where: Sequence[str | int], what: str) -> Fault:
        """Name the deepest key on the way to `where` that stands in the file (pydantic adds steps of its own)."""
        known: _Path = ()
        for step in where:
            known = (*known, step) if (*known, step) in self._lines else known
        missing = where[-1] if where and isinstance(where[-1], str) and known[-1:] != (where[-1],) else None
        shown = (*known, missing) if missing is not None and what == "is required" else known
        return Fault(self._file, self._lines.get(known, 1), _dotted(shown), what)


def _dotted(path: Sequence[str | int]) -> str:
    out = ""
    for step in path:
        out += f"[{step}]" if isinstance(step, int) else f".{step}" if out else step
    return out


def _expected(item: Mapping[str, object]) -> str:
    kind, context = item["type"], item.get("ctx")
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return "no such key here"
    if kind == "value_error" and isinstance(context, dict):
        return str(context["error"])
    if kind == "union_tag_not_found":
        return "`kind` is required"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return "expected `key: value` lines"
    if kind in ("union_tag_invalid", "literal_error") and isinstance(context, dict):
        choices = context.get("expected_tags") or context.get("expected")
        return (
            f"expected one of {choices}, not {item.get('input')!r}"
            if kind == "literal_error"
            else f"kind: expected one of {choices}"
        )
    return f"{str(item['msg'])[:1].lower()}{str(item['msg'])[1:]}"


def secret(value: str | None, file: Path | None) -> str | None:
    """Return a secret given in place or in a file (its trailing newline left out). Raises ConfigError."""
    if file is None:
        return value
    try:
        return file.expanduser().read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError([Fault(str(file), 1, "", f"this secret cannot be read: {reason}")]) from error
