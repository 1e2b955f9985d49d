"""What sshd says beside its verdicts on logins: of itself, forwarding, limits, keys and accounts that it does not take.

Sources: sshd.c, sshd-session.c, serverloop.c, auth.c, auth-pam.c, auth-shadow.c, auth2-pubkey.c, auth2-hostbased.c,
auth-options.c, channels.c, packet.c, kex.c, session.c, srclimit.c and gss-serv-krb5.c of OpenSSH 5 to 10; libwrap.
"""

# ruff: noqa: E501  a row is a message: it is read more easily whole

from __future__ import annotations

from typing import Final

from collectors.formats.sayings import AUTH, NETWORK, SESSION, Fields, Saying, reader

_PEER: Final = r"(?P<host>\S+?)(?: port (?P<port>\d{1,5}))?"
_PEER_END: Final = r"(?P<host>\S+) port (?P<port>\d{1,5})"
_WHO: Final = r"(?:(?:(?P<invalid>invalid )|authenticating )?user (?P<user>.*) )?"
_TARGET: Final = r"(?P<to>\S+) port (?P<to_port>\d{1,5})"
_DENIED: Final = r", but the request was denied\.?"
_OTHER_END: Final = r"(?: on \S+(?: port \d{1,5})?)?(?: rdomain \"[^\"]*\")?"


def _login(start: str, rest: str, action: str = "ssh_login", outcome: str = "failure") -> Saying:
    return Saying(start, rest, AUTH, action, outcome)


def _network(start: str, rest: str, action: str = "ssh_connection_failed", outcome: str = "failure") -> Saying:
    return Saying(start, rest, NETWORK, action, outcome)


_CONNECTIONS: Final = (
    _network("Timeout before authentication for connection from ", r"(?P<host>\S+) to (?P<to>[^\s,]+)(?:, pid = \d+)?"),
    _network("Timeout before authentication for ", rf"{_PEER}\.?"),
    _network("Timeout, client not responding", rf"(?: from {_WHO}{_PEER_END})?\.?"),
    _network("Connection from ", rf"{_WHO}{_PEER_END} timed out"),
    _network("Unable to negotiate with ", rf"{_PEER}: (?P<why>.*)"),
    _network("Unable to negotiate ", r"(?P<why>.*)"),
    _network("Protocol major versions differ for ", rf"{_PEER}: (?P<why>.*)"),
    _network("ssh_dispatch_run_fatal: Connection from ", rf"{_WHO}{_PEER_END}: (?P<why>.*)"),
    _network("ssh_dispatch_run_fatal: ", r"(?P<why>.*)"),
    _network("banner exchange: Connection from ", rf"{_PEER}: (?P<why>.*)"),
    _network("banner exchange: ", r"(?P<why>.*)"),
    _network("kex_exchange_identification: ", r"(?P<why>.*)"),
    _network("ssh_exchange_identification: ", r"(?P<why>.*)"),
    _network("kex_protocol_error: ", r"(?P<why>.*)"),
    _network("kex protocol error: ", r"(?P<why>.*)"),
    _network("Hm, kex protocol error: ", r"(?P<why>.*)"),
    _network("dispatch_protocol_error: ", r"(?P<why>.*)"),
    _network("no matching ", r"(?P<why>.*)"),
    _network("No supported key exchange algorithms", ""),
    _network("Bad packet length ", r"(?P<why>\d+)\.?"),
    _network("Corrupted MAC on input.", ""),
    _network("Packet corrupt", ""),
    _network("padding error: ", r"(?P<why>.*)"),
    _network("bad client public DH value", ""),
    _network("probed from ", rf"{_PEER} with (?P<why>.*?)\. +Don't panic\."),
    _network("scanned from ", rf"{_PEER} with (?P<why>.*?)\. +Don't panic\."),
    _network("drop connection ", r"#\d+ from \[(?P<host>[^\]\s]*)\]:(?P<port>\d{1,5}) on \S+ (?P<why>.*)"),
    _network("srclimit_penalise: ", r"ipv[46]: (?:\w+ )?(?P<host>[^\s/]+)/\d+ (?P<why>.*)", "ssh_throttled"),
    _network("beginning MaxStartups throttling", "", "ssh_throttled"),
    _network("exited MaxStartups throttling ", r"(?P<why>.*)", "ssh_throttled", "unknown"),
    _network("Connection #", rf"\d+ from {_PEER}.*"),
    _network("Connection rate limit ", r"(?P<why>.*)"),
    _network("Read error from remote host ", rf"{_WHO}{_PEER}: (?P<why>.*)", "ssh_connection_reset", "unknown"),
    _network("Write error to remote host ", rf"{_WHO}{_PEER}: (?P<why>.*)", "ssh_connection_reset", "unknown"),
    _network("Read from socket failed: ", r"(?P<why>.*)", "ssh_connection_reset"),
    _network("Write failed: ", r"(?P<why>.*)", "ssh_connection_reset", "unknown"),
    _network("Read from remote host ", rf"{_WHO}{_PEER}: (?P<why>.*)", "ssh_connection_reset", "unknown"),
    _network("packet_write_wait: Connection ", rf"(?:from|to) {_WHO}{_PEER_END}: (?P<why>.*)", "ssh_connection_reset", "unknown"),
    _network("ssh_packet_", rf"\w+: Connection (?:from|to) {_WHO}{_PEER_END}: (?P<why>.*)", "ssh_connection_reset", "unknown"),
    _network("Closing connection to ", rf"{_PEER}", "ssh_connection_closed", "unknown"),
    _network("Transferred: sent ", r"(?P<sent>\d{1,18}), received (?P<received>\d{1,18}) bytes", "ssh_transferred", "unknown"),
    _network("refused connect from ", r"\S+ \((?P<host>[^()\s]+)\)", "ssh_connection_refused"),
    _network("refused connect from ", r"(?P<host>\S+)", "ssh_connection_refused"),
    _network("warning: ", r"(?P<why>.*)", "ssh_warning", "unknown"),
    _network("Nasty PTR record ", r"\"(?P<why>.*)\" is set up for (?P<host>\S+), ignoring", "ssh_reverse_mapping", "unknown"),
    _network("reverse mapping checking getaddrinfo for ", r"(?P<domain>\S+) \[(?P<host>[^\]\s]+)\] failed\.?.*", "ssh_reverse_mapping", "unknown"),
    _network("Address ", r"(?P<host>\S+) maps to (?P<domain>\S+?), but .*", "ssh_reverse_mapping", "unknown"),
)  # fmt: skip
_LOGINS: Final = (
    _login("Authentication refused for ", r"(?P<user>.*): (?P<why>bad owner(?:ship)? or modes for .*)"),
    _login("Authentication refused: ", r"(?P<why>.*)"),
    _login("Rhosts authentication refused for ", r"(?P<user>\S+): (?P<why>.*)"),
    _login("Login name ", r"(?P<user>\S+) (?P<why>does not match stored username .*)"),
    _login("Access denied for user ", r"(?P<user>\S*) by (?P<why>PAM account configuration)"),
    _login("Account ", r"(?P<user>\S+) (?P<why>has expired)"),
    _login("User ", r"(?P<user>\S+) (?P<why>password has expired .*)", "password_expired", "unknown"),
    _login("Password for ", r"(?P<user>\S+) (?P<why>is expired)", "password_expired", "unknown"),
    _login("PAM rejected ", r"by account configuration\[\d+\]: (?P<why>.*)"),
    Saying("PAM: ", r"(?P<why>pam_(?:open_session|setcred|chauthtok)\(\): .*|password change failed.*)", SESSION, "ssh_session_refused", "failure"),
    _login("Authentication tried for ", r"(?P<user>\S+) with (?P<why>(?:correct key|valid certificate) but not from a permitted "
           r"(?:host|source address)) \((?:host=[^\s,()]*, )?(?:ip=)?(?P<host>[^\s,()]+).*"),
    _login("Authentication key ", r"(?P<key>\S+ \S+) (?P<why>revoked by file .*)"),
    _login("Error checking authentication key ", r"(?P<key>\S+ \S+) (?P<why>in revoked keys file .*)"),
    _login("Refusing ", r"(?P<why>certificate ID \"(?P<certificate>.*)\" serial=(?P<serial>\d{1,20}) signed by (?P<authority>\S+ CA \S+).*)"),
    _login("Refusing ", r"(?P<why>\S+ key: .*|certificate .*)"),
    _login("refusing previously-used ", r"(?P<why>.*)"),
    _login("Certificate ", r"(?P<why>invalid: .*|ID .* not .*|does not contain an authorized principal|lacks principal list)"),
    _login("userauth_pubkey: ", r"(?P<why>(?:key type|signature algorithm|unsupported|cannot|parse).*)", "ssh_key_refused"),
    _login("userauth_hostbased: ", r"(?P<why>.*)"),
    _login("userauth_hostbased mismatch: ", r"client sends (?P<domain>\S+), but we resolve (?P<host>\S+) to (?P<why>.*)"),
    _login("User ", r"(?P<user>\S+) (?P<why>authorized keys .* is not a regular file)", "ssh_key_unreadable", "unknown"),
    _login("Could not open user ", r"'(?P<user>[^']*)' (?P<why>authorized \w+ '(?P<path>[^']*)': .*)", "ssh_key_unreadable", "unknown"),
    _login("Could not open ", r"(?:(?P<user>\S+) )?(?P<why>authorized \w+ '(?P<path>[^']*)': .*)", "ssh_key_unreadable", "unknown"),
    _login("AuthorizedKeysCommand ", r"(?P<why>.*)", "ssh_key_unreadable", "unknown"),
    _login("AuthorizedPrincipalsCommand ", r"(?P<why>.*)", "ssh_key_unreadable", "unknown"),
    _login("Unsafe ", r"(?P<why>Authorized\w+Command .*)", "ssh_key_unreadable", "unknown"),
    _login("Could not get shadow information for ", r"(?:NOUSER|(?P<user>.*))", "ssh_account_unreadable", "unknown"),
    _network("Authorized to ", r"(?P<user>\S+), krb5 principal (?P<principal>\S+) \((?P<why>[^()]*)\)", "ssh_key_accepted", "unknown"),
    _network("Found matching ", r"(?P<key>\S+ key: \S+)", "ssh_key_accepted", "unknown"),
)  # fmt: skip
_SESSIONS: Final = (
    Saying("subsystem request for ", r"(?P<subsystem>\S+)(?: by user (?P<user>.*?))? failed, (?P<why>subsystem not found)", SESSION, "ssh_subsystem", "failure"),
    Saying("subsystem request for ", r"(?P<subsystem>\S+)(?: by user (?P<user>.*))?", SESSION, "ssh_subsystem", "success"),
    Saying("subsystem: ", r"(?P<why>.*)", SESSION, "ssh_subsystem", "failure"),
    Saying("bad ownership or modes for chroot directory", r"(?P<why>.*)", SESSION, "ssh_session_refused", "failure"),
    Saying("safely_chroot: ", r"(?P<why>.*)", SESSION, "ssh_session_refused", "failure"),
    Saying("no more sessions", "", SESSION, "ssh_session_refused", "failure"),
    Saying("Changed root directory to ", r"\"(?P<directory>.*)\"", SESSION, "ssh_session_confined", "success"),
    Saying("User child is on pid ", r"(?P<pid>\d{1,10})", "process", "ssh_session_process"),
)  # fmt: skip
_REFUSED: Final = "ssh_forward_refused"
_FORWARDING: Final = (
    Saying("refused ", rf"(?:local|remote) port forward: originator {_PEER_END}, target {_TARGET}", NETWORK, _REFUSED, "failure", "connection denied"),
    Saying("refused ", rf"streamlocal port forward: originator {_PEER_END}, target (?P<path>.*)", NETWORK, _REFUSED, "failure", "connection denied"),
    Saying("Received request ", rf"(?:from {_PEER_END} )?to (?:connect|remote forward) to host {_TARGET}{_DENIED}", NETWORK, _REFUSED, "failure", "connection denied"),
    Saying("Received request ", rf"(?:from {_PEER_END} )?to (?:connect|remote forward) to path \"?(?P<path>.*?)\"?{_DENIED}", NETWORK, _REFUSED, "failure", "connection denied"),
    Saying("Server has disabled ", r"(?P<why>(?:port|streamlocal) forwarding)\.", NETWORK, _REFUSED, "failure", "connection denied"),
    Saying("connect_to ", r"(?P<to>\S+)(?: port (?P<to_port>\d{1,5}))?: (?P<why>.*)", NETWORK, "ssh_forward_failed", "failure"),
    Saying("bind ", r"\[(?P<to>[^\]\s]*)\]:(?P<to_port>\d{1,5}): (?P<why>.*)", NETWORK, "ssh_forward_failed", "failure"),
    Saying("channel_setup_fwd_listener_tcpip: ", r"(?P<why>.*)", NETWORK, "ssh_forward_failed", "failure"),
    Saying("Local forwarding listening on ", rf"{_TARGET}\.", NETWORK, "ssh_forward_listening", "success"),
    Saying("Allocated ", r"(?:listen )?port \d+ for remote forward to (?P<to>\S+):(?P<to_port>\d{1,5})", NETWORK, "ssh_forward_listening", "success"),
)  # fmt: skip
_SERVICE: Final = (
    Saying("Server listening on ", rf"{_TARGET}{_OTHER_END}\.", "process", "ssh_server_listening", types="start"),
    Saying("Received SIGHUP; restarting.", "", "process", "ssh_server_restarted", types="change"),
    Saying("Received signal ", r"(?P<why>\d+); terminating\.", "process", "ssh_server_stopped", types="end"),
    Saying("Exiting on signal ", r"(?P<why>\d+)", "process", "ssh_server_stopped", types="end"),
    Saying("Bind to port ", r"(?P<why>.*)", "process", "ssh_server_failed", "failure", "error"),
    Saying("Cannot bind any address", r"\.", "process", "ssh_server_failed", "failure", "error"),
    Saying("sshd: no hostkeys available", ".*", "process", "ssh_server_failed", "failure", "error"),
    Saying("Missing privilege separation directory: ", r"(?P<path>.*)", "process", "ssh_server_failed", "failure", "error"),
    Saying("Privilege separation user ", r"(?P<why>\S+ does not exist)", "process", "ssh_server_failed", "failure", "error"),
    Saying("Could not load host key: ", r"(?P<path>.*)", "configuration", "ssh_host_key_unreadable", "failure"),
    Saying("Unable to load host key", r":? \"?(?P<path>[^\"]*)\"?.*", "configuration", "ssh_host_key_unreadable", "failure"),
    Saying("monitor_read: ", r"(?P<why>unpermitted request .*|unsupported request: .*)", "intrusion_detection", "ssh_monitor_violated", "failure"),
)  # fmt: skip
_read: Final = reader("sshd", (*_CONNECTIONS, *_LOGINS, *_SESSIONS, *_FORWARDING, *_SERVICE))


def read(message: str) -> Fields | None:
    """Return what a message of these says, or None."""
    return _read(message.removesuffix(" [preauth]"))
