"""`tocsin notify-test`: one message to each channel of each receiver, so that a page is not the first try."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from notifiers.channels import Rejected, Unavailable
from notifiers.message import Message, plain
from pipeline import app
from pipeline.adapters import open_channels
from pipeline.commands.options import config_option, load_config, told


@click.command("notify-test")
@config_option
@click.argument("receivers", nargs=-1)
def notify_test(path: Path | None, receivers: tuple[str, ...]) -> None:
    """Send a test message by every channel of RECEIVERS (all, unless named). Exit 1 if one does not take it."""
    config = load_config(path)
    with told():
        channels = open_channels(config)
    unknown = set(receivers) - channels.keys()
    if unknown:
        raise click.UsageError(f"no receiver named {', '.join(sorted(unknown))}; there are {', '.join(channels)}")
    failed = False
    for name in receivers or channels:
        for number, channel in enumerate(channels[name], 1):
            place = f"{name}, channel {number} ({channel.kind})"
            try:
                receipt = channel.send(_message(place), None)
            except (Unavailable, Rejected) as error:
                failed = True
                click.echo(f"{click.style('failed', fg='red')}  {place}: {error}")
            else:
                click.echo(f"{click.style('sent', fg='green')}    {place}: {receipt.id}")
    sys.exit(1 if failed else 0)


def _message(place: str) -> Message:
    return plain("notify-test", f"Tocsin's test message to {place}, sent by hand. Nothing happened.", app.now())
