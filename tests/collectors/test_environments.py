"""What is production, what is staging, and what nobody said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.environments import EnvironmentRule, Environments
from rules.event import Scalar, Value

NAME = "db.namespace"
WORDS = Environments(
    (
        EnvironmentRule.of("production", {}, (), {NAME: ["prod", "production", "prd", "live"]}),
        EnvironmentRule.of("staging", {}, (), {NAME: ["staging", "stage", "stg", "uat", "preprod", "nonprod"]}),
        EnvironmentRule.of("development", {}, (), {NAME: ["dev", "development", "test"]}),
    ),
    "unknown",
)


@pytest.mark.parametrize(
    ("name", "environment", "base"),
    [
        ("CustomerName_Production", "production", "CustomerName"),
        ("CustomerName_Staging", "staging", "CustomerName"),
        ("CustomerNameProduction", "production", "CustomerName"),
        ("customername_prod", "production", "customername"),
        ("CUSTOMERNAME_PROD", "production", "CUSTOMERNAME"),
        ("prod-db-01", "production", "db-01"),
        ("db-01-prod", "production", "db-01"),
        ("prod01", "production", "01"),
        ("SQLProd", "production", "SQL"),
        ("acme.staging.db", "staging", "acme.db"),
        ("acme.prod.db", "production", "acme.db"),
        ("stage/orders", "staging", "orders"),
        ("acme_production_v2", "production", "acme_v2"),
        ("uat2", "staging", "2"),
        ("Kunde_Größe_Live", "production", "Kunde_Größe"),
        ("production", "production", None),
    ],
)
def test_a_word_of_the_name_says_it_and_the_rest_names_the_thing(name: str, environment: str, base: str | None) -> None:
    assert WORDS.of_event({NAME: name}) == (environment, base)


@pytest.mark.parametrize(
    "name",
    [
        "PRODUCTS", "products", "reproduction", "Reproduction_2", "produce", "acmeprod", "prodigy", "deliver", "alive",
        "non-prod", "not_production", "pre_prod", "PreProd", "non.live", "postgres", "master", "", "生产",
    ],
)  # fmt: skip
def test_what_only_looks_like_production_is_never_production(name: str) -> None:
    assert WORDS.of_event({NAME: name})[0] != "production"


@pytest.mark.parametrize(
    ("name", "environment"), [("nonprod", "staging"), ("preprod-db", "staging"), ("dev_x", "development")]
)
def test_what_is_listed_as_a_word_of_its_own_is_what_the_list_says(name: str, environment: str) -> None:
    assert WORDS.of_event({NAME: name})[0] == environment


def test_an_event_that_names_nothing_is_unknown() -> None:
    assert WORDS.of_event({}) == ("unknown", None)
    assert WORDS.of_event({"host.name": "prod-1"}) == ("unknown", None)


@pytest.mark.parametrize(
    ("fields", "environment", "base"),
    [
        ({"host.name": "SQL-2", NAME: "shop"}, "production", "shop"),
        ({"host.name": "sql-3", NAME: "shop"}, "staging", "shop"),
        ({"destination.ip": "10.1.7.9", NAME: "shop"}, "production", "shop"),
        ({"destination.ip": "fd00:1::7", NAME: "shop"}, "production", "shop"),
        ({"destination.ip": "10.2.7.9", NAME: "shop"}, "unknown", None),
        ({"destination.ip": "no address", NAME: "shop"}, "unknown", None),
        ({"destination.port": 5433, NAME: "shop"}, "staging", "shop"),
        ({"log.file.path": "/srv/pg/staging/log/postgresql.log", NAME: "shop"}, "staging", "shop"),
    ],
)
def test_lists_of_servers_networks_ports_and_paths_tell_it_too(
    fields: dict[str, Value], environment: str, base: str | None
) -> None:
    rules = (
        EnvironmentRule.of("production", {"host.name": ["sql-1", "sql-2"]}, [NAME]),
        EnvironmentRule.of("staging", {"host.name": ["sql-3"]}, [NAME]),
        EnvironmentRule.of("production", {"destination.ip": ["10.1.0.0/16", "fd00:1::/32"]}, [NAME]),
        EnvironmentRule.of("staging", {"destination.port": "5433"}, [NAME]),
        EnvironmentRule.of("staging", {"log.file.path": "/srv/pg/staging/*"}, [NAME]),
    )
    assert Environments(rules, "unknown").of_event(fields) == (environment, base)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["acme_staging", "shop_production", "acme_dev"], ("production", "shop")),  # whichever rule stands first
        (["acme_staging", "acme_dev"], ("development", "acme")),  # none is: the last that was asked for
        (["acme_staging", "shop"], ("unknown", None)),
        (["shop_production"], ("production", "shop")),
        ([], ("unknown", None)),
    ],
)
def test_of_several_databases_that_it_may_be_one_that_is_production_decides(
    names: list[Scalar], found: tuple[str, str | None]
) -> None:
    assert Environments(WORDS.rules[::-1], "unknown").of_event({NAME: [*names]}) == found


def test_a_name_may_be_production_unless_a_rule_that_asks_for_nothing_else_says_what_it_is() -> None:
    assert [WORDS.may_be_production(name) for name in ("a_prod", "a_staging", "shop")] == [True, False, False]
    assert Environments(WORDS.rules, "production").may_be_production("shop")
    rules = (
        EnvironmentRule.of("staging", {"host.name": "x", NAME: "a*"}),
        EnvironmentRule.of("production", {"host.name": "y"}),
        EnvironmentRule.of("production", {"host.name": "y", NAME: "ab*"}),
    )
    known = Environments(rules, "unknown")
    assert [known.may_be_production(name) for name in ("ab", "a", "c")] == [True, False, False]


@given(st.text(max_size=40))
def test_whatever_the_name_a_word_that_is_no_part_of_it_never_matches(name: str) -> None:
    found, _ = WORDS.of_event({NAME: name})
    assert found == "unknown" or any(
        word in name.lower() for word in ("prod", "prd", "live", "stag", "stg", "uat", "dev", "test")
    )
