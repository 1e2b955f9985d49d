"""The rows of `tocsin explain` as a person reads them. Log text is hostile: nothing of it moves the cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from notifiers.escape import line
from pipeline.commands.explain_fates import Row


def text(row: Row, width: int) -> Iterator[str]:
    """Yield the lines of one row, each escaped and cut at the terminal's width."""
    for said in _SAID[str(row["what"])](row):
        yield line(said, max(width - 1, 40))


def _alert(row: Row) -> Iterator[str]:
    yield f"ALERT {row['alert']}  {row['title']}"
    steps = row["steps"]
    assert isinstance(steps, list)
    said = ", ".join("{step} {time}".format(**one) for one in steps)
    yield f"  {said}; urgency {row['urgency']}; key {_pairs(row['key'])}"
    if "engine" in row:
        yield f"  {row['events']} events, engine {row['engine']}, rule {str(row['rule_hash'])[:12]}"
    commands, hashes = row.get("commands"), row.get("lists")
    if isinstance(commands, dict) and isinstance(hashes, dict):
        for name, offset in commands.items():
            by = f"the command at {offset} of audit.commands" if offset >= 0 else "no command yet"
            yield f"  list {name} as set by {by}, {hashes[name][:12]}"
    window = row.get("window")
    if isinstance(window, dict):
        yield f"  window: after {window['after']}, until {window['until']}"


def _difference(row: Row) -> Iterator[str]:
    now = row["now"] or "not loaded"
    yield f"  NOTE {row['of']} was {row['then']}, now {now}: what follows is judged by what is loaded"


def _clause(row: Row) -> Iterator[str]:
    yield f"  {_mark(row)} {row['time']} {str(row['event'])[:12]} {row['rule']}: {_asked(row)}"


def _asked(row: Row) -> str:
    selection = f"{row['selection']}: " if row.get("selection") else ""
    asked = f"{row.get('field') or 'anywhere'} {row['wanted']}"
    there = repr(row["there"]) if row.get("present", True) else "nothing"
    asked = f"not ({asked})" if row.get("negated") else asked
    return f"{selection}{asked}" + (f"; there: {there}" if row.get("field", True) else "")


def _mark(row: Row) -> str:
    return "ok  " if row["held"] else "FAIL"


def _altered(row: Row) -> Iterator[str]:
    yield f"  ALTERED {row['event']} {row['field']}: the alert carried {row['then']!r}, stored is {row['now']!r}"


def _measure(row: Row) -> Iterator[str]:
    yield f"  measured: {row['name']} {row['now']} (told: {row['then']}), asked: {row['asked']}"


def _fate(row: Row) -> Iterator[str]:
    where = f"incident {row['incident']}, {row['step']} {row['time']}: " if "incident" in row else ""
    who = f"{row['receiver']}: " if "receiver" in row else ""
    answer = (
        f", delivered {row['delivered']}" if row.get("delivered") else f", {row['answer']}" if "answer" in row else ""
    )
    why = f" ({row['why']})" if row.get("why") else ""
    yield f"  {where}{who}{row['how']}{why}{answer}"


def _event(row: Row) -> Iterator[str]:
    yield f"EVENT {row['event']}  {row['time']}  class {row['class']}"
    if row["fields"]:
        yield f"  {_pairs(row['fields'])}"


def _rule(row: Row) -> Iterator[str]:
    held = row["outcome"] == "held"
    state = f" ({row['state']})" if "state" in row else ""
    yield f"  {'HELD' if held else ' -  '} {row['title']}{state}" + ("" if held else f": {row['because']}")


def _skipped(row: Row) -> Iterator[str]:
    rules = "1 rule does" if row["rules"] == 1 else f"{row['rules']} rules do"
    yield f"   -   {rules} not see it: {row['reason']}"


def _correlation(row: Row) -> Iterator[str]:
    group = _pairs(row["group"]) if row["group"] is not None else "no group"
    yield f"  {'HELD' if row['fired'] else ' -  '} {row['title']} ({group}), fed by {row['fed_by']}: {row['because']}"


def _conclusion(row: Row) -> Iterator[str]:
    yield f"=> {row['verdict']}"
    because = row["because"]
    assert isinstance(because, list)
    for reason in because:
        yield f"   {reason}"


def _pairs(fields: object) -> str:
    return ", ".join(f"{name}={value}" for name, value in fields.items()) if isinstance(fields, dict) else ""


_SAID: Final[Mapping[str, Callable[[Row], Iterator[str]]]] = {
    "alert": _alert,
    "altered": _altered,
    "clause": _clause,
    "conclusion": _conclusion,
    "correlation": _correlation,
    "difference": _difference,
    "event": _event,
    "fate": _fate,
    "measure": _measure,
    "rule": _rule,
    "skipped": _skipped,
}
