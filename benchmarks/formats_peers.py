"""Other programs over the same auth lines, where they are installed: rsyslog's mmnormalize, and fail2ban-regex.

They read from a file and write to one, which the parser alone does not. mmnormalize's CPU time is the daemon's at the
last line, less its start-up; fail2ban's is that of a long file less that of a short one.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Lines = Callable[[int], list[str]]
MANY, FEW, TIMES = 100_000, 100, 3
_HEAD = "rule=:%ts:date-rfc3164% %host:word% "
_PEER = "%ip:word% port %port:number%"
_RULES = (
    f"sshd[%pid:number%]: Failed %method:word% for invalid user %user:word% from {_PEER} ssh2",
    f"sshd[%pid:number%]: Failed %method:word% for %user:word% from {_PEER} ssh2",
    f"sshd[%pid:number%]: Accepted %method:word% for %user:word% from {_PEER} ssh2%rest:rest%",
    f"sshd[%pid:number%]: Invalid user %user:word% from {_PEER}",
    f"sshd[%pid:number%]: Connection closed by authenticating user %user:word% {_PEER} [preauth]",
    f"sshd[%pid:number%]: Connection closed by invalid user %user:word% {_PEER} [preauth]",
    f"sshd[%pid:number%]: Connection closed by {_PEER} [preauth]",
    f"sshd[%pid:number%]: Received disconnect from {_PEER}:%code:number%: %reason:rest%",
    "%program:char-to:[%[%pid:number%]: pam_unix(%service:char-to:)%): session %verb:word% for user %user:rest%",
    "%program:char-to:[%[%pid:number%]: pam_unix(%service:char-to:)%): authentication failure; %pairs:rest%",
    "sudo[%pid:number%]:    %user:word% : TTY=%tty:word% ; PWD=%pwd:word% ; USER=%as:word% ; COMMAND=%command:rest%",
    "su[%pid:number%]: FAILED SU (to %as:char-to:)%) %user:word% on %tty:word%",
    "systemd-logind[%pid:number%]: New session %id:number% of user %user:char-to:.%.",
)
_CONFIG = """global(workDirectory="{0}")
module(load="imfile" mode="inotify")
module(load="mmnormalize")
template(name="t" type="string" string="%$!all-json%\\n")
input(type="imfile" file="{0}/in.log" tag="a" ruleset="r" addMetadata="off")
ruleset(name="r" queue.type="Direct") {{ action(type="mmnormalize" rulebase="{0}/rules.rb" useRawMsg="on")
 action(type="omfile" file="{0}/out.log" template="t" asyncWriting="off" flushOnTXEnd="on") }}
"""


def report(lines: Lines, rate: float) -> None:
    """Print our rate as a multiple of each peer's, or that the peer is not installed."""
    for name, program, measure in (
        ("rsyslog mmnormalize", _rsyslogd(), _mmnormalize),
        ("fail2ban-regex", shutil.which("fail2ban-regex"), _fail2ban),
    ):
        if program is None:
            print(f"{name}: not installed here, not measured")
            continue
        try:
            took = [measure(program, lines(MANY)) - measure(program, lines(FEW)) for _ in range(TIMES)]
        except (OSError, TimeoutError, subprocess.SubprocessError) as error:
            print(f"{name}: did not run: {error}")
            continue
        ratios = [rate / ((MANY - FEW) / max(seconds, 0.01)) for seconds in took]
        print(f"{name}: {(MANY - FEW) / statistics.median(took):,.0f} lines/CPU-s (file to file); we parse at "
              f"{statistics.median(ratios):.2f} x that ({min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip


def _rsyslogd() -> str | None:
    program = shutil.which("rsyslogd", path=f"{os.defpath}:/usr/sbin:/sbin")
    here = any(Path("/usr").glob("lib*/**/rsyslog/mmnormalize.so"))
    return program if here else None


def _mmnormalize(program: str, lines: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.log").write_text("\n".join(lines) + "\n")
        (folder / "rules.rb").write_text("version=2\n" + "\n".join(_HEAD + rule for rule in _RULES) + "\n")
        (folder / "r.conf").write_text(_CONFIG.format(name))
        command = [program, "-n", "-f", str(folder / "r.conf"), "-i", str(folder / "pid")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
            try:
                _wait(folder / "out.log", len(lines))
                ticks = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            finally:
                daemon.terminate()
        if (folder / "out.log").read_bytes().count(b"unparsed-data"):
            raise OSError("its rules did not read every line")
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _wait(out: Path, count: int) -> None:
    until = time.monotonic() + 60
    while not out.exists() or out.read_bytes().count(b"\n") < count:
        if time.monotonic() > until:
            raise TimeoutError("it did not write every line within a minute")
        time.sleep(0.1)


def _fail2ban(program: str, lines: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "auth.log"
        log.write_text("\n".join(lines) + "\n")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([program, str(log), "sshd"], check=False, capture_output=True, timeout=120)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
