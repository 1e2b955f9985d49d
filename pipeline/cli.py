"""The commands, each loaded when it is called, so that `--help` and a collector stay light."""

from __future__ import annotations

import importlib
import sys

import click

# name -> (module of pipeline.commands, one line of help)
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "Run every role in one process: collect, detect, index, notify."),
    "collect": ("run", "Run the collecting role: sources onto the stream."),
    "detect": ("run", "Run the detecting role: events against rules."),
    "index": ("run", "Run the indexing role: the stream into the archive."),
    "notify": ("run", "Run the notifying role: alerts to people."),
    "console": ("run", "Run the console: answers Slack's buttons and the links in e-mails."),
    "demo": ("demo", "A day of trouble, through the real pipeline, in a minute."),
    "check": ("check", "Check config, rules, lists and connections; name every fault with file and line."),
    "parse": ("parse", "Raw log in, one ECS object a record out (NDJSON)."),
    "rules": ("rules", "Check, list, test and match rules."),
    "search": ("search", "Search the audit history."),
    "explain": ("explain", "Why an alert fired, and whether it still holds; what became of an event, rule by rule."),
    "incidents": ("incidents", "List incidents, show one, acknowledge, resolve, hand over."),
    "silence": ("silence", "Keep some pages quiet for a while, with a reason."),
    "lists": ("lists", "Change the lists that rules read, within the hour and without a reload."),
    "route": ("route", "Who would get what, when and why; take over Alertmanager's config."),
    "notify-test": ("notify_test", "Send a test message by every channel."),
    "enrol": ("enrol", "Give a host its id and first key; list and revoke hosts."),
    "deadletter": ("deadletter", "What could not be taken, and why; send it through again."),
    "verify": ("verify", "Check the archive: every record's seal, and the numbers of every chain."),
    "status": (
        "status",
        "What was read, delivered, set aside and lost, by source; stream, index, receivers.",
    ),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"pipeline.commands.{module}"), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tocsin", prog_name="tocsin")
def cli() -> None:
    """Tocsin records every action taken on production and rings for the ones that matter.

    Start with `tocsin run` (this host, nothing to set up) or `tocsin demo` (a day of trouble in a minute).
    """


# what an extra brings: module -> extra
EXTRAS = {
    "ahocorasick_rs": "detect",
    "elasticsearch": "index",
    "jinja2": "notify",
    "re2": "detect",
    "rich": "notify",
    "slack_sdk": "notify",
}


def main() -> None:
    """The one way in: exit 0 ok, 1 a finding, 2 misuse. What an absent extra would have brought is named."""
    try:
        sys.exit(cli())
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        extra = EXTRAS[error.name]
        click.echo(
            f"this needs {error.name}, which is not installed here: install Tocsin with the extra `{extra}`, or `all` "
            f"for everything (pip install '.[{extra}]')",
            err=True,
        )
        sys.exit(1)
