"""What is no YAML: where it begins to be none, and what its author may have meant."""

from __future__ import annotations

import yaml

_MEANT = {
    "did not find expected key": "is the line indented as those beside it?",
    "did not find expected '-' indicator": "is the line indented as those beside it?",
    "mapping values are not allowed in this context": "a value that holds ': ' must be quoted",
    "could not find expected ':'": "a name without a ':', or a value that must be quoted?",
    "found undefined alias": "a value that begins with * must be quoted",
    "found unknown escape character": "in double quotes a backslash begins an escape; use single quotes",
    "found duplicate anchor": "a value that begins with & must be quoted",
}


def said(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Return the line (from 1) and the fault of a text that is no YAML."""
    if isinstance(error, yaml.reader.ReaderError):
        return text.count("\n", 0, error.position) + 1, f"not YAML: {error.reason}"
    if not isinstance(error, yaml.MarkedYAMLError):
        return 1, f"not YAML: {error}"
    if error.problem == "found unexpected end of stream" and error.context_mark is not None:
        return error.context_mark.line + 1, "not YAML: a quote opens here and does not close"
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "cannot be read"
    meant = _MEANT.get(problem) or (_of_character(text, mark) if mark is not None else None)
    return (mark.line + 1 if mark else 1), f"not YAML: {problem}{f'; {meant}' if meant else ''}"


def _of_character(text: str, mark: yaml.Mark) -> str | None:
    """Return what is meant where a character cannot begin a value; a byte order mark shifts no line."""
    line = text.split("\n", mark.line + 1)[mark.line] if text.count("\n") >= mark.line else ""
    found = line[mark.column : mark.column + 1]
    if "\t" in line[: mark.column + 1] and not line[: mark.column].strip():
        return "a tab cannot indent; use spaces"
    return f"a value that begins with {found} must be quoted" if found in ("%", "@", "`") else None
