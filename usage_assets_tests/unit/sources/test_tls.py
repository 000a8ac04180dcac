"""What is said of a connection, and who is warned."""

import pytest
import sqlalchemy as sa

from usage_assets.sources.sql.tls import Transport, is_local


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("mysql+pymysql://u@127.0.0.1/nova", True),
        ("mysql+pymysql://u@127.8.8.8:3307/nova", True),
        ("mysql+pymysql://u@[::1]/nova", True),
        ("mysql+pymysql://u@localhost/nova", True),
        ("mysql+pymysql://u@/nova?unix_socket=/run/mysqld.sock", True),
        ("postgresql+psycopg://u@/nova?host=/run/postgresql", True),
        ("postgresql+psycopg://u@/nova?host=db.example", False),
        ("mysql+pymysql://u@10.0.0.1/nova", False),
        ("mysql+pymysql://u@db.example/nova", False),
        ("mysql+pymysql://u@127.0.0.1.example/nova", False),
    ],
)
def test_only_sockets_and_loopback_addresses_are_local(url, local):
    assert is_local(sa.make_url(url)) is local


def test_a_password_in_the_clear_to_another_machine_is_warned_of():
    transport = Transport("db.example", local=False, protocol=None, checked=False, password=True)
    assert transport.description == "NOT encrypted"
    assert transport.warning is not None
    assert transport.warning.startswith("password and rows travel unencrypted to db.example")


@pytest.mark.parametrize(
    "transport",
    [
        Transport("127.0.0.1", local=True, protocol=None, checked=False, password=True),
        Transport("db.example", local=False, protocol="TLSv1.3", checked=False, password=True),
        Transport("db.example", local=False, protocol=None, checked=False, password=False),
    ],
)
def test_a_connection_within_the_machine_encrypted_or_without_password_is_not(transport):
    assert transport.warning is None
