"""YAML text -> nodes that know their line. Values are read off nodes, so that a fault can say where it stands."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rules import syntax
from rules.event import Scalar
from rules.faults import Report, near

LIMIT_BYTES = 2 << 20  # a rule file beyond this is refused: the largest of SigmaHQ's has some 40 kB
DEPTH = 100
RESUMED = 50  # broken documents of one file beyond which the rest of it is not read
LIKENESS = 0.75  # of a key to the known one that is taken to be meant
NODES = 1_000_000  # with all aliases written out

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BEGINS = re.compile(r"---(\s|$)")
_BUILD = yaml.SafeLoader("")
_TAG = "tag:yaml.org,2002:"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping with its value."""

    key: Node
    value: Node


def documents(text: str, report: Report) -> Iterator[Node]:
    """Yield the root of each document; what is no YAML is reported, and ends its document."""
    if len(text) > LIMIT_BYTES:
        report.fault(1, f"the file is longer than {LIMIT_BYTES >> 20} MiB; put its rules in several files")
        return
    first, lines = 0, text.split("\n")
    for _ in range(RESUMED):
        broken = yield from _until_broken("\n" * first + "\n".join(lines[first:]), report)  # lines keep their numbers
        if broken is None:
            return
        places = range(max(broken - 1, first + 1), len(lines))
        first = next((place for place in places if _BEGINS.match(lines[place])), len(lines))


def _until_broken(text: str, report: Report) -> Generator[Node, None, int | None]:
    """Yield documents; return the line (from 1) at which the text ceases to be YAML, or None."""
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            unfit = _unfit(node)
            if unfit is not None:
                report.fault(*unfit)
            elif not is_empty(node):
                yield node
    except yaml.YAMLError as error:
        line, fault = syntax.said(error, text)
        report.fault(line, fault)
        return line
    except RecursionError:
        report.fault(1, f"nested more than {DEPTH} deep")
    return None


def spelled(found: dict[str, Entry], known: Collection[str], report: Report, what: str) -> None:
    """Tell of each key that is nearly one of the known ones, which is absent, and go on as if that stood there."""
    for name in [name for name in found if name not in known]:
        intended = near(name, [one for one in known if one not in found], LIKENESS)
        if intended is not None:
            report.fault(found[name].key, f"{what}: {name!r} is not known; {intended!r} was meant?")
            found[intended] = found.pop(name)


def is_empty(node: Node | None) -> bool:
    """Whether nothing is written there, or null."""
    return node is None or (isinstance(node, ScalarNode) and scalar(node) is None)


def _unfit(root: Node | None) -> tuple[Node, str] | None:
    """Return where and why a document is not read, or None. Its aliases make a graph of it, which is walked once."""
    done: dict[int, tuple[int, int]] = {}  # node -> how many nodes it is with all aliases written out, how deep it is
    within: set[int] = set()
    stack = [root] if root is not None else []
    while stack:
        node = stack[-1]
        waiting = [child for child in _children(node) if id(child) not in done]
        if any(id(child) in within for child in waiting):
            return node, "an alias stands within what it stands for"
        if waiting:
            within.add(id(node))
            stack += waiting
            continue
        stack.pop()
        within.discard(id(node))
        inner = [done[id(child)] for child in _children(node)]
        size, depth = 1 + sum(one[0] for one in inner), 1 + max((one[1] for one in inner), default=0)
        if depth > DEPTH:
            return node, f"nested more than {DEPTH} deep"
        if size > NODES:
            return node, f"aliases make it more than {NODES} values"
        done[id(node)] = size, depth
    return None


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
    merged: list[Node] = []
    for key, value in node.value:
        name = key.value if isinstance(key, ScalarNode) else None
        if key.tag == _MERGE:
            merged += value.value if isinstance(value, SequenceNode) else [value]
        elif name is None:
            report.fault(key, f"{what}: a key must be plain text")
        elif name in out:
            report.fault(key, f"{what}: duplicate key {name!r}; the first stands on line {_line(out[name].key)}")
        else:
            out[name] = Entry(key, value)
    for (
        one
    ) in merged:  # `<<: *base`: what stands in the mapping itself goes before, and the first merged before the next
        out = (mapping(one, report, f"{what}: what '<<' merges") or {}) | out
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
