"""What was measured is told with its limit, and a host by its name."""

from __future__ import annotations

import pytest

from notifiers.incident import Incident
from notifiers.render import Renderer
from rules.alert import Proof
from rules.event import Value
from tests.standins.alerts import NOW, root_login


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"value": 3, "gte": 3}, "Measured                     3 (gte 3)"),
        ({"system.filesystem.used.pct": 0.94, "system.filesystem.used.pct|gte": 0.9}, "0.94 (gte 0.9)"),
        ({"value": 7}, "Measured                     7\n"),
    ],
)
def test_a_value_stands_beside_its_limit(values: dict[str, Value], said: str) -> None:
    alert = root_login().model_copy(update={"proof": Proof(rule_hash="h", engine="1", values=values)})
    incident = Incident(
        "i-1", "k", 1, "triggered", alert, opened=NOW, seen=NOW, last=NOW, count=1, told={}, level="high"
    )
    text = Renderer().incident(incident, "page", NOW).text
    assert said in text
    assert "host.id" not in text
