"""Logins at a desk and to one: keyrings, lockers, greeters (gdm, sddm, lightdm), xrdp and cPanel.

Sources: gnome-keyring's pam module, xscreensaver, kcheckpass, sddm-helper; xrdp 0.6 to 0.10 (sesman, sesexec, xrdp_mm.c).
"""

# ruff: noqa: E501  a row is a message: it is read more easily whole

from __future__ import annotations

import re
from typing import Final

from collectors.formats.address import source
from collectors.formats.sayings import AUTH, NETWORK, SESSION, Fields, Saying, reader

_KEYRING: Final = (
    Saying("gkr-pam: ", "unlocked login keyring", AUTH, "keyring_unlocked", "success"),
    Saying("gkr-pam: ", r"the password for the login keyring was invalid\.?", AUTH, "keyring_unlocked", "failure"),
)
_GREETERS: Final = (
    Saying("FAILED LOGIN ", r"\d+ ON DISPLAY \"[^\"]*\", FOR \"(?P<user>.*)\"", AUTH, "screen_unlock", "failure"),
    Saying(
        "Authentication failure for ", r"(?P<user>.*) \(invoked by uid (?P<uid>\d+)\)", AUTH, "screen_unlock", "failure"
    ),
    Saying("[PAM] authenticate: ", r"(?P<why>.*)", AUTH, "authentication_failure", "failure"),
    Saying("Couldn't authenticate user", r"(?: (?P<user>.*))?", AUTH, "authentication_failure", "failure"),
)
read: Final = reader("desktop", (*_KEYRING, *_GREETERS))

# "(10687)(1397...)[INFO ] " or "[INFO ] " before xrdp's own words.
_XRDP_HEAD: Final = re.compile(
    r"(?:\(\d{1,10}\)\(\d{1,20}\))?\[(?:CORE|ERROR|WARN|INFO|DEBUG|TRACE|ALWAYS) ?\] ", re.ASCII
)
_END: Final = r"(?: - socket: \d+)?(?:, UID \d+)?"
_XRDP: Final = reader(
    "xrdp",
    (
        Saying("AUTHFAIL: ", r"user=(?P<user>.*) ip=(?P<peer>\S+) time=\d+", AUTH, "rdp_login", "failure"),
        Saying("++ ", rf"created session \(access granted\): username (?P<user>.*?)(?:, ip (?P<peer>\S+))?{_END}", f"{AUTH} {SESSION}", "rdp_login", "success"),
        Saying("++ ", rf"reconnected session: username (?P<user>.*), display \S+(?:, session_pid \d+)?(?:, ip (?P<peer>\S+))?{_END}", f"{AUTH} {SESSION}", "rdp_reconnect", "success"),
        Saying("++ ", rf"terminated session: +username (?P<user>.*), display \S+(?:, session_pid \d+)?(?:, ip (?P<peer>\S+))?{_END}", SESSION, "rdp_session_ended", types="end"),
        Saying("-- ", r"terminated session.*", SESSION, "rdp_session_ended", types="end"),
        Saying("login failed for user ", r"(?P<user>.*)", AUTH, "rdp_login", "failure"),
        Saying("login failed for display ", r"(?P<why>.*)", AUTH, "rdp_login", "failure"),
        Saying("Username or password error for user: ", r"(?P<user>.*)", AUTH, "rdp_login", "failure"),
        Saying("User ", r"(?P<user>.*) (?P<why>is not (?:allowed|a member|in).*)", AUTH, "rdp_login", "failure"),
        Saying("ROOT login attempted", r".*(?:denied|not allowed).*", AUTH, "rdp_login", "failure"),
        Saying("Access permitted for user: ", r"(?P<user>.*)", AUTH, "rdp_access_granted"),
        Saying("login successful for ", r"(?:user (?P<user>.*) on )?display \S+", AUTH, "rdp_session_connected", "success"),
        Saying("login was successful - ", r"creating session", AUTH, "rdp_session_connected"),
        Saying("Received authentication request for user: ", r"(?P<user>.*) ip: (?P<peer>\S*)", AUTH, "rdp_login_asked"),
        Saying("Starting session: ", r"session_pid (?P<pid>\d+), display .* client ip (?P<peer>\S+) - socket: \d+, user name (?P<user>.*)", SESSION, "rdp_session_started", types="start"),
        Saying("Socket ", r"\d+: AF_INET6? connection received from (?P<host>\S+) port (?P<port>\d{1,5})", NETWORK, "rdp_connection"),
        Saying("A connection received from", r":? (?P<host>\S+) port (?P<port>\d{1,5})", NETWORK, "rdp_connection"),
        Saying("connected client computer name: ", r"(?P<domain>.*)", NETWORK, "rdp_connection"),
    ),
)  # fmt: skip


def read_xrdp(message: str) -> Fields | None:
    """Return who came in by RDP from where; an address stands with its port, ::ffff:192.0.2.8:50022."""
    head = _XRDP_HEAD.match(message)
    fields = _XRDP(message[head.end() :] if head else message)
    peer = fields.pop("source.address", None) if fields is not None else None
    if fields is not None and isinstance(peer, str):
        _peer(fields, peer.rstrip(","))
    return fields


def _peer(fields: Fields, peer: str) -> None:
    fields.pop("source.domain", None)
    host, _, port = peer.rpartition(":")
    if host and port.isdecimal() and ("." in host or host.startswith("[") or host.count(":") > 6):
        source(fields, host.strip("[]"), port)
    elif peer != "unknown":
        source(fields, peer)


# cPanel's login_log: ADDRESS - USER "REQUEST" FAILED LOGIN SERVICE: REASON; the name and the request are anyone's words.
_cpanel: Final = reader(
    "cpanel",
    tuple(
        Saying(f"{verdict} LOGIN ", r"(?P<service>[\w-]+)(?:: (?P<why>.*))?", AUTH, "cpanel_login", outcome)
        for verdict, outcome in (("FAILED", "failure"), ("DEFERRED", "failure"), ("SUCCESS", "success"))
    ),
)


def read_cpsrvd(message: str) -> Fields | None:
    """Return who logged in to cPanel from where, or did not."""
    at = max(message.rfind(f" {verdict} LOGIN ") for verdict in ("FAILED", "DEFERRED", "SUCCESS"))
    peer, marked, who = message[: max(at, 0)].partition(" - ")
    fields = _cpanel(message[at + 1 :]) if marked and " " not in peer else None
    if fields is not None:
        fields["user.name"] = who.partition(' "')[0].removesuffix(" -")
        source(fields, peer)
    return fields
