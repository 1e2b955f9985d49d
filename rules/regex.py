"""Regular expressions in linear time: RE2, whose syntax is also the one that rules are written in."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from rules.faults import RuleError


@lru_cache(maxsize=4096)
def searcher(pattern: str, flags: str = "") -> Callable[[str], bool]:
    """Return the decision whether the pattern is found in a text. Raises RuleError for what RE2 does not read."""
    try:
        import re2  # noqa: PLC0415  only who judges rules needs it
    except ImportError as error:
        raise RuleError("regular expressions need google-re2: install tocsin[detect]") from error
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        found = re2.compile((f"(?{flags}){pattern}" if flags else pattern).encode("utf-8", "replace"), options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        raise RuleError(f"regular expression {pattern[:60]!r}: {said} (RE2's syntax, no look-around)") from error
    # Half a surrogate pair, which JSON may hold and UTF-8 may not, counts as a question mark.
    return lambda text: found.search(text.encode("utf-8", "replace")) is not None
