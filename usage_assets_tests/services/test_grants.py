"""What an account may read: the grants that are told are enough, and what is not granted is named with its grant."""

import os
import shutil
import subprocess

import pytest
import sqlalchemy as sa

from usage_assets.core.errors import SourceError
from usage_assets.kinds.openstack.raw.tables import BY_NAME, TABLES
from usage_assets.sources.sql.access import check_site, grants
from usage_assets.warehouse import Warehouse
from usage_assets_tests.services.dumps import (
    JAN,
    JUN,
    PASSWORD,
    assert_equal,
    give,
    grant,
    mariadb_urls,
    postgres_database,
    said,
    text,
)
from usage_assets_tests.services.servers import missing
from usage_assets_tests.unit.sources.sources import Data, everything, make_server, month_of, run, site_of, stored, world


def test_a_wrong_password_is_said_without_showing_it(mariadb_admin, prefix, warehouse):
    user = grant(mariadb_admin, prefix)
    url = mariadb_admin.url.set(username=user, password=f"not {PASSWORD}", database="nova")
    with pytest.raises(
        SourceError, match=r"site here: databases nova: .*Access denied.*check user and password"
    ) as caught:
        run({"nova": text(url)}, warehouse, JAN)
    said(caught)


def test_a_table_not_granted_is_named_with_the_grant_to_give(mariadb_admin, prefix, warehouse):
    data: Data = {"nova.instances": [], "nova.services": [], "nova.instance_actions": []}
    user = f"{prefix}_ro"
    urls = mariadb_urls(mariadb_admin, prefix, data, user)
    readable = ("services", "instance_actions")
    grant(mariadb_admin, prefix, *(f"SELECT ON {prefix}_nova.{name}" for name in readable))
    with pytest.raises(SourceError, match=r"site here: nova_instances: .*is not granted") as caught:
        run(urls, warehouse, JAN, tables=[BY_NAME["nova_instances"]])
    assert f"GRANT SELECT ON `{prefix}_nova`.`instances` TO '{user}'" in said(caught)
    with pytest.raises(SourceError, match=r"site here: nova_instances: .*is not granted"):  # the parents of actions
        run(urls, warehouse, JAN, tables=[BY_NAME["nova_services"], BY_NAME["nova_instance_actions"]])


def test_least_privilege_grants_are_enough_and_missing_archives_only_noted(mariadb_admin, prefix, warehouse, reference):
    urls = mariadb_urls(mariadb_admin, prefix, world(), f"{prefix}_ro")
    grant(mariadb_admin, prefix)
    names = {f"{prefix}_{table}" for table in world()}
    with mariadb_admin.begin() as con:
        script = grants(site_of(urls), TABLES).splitlines()
        there = [line for line in script if line.split()[0] != "GRANT" or line.split()[3].replace("`", "") in names]
        give(con, "\n".join(there))
    seen = check_site(site_of(urls), TABLES)
    access = {item.table: item for item in seen.tables}
    assert access["nova_instances"].state == "found"
    assert access["nova_instances"].rows == 9
    assert [server.warnings for server in seen.servers] == [()]
    run(urls, warehouse, JAN, JUN, tables=[raw for raw in TABLES if access[raw.name].state == "found"])
    got = everything(warehouse)
    assert_equal({name: frame for name, frame in reference.items() if access[name].state == "found"}, got)
    with mariadb_admin.begin() as con:
        con.exec_driver_sql(f"REVOKE SELECT ON {prefix}_nova.shadow_instances FROM '{prefix}_ro'@'%%'")
    tables = [BY_NAME["nova_instances"]]
    result = run(urls, Warehouse(warehouse.path.with_name("other.duckdb")), JAN, tables=tables)
    assert "shadow_instances is not granted" in str(month_of(result, "nova_instances", JAN).note)


# upstream's services, newly installed: no archive, no devices, no capabilities under an older name
UPSTREAM: Data = {f"{raw.database}.{raw.source}": [] for raw in TABLES if not raw.optional}


def test_the_grants_run_to_their_end_by_the_servers_own_client_whatever_tables_are_not_there(mariadb_admin, prefix):
    client = shutil.which("mariadb") or shutil.which("mysql")
    if client is None:
        missing("no client of MariaDB: install mariadb-client")
    urls = mariadb_urls(mariadb_admin, prefix, UPSTREAM, f"{prefix}_ro")
    script = grants(site_of(urls), TABLES)
    assert "CREATE USER" in script
    grant(mariadb_admin, prefix)
    url = mariadb_admin.url
    command = [client, "--no-defaults", f"--host={url.host}", f"--port={url.port}", f"--user={url.username}"]
    environment = os.environ | {"MYSQL_PWD": url.password or ""}
    done = subprocess.run(command, input=script, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    states = {item.table: item.state for item in check_site(site_of(urls), TABLES).tables}
    assert {states[raw.name] for raw in TABLES if not raw.optional} == {"found"}
    assert {states[raw.name] for raw in TABLES if raw.optional} <= {"missing", "found", "no database"}


def test_the_grants_of_postgresql_run_whatever_tables_are_not_there(postgres_admin, prefix):
    url = postgres_database(postgres_admin, f"{prefix}_nova")
    target = sa.create_engine(url, poolclass=sa.NullPool)
    make_server(target, {"nova.instances": [], "nova.shadow_instances": []}, {"nova": "public"})
    site = site_of({"nova": text(url.set(username=f"{prefix}_ro", password=PASSWORD))})
    with target.begin() as con:
        con.exec_driver_sql(f"CREATE ROLE {prefix}_ro LOGIN PASSWORD '{PASSWORD}'")
        con.exec_driver_sql(grants(site, [BY_NAME["nova_instances"]]))
    try:
        (found,) = check_site(site, [BY_NAME["nova_instances"]]).tables
        assert (found.state, found.note) == ("found", None)
        with target.begin() as con:
            con.exec_driver_sql("DROP TABLE shadow_instances")
            con.exec_driver_sql(grants(site, [BY_NAME["nova_instances"]]))
    finally:
        with target.begin() as con:
            con.exec_driver_sql(f"DROP OWNED BY {prefix}_ro")


PROJECTS: Data = {"keystone.project": [{"id": "p", "name": "Physics", "domain_id": "d", "enabled": 1}]}


@pytest.mark.parametrize("server", ["mariadb", "postgresql"])
def test_of_keystone_four_columns_are_granted_and_no_other_is_read(request, prefix, warehouse, server):
    if server == "mariadb":
        admin = request.getfixturevalue("mariadb_admin")
        urls = mariadb_urls(admin, prefix, PROJECTS, f"{prefix}_ro")
        grant(admin, prefix)
        target, table = admin, f"{prefix}_keystone.project"
    else:
        admin = request.getfixturevalue("postgres_admin")
        url = postgres_database(admin, f"{prefix}_keystone")
        target, table = sa.create_engine(url, poolclass=sa.NullPool), "project"
        make_server(target, PROJECTS, {"keystone": "public"})
        with target.begin() as con:
            con.exec_driver_sql(f"CREATE ROLE {prefix}_ro LOGIN PASSWORD '{PASSWORD}'")
        urls = {"keystone": text(url.set(username=f"{prefix}_ro", password=PASSWORD))}
    site = site_of(urls | {"nova": urls["keystone"]})
    with target.begin() as con:
        con.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN extra TEXT")
        give(con, grants(site, [BY_NAME["keystone_project"]]))
    (access,) = check_site(site, [BY_NAME["keystone_project"]]).tables
    assert (access.state, access.rows, access.columns_missing) == ("found", 1, ())
    run({"keystone": urls["keystone"], "nova": urls["keystone"]}, warehouse, JAN, tables=[BY_NAME["keystone_project"]])
    assert stored(warehouse, "keystone_project", ["id", "name", "enabled"]).rows() == [("p", "Physics", True)]
    engine = sa.create_engine(urls["keystone"], poolclass=sa.NullPool)
    with engine.connect() as con, pytest.raises(sa.exc.DBAPIError, match=r"denied"):
        con.exec_driver_sql(f"SELECT extra FROM {table}")


def test_a_table_not_granted_in_postgresql_is_named_with_the_grant_to_give(postgres_admin, prefix, warehouse):
    url = postgres_database(postgres_admin, f"{prefix}_nova")
    make_server(sa.create_engine(url, poolclass=sa.NullPool), {"nova.instances": []}, {"nova": "public"})
    with postgres_admin.connect() as con:
        con.exec_driver_sql(f"CREATE ROLE {prefix}_ro LOGIN PASSWORD '{PASSWORD}'")
    urls = {"nova": text(url.set(username=f"{prefix}_ro", password=PASSWORD))}
    with pytest.raises(SourceError, match=r"site here: nova_instances: .*is not granted") as caught:
        run(urls, warehouse, JAN, tables=[BY_NAME["nova_instances"]])
    assert f'GRANT SELECT ON "public"."instances" TO "{prefix}_ro"' in said(caught)
