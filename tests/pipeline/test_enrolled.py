"""The escrow: who is enrolled, and what a damaged or strange enrolment costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.enrolled import Earlier, Enrolled, Enrolment, EnrolmentFault, write

ADA = Enrolment("h1", "db-7", "aa" * 32, "2026-11-22T02:14:00.000000Z")


def test_who_was_written_is_enrolled(tmp_path: Path) -> None:
    write(tmp_path / "enrolled", ADA)
    assert Enrolled.of(tmp_path / "enrolled").get("h1") == ADA
    assert (tmp_path / "enrolled" / "h1.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["h2", "", "../h1", "a/b", ".", "..", "h1\x00", "x" * 200, "h1@detect", "h1\n"])
def test_nobody_else_is(tmp_path: Path, name: str) -> None:
    write(tmp_path, ADA)
    assert Enrolled.of(tmp_path).get(name) is None


def test_without_the_folder_nobody_is_enrolled(tmp_path: Path) -> None:
    assert Enrolled.of(tmp_path / "none").get("h1") is None


def test_a_file_that_changed_is_read_again_at_the_next_refresh(tmp_path: Path) -> None:
    enrolled = Enrolled.of(tmp_path)
    assert enrolled.get("h1") is None
    write(tmp_path, ADA)
    enrolled.refresh()
    assert enrolled.get("h1") == ADA
    revoked = Enrolment("h1", "db-7", ADA.key, ADA.enrolled, revoked="2026-11-23T00:00:00.000000Z")
    write(tmp_path, revoked)
    enrolled.refresh()
    assert enrolled.get("h1") == revoked


def test_a_key_that_is_replaced_is_kept_for_what_it_sealed(tmp_path: Path) -> None:
    write(tmp_path, ADA)
    write(tmp_path, Enrolment("h1", "db-7", "bb" * 32, "2026-11-23T00:00:00.000000Z"))
    found = Enrolled.of(tmp_path).get("h1")
    assert found is not None
    assert found.secret == b"\xbb" * 32
    assert found.earlier == (Earlier(ADA.key, ADA.enrolled, "2026-11-23T00:00:00.000000Z"),)


def test_roles_of_a_host_are_enrolled_apart(tmp_path: Path) -> None:
    write(tmp_path, ADA, "detect")
    enrolled = Enrolled.of(tmp_path)
    assert enrolled.get("h1", "detect") == ADA
    assert enrolled.get("h1") is None
    assert enrolled.all() == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"id":"h2","name":"x","key":"' + "aa" * 32 + '","enrolled":"2026-11-22T02:14:00Z"}',
        '{"id":"h1","name":"x","key":"zz","enrolled":"2026-11-22T02:14:00Z"}',
        '{"id":"h1","name":"x","key":"' + "aa" * 32 + '","enrolled":"yesterday"}',
        "\xff",
    ],
)
def test_a_damaged_enrolment_names_the_file_and_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "h1.json").write_text(text, "latin-1")
    with pytest.raises(EnrolmentFault, match=r"h1\.json: .*; restore the file from a backup, or enrol the host again"):
        Enrolled.of(tmp_path).get("h1")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_enrolment_without_the_right_to_read_it_says_so(tmp_path: Path) -> None:
    write(tmp_path, ADA)
    (tmp_path / "h1.json").chmod(0)
    with pytest.raises(EnrolmentFault, match="the right to read it"):
        Enrolled.of(tmp_path).get("h1")


def test_a_name_that_no_file_can_have_cannot_be_enrolled(tmp_path: Path) -> None:
    with pytest.raises(EnrolmentFault, match="cannot be enrolled"):
        write(tmp_path, Enrolment("../h1", "x", "aa" * 32, ADA.enrolled))
