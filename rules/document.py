"""YAML text -> nodes that know their line. Values are read off nodes, so that a fault can say where it stands."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rules.event import Scalar
from rules.faults import Report

LIMIT_BYTES = 2 << 20  # a rule file beyond this is refused: the largest of SigmaHQ's has some 40 kB
DEPTH = 100

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BUILD = yaml.SafeLoader("")
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping with its value."""

    key: Node
    value: Node


def documents(text: str, report: Report) -> Iterator[Node]:
    """Yield the root of each document; what is no YAML is reported, and ends the file."""
    if len(text) > LIMIT_BYTES:
        report.fault(1, f"the file has {len(text)} characters; a rule file may have {LIMIT_BYTES}")
        return
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            if _too_deep(node):
                report.fault(node, f"nested more than {DEPTH} deep")
            elif not is_empty(node):
                yield node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        report.fault(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
    except yaml.reader.ReaderError as error:
        report.fault(text.count("\n", 0, error.position) + 1, f"not YAML: {error.reason}")
    except RecursionError:
        report.fault(1, f"nested more than {DEPTH} deep")


def is_empty(node: Node | None) -> bool:
    """Whether nothing is written there, or null."""
    return node is None or (isinstance(node, ScalarNode) and scalar(node) is None)


def _too_deep(root: Node | None) -> bool:
    level: list[Node] = [root] if root is not None else []
    seen: set[int] = set()
    for _ in range(DEPTH):
        level = [child for node in level for child in _children(node) if id(child) not in seen]
        seen.update(map(id, level))
        if not level:
            return False
    return True


def _children(node: Node) -> list[Node]:
    if isinstance(node, SequenceNode):
        return list(node.value)
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return []


def mapping(node: Node, report: Report, what: str) -> dict[str, Entry] | None:
    """Return the entries of a mapping by key, or None with a fault when it is none. A key may stand once."""
    if not isinstance(node, MappingNode):
        report.fault(node, f"{what} must be a map of names to values")
        return None
    out: dict[str, Entry] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, ScalarNode) else None
        if name is None:
            report.fault(key, f"{what}: a key must be plain text")
        elif name in out:
            report.fault(key, f"{what}: duplicate key {name!r}; the first stands on line {_line(out[name].key)}")
        else:
            out[name] = Entry(key, value)
    return out


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def scalar(node: ScalarNode) -> Scalar:
    """Return the value that YAML 1.1 reads here; dates stay text, and so do infinities."""
    kind = node.tag.removeprefix(_TAG)
    try:
        if kind == "null":
            return None
        if kind == "bool":
            return bool(_BUILD.construct_yaml_bool(node))
        if kind == "int":
            return int(_BUILD.construct_yaml_int(node))
        if kind == "float":
            number = float(_BUILD.construct_yaml_float(node))
            return number if math.isfinite(number) else str(node.value)
    except (ValueError, KeyError):
        pass
    return str(node.value)


def text(entry: Entry | None, report: Report, what: str) -> str | None:
    """Return a text value, or None: absent, or no text (a fault)."""
    if entry is None or is_empty(entry.value):
        return None
    if not isinstance(entry.value, ScalarNode):
        report.fault(entry.value, f"{what} must be text")
        return None
    return str(entry.value.value)


def texts(entry: Entry | None, report: Report, what: str) -> tuple[str, ...] | None:
    """Return a text, or a list of texts, as a tuple; None with a fault when it is neither. Absent or empty is ()."""
    if entry is None or is_empty(entry.value):
        return ()
    nodes = entry.value.value if isinstance(entry.value, SequenceNode) else [entry.value]
    if not all(isinstance(node, ScalarNode) and not is_empty(node) for node in nodes):
        report.fault(entry.value, f"{what} must be plain text or a list of texts")
        return None
    return tuple(str(node.value) for node in nodes)


def words(entry: Entry | None, report: Report, what: str) -> tuple[str, ...] | None:
    """The same for what names something (a field, a rule, a log source): a number or true is a slip there."""
    found = texts(entry, report, what)
    if entry is None or not found:
        return found
    nodes = entry.value.value if isinstance(entry.value, SequenceNode) else [entry.value]
    slips = [node for node in nodes if isinstance(node, ScalarNode) and not isinstance(scalar(node), str)]
    for node in slips:
        report.fault(node, f"{what}: {node.value} is no name; if it is meant as one, quote it")
    return None if slips else found
