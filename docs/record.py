"""Record the demo's terminal as the README's picture: `make picture`. rich draws what a terminal would show."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

WIDTH = 118
LINES = 74


def main(target: Path) -> None:
    """Run the demo as on a terminal, and write the most telling part of it as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "tocsin-demo"
        command = [
            sys.executable,
            "-c",
            "from pipeline.cli import main; main()",
            "demo",
            "--fast",
            "--state",
            str(state),
        ]
        done = subprocess.run(
            ["script", "-qec", " ".join(_quoted(word) for word in command), "/dev/null"],
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        shown = done.stdout.replace("\r", "").replace(str(state), "~/.local/state/tocsin-demo")
    start = max(shown.find("And gets in."), 0)
    lines = [line[: WIDTH * 3] for line in shown[shown.rfind("\n", 0, start) + 1 :].splitlines()]
    console = Console(record=True, width=WIDTH, theme=Theme(), file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    for line in lines[:LINES]:
        text = Text.from_ansi(line)
        text.truncate(WIDTH, overflow="ellipsis")
        console.print(text)
    svg = console.export_svg(title="tocsin demo")
    target.write_text(re.sub(r"https://cdnjs[^)\"']*", "", svg), encoding="utf-8")


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


if __name__ == "__main__":
    main(Path(__file__).parent / "demo.svg")
