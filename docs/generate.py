"""What the docs show of the code itself: `make docs` writes it (cog), `make check` fails where it is stale."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import click
import msgspec
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from pipeline.cli import cli
from pipeline.settings import Config


def commands() -> str:
    """Return the help of every command, each under a heading."""
    return "\n".join(_help(cli, "tocsin", click.Context(cli, info_name="tocsin")))


def _help(command: click.Command, name: str, context: click.Context) -> Iterator[str]:
    yield f"## {name}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            if found is not None:
                yield from _help(found, f"{name} {sub}", click.Context(found, info_name=sub, parent=context))


def config() -> str:
    """Return a table of every key: its type, default and meaning."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|", *_rows(Config, "")]
    return "\n".join(rows) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = list(_models(field.annotation))
        default = _default(field.get_default(call_default_factory=True)) if not field.is_required() else "required"
        yield f"| `{key}` | {_type(field.annotation)} | {default} | {field.description or ''} |"
        if model not in inner:  # routes hold routes
            for found in inner:
                kind = found.model_fields.get("kind")
                which = f".{get_args(kind.annotation)[0]}" if kind and len(inner) > 1 else ""
                label = f"{key}{which}."
                yield from _rows(found, label)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _type(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(arg) for arg in args if arg is not type(None)))
    if origin in (list, tuple, frozenset):
        return f"list of {_type(args[0])}"
    if origin is dict:
        return f"{_type(args[0])} → {_type(args[1])}"
    if args:  # Literal
        return ", ".join(f"`{arg}`" for arg in args)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {str: "text", int: "number", bool: "true, false", timedelta: "duration", Path: "path"}.get(
        annotation, "text"
    )


def _default(value: object) -> str:
    if value is None or value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel) or (isinstance(value, list) and value and isinstance(value[0], BaseModel)):
        return "see below"
    if isinstance(value, timedelta):
        return f"`{_duration(value)}`"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 2**20:
        return f"`{value // 2**20} MiB`"
    return f"`{json.dumps(value, default=str)}`"


def _duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def schema(model: type[BaseModel]) -> str:
    """Return a topic's value as a table of fields."""
    rows = ["| field | type | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        rows.append(f"| `{name}` | {_type(field.annotation)} | {field.description or ''} |")
    return "\n".join(rows) + "\n"


def structure(model: type[msgspec.Struct]) -> str:
    """The same for a value that is a msgspec struct."""
    tag = model.__struct_config__.tag_field, model.__struct_config__.tag
    rows = ["| field | type |", "|---|---|", *([f"| `{tag[0]}` | `{tag[1]}` |"] if tag[1] else [])]
    hints = get_type_hints(model)
    rows += [f"| `{name}` | {_type(hints[name])} |" for name in model.__struct_fields__]
    return "\n".join(rows) + "\n"
