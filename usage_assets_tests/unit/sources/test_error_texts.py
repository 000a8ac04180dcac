"""What an error of a driver becomes: the cause in one line, what to do, no secret and no value of a row."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from usage_assets.core.errors import SourceError
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.sources.sql.access import check_site
from usage_assets.sources.sql.error_texts import Scrubber, fault, no_connection
from usage_assets.sources.sql.tls import credentials
from usage_assets_tests.unit.sources.sources import site_of

URL = "mysql+pymysql://usage:s3cr3t@db/nova"


def said(text: str, *, url: str = URL, tls: bool = False) -> str:
    error = sa.exc.OperationalError("SELECT secret", {}, Exception(text))
    return str(no_connection("chi", "databases nova", error, Scrubber([url]), url=sa.make_url(url), tls_is_named=tls))


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        ("No module named 'MySQLdb'", "write mysql+pymysql:// in the site's file"),
        ("No module named 'psycopg2'", "write mysql+pymysql:// or postgresql+psycopg://"),
        ("'cryptography' package is required for sha256_password or caching_sha2_password", "pip install cryptography"),
        ("'pynacl' package is required for ed25519_password auth method", "pip install cryptography PyNaCl"),
        ("(2059, \"Authentication plugin 'b'parsec'' not configured\")", "make it mysql_native_password, caching_sha2"),
        ("__init__() got an unexpected keyword argument 'ssl_verify'", "take it out of the URL"),
        ("(1044, \"Access denied for user 'usage'@'%' to database 'nova'\")", "SET DEFAULT ROLE"),
        (
            "(1045, \"Access denied for user 'usage'@'h' (using password: YES)\")",
            "% is written %25 in a URL; or the server",
        ),
        ("(3159, 'Connections using insecure transport are prohibited')", "name tls in the site's file"),
        ("(1047, 'WSREP has not yet prepared node for application use')", "name another one"),
        ("(1040, 'Too many connections')", "run it again later"),
        (
            "(1130, \"Host 'x' is not allowed to connect to this MariaDB server\")",
            "let the account in from this machine",
        ),
    ],
)
def test_each_cause_has_its_advice(cause: str, advice: str):
    assert advice in said(cause)


def test_who_asks_for_encryption_is_named():
    none = '(2026, "SSL is required but the server doesn\'t support it")'
    assert "the URL asks for an encrypted connection (ssl_verify_cert)" in said(none, url=f"{URL}?ssl_verify_cert=true")
    assert "the site's file asks for an encrypted connection (tls)" in said(none, tls=True)


def test_a_connection_that_was_encrypted_is_not_told_to_be():
    refused = "(1045, \"Access denied for user 'usage'@'h'\")"
    assert "encrypted" in said(refused)
    assert "encrypted" not in said(refused, tls=True)
    assert "encrypted" not in said(refused, url=f"{URL}?ssl_ca=ca.pem")
    assert "encrypted" not in said("(1044, \"Access denied for user 'usage'@'h' to database 'nova'\")")


@pytest.mark.parametrize(
    "cause",
    [
        "Could not decode to UTF-8 column 'name' with text 'Jürgen's lease'",
        'invalid input syntax for type timestamp: "Jürgen"',
        "(1292, \"Truncated incorrect DOUBLE value: 'Jürgen'\")",
        "(1366, \"Incorrect string value: 'Jürgen' for column 'name'\")",
        'value "Jürgen" is out of range for type integer',
    ],
)
def test_no_value_of_a_row_is_repeated(cause: str):
    text = str(fault("chi", "blazar.leases", Exception(cause), Scrubber([])))
    assert "rgen" not in text
    assert text.startswith("site chi: blazar.leases: ")


def test_no_sign_of_a_password_is_shown_where_it_can_not_be_sent():
    try:
        "pa€sword".encode("latin-1")
    except UnicodeEncodeError as error:
        text = str(fault("chi", "databases nova", error, Scrubber([])))
    assert "20ac" not in text
    assert "€" not in text
    assert "position" not in text
    assert "the URL has a sign that the connection's character set does not know" in text


def test_pymysql_gets_passwords_as_the_servers_know_them():
    url = sa.make_url("mysql+pymysql://u:p%C3%A4ss%E2%82%AC@h/nova")
    assert credentials(url) == {"password": "päss€".encode()}
    assert credentials(sa.make_url("postgresql+psycopg://u:p%C3%A4ss@h/nova")) == {}
    assert credentials(sa.make_url("mysql+pymysql://u@h/nova")) == {}


def test_what_servers_of_today_ask_for_is_installed():
    from pymysql import _auth
    from pymysql.constants import CLIENT

    assert CLIENT.PLUGIN_AUTH
    auth: Any = _auth
    assert auth._have_cryptography
    assert len(auth.ed25519_password(b"password", b"x" * 32)) == 64


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("mysql+pymysql://u:s3cr3t@h/nova?charset=utf8&plugin=dbcounter", r"leave plugin=\.\.\. out of it"),
        ("postgres://u:s3cr3t@h/nova", "postgres is not supported; use mysql, mariadb, postgresql or sqlite"),
        ("mysql://u:s3cr3t@h/nova", r"write mysql\+pymysql:// in the site's file"),
        ("mariadb://u:s3cr3t@h/nova", r"write mysql\+pymysql:// in the site's file"),
    ],
)
def test_urls_as_openstack_writes_them_are_refused_with_what_to_write(tmp_path: Path, url: str, advice: str):
    with pytest.raises(SourceError, match=advice) as caught:
        check_site(site_of({"nova": url}), [BY_NAME["nova_instances"]])
    assert "s3cr3t" not in str(caught.value)
