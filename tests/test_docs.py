"""The docs: every setting is explained, every link leads somewhere, compose files say what the roles need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pipeline import app
from pipeline.config import parse

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_yaml_example_of_the_config_is_a_good_config() -> None:
    environment = {"SLACK_TOKEN": "xoxb-1", "ELASTIC_PASSWORD": "x"}
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    examples = [
        found for text in texts for found in re.findall(r"```yaml\n(.*?)```", text, re.S) if "receivers:" in found
    ]
    assert len(examples) >= 2
    for example in examples:
        parse(re.sub(r", password_file: \S+(?=[,}])", "", example), "example.yml", environment)


def test_compose_runs_every_role_with_a_config_that_holds() -> None:
    services = yaml.safe_load((ROOT / "compose" / "compose.yml").read_text(encoding="utf-8"))["services"]
    assert set(app.ROLES) <= set(services)
    for role in app.ROLES:
        assert services[role]["command"][0] == role
    config = parse(
        (ROOT / "compose" / "tocsin.yml").read_text(encoding="utf-8"), "tocsin.yml", {"ELASTIC_PASSWORD": "x"}
    )
    assert (config.stream.kind, config.index.kind) == ("kafka", "elasticsearch")
