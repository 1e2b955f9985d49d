"""That each server of the tests is the real one, answers, and writes what it is there to write."""

from __future__ import annotations

import json
import urllib.error

import psycopg
import pytest

from tests.conftest import absent
from tests.services.elasticsearch import VERSION, Elasticsearch
from tests.services.kafka import Kafka
from tests.services.postgres import Postgres
from tests.services.process import CannotServe, listens
from tests.services.sshd import Sshd


def test_kafka_listens_with_and_without_a_password(kafka: Kafka) -> None:
    for server in (*kafka.servers, *kafka.sasl_servers):
        assert listens(int(server.rpartition(":")[2]))


def test_elasticsearch_is_the_version_it_says(elasticsearch: Elasticsearch) -> None:
    told = json.dumps(elasticsearch.request("GET", "/_nodes/_local/http"))
    assert f'"version": "{VERSION}"' in told


def test_elasticsearch_refuses_what_the_role_does_not_hold(elasticsearch: Elasticsearch) -> None:
    from elasticsearch import AuthenticationException, AuthorizationException
    from elasticsearch import Elasticsearch as Client

    nobody = Client(elasticsearch.hosts, ca_certs=str(elasticsearch.ca_file))
    with nobody, pytest.raises(AuthenticationException):
        nobody.cluster.health()
    secret = (elasticsearch.username, elasticsearch.password)
    with Client(elasticsearch.hosts, ca_certs=str(elasticsearch.ca_file), basic_auth=secret) as tocsin:
        assert tocsin.cluster.health()["status"] in ("green", "yellow")
        with pytest.raises(AuthorizationException):
            tocsin.index(index="someone-elses", document={"a": 1})
    with pytest.raises(urllib.error.HTTPError):
        elasticsearch.request("GET", "/no-such-index")


def test_postgres_writes_pgaudit_lines_with_the_prefix_and_as_json(postgres: Postgres) -> None:
    postgres.execute("developer", "acme_production", "CREATE TABLE seen_by_pgaudit (id integer)")
    logs = (postgres.log, postgres.json_log)
    postgres.process.wait_until(
        lambda: all("seen_by_pgaudit" in log.read_text("utf-8") for log in logs), "the line in both logs", 10
    )
    text = postgres.log.read_text("utf-8")
    line = next(line for line in text.splitlines() if "seen_by_pgaudit" in line)
    assert "developer@acme_production/psql 127.0.0.1 LOG:  AUDIT: SESSION," in line
    records = [json.loads(line) for line in postgres.json_log.read_text("utf-8").splitlines()]
    told = [record for record in records if "seen_by_pgaudit" in record["message"]]
    assert [(record["user"], record["dbname"]) for record in told] == [("developer", "acme_production")]


def test_postgres_writes_a_refused_password(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError):
        postgres.connect("developer", "acme_production", password="wrong")
    said = 'FATAL:  password authentication failed for user "developer"'
    postgres.process.wait_until(lambda: said in postgres.log.read_text("utf-8"), "the line in the log", 10)


def test_sshd_writes_a_root_login_with_a_key(sshd: Sshd) -> None:
    assert sshd.login("root").returncode == 0
    sshd.wait_for("Accepted publickey for root from 127.0.0.1 port")
    assert "T" in sshd.log_rfc3339.read_text("utf-8").split(" ", 1)[0]


def test_sshd_writes_wrong_passwords_and_unknown_users(sshd: Sshd) -> None:
    assert sshd.login_with_password(sshd.user, "wrong").returncode == 255
    sshd.wait_for(f"Failed password for {sshd.user} from 127.0.0.1 port")
    assert sshd.login_with_password("nobody-here", "wrong").returncode == 255
    sshd.wait_for("Failed password for invalid user nobody-here from 127.0.0.1 port")


def test_sudo_writes_the_command(sshd: Sshd) -> None:
    assert sshd.login_with_password(sshd.user, sshd.password, "sudo -n /usr/bin/id").returncode == 0
    sshd.wait_for(f"Accepted password for {sshd.user} from 127.0.0.1 port")
    sshd.wait_for("USER=root ; COMMAND=/usr/bin/id")


def test_a_server_that_cannot_be_had_skips_and_under_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="kafka: needs Java"):
        absent("kafka", CannotServe("needs Java"))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="kafka: needs Java"):
        absent("kafka", CannotServe("needs Java"))
