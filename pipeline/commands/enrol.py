"""`tocsin enrol`: give a host its id and first key, and keep what proves its records at the centre."""

from __future__ import annotations

import os
import secrets
import sys
import uuid
from pathlib import Path

import click
import msgspec

from collectors.chain import Key
from pipeline import app, state
from pipeline.commands.options import config_option, fail, load_config, told
from pipeline.enrolled import COLLECT, Enrolled, Enrolment, write
from pipeline.enrolling import escrow, key_file
from pipeline.settings import Config
from rules.event import rfc3339


class Bundle(msgspec.Struct):
    """What goes from the centre to a host, once: whoever reads it on the way can speak for the host."""

    id: str
    name: str
    key: str


@click.group()
def enrol() -> None:
    """Give a host its id and first key, so that the centre can tell its records from anybody else's.

    \b
    At the centre:  tocsin enrol new web-1 -o web-1.enrol
    On the host:    tocsin enrol accept web-1.enrol     (before `tocsin collect` is started)

    A host that runs everything itself (`tocsin run`) enrols itself.
    """


@enrol.command()
@click.argument("name")
@click.option("--id", "id_", help="Enrol this host anew under the id that it has; its earlier key still verifies.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Bundle to write.")
@config_option
def new(path: Path | None, name: str, id_: str | None, output: Path) -> None:
    """At the centre: make id and first key of the host NAME, keep them, and write the bundle for the host."""
    config = load_config(path)
    bundle = Bundle(id_ or str(uuid.uuid4()), name, secrets.token_hex(32))
    with told():
        if id_ is None and any(one.name == name and not one.revoked for one in _all(config)):
            raise fail(f"{name} is enrolled already (`tocsin enrol list`); to enrol it anew, say --id ITS-ID")
        _record(config, "enrol", bundle.id, name)  # what cannot be recorded is not done
        _write_bundle(output, bundle)
        write(escrow(config), Enrolment(bundle.id, name, bundle.key, rfc3339(app.now())))
    click.echo(f"{name} is {bundle.id}. Bring {output} to it, then there: tocsin enrol accept {output.name}")
    click.echo("Whoever reads that file can speak for the host: send it by a safe way, and keep no copy.")


@enrol.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--again", is_flag=True, help="Even though this host has a key that is in use.")
@config_option
def accept(path: Path | None, file: Path, again: bool) -> None:
    """On the host: take id and key from the bundle FILE, and remove it."""
    config = load_config(path)
    with told(), state.role_lock(config, COLLECT):
        bundle = _read_bundle(file)
        keys = key_file(config, COLLECT)
        if keys.path.exists() and not again:
            raise fail(f"{keys.path} is there: this host has a key already; --again replaces it")
        if config.host.id not in ("auto", bundle.id):
            raise fail(f"the config says host.id: {config.host.id}, the bundle is for {bundle.id}")
        state.adopt(config, bundle.id)
        keys.write(Key(0, bytes.fromhex(bundle.key)), 0, sync=True)
        _remove(file)
    click.echo(f"This host is {bundle.id} ({bundle.name}); {file} is removed. Start `tocsin collect`.")


@enrol.command("list")
@config_option
def list_(path: Path | None) -> None:
    """At the centre: who is enrolled."""
    config = load_config(path)
    with told():
        found = _all(config)
    for one in found:
        if sys.stdout.isatty():
            gone = click.style(f"  revoked {one.revoked}", fg="red") if one.revoked else ""
            click.echo(f"{one.id}  {click.unstyle(one.name):24} since {one.enrolled}{gone}")
        else:
            shown = {"host.id": one.id, "host.name": one.name, "enrolled": one.enrolled, "revoked": one.revoked}
            click.echo(msgspec.json.encode(shown))
    if not found and sys.stdout.isatty():
        click.echo(f"Nobody is enrolled in {escrow(config)}; begin with `tocsin enrol new NAME -o FILE`.")


@enrol.command()
@click.argument("host")
@config_option
def revoke(path: Path | None, host: str) -> None:
    """At the centre: refuse what comes from HOST (its name or id) from now on; what it sent before stays valid."""
    config = load_config(path)
    with told():
        found = [one for one in _all(config) if host in (one.id, one.name) and not one.revoked]
        if len(found) != 1:
            raise fail(
                f"{len(found)} enrolled hosts are called {host!r}; `tocsin enrol list` shows them, name one by id"
            )
        _record(config, "revoke", found[0].id, found[0].name)
        write(escrow(config), msgspec.structs.replace(found[0], revoked=rfc3339(app.now())))
    click.echo(f"{found[0].name} ({found[0].id}) is revoked: its records go to the dead letters from now on.")


def _record(config: Config, verb: str, id_: str, name: str) -> None:
    """Put on the stream who did it. Only the centre does: a host that collects has not what this needs."""
    from pipeline.commands.people import opened, record

    with opened(config) as stream:
        record(stream, config, verb, {"host.id": id_, "host.name": name})


def _all(config: Config) -> list[Enrolment]:
    return Enrolled.of(escrow(config)).all()


def _write_bundle(path: Path, bundle: Bundle) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise fail(f"{path}: {error.strerror}; name another file") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(bundle) + b"\n")


def _read_bundle(path: Path) -> Bundle:
    try:
        bundle = msgspec.json.decode(path.read_bytes(), type=Bundle)
        if len(bytes.fromhex(bundle.key)) != 32:
            raise ValueError("its key is not 64 hex digits")
    except OSError as error:
        raise fail(f"{path}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise fail(f"{path}: {error}; it is no bundle of `tocsin enrol new`") from error
    return bundle


def _remove(path: Path) -> None:
    """Overwrite the bundle before it is unlinked; what a file system keeps elsewhere is beyond us."""
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
