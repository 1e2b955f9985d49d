"""The tree: modules stay one idea long, and no test folder shadows a package."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("collectors", "pipeline", "rules", "notifiers")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_one_idea_and_at_most_400_lines(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= 400


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_first_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text or text.startswith(('"""', 'r"""'))


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_finds_what_it_names(path: Path) -> None:
    importlib.import_module(f"benchmarks.{path.stem}")


def test_no_folder_of_tests_is_a_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_no_machine_path_and_no_registry_stands_in_the_tree() -> None:
    forbidden = ("/" + "work/", "pypi" + ".org", "files.python" + "hosted", "repo.maven." + "apache")
    suffixes = {".py", ".md", ".toml", ".txt", ".in", ".yml", ".yaml", ".cfg", ""}
    files = [path for path in ROOT.rglob("*") if path.suffix in suffixes and path.is_file()]
    made = re.compile(r"\.git|\.venv.*|\..*_cache|\.hypothesis|__pycache__|.*\.egg-info")  # not part of it
    ours = [path for path in files if not any(made.fullmatch(part) for part in path.relative_to(ROOT).parts)]
    found = [path for path in ours if any(word in path.read_text("utf-8", "replace") for word in forbidden)]
    assert not found
