"""Accounts that may do more than read are named, with what they may do."""

import pytest
import sqlalchemy as sa

from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.sources.sql.access import check_site
from usage_assets_tests.services.dumps import JAN, PASSWORD, grant, mariadb_urls, postgres_database, text
from usage_assets_tests.unit.sources.sources import make_server, run, site_of


def test_an_account_that_may_write_is_warned_of(mariadb_admin, postgres_admin, prefix):
    urls = mariadb_urls(mariadb_admin, prefix, {"nova.instances": []})
    other = postgres_database(postgres_admin, f"{prefix}_blazar")
    make_server(sa.create_engine(other, poolclass=sa.NullPool), {"blazar.leases": []}, {"blazar": "public"})
    urls["blazar"] = text(other)
    servers = check_site(site_of(urls), [BY_NAME["nova_instances"], BY_NAME["blazar_leases"]]).servers
    said = {server.label.split()[0]: server.warnings[0] for server in servers}
    assert "may also" in said["mysql"]
    assert "on *.*; give it SELECT alone: usage-assets grants here" in said["mysql"]
    assert "may also do everything (superuser); give it SELECT alone" in said["postgresql"]


@pytest.mark.parametrize(
    ("granted", "said"),
    [
        ("SELECT ON {0}_nova.*", None),
        ("SELECT, SHOW VIEW, LOCK TABLES ON {0}_nova.*", None),
        ("SELECT (id) ON {0}_nova.instances", None),
        ("ALL ON {0}_elsewhere.*", None),
        ("ALL ON {0}_nova.*", "ALL PRIVILEGES on {0}_nova.*"),
        ("SELECT, INSERT, UPDATE ON {0}_nova.instances", "INSERT, UPDATE on {0}_nova.instances"),
        ("UPDATE (host) ON {0}_nova.instances", "UPDATE on {0}_nova.instances"),
        ("DROP ON `{0}\\_no%`.*", "DROP on {0}\\_no%.*"),
        ("SELECT ON {0}_nova.* WITH GRANT OPTION", "GRANT OPTION on {0}_nova.*"),
        ("CREATE USER ON *.*", "CREATE USER on *.*"),
    ],
)
def test_what_an_account_may_beside_reading_is_named(mariadb_admin, prefix, granted, said):
    urls = mariadb_urls(mariadb_admin, prefix, {"nova.instances": []}, f"{prefix}_ro")
    also, _, option = granted.format(prefix).partition(" WITH ")
    with mariadb_admin.begin() as con:
        con.exec_driver_sql(f"CREATE USER '{prefix}_ro'@'%%' IDENTIFIED BY '{PASSWORD}'")
        con.exec_driver_sql(f"GRANT SELECT ON {prefix}_nova.* TO '{prefix}_ro'@'%%'")
        with_option = f" WITH {option}" if option else ""
        con.exec_driver_sql(f"GRANT {also} TO '{prefix}_ro'@'%'{with_option}".replace("%", "%%"))
    (server,) = check_site(site_of(urls), [BY_NAME["nova_instances"]]).servers
    assert [warning.split(" may also ")[1].split(";")[0] for warning in server.warnings] == (
        [said.format(prefix)] if said else []
    )


def test_what_a_role_may_counts_though_it_is_not_on(mariadb_admin, prefix):
    urls = mariadb_urls(mariadb_admin, prefix, {"nova.instances": []}, f"{prefix}_ro")
    grant(mariadb_admin, prefix, f"SELECT ON {prefix}_nova.*")
    try:
        with mariadb_admin.begin() as con:
            con.exec_driver_sql(f"CREATE ROLE {prefix}_role")
            con.exec_driver_sql(f"GRANT DELETE ON {prefix}_nova.* TO {prefix}_role")
            con.exec_driver_sql(f"GRANT {prefix}_role TO '{prefix}_ro'@'%%'")
        (server,) = check_site(site_of(urls), [BY_NAME["nova_instances"]]).servers
    finally:
        with mariadb_admin.begin() as con:
            con.exec_driver_sql(f"DROP ROLE IF EXISTS {prefix}_role")
    assert [f"may also DELETE on {prefix}_nova.*" in warning for warning in server.warnings] == [True]


def test_in_postgresql_an_owner_and_a_member_of_a_writing_role_are_warned_of(postgres_admin, prefix):
    url = postgres_database(postgres_admin, f"{prefix}_nova")
    target = sa.create_engine(url, poolclass=sa.NullPool)
    make_server(target, {"nova.instances": []}, {"nova": "public"})
    site = site_of({"nova": text(url.set(username=f"{prefix}_ro", password=PASSWORD))})

    def warned() -> list[str]:
        (server,) = check_site(site, [BY_NAME["nova_instances"]]).servers
        return [warning.split(" may also ")[1].split(";")[0] for warning in server.warnings]

    try:
        with target.begin() as con:
            con.exec_driver_sql(f"CREATE ROLE {prefix}_ro LOGIN NOINHERIT PASSWORD '{PASSWORD}'")
            con.exec_driver_sql(f"CREATE ROLE {prefix}_writers")
            con.exec_driver_sql(f"GRANT SELECT ON instances TO {prefix}_ro")
        assert warned() == []
        with target.begin() as con:
            con.exec_driver_sql(f"GRANT UPDATE ON instances TO {prefix}_writers")
            con.exec_driver_sql(f"GRANT {prefix}_writers TO {prefix}_ro")
        assert warned() == ["write public.instances"]
        with target.begin() as con:
            con.exec_driver_sql(f"REVOKE {prefix}_writers FROM {prefix}_ro")
        assert warned() == []
        with target.begin() as con:
            con.exec_driver_sql(f"ALTER TABLE instances OWNER TO {prefix}_ro")
        assert warned() == ["write public.instances"]
    finally:
        with target.begin() as con:
            con.exec_driver_sql(f"DROP OWNED BY {prefix}_ro, {prefix}_writers")


def test_a_dump_says_that_its_account_may_write(mariadb_admin, prefix, warehouse):
    urls = mariadb_urls(mariadb_admin, prefix, {"nova.instances": []})
    result = run(urls, warehouse, JAN, tables=[BY_NAME["nova_instances"]])
    assert ["give it SELECT alone" in warning for warning in result.warnings] == [True]
