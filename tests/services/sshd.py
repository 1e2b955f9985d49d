"""A real OpenSSH server on a loopback port, whose records a real rsyslog writes to an auth.log of our own.

sshd, sudo and su log through syslog(3), which knows one place, /dev/log. So this needs root and that nothing else
listens there; rsyslog listens there with a configuration of its own and is stopped with the server.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import subprocess
from pathlib import Path

from tests.services.process import CannotServe, Process, free_port, listens, run

USER = "tocsin-dev"  # an account made for the tests, with a password and the right to use sudo
_DEV_LOG = Path("/dev/log")
_SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication yes
KbdInteractiveAuthentication no
PubkeyAuthentication yes
StrictModes no
UsePAM yes
UseDNS no
LogLevel INFO
MaxAuthTries 6
PrintMotd no
Subsystem sftp internal-sftp
"""
_RSYSLOG = """
global(workDirectory="{folder}" processInternalMessages="off")
module(load="imuxsock" SysSock.Name="/dev/log" SysSock.RateLimit.Interval="0")
template(name="old" type="string"
    string="%timegenerated% %HOSTNAME% %syslogtag%%msg:::sp-if-no-1st-sp%%msg:::drop-last-lf%\\n")
if $syslogfacility-text == "auth" or $syslogfacility-text == "authpriv" then {{
    action(type="omfile" file="{folder}/auth.log" template="old" asyncWriting="off" flushOnTXEnd="on")
    action(type="omfile" file="{folder}/auth-rfc3339.log" template="RSYSLOG_FileFormat" flushOnTXEnd="on")
}}
"""
_ASKPASS = """#!/bin/sh
echo "$TOCSIN_PASSWORD"
"""


class Sshd:
    """A running server and its log, in two formats: `log` (RFC 3164, no year) and `log_rfc3339`."""

    user = USER

    def __init__(self, folder: Path) -> None:
        _can_serve()
        self._folder = folder
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self.log, self.log_rfc3339 = folder / "auth.log", folder / "auth-rfc3339.log"
        self.key = folder / "id_ed25519"
        folder.chmod(0o755)
        for name in ("host_key", "id_ed25519"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tocsin tests", "-f", str(folder / name)])
        shutil.copy(f"{self.key}.pub", folder / "authorized_keys")
        (folder / "askpass").write_text(_ASKPASS, "ascii")
        (folder / "askpass").chmod(0o755)
        for log in (self.log, self.log_rfc3339):
            log.touch(mode=0o644)
        _make_user(self.password)
        try:
            self.start()
        except BaseException:
            _remove_user()
            raise

    def start(self) -> None:
        """Start rsyslog, then sshd, and return once a connection is accepted."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        rsyslog, sshd = self._folder / "rsyslog.conf", self._folder / "sshd_config"
        rsyslog.write_text(_RSYSLOG.format(folder=self._folder), "ascii")
        sshd.write_text(_SSHD.format(port=self.port, folder=self._folder), "ascii")
        pid = ["-i", str(self._folder / "rsyslog.pid")]
        self.rsyslog = Process(["/usr/sbin/rsyslogd", "-n", "-f", str(rsyslog), *pid], self._folder / "rsyslog.out")
        self.rsyslog.wait_until(_DEV_LOG.exists, "rsyslog")
        self.sshd = Process(["/usr/sbin/sshd", "-D", "-f", str(sshd)], self._folder / "sshd.out")
        self.sshd.wait_until(lambda: listens(self.port), "sshd")

    def stop(self) -> None:
        self.sshd.stop()
        self.rsyslog.stop()
        _DEV_LOG.unlink(missing_ok=True)
        _remove_user()

    def login(
        self, user: str = "root", command: str = "true", source: str = "127.0.0.1"
    ) -> subprocess.CompletedProcess[str]:
        """Log in with the key from an address and run a command; the status is the command's, 255 for no way in."""
        return self._ssh(user, command, ["-o", "BatchMode=yes", "-i", str(self.key), "-b", source])

    def login_with_password(self, user: str, password: str, command: str = "true") -> subprocess.CompletedProcess[str]:
        """Try a password, once."""
        only = ["-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password"]
        return self._ssh(user, command, [*only, "-o", "NumberOfPasswordPrompts=1"], password)

    def wait_for(self, text: str, *, limit: float = 20.0) -> None:
        """Return once the text stands in the log. Raises RuntimeError if it does not come."""
        self.rsyslog.wait_until(lambda: text.encode() in self.log.read_bytes(), f"{text!r} in the log", limit)

    def _ssh(self, user: str, command: str, options: list[str], password: str = "") -> subprocess.CompletedProcess[str]:
        return self.attempt(user, command, options, password, self.port)

    def attempt(
        self, user: str, command: str, options: list[str], password: str, port: int, said: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run ssh against a port of this machine; the password is given where it is asked for."""
        trust = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        asked = {"SSH_ASKPASS": str(self._folder / "askpass"), "SSH_ASKPASS_REQUIRE": "force"}
        return subprocess.run(
            ["ssh", "-F", "/dev/null", *trust, *options, "-p", str(port), "-l", user, "127.0.0.1", command],
            env={**os.environ, **asked, "TOCSIN_PASSWORD": password},
            input=said,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def _can_serve() -> None:
    absent = [
        p for p in ("/usr/sbin/sshd", "/usr/sbin/rsyslogd", "/usr/bin/ssh", "/usr/bin/sudo") if not Path(p).exists()
    ]
    if absent:
        raise CannotServe(f"needs {', '.join(absent)}: apt-get install openssh-server openssh-client rsyslog sudo")
    if os.geteuid() != 0:
        raise CannotServe("needs root: sshd changes user, and syslog's socket is /dev/log")
    if _DEV_LOG.exists() and _listened_to():
        raise CannotServe("/dev/log is taken by this machine's own syslog")
    _DEV_LOG.unlink(missing_ok=True)


def _listened_to() -> bool:
    """Whether a process reads /dev/log: a socket that a killed run left behind is nobody's."""
    if not stat.S_ISSOCK(_DEV_LOG.stat().st_mode):
        return True
    held = Path("/proc/net/unix").read_text("ascii")
    return any(line.endswith(f" {_DEV_LOG.resolve()}") for line in held.splitlines())


def _make_user(password: str) -> None:
    _remove_user()
    run(["useradd", "--no-create-home", "--home-dir", "/tmp", "--shell", "/bin/sh", USER])
    subprocess.run(["chpasswd"], input=f"{USER}:{password}\n", text=True, capture_output=True, check=True)
    Path("/etc/sudoers.d/tocsin-tests").write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n", "ascii")
    Path("/etc/sudoers.d/tocsin-tests").chmod(0o440)


def _remove_user() -> None:
    Path("/etc/sudoers.d/tocsin-tests").unlink(missing_ok=True)
    subprocess.run(["userdel", "--force", USER], capture_output=True, check=False)
