"""What a real source loses or renames overnight: stored months and all that is made of them stay as they were."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from usage_assets.core.errors import EvidenceError, SourceError
from usage_assets.core.months import Window, months_between
from usage_assets.facts.assets import fact_assets
from usage_assets.facts.tables import INTERVALS, REJECTS
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.raw.tables import BY_NAME, TABLES
from usage_assets.orchestration.build import build_assets
from usage_assets.timelines.assets import usage_assets
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.sources.sources import everything, make_server, run, site_of, stored, world

JAN, MAY = date(2020, 1, 1), date(2020, 5, 1)
WINDOW = Window("here", months_between(JAN, MAY))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")


@pytest.fixture
def urls(mariadb_admin: sa.Engine, prefix: str) -> dict[str, str]:
    """The URLs of a site's databases on a real server."""
    schemas = {name: f"{prefix}_{name}" for name in {table.split(".")[0] for table in world()}}
    make_server(mariadb_admin, world(), schemas)

    def url(schema: str) -> URL:
        return mariadb_admin.url.set(database=schema)

    return {name: url(schema).render_as_string(hide_password=False) for name, schema in schemas.items()}


def made(warehouse: Warehouse, urls: dict[str, str]) -> dict[str, pl.DataFrame]:
    """Facts and usage, built anew from what is stored.

    Without the ends that rows had beyond their month: of an open row that is when it was first missed.
    """
    site = site_of(urls)
    assets = [*fact_assets(OPENSTACK), *usage_assets(OPENSTACK)]
    build_assets(OPENSTACK, site, WINDOW, warehouse, assets, run_id="r")
    with warehouse.read() as reader:
        frames = {table.name: reader.frame(table) for table in (INTERVALS, REJECTS, USAGE)}
    return {name: frame.drop("original_end_at", strict=False).sort(pl.all()) for name, frame in frames.items()}


def test_months_whose_rows_were_deleted_at_the_source_keep_them_and_their_facts(mariadb_admin, prefix, urls, warehouse):
    run(urls, warehouse, JAN, MAY)
    rows, facts = everything(warehouse), made(warehouse, urls)
    assert facts["intervals"].height > 10
    with mariadb_admin.begin() as con:
        for table in world():
            con.exec_driver_sql(f"DELETE FROM {prefix}_{table}")
    with pytest.raises(EvidenceError, match=r"rows have vanished at the source at once; nothing was written"):
        run(urls, warehouse, JAN, MAY)
    assert all(frame.equals(rows[name]) for name, frame in everything(warehouse).items())
    result = run(urls, warehouse, JAN, MAY, purge_known=True)
    assert sum(item.rows for item in result.months) == sum(item.rows_gone for item in result.months) > 0
    kept = everything(warehouse)
    assert all(frame["gone_at"].null_count() == 0 for frame in kept.values())
    assert all(frame.drop("gone_at").equals(rows[name].drop("gone_at")) for name, frame in kept.items())
    for name, frame in made(warehouse, urls).items():
        assert frame.equals(facts[name]), name


def test_a_column_renamed_overnight_leaves_everything_as_it_was_until_it_is_back(
    mariadb_admin, prefix, urls, warehouse
):
    run(urls, warehouse, JAN, MAY)
    before = everything(warehouse)
    instances = f"{prefix}_nova.instances"
    rename = "ALTER TABLE {} CHANGE {} {} VARCHAR(255)"
    with mariadb_admin.begin() as con:
        con.exec_driver_sql(rename.format(instances, "vm_state", "vm_power_state"))
    text = (
        r"site here: nova_instances: column vm_state is not in .*_nova\.instances any more, or not granted "
        r"\(is it vm_power_state now\?\), but rows of 2020-01\.\.2020-05 hold values of it; nothing was written"
    )
    with pytest.raises(SourceError, match=text):
        run(urls, warehouse, JAN, MAY)
    assert all(frame.equals(before[name]) for name, frame in everything(warehouse).items())
    with mariadb_admin.begin() as con:
        con.exec_driver_sql(rename.format(instances, "vm_power_state", "vm_state"))
    run(urls, warehouse, JAN, MAY)
    assert all(frame.equals(before[name]) for name, frame in everything(warehouse).items())


def test_a_column_that_is_not_granted_any_more_is_not_taken_for_empty(mariadb_admin, prefix, urls, warehouse):
    run(urls, warehouse, JAN, MAY)
    account = f"{prefix}_reader"
    columns = ", ".join(c.name for c in BY_NAME["blazar_leases"].columns if c.name != "status")
    with mariadb_admin.begin() as con:
        con.exec_driver_sql(f"CREATE USER '{account}'@'%%' IDENTIFIED BY 's3cr3t'")
        con.exec_driver_sql(f"GRANT SELECT ({columns}) ON {prefix}_blazar.leases TO '{account}'@'%%'")
    url = mariadb_admin.url.set(username=account, password="s3cr3t", database=f"{prefix}_blazar")
    limited = {"blazar": url.render_as_string(hide_password=False)}
    with pytest.raises(SourceError, match=r"blazar_leases: column status is not in .* or not granted"):
        run(limited, warehouse, JAN, MAY, tables=[BY_NAME["blazar_leases"]])
    assert stored(warehouse, "blazar_leases")["status"].null_count() == 0


def test_every_raw_table_of_a_real_server_is_compared_without_a_version_too_many(urls, warehouse):
    for _ in range(2):
        run(urls, warehouse, JAN, MAY)
    with warehouse.read() as reader:
        assert not [raw.name for raw in TABLES if reader.has(raw.versions)]
