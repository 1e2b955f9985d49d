"""Accounts of this machine for the tests: two users and what is done with them, by the real sudo, su and shadow suite.

It stands on the tests' sshd, whose rsyslogd reads /dev/log. A second sshd with VERBOSE logs, certificates and few tries
writes there too.
"""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

from tests.services.process import CannotServe, Process, free_port, listens, run
from tests.services.sshd import Sshd

OPS, OTHER, GROUP = "tocsin-ops", "tocsin-other", "tocsin-team"
_SUDOERS = Path("/etc/sudoers.d/tocsin-tests-ops")
_RULES = f"{OPS} ALL=(root) /usr/bin/id, /usr/bin/env\n"
_SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/keys
TrustedUserCAKeys {folder}/ca.pub
PermitRootLogin no
PasswordAuthentication yes
KbdInteractiveAuthentication no
StrictModes no
UsePAM yes
UseDNS no
LogLevel VERBOSE
MaxAuthTries 2
AllowTcpForwarding no
DenyUsers {other}
Subsystem sftp internal-sftp -l INFO
"""
_PROGRAMS = ("useradd", "usermod", "userdel", "groupadd", "groupdel", "chpasswd", "chage", "gpasswd", "su", "sudo")


class Accounts:
    """Users OPS (who may run two commands by sudo) and OTHER, made at the start and removed at the end."""

    def __init__(self, folder: Path, sshd: Sshd) -> None:
        missing = [name for name in _PROGRAMS if not any(Path(d, name).exists() for d in ("/usr/bin", "/usr/sbin"))]
        if missing:
            raise CannotServe(f"needs {', '.join(missing)}: apt-get install passwd login sudo")
        self.syslog, self._folder, self.port = sshd, folder, free_port()
        self.passwords = {OPS: secrets.token_hex(8), OTHER: secrets.token_hex(8)}
        folder.chmod(0o755)
        self.remove()
        for user in (OPS, OTHER):
            run(["useradd", "--no-create-home", "--home-dir", "/tmp", "--shell", "/bin/sh", user])
            self.shadow("chpasswd", said=f"{user}:{self.passwords[user]}\n")
        _SUDOERS.write_text(_RULES, "ascii")
        _SUDOERS.chmod(0o440)
        self._serve()

    def stop(self) -> None:
        self.sshd.stop()
        self.remove()

    @staticmethod
    def remove() -> None:
        _SUDOERS.unlink(missing_ok=True)
        made = [("userdel", user) for user in (OPS, OTHER, "tocsin-third", "tocsin-fourth")]
        made += [("groupdel", group) for group in (GROUP, "tocsin-third")]  # a renamed user leaves its group behind
        for command in made:
            subprocess.run(command, capture_output=True, check=False)

    def shadow(self, *command: str, said: str = "") -> None:
        """Run a program of the shadow suite as root. Raises CalledProcessError."""
        subprocess.run(command, input=said, text=True, capture_output=True, check=True, timeout=30)

    def become(self, *command: str, said: str = "", user: str = OPS) -> int:
        """Run sudo or su as the user, with what is typed; return its status. No terminal is needed."""
        done = subprocess.run(
            command, input=said, text=True, capture_output=True, check=False, timeout=30, user=user, group=user,
            extra_groups=[], cwd="/tmp", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "USER": user, "LOGNAME": user},
        )  # fmt: skip
        return done.returncode

    def ssh(self, user: str, *options: str, password: str = "", command: str = "true") -> int:
        """Log in at the second sshd; return the command's status, 255 for no way in."""
        return self.syslog.attempt(user, command, list(options), password, self.port).returncode

    def sftp(self, user: str, password: str, batch: str) -> int:
        """Run an sftp session's commands."""
        program = ["-s", "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]
        return self.syslog.attempt(user, "sftp", program, password, self.port, said=batch).returncode

    def certificate(self, name: str) -> list[str]:
        """Return ssh's options for a key with a certificate of the trusted CA, its id `name`, for OPS."""
        key = self._folder / f"key{secrets.token_hex(2)}"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
        signed = ["-s", str(self._folder / "ca"), "-I", name, "-n", OPS, "-z", "7"]
        run(["ssh-keygen", "-q", *signed, f"{key}.pub"])
        return ["-o", "BatchMode=yes", "-i", str(key), "-o", "IdentitiesOnly=yes"]

    def _serve(self) -> None:
        for name in ("host_key", "ca"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / name)])
        (self._folder / "keys").touch()
        config = self._folder / "sshd_config"
        config.write_text(_SSHD.format(port=self.port, folder=self._folder, other=OTHER), "ascii")
        self.sshd = Process(["/usr/sbin/sshd", "-D", "-f", str(config)], self._folder / "sshd.out")
        self.sshd.wait_until(lambda: listens(self.port), "the second sshd")
