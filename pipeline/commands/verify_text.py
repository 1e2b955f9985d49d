"""What `tocsin verify` says: rows for programs, lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import click

from pipeline.verify.conclude import Conclusion
from pipeline.verify.gather import Gathered
from pipeline.verify.judge import Finding

LIMITS = (
    "what nobody can know from here: whoever is root on a host can forge what comes after; what no anchor stated, and "
    "nothing follows, may have been cut; alerts and incidents bear no seal"
)
Row = dict[str, object]


@dataclass(slots=True)
class Told:
    """What was not as it should be beside the archive itself."""

    faults: list[str] = field(default_factory=list)


def rows(found: Iterable[Conclusion], gathered: Gathered, names: Mapping[str, str], told: Told) -> Iterator[Row]:
    """Yield a row for each chain and each finding, then the summary."""
    chains = records = findings = set_aside = 0
    for one in found:
        host = {"host": one.chain.host, "name": names.get(one.chain.host)}
        place: Row = {**host, "chain": one.chain.name, "epoch": one.chain.epoch}
        yield {"what": "chain", **place, **_numbers(one)}
        for finding in one.judgement.findings:
            yield {"what": "finding", "finding": finding.kind, **place, **_of(finding, one)}
        chains, records = chains + 1, records + one.judgement.records
        set_aside += one.judgement.set_aside
        findings += len(one.judgement.findings) + one.judgement.further
    for row in _beside(gathered, names):
        findings += row["what"] == "finding"
        yield row
    for fault in told.faults:
        yield {"what": "unknown", "says": fault}
    yield {
        "what": "summary",
        "documents": gathered.documents,
        "chains": chains,
        "records": records,
        "set_aside": set_aside,
        "unsealed": gathered.ours,
        "findings": findings + gathered.further,
        "limits": LIMITS,
    }


def _numbers(one: Conclusion) -> Row:
    found = one.judgement
    return {
        "first": found.first,
        "last": found.last,
        "records": found.records,
        "set_aside": found.set_aside,
        "findings": len(found.findings) + found.further,
        "unknown": found.unknown,
    }


def _of(finding: Finding, one: Conclusion) -> Row:
    note = one.notes.get(finding.first) if finding.kind in ("missing", "cut") else None
    row: Row = {"first": finding.first, "last": finding.last, "count": finding.count}
    known = {"event": finding.id or None, "why": "; ".join(filter(None, (finding.why, note))) or None}
    return row | {name: value for name, value in known.items() if value is not None}


def _beside(gathered: Gathered, names: Mapping[str, str]) -> Iterator[Row]:
    """What stands in no chain, and what the witness told when it saw the records arrive."""
    for odd in gathered.strange:
        called = {"host": odd.host, "name": names.get(odd.host)} if odd.host else {}
        yield {"what": "finding", "finding": odd.kind, **called, "event": odd.id, "why": odd.why}
    for action, host, message in gathered.said:
        kind = "reordered" if action == "chain-reordered" else "cloned"
        yield {"what": "finding", "finding": kind, "host": host, "name": names.get(host), "why": message}
    for (action, host), count in sorted(gathered.told.items()):
        yield {"what": "told", "action": action, "host": host, "name": names.get(host), "events": count}


def text(row: Row) -> str:
    """Return one row as a person reads it; what comes from hosts is escaped."""
    said = {name: ascii(value)[1:-1] if isinstance(value, str) else value for name, value in row.items()}
    who = said.get("name") or said.get("host") or ""
    match row["what"]:
        case "chain":
            return _chain(said, str(who))
        case "finding":
            return _finding(said, str(who))
        case "told":
            look = f"`tocsin search event.action:{said['action']}`"
            return f"{who}: {said['events']} times {said['action']} was told; {look}"
        case "unknown":
            return click.style(f"not known: {said['says']}", fg="yellow")
    found = row["findings"]
    end = click.style(f"{found} findings", fg="red" if found else "green", bold=True)
    return (
        f"{end}: {said['documents']} documents, {said['chains']} chains, {said['records']} sealed records "
        f"({said['set_aside']} of them in the dead letters), {said['unsealed']} without a seal\n{LIMITS}"
    )


def _chain(said: Row, who: str) -> str:
    state = click.style(f"{said['findings']} findings", fg="red") if said["findings"] else "whole"
    line = (
        f"{who} {said['chain']} {said['epoch']}: {said['first']} to {said['last']}, {said['records']} records, {state}"
    )
    unknown = said["unknown"]
    notes = [f"    not known: {one}" for one in unknown] if isinstance(unknown, list) else []
    return "\n".join([line, *notes])


def _finding(said: Row, who: str) -> str:
    numbers = ""
    if "first" in said:
        numbers = f" {said['first']}" if said["first"] == said["last"] else f" {said['first']} to {said['last']}"
    where = f" of {said['chain']}" if "chain" in said else ""
    event = f", event {said['event']}" if said.get("event") else ""
    why = f": {said['why']}" if said.get("why") else ""
    return click.style(f"    {who}: {said['finding']}{numbers}{where}{event}{why}", fg="red")
