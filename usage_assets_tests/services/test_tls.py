"""A site that asks for encryption gets it, from the right server, or no connection at all."""

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from usage_assets.core.errors import SourceError
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.site_files import load_site
from usage_assets.sources.sql.access import check_site
from usage_assets_tests.services.servers import START_SECONDS, free_port, missing, wait_for

PASSWORD = "s3cr3t words"
TABLES = [BY_NAME["nova_services"]]


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, a server's certificate for 127.0.0.1 signed by it, a client's, and another CA."""
    if shutil.which("openssl") is None:
        missing("no openssl, which makes the certificates of this test")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-subj", f"/CN=CA {name}",
                "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")  # fmt: skip
    for name, names in (("server", "IP:127.0.0.1"), ("client", "DNS:client")):
        extensions = folder / f"{name}.txt"
        extensions.write_text(f"subjectAltName={names}\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")  # fmt: skip
        signed = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-extfile", extensions)
        openssl("x509", "-req", "-days", 2, "-in", folder / f"{name}.csr", *signed, "-out", folder / f"{name}.pem")
    return folder


@pytest.fixture(scope="session")
def encrypting_mariadb(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A MariaDB of its own with TLS, an account with a password, and one that must show a certificate."""
    server, install = shutil.which("mariadbd") or shutil.which("mysqld"), shutil.which("mariadb-install-db")
    if not server or not install:
        missing("no mariadbd to start with TLS")
    assert server is not None
    assert install is not None
    folder = tmp_path_factory.mktemp("mariadb_tls")
    data, user, port = f"--datadir={folder / 'data'}", f"--user={getpass.getuser()}", free_port()
    made = [install, "--no-defaults", data, "--auth-root-authentication-method=normal", user]
    subprocess.run(made, check=True, capture_output=True)
    files = {"ca": "ca.pem", "cert": "server.pem", "key": "server.key"}
    tls = [f"--ssl-{name}={certificates / file}" for name, file in files.items()]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [server, "--no-defaults", data, user, f"--port={port}", f"--socket={folder / 's'}", *tls,
             "--bind-address=127.0.0.1"],
            stdout=out, stderr=out,
        )  # fmt: skip
        root = sa.make_url(f"mysql+pymysql://root@127.0.0.1:{port}")
        wait_for(process, root, log)
        engine = sa.create_engine(root, poolclass=sa.NullPool)
        with engine.connect() as con:
            con.exec_driver_sql("CREATE DATABASE nova")
            con.exec_driver_sql("CREATE TABLE nova.services (id INT PRIMARY KEY)")
            for name, demands in (("reader", ""), ("certified", "REQUIRE X509"), ("clerk", "")):
                con.exec_driver_sql(f"CREATE USER {name}@localhost IDENTIFIED BY '{PASSWORD}' {demands}")
                con.exec_driver_sql(f"GRANT SELECT ON nova.* TO {name}@localhost")
            con.exec_driver_sql("GRANT DELETE ON nova.* TO clerk@localhost")
        yield root.set(database="nova")
        process.terminate()
        process.wait(START_SECONDS)


@pytest.fixture(scope="session")
def encrypting_postgres(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A PostgreSQL of its own with TLS."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
    initdb, server = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
    owner = getpass.getuser()
    if owner == "root":  # which PostgreSQL refuses to run as
        owner = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "root"
    if not initdb or not server or owner == "root":
        missing("no PostgreSQL to start with TLS, or no user to start it as")
    assert initdb is not None
    assert server is not None
    folder = Path(tempfile.mkdtemp(prefix="usage_test_tls_"))  # pytest's own folders are closed to other users
    shutil.copytree(certificates, folder, dirs_exist_ok=True)
    other = None if owner == getpass.getuser() else owner
    for name in (folder, *folder.iterdir()):
        if other:
            shutil.chown(name, owner, owner)
        name.chmod(0o700 if name is folder else 0o600)
    port = free_port()
    log = tmp_path_factory.mktemp("postgres_tls") / "log"
    try:
        made = [initdb, "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run(made, check=True, capture_output=True, cwd="/", user=other, group=other)
        options = [
            f"-cssl_{name}_file={folder / file}" for name, file in (("cert", "server.pem"), ("key", "server.key"))
        ]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [server, "-D", str(folder / "data"), f"-p{port}", "-h127.0.0.1", f"-k{folder}", "-cssl=on", *options],
                stdout=out, stderr=out, cwd="/", user=other, group=other,
            )  # fmt: skip
            url = sa.make_url(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres")
            wait_for(process, url, log)
            with sa.create_engine(url, poolclass=sa.NullPool).begin() as con:
                con.exec_driver_sql("CREATE TABLE services (id INT PRIMARY KEY)")
            yield url
            process.terminate()
            process.wait(START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def site_of(folder: Path, url: URL, tls: str | None) -> OpenStackSite:
    path = folder / "here.yaml"
    text = f"kind: openstack\ndatabases: {{nova: '{url.render_as_string(hide_password=False)}'}}\n"
    path.write_text(text + (f"tls: {tls}\n" if tls else ""))
    site = load_site(path)
    assert isinstance(site, OpenStackSite)
    return site


def refused(site: OpenStackSite) -> str:
    with pytest.raises(SourceError) as caught:
        check_site(site, TABLES)
    return str(caught.value)


def as_reader(url: URL, user: str = "reader") -> URL:
    return url.set(username=user, password=PASSWORD)


def test_the_right_ca_gives_an_encrypted_and_checked_connection(encrypting_mariadb, certificates, tmp_path):
    shutil.copy(certificates / "ca.pem", tmp_path)
    site = site_of(tmp_path, as_reader(encrypting_mariadb), "{ca: ca.pem}")
    (server,) = check_site(site, TABLES).servers
    assert server.transport == "encrypted (TLSv1.3)"
    assert server.warnings == ()


def test_another_ca_is_refused_with_what_to_look_at(encrypting_mariadb, certificates, tmp_path):
    site = site_of(tmp_path, as_reader(encrypting_mariadb), f"{{ca: {certificates / 'other.pem'}}}")
    said = refused(site)
    assert "site here: databases nova" in said
    assert "certificate" in said
    assert "ca must have signed" in said
    assert PASSWORD not in said


def test_a_certificate_of_another_host_is_refused_unless_names_are_not_asked_for(
    encrypting_mariadb, certificates, tmp_path
):
    url = as_reader(encrypting_mariadb).set(host="localhost")
    ca = certificates / "ca.pem"
    assert "ca must have signed" in refused(site_of(tmp_path, url, f"{{ca: {ca}}}"))
    (server,) = check_site(site_of(tmp_path, url, f"{{ca: {ca}, verify: ca}}"), TABLES).servers
    assert server.transport == "encrypted (TLSv1.3)"


def test_without_a_ca_the_machines_own_are_asked(encrypting_mariadb, tmp_path):
    assert "ca must have signed" in refused(site_of(tmp_path, as_reader(encrypting_mariadb), "{}"))


def test_any_certificate_will_do_where_the_site_says_so_and_check_site_says_it(encrypting_mariadb, tmp_path):
    (server,) = check_site(site_of(tmp_path, as_reader(encrypting_mariadb), "{verify: none}"), TABLES).servers
    assert server.transport == "encrypted (TLSv1.3), certificate not checked"


def test_an_account_may_show_its_own_certificate(encrypting_mariadb, certificates, tmp_path):
    url = as_reader(encrypting_mariadb, "certified")
    mine = f"ca: {certificates / 'ca.pem'}"
    assert "check user and password" in refused(site_of(tmp_path, url, f"{{{mine}}}"))
    both = f"{mine}, cert: {certificates / 'client.pem'}, key: {certificates / 'client.key'}"
    assert check_site(site_of(tmp_path, url, f"{{{both}}}"), TABLES).servers[0].transport == "encrypted (TLSv1.3)"


def test_a_server_without_tls_is_refused_before_a_password_is_sent(mariadb, mariadb_admin, prefix, tmp_path):
    with mariadb_admin.begin() as con:
        if con.exec_driver_sql("SELECT @@have_ssl").scalar() == "YES":
            pytest.skip("the MariaDB of the tests has TLS")
        con.exec_driver_sql(f"CREATE DATABASE {prefix}_nova")
    said = refused(site_of(tmp_path, mariadb.set(database=f"{prefix}_nova", password=PASSWORD), "{verify: none}"))
    assert "the site's file asks for an encrypted connection (tls) and the server has none" in said
    assert "Access denied" not in said
    assert PASSWORD not in said


def test_a_connection_without_tls_is_said_to_be_none(mariadb, mariadb_admin, prefix, tmp_path):
    with mariadb_admin.begin() as con:
        if con.exec_driver_sql("SELECT @@have_ssl").scalar() == "YES":
            pytest.skip("the MariaDB of the tests has TLS")
        con.exec_driver_sql(f"CREATE DATABASE {prefix}_nova")
    (server,) = check_site(site_of(tmp_path, mariadb.set(database=f"{prefix}_nova"), None), TABLES).servers
    assert server.transport == "NOT encrypted (this machine)"


def test_a_url_may_ask_by_itself_but_not_beside_tls(encrypting_mariadb, certificates, tmp_path):
    url = as_reader(encrypting_mariadb).update_query_dict({"ssl_ca": str(certificates / "ca.pem")})
    assert check_site(site_of(tmp_path, url, None), TABLES).servers[0].transport == "encrypted (TLSv1.3)"
    assert "leave one of them" in refused(site_of(tmp_path, url, "{verify: none}"))


def test_files_that_are_not_there_or_no_pem_are_named(encrypting_mariadb, tmp_path):
    assert "tls.ca: no file lost.pem" in refused(site_of(tmp_path, as_reader(encrypting_mariadb), "{ca: lost.pem}"))
    (tmp_path / "bad.pem").write_text("no certificate")
    assert "bad.pem can't be used" in refused(site_of(tmp_path, as_reader(encrypting_mariadb), "{ca: bad.pem}"))


def test_an_account_that_may_also_delete_is_warned_of(encrypting_mariadb, certificates, tmp_path):
    site = site_of(tmp_path, as_reader(encrypting_mariadb, "clerk"), f"{{ca: {certificates / 'ca.pem'}}}")
    (server,) = check_site(site, TABLES).servers
    assert server.warnings == (
        f"the account of the {server.label} may also DELETE on nova.*; give it SELECT alone: usage-assets grants here",
    )


def test_postgresql_is_held_to_the_same(encrypting_postgres, certificates, tmp_path):
    site = site_of(tmp_path, encrypting_postgres, f"{{ca: {certificates / 'ca.pem'}}}")
    (server,) = check_site(site, TABLES).servers
    assert server.transport == "encrypted (TLSv1.3)"
    assert "do everything (superuser)" in server.warnings[0]
    assert "ca must have signed" in refused(
        site_of(tmp_path, encrypting_postgres, f"{{ca: {certificates / 'other.pem'}}}")
    )
    by_name = encrypting_postgres.set(host="localhost")
    assert "ca must have signed" in refused(site_of(tmp_path, by_name, f"{{ca: {certificates / 'ca.pem'}}}"))


def test_a_postgresql_without_tls_is_refused(postgres, tmp_path):
    with sa.create_engine(postgres, poolclass=sa.NullPool).connect() as con:
        if con.exec_driver_sql("SHOW ssl").scalar() == "on":
            pytest.skip("the PostgreSQL of the tests has TLS")
    said = refused(site_of(tmp_path, postgres, "{verify: none}"))
    assert "the site's file asks for an encrypted connection (tls) and the server has none" in said
