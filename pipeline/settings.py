"""The config's keys, as models: each with its default and what it means. The reference in docs/ is made from here."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PrivateAttr

from pipeline.source_settings import FileSettings, HostMetricsSettings, JournaldSettings, SourceSettings
from pipeline.values import Duration, Environment, Model, Size, SizeOrShare, duration

__all__ = [
    "Config",
    "Duration",
    "FileSettings",
    "HostMetricsSettings",
    "JournaldSettings",
    "SourceSettings",
    "duration",
]


def embedded(value: object) -> object:
    """Return stream or index settings that name no kind as those of SQLite."""
    return {"kind": "sqlite", **value} if isinstance(value, dict) else value


class Host(Model):
    id: str = Field("auto", description="`auto`: made at the first start and kept in the state folder")
    name: str | None = Field(None, description="`host.name` of what is collected here; the system's own if absent")
    environment: Environment = Field("unknown", description="of events that no entry of `environments` names")


class SqliteStreamSettings(Model):
    kind: Literal["sqlite"] = "sqlite"
    keep: Duration = Field(timedelta(days=7), description="how long what everyone has read stays")
    limit: Size = Field(
        2**30, description="above it, what everyone has read goes earlier; what has not been read slows the sources"
    )


class KafkaStreamSettings(Model):
    kind: Literal["kafka"]
    servers: list[str] = Field(min_length=1, description="host:port of some brokers")
    security: dict[str, str] = Field(
        default_factory=dict, description="kafka-python's security settings: security_protocol, sasl_mechanism, ..."
    )
    topic_prefix: str = Field("audit", description="topics are `<prefix>.events`, `<prefix>.alerts`, ...")
    partitions: int = Field(4, ge=1, description="of `<prefix>.events`, when Tocsin creates it")
    keep: Duration = Field(timedelta(days=7), description="retention of topics that Tocsin creates")
    journal_limit: Size = Field(
        2**30, description="what a collector holds while Kafka is away; sources of priority `last` may take half of it"
    )


class Keep(Model):
    auth: Duration = timedelta(days=365)
    db: Duration | None = None
    system: Duration | None = None
    metrics: Duration = timedelta(days=14)
    tocsin: Duration | None = None
    default: Duration = timedelta(days=90)


class SqliteIndexSettings(Model):
    kind: Literal["sqlite"] = "sqlite"
    keep: Keep = Field(default_factory=Keep, description="how long each class of event is searchable")
    limit: SizeOrShare = Field("10%", description="of the disk, or a size: above it the oldest days go")


class ElasticsearchIndexSettings(Model):
    kind: Literal["elasticsearch"]
    hosts: list[str] = Field(min_length=1, description="https://host:9200, ...")
    username: str | None = None
    password: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    prefix: str = Field("tocsin", description="indexes are `<prefix>-<class>-<day>`")
    keep: Keep = Field(default_factory=Keep)


StreamSettings = Annotated[
    SqliteStreamSettings | KafkaStreamSettings, Field(discriminator="kind"), BeforeValidator(embedded)
]
IndexSettings = Annotated[
    SqliteIndexSettings | ElasticsearchIndexSettings, Field(discriminator="kind"), BeforeValidator(embedded)
]


def _sources() -> list[SourceSettings]:
    return [
        FileSettings(kind="file", paths=["/var/log/auth.log", "/var/log/secure"], format="syslog"),
        JournaldSettings(kind="journald"),
        HostMetricsSettings(kind="host_metrics"),
    ]


class ListFile(Model):
    file: str = Field(description="one entry a line; `#` begins a comment, but not in a word")


class CommandedList(Model):
    from_: Literal["commands"] = Field(alias="from", description="`tocsin lists` changes it, without a reload")


class RulesSettings(Model):
    paths: list[str] = Field(["builtin"], description="`builtin`: the shipped rules; else files or folders")
    lists: dict[str, list[str] | ListFile | CommandedList] = Field(
        default_factory=dict, description="what `|expand` reads: values, {file: one a line}, or {from: commands}"
    )


class EnvironmentRule(Model):
    match: dict[str, str | list[str]] = Field(
        default_factory=dict,
        description="ECS field: pattern with * and ? (case ignored), network, or a list of them; all fields must match",
    )
    words: dict[str, list[str]] = Field(
        default_factory=dict,
        description="ECS field: words, one of which the name must be made of: prod is in prod-db-01, acme.prod and "
        "AcmeProd, not in PRODUCTS, reproduction, preprod or non-prod",
    )
    is_: Environment = Field(alias="is")
    base: list[str] = Field(
        default_factory=list,
        description="fields that name the thing without its environment (db.namespace, where the host tells which); "
        "absent: what the wildcards of `match` stand for, or the name without the word",
    )


class Person(Model):
    name: str = Field(description="as it stands in timelines")
    email: str | None = Field(None, description="e-mails to this address get links of this person's own")
    slack: str | None = Field(None, description="the Slack member id, U012AB3CD, whose presses of buttons are theirs")
    accounts: list[str] = Field(
        default_factory=list, description="of the operating system, by which they use the command line"
    )


class TerminalSettings(Model):
    kind: Literal["terminal"]


class SlackSettings(Model):
    kind: Literal["slack"]
    token: str | None = Field(None, description="a bot token with chat:write")
    token_file: Path | None = None
    channel: str
    base_url: str | None = None


class EmailSettings(Model):
    kind: Literal["email"]
    to: list[str] = Field(min_length=1)


class WebhookSettings(Model):
    kind: Literal["webhook"]
    url: str | None = Field(None, description="http(s)://...; Alertmanager's webhook payload is posted to it")
    url_file: Path | None = Field(None, description="where the URL is a secret")
    secret_file: Path | None = Field(None, description="what requests are signed with (docs/paging.md)")
    authorization_file: Path | None = Field(None, description="the whole value of the header Authorization")
    ca_file: Path | None = None


ChannelSettings = Annotated[
    TerminalSettings | SlackSettings | EmailSettings | WebhookSettings, Field(discriminator="kind")
]


class ReceiverSettings(Model):
    name: str
    channels: list[ChannelSettings] = Field(min_length=1, description="in order: the next one is the fallback")


class Smtp(Model):
    host: str = "127.0.0.1"
    port: int = Field(25, ge=1, le=65535)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: Path | None = None
    username: str | None = None
    password: str | None = None
    password_file: Path | None = None
    sender: str = "tocsin@localhost"


class RouteSettings(Model):
    receiver: str | None = None
    matchers: list[str] = Field(default_factory=list)
    match: dict[str, str] = Field(default_factory=dict, description="older form of `matchers`")
    match_re: dict[str, str] = Field(default_factory=dict)
    continue_: bool = Field(False, alias="continue")
    group_by: list[str] | None = None
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None
    mute_time_intervals: list[str] = Field(default_factory=list)
    active_time_intervals: list[str] = Field(default_factory=list)
    routes: list[RouteSettings] = Field(default_factory=list)


class IncidentSettings(Model):
    ttl: Duration = Field(
        timedelta(hours=4), description="an event's incident ends when nothing more happened for so long"
    )
    storm: int = Field(
        20, ge=1, description="a receiver gets no more messages than this within a minute; the rest come in one digest"
    )


class ChainSettings(Model):
    enrolled: Path | None = Field(
        None, description="the centre's folder of first keys (`tocsin enrol`); absent: `enrolled` in the state folder"
    )
    unenrolled: Literal["accept", "refuse"] = Field(
        "accept", description="what becomes of records of a host that nobody enrolled"
    )
    anchor_file: Path | None = Field(
        None, description="where the heads of the chains are also written, out of reach of whoever owns the archive"
    )


class ConsoleSettings(Model):
    listen: str = Field("127.0.0.1:8514", description="host:port; a proxy with TLS stands before it")
    url: str | None = Field(None, description="where people reach it, https://...: what links in e-mails begin with")
    slack_signing_secret_file: Path | None = Field(
        None, description="the Slack app's signing secret: with it, messages in Slack have buttons"
    )
    link_ttl: Duration = Field(timedelta(days=2), description="how long a link in an e-mail serves")


class CommandSettings(Model):
    key_file: Path | None = Field(
        None, description="what commands are signed with; absent: made at first use, in the state folder"
    )


class Config(Model):
    """One YAML file; every key has a default that serves `tocsin run` on a laptop."""

    state: Path = Field(
        Path("~/.local/state/tocsin"), description="journal, SQLite stream and index, a lock for each role"
    )
    host: Host = Field(default_factory=Host)
    stream: StreamSettings = Field(default_factory=SqliteStreamSettings)
    index: IndexSettings = Field(default_factory=SqliteIndexSettings)
    sources: list[SourceSettings] = Field(default_factory=_sources)
    rules: RulesSettings = Field(default_factory=RulesSettings)
    environments: list[EnvironmentRule] = Field(default_factory=list)
    people: list[Person] = Field(default_factory=list)
    receivers: list[ReceiverSettings] = Field(
        default_factory=lambda: [ReceiverSettings(name="terminal", channels=[TerminalSettings(kind="terminal")])]
    )
    smtp: Smtp = Field(default_factory=Smtp)
    route: RouteSettings = Field(default_factory=RouteSettings)
    inhibit_rules: list[dict[str, object]] = Field(
        default_factory=list, description="Alertmanager's: {source_matchers, target_matchers, equal}"
    )
    time_intervals: list[dict[str, object]] = Field(
        default_factory=list, description="Alertmanager's: {name, time_intervals}; `location` must be stated"
    )
    incidents: IncidentSettings = Field(default_factory=IncidentSettings)
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)
    commands: CommandSettings = Field(default_factory=CommandSettings)
    templates: Path | None = Field(
        None, description="a folder: its message.txt and message.html replace the shipped ones"
    )
    chain: ChainSettings = Field(default_factory=ChainSettings)
    _file: str | None = PrivateAttr(None)

    @property
    def options(self) -> tuple[str, ...]:
        """What a command needs to find this config: `-c FILE`, or nothing where it is found by itself."""
        return ("-c", self._file) if self._file else ()

    def named(self, file: str) -> None:
        """Note the file that this was read from."""
        self._file = file
