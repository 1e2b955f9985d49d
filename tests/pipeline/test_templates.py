"""Templates of one's own: they replace the shipped ones, are tried before they are needed, and never cost a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from notifiers.message import Message
from notifiers.render import Renderer
from pipeline.cli import cli
from tests.standins.alerts import root_login
from tests.standins.channels import Recorder
from tests.standins.desk import Desk


def page(folder: Path, **templates: str) -> Message:
    pager = Recorder()
    desk = Desk(folder, security=[pager])
    desk.renderer = Renderer({f"message.{name}": text for name, text in templates.items()})
    desk.tell(root_login(user="<script>"))
    desk.settle()
    desk.close()
    return pager.sent[0]


def test_a_template_of_one_s_own_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    message = page(tmp_path, html="<h1>{{ view.subject }}</h1>")
    assert message.html == "<h1>Root login over SSH: &lt;script&gt; from 203.0.113.9 on db-7 [production]</h1>"
    assert "Accepted publickey" in message.text  # the shipped one


@pytest.mark.parametrize(
    "template",
    [
        "{{ view.nothing }}",
        "{{ 1 / 0 }}",
        "{% if %}",
        "{{ view.subject.__class__.__mro__ }}",
        "{{ view.facts.append(1) }}",
        "{% for a in range(99999) %}{{ view.subject }}{% endfor %}",
        "{% include 'nothing' %}",
    ],
)
def test_a_fault_in_a_template_costs_the_form_and_not_the_page(tmp_path: Path, template: str) -> None:
    message = page(tmp_path, html=template)
    assert message.subject == "page[:] Root login over SSH" or message.subject.startswith("page: Root login over SSH")
    assert "db-7" in message.text


def check(folder: Path, **templates: str) -> tuple[int, str]:
    own = folder / "templates"
    own.mkdir()
    for name, text in templates.items():
        (own / f"message.{name}").write_text(text)
    config = folder / "tocsin.yml"
    config.write_text(f"state: {folder / 'state'}\ntemplates: {own}\nsources: [{{kind: host_metrics}}]\n")
    done = CliRunner().invoke(cli, ["check", "--offline", "-c", str(config)])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("templates", "said"),
    [
        ({"txt": "a\nb\n{{ view.nothing }}"}, "message.txt:3: "),
        ({"html": "<p>\n{% if %}</p>"}, "message.html:2: "),
        ({"html": "{{ view.event|safe }}"}, "message.html:1: lets what a user wrote be HTML"),
        ({"txt": "{# nothing #}"}, "message.txt:1: comes out empty"),
        ({"html": "<p>\n\n\n{{ view.facts[99][0] }}"}, "message.html:4: "),
        ({"html": "{{ ''.__class__ }}{{ ''.__class__.__mro__ }}"}, "message.html:1: "),
    ],
)
def test_check_names_a_template_s_fault_with_its_line(tmp_path: Path, templates: dict[str, str], said: str) -> None:
    code, output = check(tmp_path, **templates)
    assert code == 1
    assert f"{tmp_path}/templates/{said}" in output


def test_check_says_that_good_templates_were_tried(tmp_path: Path) -> None:
    code, output = check(tmp_path, html="<p>{{ view.subject }}</p>")
    assert code == 0, output
    assert "tried on a sample of each alert" in output


def test_a_folder_of_templates_that_is_none_is_a_fault(tmp_path: Path) -> None:
    config = tmp_path / "tocsin.yml"
    config.write_text(
        f"state: {tmp_path / 'state'}\ntemplates: {tmp_path / 'none'}\nsources: [{{kind: host_metrics}}]\n"
    )
    done = CliRunner().invoke(cli, ["check", "--offline", "-c", str(config)])
    assert (done.exit_code, "`templates` names no folder" in done.output) == (1, True)
