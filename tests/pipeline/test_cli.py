"""The command line as a whole: light to load, and plain about what is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("elasticsearch", "jinja2", "slack_sdk", "rich", "re2", "ahocorasick_rs")
WITHOUT = """
import sys
for name in {absent!r}:
    sys.modules[name] = None
from pipeline.cli import main
sys.argv = ["tocsin", *{arguments!r}]
main()
"""


def _run(absent: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(absent=absent, arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, input="x\n", check=False
    )


@pytest.mark.parametrize("arguments", [("--help",), ("parse", "--help"), ("collect", "--help"), ("parse",)])
def test_what_a_collecting_host_runs_needs_no_extra(arguments: tuple[str, ...]) -> None:
    assert _run(HEAVY, *arguments).returncode == 0


def test_an_extra_that_is_absent_is_named_with_what_brings_it() -> None:
    done = _run(("jinja2",), "notify")
    assert done.returncode == 1
    assert "this needs jinja2" in done.stderr
    assert "extra `notify`" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_command_is_misuse() -> None:
    assert _run((), "nonsense").returncode == 2
