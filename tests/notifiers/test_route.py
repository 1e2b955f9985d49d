"""Routing, in Alertmanager's words: the tree, its matchers, the labels, and what a wrong tree is told."""

from __future__ import annotations

import pytest

from notifiers.route import RouteError, labels_of, matchers, parse, receivers_of, taken
from tests.standins.alerts import disk, root_login

TREE = {
    "receiver": "everyone",
    "routes": [
        {"matchers": ['severity="critical"'], "receiver": "phones", "continue": True},
        {
            "matchers": ["product=~sshd|sudo"],
            "receiver": "security",
            "routes": [{"matchers": ["environment!=production"], "receiver": "quiet"}],
        },
        {"match": {"alertname": "Disk filling"}, "receiver": "storage"},
        {"match_re": {"host.name": "db-.*"}, "receiver": "dba"},
    ],
}


def names(labels: dict[str, str]) -> list[str]:
    return [node.receiver for node in taken(parse(TREE), labels)]


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, ["everyone"]),  # a node receives only if no child matched
        ({"severity": "critical"}, ["phones"]),
        ({"severity": "critical", "product": "sshd", "environment": "production"}, ["phones", "security"]),
        ({"product": "sudo", "environment": "staging"}, ["quiet"]),
        ({"product": "sudo"}, ["quiet"]),  # an absent label is the empty text, and so not production
        ({"product": "sshd-session", "host.name": "web"}, ["everyone"]),  # anchored
        ({"alertname": "Disk filling", "host.name": "db-1"}, ["storage"]),  # the first that matches stops its siblings
        ({"host.name": "db-1"}, ["dba"]),
    ],
)
def test_the_tree_is_walked_depth_first(labels: dict[str, str], receivers: list[str]) -> None:
    assert names(labels) == receivers


@pytest.mark.parametrize(
    ("text", "value", "matches"),
    [
        ('severity="critical"', "critical", True),
        ("severity=critical", "critical", True),
        ('severity != "critical"', "critical", False),
        ('severity=~"crit.*"', "critical", True),
        ('severity=~"crit"', "critical", False),
        ("severity!~crit", "critical", True),
        ('severity="a\\"b"', 'a"b', True),
        ('severity="a=~b"', "a=~b", True),
        ('severity=""', "", True),
        ('{severity="a,b"}', "a,b", True),
    ],
)
def test_a_matcher_reads_as_in_alertmanager(text: str, value: str, matches: bool) -> None:
    assert all(matcher({"severity": value} if value else {}) for matcher in matchers(text)) is matches


def test_braces_hold_several_matchers() -> None:
    assert [str(one) for one in matchers('{a="1", b!~"2,3", }')] == ['a="1"', 'b!~"2,3"']


@pytest.mark.parametrize(
    ("tree", "where", "fault"),
    [
        ({}, "route.receiver", "name of a receiver"),
        ([], "route", "mapping"),
        ({"receiver": "a", "matchers": ['a="b"']}, "route", "root route"),
        ({"receiver": "a", "routes": [{"matchers": ["nonsense"]}]}, "route.routes[0].matchers", "no matcher"),
        ({"receiver": "a", "routes": [{"matchers": ["a=~("]}]}, "route.routes[0].matchers", "regular expression"),
        ({"receiver": "a", "routes": [{"matchers": ['a="b']}]}, "route.routes[0].matchers", "closing quote"),
        ({"receiver": "a", "recevier": "b"}, "route.recevier", "unknown key"),
        ({"receiver": "a", "routes": [{"continue": "yes"}]}, "route.routes[0].continue", "true or false"),
        ({"receiver": "a", "routes": {}, "matchers": None}, "route.routes", "list"),
    ],
)
def test_a_fault_names_its_place(tree: object, where: str, fault: str) -> None:
    if tree == {"receiver": "a", "routes": {}, "matchers": None}:
        tree = {"receiver": "a", "routes": {"receiver": "b"}}
    with pytest.raises(RouteError, match=fault) as raised:
        parse(tree)
    assert raised.value.where == where


def test_no_two_nodes_share_a_name() -> None:
    def paths(node: object) -> list[str]:
        return [node.path, *(path for child in node.routes for path in paths(child))]  # type: ignore[attr-defined]

    found = paths(parse(TREE))
    assert len(set(found)) == len(found) == 6


def test_labels_come_of_rule_host_environment_and_key() -> None:
    labels = labels_of(disk())
    assert {name: labels[name] for name in ("alertname", "severity", "urgency", "environment", "host.name")} == {
        "alertname": "Disk filling",
        "severity": "high",
        "urgency": "page",
        "environment": "production",
        "host.name": "db-7",
    }
    assert labels["system.filesystem.mount_point"] == "/var"


def test_a_receiver_that_two_nodes_name_hears_once() -> None:
    tree = parse({"receiver": "a", "routes": [{"receiver": "b", "continue": True}, {"receiver": "b"}]})
    assert receivers_of(tree, root_login()) == ("b",)


def test_no_pattern_makes_matching_slow() -> None:
    (evil,) = matchers("user.name=~(a+)+b")
    assert not evil({"user.name": "a" * 100_000})
