"""The real sshd, sudo, su and shadow suite through a real rsyslogd: who did what, as whom, to whom, from where."""

# ruff: noqa: E501  a command and what it means stand in one line

from __future__ import annotations

from pathlib import Path

import pytest

from tests.services.accounts import GROUP, OPS, OTHER, Accounts
from tests.services.parsed import Events, having, parsed

pytestmark = [pytest.mark.server, pytest.mark.slow]
HERE = "127.0.0.1"
PASSWORD = ("-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1")


def events(accounts: Accounts, *last: str) -> Events:
    """Return what both of rsyslog's logs say, which must be the same, once the last texts stand in them."""
    for text in last:
        accounts.syslog.wait_for(text)
    old, new = (parsed(log, "auto") for log in (accounts.syslog.log, accounts.syslog.log_rfc3339))
    known = {"@timestamp", "event.original"}
    assert [{k: v for k, v in e.items() if k not in known} for e in old] == [
        {k: v for k, v in e.items() if k not in known} for e in new
    ]
    return old


def test_sudo_says_who_ran_what_as_whom(accounts: Accounts) -> None:
    command = "/usr/bin/id a ; USER=nobody ; COMMAND=/bin/sh"
    said = accounts.passwords[OPS] + "\n"
    assert accounts.become("sudo", "-S", "-k", "/usr/bin/env", "true", said=said) == 0
    accounts.become("sudo", "-S", "-k", "/usr/bin/id", "a ; USER=nobody ; COMMAND=/bin/sh", said=said)
    told = having(
        events(accounts, "COMMAND=/usr/bin/env true", "COMMAND=/bin/sh"), event__action="ran-command", user__name=OPS
    )
    assert {event["user.effective.name"] for event in told} == {"root"}
    assert {str(event["process.command_line"]).replace("'", "") for event in told} == {"/usr/bin/env true", command}
    assert {event["event.outcome"] for event in told} == {"success"}


def test_sudo_that_says_no_is_a_failure_with_its_reason(accounts: Accounts) -> None:
    accounts.become("sudo", "-S", "-k", "/bin/cat", "/etc/shadow", said=accounts.passwords[OPS] + "\n")
    accounts.become("sudo", "-S", "-k", "/usr/bin/id", said="wrong\nwrong\nwrong\n")
    accounts.become("sudo", "-S", "-k", "/usr/bin/id", said=accounts.passwords[OTHER] + "\n", user=OTHER)
    told = having(events(accounts, "3 incorrect password attempts", "NOT in sudoers"), event__action="command-refused")
    assert {(event["user.name"], event["event.reason"], event["process.command_line"]) for event in told} == {
        (OPS, "command not allowed", "/bin/cat /etc/shadow"),
        (OPS, "3 incorrect password attempts", "/usr/bin/id"),
        (OTHER, "user NOT in sudoers", "/usr/bin/id"),
    }
    assert {event["event.outcome"] for event in told} == {"failure"}


def test_su_says_who_became_whom_or_did_not(accounts: Accounts) -> None:
    assert accounts.become("su", OTHER, "-c", "true", said=accounts.passwords[OTHER] + "\n") == 0
    assert accounts.become("su", "-", "-c", "true", said="wrong\n") == 1
    told = having(events(accounts, "FAILED SU (to root)"), event__action="su", user__name=OPS)
    assert {(event["user.effective.name"], event["event.outcome"]) for event in told} == {
        (OTHER, "success"),
        ("root", "failure"),
    }


@pytest.mark.parametrize(
    ("command", "mark", "wanted"),
    [
        (["groupadd", GROUP], "new group: name=", {"event.action": "group-created", "group.name": GROUP}),
        (["usermod", "-aG", GROUP, OTHER], "to group", {"event.action": "group-member-added", "group.name": GROUP, "user.target.name": OTHER}),
        (["gpasswd", "-a", OPS, GROUP], "added by root", {"event.action": "group-member-added", "user.name": "root", "user.target.name": OPS}),
        (["gpasswd", "-d", OPS, GROUP], "removed by root", {"event.action": "group-member-removed", "user.name": "root", "user.target.name": OPS}),
        (["chage", "-M", "90", OTHER], "password expiry", {"event.action": "password-expiry-changed", "user.target.name": OTHER}),
        (["usermod", "-L", OTHER], "lock user", {"event.action": "password-locked", "user.target.name": OTHER}),
        (["usermod", "-U", OTHER], "unlock user", {"event.action": "password-unlocked", "user.target.name": OTHER}),
        (["passwd", "-e", OTHER], "changed by", {"event.action": "password-changed", "user.name": "root", "user.target.name": OTHER}),
        (["useradd", "-M", "tocsin-third"], "new user: name=tocsin-third", {"event.action": "user-created", "user.target.name": "tocsin-third"}),
        (["usermod", "-l", "tocsin-fourth", "tocsin-third"], "change user name", {"event.action": "user-renamed", "user.target.name": "tocsin-third", "user.changes.name": "tocsin-fourth"}),
        (["userdel", "tocsin-fourth"], "delete user", {"event.action": "user-deleted", "user.target.name": "tocsin-fourth"}),
        (["groupdel", GROUP], f"group '{GROUP}' removed", {"event.action": "group-deleted", "group.name": GROUP}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_the_shadow_suite_says_what_was_done_to_which_account(
    accounts: Accounts, command: list[str], mark: str, wanted: dict[str, object]
) -> None:
    accounts.shadow(*command)
    told = [event for event in events(accounts, mark) if event.get("event.module") == "shadow"]
    assert any({name: event.get(name) for name in wanted} == wanted for event in told), told[-3:]
    assert {event["event.category"] == ["iam"] for event in told} == {True}


def test_a_password_that_is_tried_too_often_ends_in_its_maximum(accounts: Accounts) -> None:
    assert accounts.ssh(OPS, "-o", "PubkeyAuthentication=no", password="wrong") == 255
    told = events(accounts, "maximum authentication attempts exceeded", "Too many authentication failures")
    failed = having(told, event__action="ssh_login", user__name=OPS, event__outcome="failure", source__ip=HERE)
    assert len(having(failed, system__auth__ssh__event="Failed")) >= 2
    assert having(failed, system__auth__ssh__event="maximum authentication attempts exceeded")


def test_a_certificate_says_its_id_serial_and_authority_whatever_the_id_says(accounts: Accounts) -> None:
    forged = "ada from 10.0.0.1 port 22 ssh2 (serial 1)"
    assert accounts.ssh(OPS, *accounts.certificate(forged)) == 0
    (told,) = having(events(accounts, "Accepted publickey for " + OPS), event__action="ssh_login", event__outcome="success",
                     system__auth__ssh__method="publickey", user__name=OPS)  # fmt: skip
    assert (told["source.ip"], told["system.auth.ssh.certificate.id"]) == (HERE, forged)
    assert told["system.auth.ssh.certificate.serial"] == "7"
    assert str(told["system.auth.ssh.certificate.authority"]).startswith("ED25519 SHA256:")


def test_logins_that_are_refused_say_who_and_where_from(accounts: Accounts) -> None:
    forged = "root from 10.0.0.1 port 22"
    for user in (OTHER, "root", forged):
        assert accounts.ssh(user, *PASSWORD, password="wrong") == 255
    told = events(accounts, "listed in DenyUsers", f"Failed password for invalid user {forged} from {HERE}")
    for user in (OTHER, "root", forged):
        refused = having(told, event__action="ssh_login", user__name=user, event__outcome="failure")
        assert {event["source.ip"] for event in refused} == {HERE}
    assert not having(told, source__ip="10.0.0.1")


def test_forwarding_that_is_refused_and_sftp_say_so(accounts: Accounts) -> None:
    accounts.ssh(OPS, *PASSWORD, "-W", "127.0.0.1:1", password=accounts.passwords[OPS])
    accounts.sftp(OPS, accounts.passwords[OPS], "")
    told = events(accounts, "port forward", "session closed for local user")
    (refused,) = having(told, event__action="ssh_forward_refused")
    assert (refused["destination.address"], refused["destination.port"]) == (HERE, 1)
    assert having(told, event__action="ssh_session_started", user__name=OPS, system__auth__ssh__session_kind="sftp")
    assert having(told, event__action="sftp_session_opened", user__name=OPS, source__ip=HERE)


def test_every_line_of_the_real_log_has_a_header_and_a_program(accounts: Accounts) -> None:
    told = events(accounts, "Server listening")
    assert [event["event.original"] for event in told if "tocsin.parse_error" in event] == []
    unknown = {str(event["event.original"]) for event in told if "event.action" not in event}
    assert {
        line for line in unknown if not any(module in line for module in ("pam_limits(", "pam_systemd(", "pam_env("))
    } == set()


def test_the_journal_of_both_logs_is_one(accounts: Accounts, tmp_path: Path) -> None:
    """Two headers of one message differ in their time's form alone, to the second."""
    told = [parsed(log, "syslog") for log in (accounts.syslog.log, accounts.syslog.log_rfc3339)]
    times = [[str(event["@timestamp"])[:19] for event in log] for log in told]
    assert times[0] == times[1]
