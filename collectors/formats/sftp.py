"""OpenSSH's sftp-server (sftp-server.c 4.4 to 10): a session by whom and from where, and what was done to which file.

A file's name is the client's word, written between quotes that are not escaped: it is read to the last of them.
"""

# ruff: noqa: E501  a row is a message: it is read more easily whole

from __future__ import annotations

from typing import Final

from collectors.formats.sayings import SESSION, Saying, reader

_P: Final = r"\"(?P<path>.*)\""


def _file(verb: str, rest: str, types: str, outcome: str = "success") -> Saying:
    return Saying(f"{verb} ", rest, "file", f"sftp_{verb.replace('-', '_').replace(' ', '_')}", outcome, types)


read: Final = reader(
    "sshd",
    (
        Saying("session opened ", r"for local user (?P<user>.*) from \[(?P<host>[^\]\s]*)\]", SESSION, "sftp_session_opened", "success", "start"),
        Saying("session closed ", r"for local user (?P<user>.*) from \[(?P<host>[^\]\s]*)\]", SESSION, "sftp_session_closed", "success", "end"),
        _file("open", rf"{_P} flags (?P<why>\S+) mode \d+", "access"),
        _file("close", rf"{_P} bytes read \d+ written \d+", "info"),
        _file("close", rf"{_P}", "info"),
        _file("forced close", rf"{_P} bytes read \d+ written \d+", "info"),
        _file("opendir", _P, "access"),
        _file("closedir", _P, "info"),
        _file("remove", rf"name {_P}", "deletion"),
        _file("rmdir", rf"name {_P}", "deletion"),
        _file("mkdir", rf"name {_P} mode \d+", "creation"),
        _file("rename", rf"old {_P} new \"(?P<other>[^\"]*)\"", "change"),
        _file("posix-rename", rf"old {_P} new \"(?P<other>[^\"]*)\"", "change"),
        _file("symlink", rf"old \"(?P<other>[^\"]*)\" new {_P}", "creation"),
        _file("hardlink", rf"old \"(?P<other>[^\"]*)\" new {_P}", "creation"),
        _file("set", rf"{_P} (?P<why>(?:mode|owner|size|modtime) .*)", "change"),
        _file("lset", rf"{_P} (?P<why>(?:mode|owner|size|modtime) .*)", "change"),
        _file("stat", rf"name {_P}", "access"),
        _file("lstat", rf"name {_P}", "access"),
        _file("copy-data", rf"from {_P} .*", "access"),
        Saying("sent status ", r"(?P<why>Permission denied)", "file", "sftp_refused", "failure", "denied"),
        Saying("refused ", r"(?P<why>.* request in read-only mode|.* not permitted.*)", "file", "sftp_refused", "failure", "denied"),
        Saying("Refusing ", r"(?P<why>.* request in read-only mode|.*)", "file", "sftp_refused", "failure", "denied"),
    ),
)  # fmt: skip
