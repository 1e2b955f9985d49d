"""Terminal: pages for whoever watches. Colour only where the other end is a terminal."""

from __future__ import annotations

from typing import Final, TextIO

from notifiers.channels import Receipt, Unavailable
from notifiers.message import Message

_BOLD: Final = "\x1b[1m"
_RESET: Final = "\x1b[0m"
_RED: Final = "\x1b[1;31m"
_GREEN: Final = "\x1b[1;32m"


class Terminal:
    """A Channel that writes to a text stream, which the caller owns. An update is two lines, not the whole page."""

    kind = "terminal"

    def __init__(self, out: TextIO, colour: bool | None = None) -> None:
        self._out = out
        self._colour = out.isatty() if colour is None else colour

    def send(self, message: Message, previous: Receipt | None) -> Receipt:
        first, _, rest = message.text.partition("\n")
        if previous is not None and message.change:
            rest = f"  {message.change}\n"
        self._write(f"{self._painted(first, message)}\n{rest.rstrip()}\n\n")
        return Receipt(message.incident)

    def _painted(self, first: str, message: Message) -> str:
        if not self._colour:
            return first
        colour = _GREEN if message.change.startswith("RESOLVED") else _RED if not message.change else _BOLD
        return f"{colour}{first}{_RESET}"

    def _write(self, text: str) -> None:
        encoding = self._out.encoding or "utf-8"
        try:
            self._out.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._out.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            raise Unavailable(f"terminal: {error}") from error
