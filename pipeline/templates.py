"""The installation's own templates, read from the folder that the config names; absent ones are the shipped ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from notifiers.proofread import blots
from notifiers.render import TEMPLATES, Renderer
from pipeline.config import ConfigError, Fault
from pipeline.settings import Config
from rules.ruleset import RuleSet
from rules.telling import told


def texts(config: Config) -> dict[str, str]:
    """Return name -> text. Raises ConfigError for a folder or a template that cannot be read."""
    if config.templates is None:
        return {}
    folder = config.templates.expanduser()
    if not folder.is_dir():
        raise ConfigError([Fault(str(folder), 1, "", "`templates` names no folder")])
    found = {}
    for name in TEMPLATES:
        path = folder / name
        try:
            found[name] = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([Fault(str(path), 1, "", f"cannot be read: {error}")]) from error
    return found


def faults(config: Config, rules: RuleSet, now: datetime) -> Iterator[Fault]:
    """Yield what is wrong with the templates, tried on a sample of each rule's alert. Raises ConfigError."""
    found = texts(config)
    if config.templates is None:
        return
    renderer = Renderer(found, config=config.options)
    about = [*(told(one) for one in rules.rules), *(told(one) for one in rules.correlations)]
    for blot in blots(renderer, about, now):
        yield Fault(str(config.templates.expanduser() / blot.template), blot.line, "", blot.fault)
