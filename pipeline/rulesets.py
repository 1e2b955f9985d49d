"""Where rules and lists come from: `builtin`, files and folders; read here, judged in rules/."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from pipeline.settings import CommandedList, RulesSettings
from rules.document import LIMIT_BYTES
from rules.faults import Fault
from rules.lists import entry

BUILTIN = "builtin"
CASES = ".cases.yml"
SHIPPED_LISTS = ("anchored_hosts", "dbas")  # read by rules/library
_SUFFIXES = (".yml", ".yaml")


def sources(paths: Iterable[str], faults: list[Fault]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each rule file, in order of name; what cannot be read is reported, and skipped."""
    for path in paths:
        for name, text in _texts(path, faults):
            if not name.endswith(CASES):
                yield name, text


def case_files(paths: Iterable[str], faults: list[Fault]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each file of cases."""
    for path in paths:
        for name, text in _texts(path, faults):
            if name.endswith(CASES):
                yield name, text


def _texts(path: str, faults: list[Fault]) -> Iterator[tuple[str, str]]:
    if path == BUILTIN:
        yield from _builtin(files("rules") / "library", BUILTIN)
        return
    root = Path(path).expanduser()
    for one in _files(root) if root.is_dir() else [root]:
        try:
            yield str(one), _read(one)
        except OSError as error:
            faults.append(Fault(str(one), 1, f"cannot be read: {error.strerror}"))
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            faults.append(Fault(str(one), line, f"cannot be read: byte {error.object[error.start]:#x} is not UTF-8"))


def _files(folder: Path) -> list[Path]:
    return sorted(one for suffix in _SUFFIXES for one in folder.rglob(f"*{suffix}"))


def _read(path: Path) -> str:
    """Read no more of a file than shows that it is too long."""
    with path.open("rb") as file:
        data = file.read(LIMIT_BYTES + 1)
    return data.decode("utf-8-sig", "strict" if len(data) <= LIMIT_BYTES else "ignore").replace("\r\n", "\n")


def _builtin(folder: Traversable, name: str) -> Iterator[tuple[str, str]]:
    for one in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if one.is_dir():
            yield from _builtin(one, f"{name}/{one.name}")
        elif one.name.endswith(_SUFFIXES):
            yield f"{name}/{one.name}", one.read_text(encoding="utf-8")


def lists(config: Mapping[str, Sequence[str] | Mapping[str, str]], faults: list[Fault]) -> dict[str, tuple[str, ...]]:
    """Return the configured lists; `{file: path}` is a file with an entry a line.

    A list whose file cannot be read is reported and absent: the rules that read it are inactive, and say so. What the
    shipped rules read is there, empty, though nobody configured it: they would rather tell too much than nothing.
    """
    out: dict[str, tuple[str, ...]] = dict.fromkeys(SHIPPED_LISTS, ())
    for name, value in config.items():
        if not isinstance(value, Mapping):
            out[name] = tuple(str(entry) for entry in value)
            continue
        path = Path(value["file"]).expanduser()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            faults.append(Fault(str(path), 1, f"list {name!r} cannot be read: {reason}"))
            continue
        out[name] = tuple(filter(None, map(entry, lines)))
    return out


def configured(settings: RulesSettings, faults: list[Fault]) -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    """Return the config's lists, and the names of those that commands change."""
    named: dict[str, Sequence[str] | Mapping[str, str]] = {}
    live = set()
    for name, one in settings.lists.items():
        if isinstance(one, CommandedList):
            live.add(name)
        else:
            named[name] = one if isinstance(one, list) else {"file": one.file}
    found = lists(named, faults)
    return {name: values for name, values in found.items() if name not in live}, frozenset(live)
