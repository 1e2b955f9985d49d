"""The demo goes through the real pipeline: its pages come from the shipped rules, and from nowhere else."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.scenarios.installation import TOCSIN

pytestmark = pytest.mark.slow

LIBRARY = Path(__file__).parents[2] / "rules" / "library"
PAGES = ("Root login over SSH", "Failed root login", "Disk filling")


def _demo(state: Path, rules: Path) -> str:
    done = subprocess.run(
        [*TOCSIN, "demo", "--fast", "--state", str(state), "--rules", str(rules)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout


def test_the_day_pages_what_matters_and_ends_with_searches_that_find_it(tmp_path: Path) -> None:
    said = _demo(tmp_path / "demo", LIBRARY)
    for page in PAGES:
        assert f"HIGH  {page}" in said
    assert "HIGH  NEW VALUE: Root login over SSH: root from 192.0.2.99" in said
    assert "RESOLVED: Disk filling" in said
    assert said.count("HIGH  Root login over SSH") == 1
    assert "acme_staging [" not in said
    for sibling in ("dev from 198.51.100.31 on CustomerName_Production", "on Ledger_Production"):
        assert f"did you mean staging? {sibling}" in said.replace("staging?: ", "staging? ")
    assert said.count("CRITICAL  Production") == 3  # a deed each,
    assert "Production database changed" not in said  # of which the rules about every change tell nothing more
    lines = [line for line in said.splitlines() if " search -c " in line and " $ " not in line]
    searches = [shlex.split(line, comments=True) for line in lines]
    assert len(searches) == 3
    for search in searches:
        found = subprocess.run(
            [*TOCSIN, *search[search.index("search") :]],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert found.stdout.count("\n") >= 1, search


def test_a_rule_that_is_deleted_pages_nobody(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    shutil.copytree(LIBRARY, rules)
    for file in (rules / "linux").glob("ssh_root_login*"):
        file.unlink()
    said = _demo(tmp_path / "demo", rules)
    assert "Root login over SSH" not in said
    assert "HIGH  Disk filling" in said
