"""What a statement does, in each dialect."""

from __future__ import annotations

import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats.sql import classify
from collectors.formats.sql_lexer import Dialect, redacted


@pytest.mark.parametrize(
    ("dialect", "text", "kind", "operation", "name"),
    [
        ("postgresql", "SELECT * FROM public.orders", "read", "SELECT", "public.orders"),
        ("postgresql", 'update "Order Lines" set a = 1', "write", "UPDATE", "Order Lines"),
        ("postgresql", "DROP TABLE IF EXISTS a.b CASCADE", "ddl", "DROP TABLE", "a.b"),
        ("postgresql", "SELECT 1; DROP TABLE t", "ddl", "DROP TABLE", "t"),
        ("postgresql", "SELECT '; DROP TABLE t'", "read", "SELECT", None),
        ("postgresql", "SELECT $a$ ; DROP TABLE t $a$", "read", "SELECT", None),
        ("postgresql", "/* a /* b */ DROP TABLE x; */ SELECT 1", "read", "SELECT", None),
        ("postgresql", "WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", "write", "DELETE", "a"),
        ("postgresql", "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "write", "INSERT", "t"),
        ("postgresql", "EXPLAIN DELETE FROM t", "read", "EXPLAIN", None),
        ("postgresql", "EXPLAIN ANALYZE DELETE FROM t", "write", "DELETE", "t"),
        ("postgresql", "COPY t FROM STDIN", "write", "COPY", "t"),
        ("postgresql", "COPY t TO '/tmp/x'", "read", "COPY", "t"),
        ("postgresql", "DO $$ BEGIN DROP TABLE x; END $$", "ddl", "DO", "x"),
        ("postgresql", "GRANT ALL ON TABLE t TO eve", "privilege", "GRANT", "t"),
        ("postgresql", "ALTER ROLE eve SUPERUSER", "privilege", "ALTER ROLE", "eve"),
        ("postgresql", "BEGIN", "session", "BEGIN", None),
        ("postgresql", "PREPARE p AS DELETE FROM t WHERE a = $1", "write", "DELETE", "t"),
        ("mysql", "/*!40000 DROP TABLE t */", "ddl", "DROP TABLE", "t"),
        ("mysql", "/* DROP TABLE t */ SELECT 1", "read", "SELECT", None),
        ("mysql", "SELECT 'a\\'; DROP TABLE t; -- '", "read", "SELECT", None),
        ("mysql", "# c\nREPLACE INTO `s`.`t` VALUES (1)", "write", "REPLACE", "s.t"),
        ("mysql", "LOAD DATA INFILE 'x' INTO TABLE t", "write", "LOAD", "t"),
        ("mysql", "SET PASSWORD FOR root = 'x'", "privilege", "SET PASSWORD", None),
        ("mssql", "RESTORE DATABASE [Shop_Production] FROM x", "restore", "RESTORE DATABASE", "Shop_Production"),
        ("mssql", "BACKUP LOG shop TO DISK = 'x'", "backup", "BACKUP LOG", "shop"),
        ("mssql", "SELECT 1 DROP TABLE dbo.t", "ddl", "DROP TABLE", "dbo.t"),
        ("mssql", "UPDATE TOP (5) dbo.[My Table] SET a = 1", "write", "UPDATE", "dbo.My Table"),
        ("mssql", "EXEC sp_addrolemember 'db_owner', 'eve'", "privilege", "EXEC", "sp_addrolemember"),
        ("mssql", "RESTORE HEADERONLY FROM DISK = 'x'", "read", "RESTORE HEADERONLY", None),
        ("mssql", "SET NOCOUNT ON DELETE FROM t", "write", "DELETE", "t"),
        ("mssql", "BEGIN TRAN UPDATE dbo.t SET a = 1 COMMIT", "write", "UPDATE", "dbo.t"),
        ("mssql", "INSERT INTO t SELECT a FROM u", "write", "INSERT", "t"),
        ("mssql", "IF EXISTS (SELECT 1 FROM x) BEGIN DELETE FROM y END", "write", "DELETE", "y"),
        ("mssql", "UPDATE STATISTICS dbo.t", "other", "UPDATE STATISTICS", "dbo.t"),
        ("mssql", "ALTER DATABASE x SET SINGLE_USER RESTORE DATABASE x FROM y", "restore", "RESTORE DATABASE", "x"),
        ("mysql", "CREATE USER 'eve'@'%' IDENTIFIED BY 'x'", "privilege", "CREATE USER", "eve"),
        ("mysql", "DROP USER IF EXISTS eve@localhost", "privilege", "DROP USER", "eve"),
        ("mysql", "GRANT ALL ON shop.* TO 'eve'@'%'", "privilege", "GRANT", "shop"),
    ],
)  # fmt: skip
def test_a_statement_is_of_this_kind_on_this_object(
    dialect: Dialect, text: str, kind: str, operation: str, name: str | None
) -> None:
    found = classify(text, dialect)
    assert found is not None
    assert (found.kind, found.operation, found.object) == (kind, operation, name)


@pytest.mark.parametrize(
    ("dialect", "text", "kind", "operation", "name"),
    [
        ("postgresql", "COPY t FROM PROGRAM 'curl x'", "write", "COPY FROM PROGRAM", "t"),
        ("postgresql", "COPY (SELECT * FROM secret) TO PROGRAM 'x'", "read", "COPY TO PROGRAM", "secret"),
        ("postgresql", "COPY (DELETE FROM t RETURNING *) TO STDOUT", "write", "COPY", "t"),
        ("postgresql", "EXPLAIN (ANALYZE false) DELETE FROM t", "read", "EXPLAIN", None),
        ("postgresql", "DO $$ BEGIN EXECUTE 'DROP TABLE x'; END $$", "ddl", "DO", "x"),
        ("postgresql", "DO $$ BEGIN IF EXISTS (SELECT 1) THEN DELETE FROM t; END IF; END $$", "write", "DO", "t"),
        ("postgresql", "CREATE INDEX ON s.t (a)", "ddl", "CREATE INDEX", "s.t"),
        ("postgresql", "CREATE USER MAPPING FOR ann SERVER s", "ddl", "CREATE USER MAPPING", None),
        ("postgresql", "CREATE SCHEMA AUTHORIZATION ann", "ddl", "CREATE SCHEMA", "ann"),
        ("postgresql", "GRANT ALL ON ALL TABLES IN SCHEMA s TO u", "privilege", "GRANT", "s"),
        ("postgresql", "GRANT admin TO eve", "privilege", "GRANT ROLE", "admin"),
        ("mysql", "SELECT * INTO OUTFILE '/tmp/x' FROM t", "read", "SELECT INTO OUTFILE", "t"),
        ("mysql", "SELECT a INTO @x FROM t", "read", "SELECT", "t"),
        ("mysql", "SET GLOBAL general_log = OFF", "ddl", "SET GLOBAL", "general_log"),
        ("mysql", "SET STATEMENT max_statement_time=1 FOR DELETE FROM t", "write", "DELETE", "t"),
        ("mysql", "EXECUTE IMMEDIATE 'DROP TABLE t'", "ddl", "EXECUTE", "t"),
        ("mysql", "PREPARE s FROM 'DROP TABLE t'", "ddl", "PREPARE", "t"),
        ("mysql", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM a", "privilege", "REVOKE", None),
        ("mysql", "INSTALL PLUGIN x SONAME 'y'", "ddl", "INSTALL PLUGIN", "x"),
        ("mysql", "START REPLICA", "other", "START REPLICA", None),
        ("mysql", "DROP TABLES a, b", "ddl", "DROP TABLE", "a"),
        ("mysql", "BACKUP STAGE START", "backup", "BACKUP STAGE", None),
        ("mssql", "EXEC('DROP TABLE ' + 't')", "ddl", "EXEC", "t"),
        ("mssql", "EXEC sp_executesql N'DELETE FROM t', N'@a int', 1", "write", "EXEC", "t"),
        ("mssql", "EXEC(@sql)", "other", "EXEC", None),
        ("mssql", "EXECUTE AS LOGIN = 'sa'", "privilege", "EXECUTE AS", None),
        ("mssql", "EXEC @r = master..xp_cmdshell 'dir'", "other", "EXEC", "master..xp_cmdshell"),
        ("mssql", "sp_configure 'xp_cmdshell', 1", "ddl", "EXEC", "sp_configure"),
        ("mssql", "ALTER SERVER AUDIT a WITH (STATE = OFF)", "ddl", "ALTER SERVER AUDIT", "a"),
        ("mssql", "DROP DATABASE AUDIT SPECIFICATION s", "ddl", "DROP DATABASE AUDIT SPECIFICATION", "s"),
        ("mssql", "GRANT CONTROL ON DATABASE::Shop TO u", "privilege", "GRANT", "Shop"),
        ("mssql", "GRANT CONTROL SERVER TO u", "privilege", "GRANT", None),
        ("mssql", "BULK INSERT dbo.t FROM 'x'", "write", "BULK INSERT", "dbo.t"),
        ("mssql", "UPDATE x SET a = 1 FROM dbo.t AS x", "write", "UPDATE", "dbo.t"),
        ("mssql", "BACKUP MASTER KEY TO FILE = 'x'", "backup", "BACKUP MASTER KEY", None),
        ("mssql", "IF NOT EXISTS (SELECT 1 FROM x) CREATE TABLE t (a int)", "ddl", "CREATE TABLE", "t"),
        ("mssql", "DISABLE TRIGGER audit_t ON dbo.t", "ddl", "DISABLE TRIGGER", "audit_t"),
    ],
)  # fmt: skip
def test_what_stands_in_another_statement_or_under_another_name_is_seen(
    dialect: Dialect, text: str, kind: str, operation: str, name: str | None
) -> None:
    found = classify(text, dialect)
    assert found is not None
    assert (found.kind, found.operation, found.object) == (kind, operation, name)


@pytest.mark.parametrize(
    ("dialect", "text", "target"),
    [
        ("postgresql", "GRANT SELECT ON t TO eve", "eve"),
        ("postgresql", "REVOKE admin FROM eve", "eve"),
        ("postgresql", "ALTER GROUP admins ADD USER eve", "eve"),
        ("postgresql", "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO eve", "eve"),
        ("mysql", "GRANT ALL ON shop.* TO 'eve'@'%' WITH GRANT OPTION", "eve"),
        ("mysql", "SET PASSWORD FOR 'eve'@'%' = 'x'", "eve"),
        ("mssql", "ALTER SERVER ROLE sysadmin ADD MEMBER [eve]", "eve"),
        ("mssql", "EXEC sp_addrolemember 'db_owner', 'eve'", "eve"),
        ("mssql", "EXEC sp_addrolemember @membername = N'eve', @rolename = 'db_owner'", "eve"),
        ("mssql", "EXEC sp_password 'old', 'new', 'bob'", "bob"),
        ("mssql", "EXEC sp_password NULL, 'new', bob", "bob"),
        ("mssql", "EXEC sp_password 'old', 'new'", None),
        ("mssql", "sp_password @old='old', @new='new', @loginame='bob'", "bob"),
        ("mssql", "sp_password @old='old', @new='new'", None),
        ("mssql", "EXEC @r = master..sp_addlogin 'bob', 'new'", "bob"),
        ("mssql", "sp_addlogin @passwd='new', @loginame='it''s bob'", "it's bob"),
        ("mssql", "EXEC sys.sp_addlinkedsrvlogin 's', 'false', 'bob', 'sa', 'new'", "bob"),
        ("mssql", "EXEC sp_addlinkedsrvlogin 's', 'false', NULL, 'sa', 'new'", None),
        ("mssql", "EXEC sp_addlinkedsrvlogin @rmtpassword='new'", None),
        ("mssql", "EXEC sp_addlogin", None),
        ("mssql", "EXEC sp_addsrvrolemember 'eve', 'sysadmin'", "eve"),
        ("mssql", "EXECUTE AS LOGIN = 'eve'", "eve"),
        ("mssql", "ALTER AUTHORIZATION ON DATABASE::Shop TO eve", "eve"),
        ("mssql", "CREATE LOGIN eve WITH PASSWORD = 'x'", "eve"),
        ("postgresql", "DROP TABLE t", None),
    ],
)
def test_who_gets_a_right_or_an_account_is_named(dialect: Dialect, text: str, target: str | None) -> None:
    found = classify(text, dialect)
    assert found is not None
    assert found.target == target


@pytest.mark.parametrize(
    ("dialect", "text", "database"),
    [
        ("postgresql", "DROP DATABASE acme_production", "acme_production"),
        ("postgresql", "GRANT CONNECT ON DATABASE acme_production TO eve", "acme_production"),
        ("postgresql", "DROP TABLE acme_production.t", None),  # a schema's name
        ("mysql", "DROP TABLE acme_production.t", "acme_production"),
        ("mysql", "GRANT ALL ON acme_production.* TO eve", "acme_production"),
        ("mysql", "USE acme_production; DELETE FROM t", "acme_production"),
        ("mysql", "USE acme_production; DELETE FROM acme_staging.t", "acme_staging"),
        ("mssql", "DELETE FROM acme_production.dbo.t", "acme_production"),
        ("mssql", "DELETE FROM dbo.t", None),
        ("mssql", "USE [acme_production] DROP TABLE dbo.t", "acme_production"),
        ("mssql", "USE master; RESTORE DATABASE acme_production FROM x", "acme_production"),
        ("mssql", "SELECT 'USE acme_production' DROP TABLE dbo.t", None),
    ],
)
def test_a_statement_names_its_database_by_its_object_or_by_a_use_before_it(
    dialect: Dialect, text: str, database: str | None
) -> None:
    found = classify(text, dialect)
    assert found is not None
    assert found.database == database


@pytest.mark.parametrize(
    ("text", "unbounded"),
    [
        ("DELETE FROM t", True),
        ("DELETE FROM t WHERE a = 1", False),
        ("UPDATE t SET a = (SELECT b FROM c WHERE d = 1)", True),
        ("UPDATE t SET a = 1 -- WHERE b = 2", True),
        ("DELETE FROM t USING (SELECT 1) x WHERE t.a = x.a", False),
        ("TRUNCATE t", True),
        ("INSERT INTO t VALUES (1)", False),
        ("DELETE FROM t WHERE 1=1", True),
        ("DELETE FROM t WHERE 1=2", False),
        ("DELETE FROM t WHERE ('a' = 'a')", True),
        ("UPDATE t SET a = 1 WHERE true RETURNING *", True),
        ("UPDATE t SET a = 1 WHERE true AND b = 2", False),
        ("UPDATE t SET a = 1 WHERE b = 2 OR 1=1", False),  # a condition is not worked out
        ("DO $$ BEGIN DELETE FROM t; END $$", True),
    ],
)
def test_a_write_without_where_says_so(text: str, unbounded: bool) -> None:
    found = classify(text, "postgresql")
    assert found is not None
    assert found.unbounded is unbounded


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "mssql", "ansi"])
def test_a_comment_of_a_megabyte_changes_nothing_and_takes_no_time(dialect: Dialect) -> None:
    started = time.process_time()
    found = classify(f"/*{'x' * 1_000_000}*/ DELETE FROM t", dialect)
    assert found is not None
    assert found.kind == "write"
    assert time.process_time() - started < 0.5


def test_nothing_is_no_statement() -> None:
    assert classify(" -- nothing\n", "postgresql") is None


def test_redacting_takes_the_data_and_leaves_the_shape() -> None:
    text = "UPDATE t SET a = 'secret', b = 42, c = $$x$$ WHERE d = E'it\\'s'"
    assert redacted(text, "postgresql") == "UPDATE t SET a = ?, b = ?, c = ? WHERE d = ?"


LITERAL = st.one_of(
    st.integers(0, 10**6).map(str),
    st.floats(0, 10).map(str),
    st.sampled_from([
        "'x'", "'it''s'", "'", "E'\\'5'", '"t 5"', "$1", "$a$ ; DROP TABLE t5 $a$", "t@5", "x5", "1e5",
        "-- 5'\n", "/* '5 */", "#5'\n",
        "SELECT", "DELETE FROM", "UPDATE", "INSERT INTO", "WHERE",
        "DROP TABLE", "DO", ";", "(", ")", ".", "[t 5]", "`t5`", "t", "FROM",
    ]),
)  # fmt: skip


@given(st.lists(LITERAL, max_size=12), st.sampled_from([" ", ""]), st.sampled_from(get_args(Dialect)))
def test_what_is_remembered_of_a_statement_is_what_it_does(parts: list[str], between: str, dialect: Dialect) -> None:
    text = between.join(parts)
    padded = text + " " * 4096  # too long to be remembered
    assert classify(text, dialect) == classify(padded, dialect)
