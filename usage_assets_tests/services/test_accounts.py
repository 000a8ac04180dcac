"""Accounts as servers have them: their passwords, their ways to sign in, and the names of their databases."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from usage_assets.core.errors import SourceError
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.sources.sql.access import check_site
from usage_assets_tests.services.servers import MariaDB, mariadb_in, missing
from usage_assets_tests.unit.sources.sources import make_server, site_of

TABLES = [BY_NAME["nova_services"]]
PASSWORD = "pä€ss%4wörd @/:"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A server that compares names of databases without case, as those on other systems do."""
    with mariadb_in(tmp_path_factory.mktemp("accounts"), "--lower-case-table-names=1") as found:
        make_server(found.engine, {"nova.services": [{"id": 1}]}, {"nova": "`Nova-Prod`"})
        yield found


def account(server: MariaDB, name: str, identified: str) -> None:
    utf8 = sa.create_engine(server.url.update_query_dict({"charset": "utf8mb4"}), poolclass=sa.NullPool)
    with utf8.begin() as con:
        con.exec_driver_sql(f"CREATE OR REPLACE USER {name}@'127.0.0.1' IDENTIFIED {identified}".replace("%", "%%"))
        con.exec_driver_sql(f"GRANT SELECT ON `nova-prod`.* TO {name}@'127.0.0.1'")


def url(server: MariaDB, user: str, password: str | None, database: str = "nova-prod") -> str:
    return server.url.set(username=user, password=password, database=database).render_as_string(hide_password=False)


def rows(urls: dict[str, str]) -> int | None:
    return check_site(site_of(urls), TABLES).tables[0].rows


def test_a_password_that_is_not_ascii_signs_in_and_none_of_it_is_shown_when_it_is_wrong(server):
    account(server, "uni", f"BY '{PASSWORD}'")
    assert rows({"nova": url(server, "uni", PASSWORD)}) == 1
    with pytest.raises(SourceError, match="check user and password") as caught:
        rows({"nova": url(server, "uni", PASSWORD[:-1])})
    assert not set("ä€ö") & set(str(caught.value))


def test_an_account_of_ed25519_signs_in(server):
    try:
        with server.engine.begin() as con:
            con.exec_driver_sql("INSTALL SONAME 'auth_ed25519'")
    except sa.exc.DBAPIError as error:
        missing(f"this MariaDB has no plugin auth_ed25519: {error.orig}")
    account(server, "ed", "VIA ed25519 USING PASSWORD('a password')")
    assert rows({"nova": url(server, "ed", "a password")}) == 1


@pytest.mark.parametrize("written", ["Nova-Prod", "NOVA-PROD", "nova-prod"])
def test_a_name_in_capitals_is_the_one_that_the_server_has(server, written):
    account(server, "ro", "BY 'x'")
    (found,) = check_site(site_of({"nova": url(server, "ro", "x", written)}), TABLES).tables
    assert (found.source, found.rows) == ("nova-prod.services", 1)


def test_where_case_matters_the_name_that_is_alike_is_told(mariadb_admin, prefix):
    make_server(mariadb_admin, {"nova.services": []}, {"nova": f"{prefix}_Nova"})
    admin = mariadb_admin.url.set(database=None)
    with pytest.raises(SourceError, match=r"is not on the mysql server|Unknown database") as caught:
        check_site(
            site_of({"nova": admin.set(database=f"{prefix}_nova").render_as_string(hide_password=False)}), TABLES
        )
    assert "check" in str(caught.value)


def test_an_account_whose_role_is_not_its_default_is_told_so(server):
    with server.engine.begin() as con:
        con.exec_driver_sql("CREATE OR REPLACE USER roled@'127.0.0.1'")
        con.exec_driver_sql("CREATE OR REPLACE ROLE reader")
        con.exec_driver_sql("GRANT SELECT ON `nova-prod`.* TO reader")
        con.exec_driver_sql("GRANT reader TO roled@'127.0.0.1'")
    with pytest.raises(SourceError, match="SET DEFAULT ROLE"):
        rows({"nova": url(server, "roled", None)})


def test_a_server_that_wants_encryption_is_guessed_at(server):
    account(server, "encrypted", "BY 'x' REQUIRE SSL")
    with pytest.raises(SourceError, match=r"or the server wants an encrypted connection: name tls"):
        rows({"nova": url(server, "encrypted", "x")})
    with pytest.raises(SourceError, match=r"the URL asks for an encrypted connection \(ssl_verify_cert\)"):
        rows({"nova": url(server, "encrypted", "x") + "?ssl_verify_cert=true"})


def _packet(number: int, data: bytes) -> bytes:
    return struct.pack("<I", len(data))[:3] + bytes([number]) + data


def test_the_default_account_of_mysql_8_sends_its_password_without_tls():
    """A server that greets as MySQL 8 does and asks for the whole password, which is sent by its public key."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    salt, got = b"abcdefghijklmnopqrst", []
    able = 0x003BA20B  # long password, 4.1, plugins, secure connection, a database to connect with
    greeting = b"".join(
        [
            bytes([10]), b"8.0.36\0", struct.pack("<I", 7), salt[:8], b"\0", struct.pack("<H", able & 0xFFFF),
            bytes([255]), struct.pack("<H", 2), struct.pack("<H", able >> 16), bytes([21]), b"\0" * 10, salt[8:],
            b"\0caching_sha2_password\0",
        ]
    )  # fmt: skip
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listening.accept()
        with client:
            client.sendall(_packet(0, greeting))
            client.recv(4096)
            client.sendall(_packet(2, b"\x01\x04"))  # it does not know the password yet: send it whole
            assert client.recv(4096)[4:5] == b"\x02"
            client.sendall(_packet(4, b"\x01" + pem))
            oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
            mixed = key.decrypt(client.recv(4096)[4:], oaep)
            got.append(bytes(one ^ salt[at % 20] for at, one in enumerate(mixed)))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listening, pytest.raises(SourceError) as caught:
        rows({"nova": f"mysql+pymysql://u:p%C3%A4ss@127.0.0.1:{listening.getsockname()[1]}/nova"})
    thread.join(10)
    assert got == ["päss".encode() + b"\0"], str(caught.value)
    assert "päss" not in str(caught.value)
