"""Hiding people changes no number: facts and timelines are the same, but for whose hash stands where."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from usage_assets.core.hashing import hashed
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.sources.scrub import scrub
from usage_assets.warehouse import Warehouse
from usage_assets_tests.assets.tiny import FEB, JAN, Window, build, make_site

SALT = "a long secret text"
COMPARED = (
    "facts.intervals",
    "facts.leases",
    "timelines.usage",
    "timelines.usage_by_user",
    "timelines.usage_by_project",
)
WINDOW = Window("tiny", (JAN, FEB))


def built(site: OpenStackSite, folder: Path) -> Warehouse:
    warehouse = Warehouse(folder / "warehouse.duckdb")
    with dg.DagsterInstance.ephemeral() as instance:
        assert build(site, warehouse, instance, WINDOW, tables_only=True, derived=True).success
    return warehouse


def frames(warehouse: Warehouse) -> dict[str, pl.DataFrame]:
    with warehouse.read() as reader:
        return {name: reader.sql(f"SELECT * FROM {name} ORDER BY ALL") for name in COMPARED}


def blinded(found: dict[str, pl.DataFrame]) -> dict[str, list[str]]:
    """The rows with what a person's hash would be, in order."""
    of_user = pl.col("user_id").replace({"u": hashed("u", SALT)})
    return {name: sorted(map(repr, (frame.with_columns(of_user) if "user_id" in frame.columns else frame).rows()))
            for name, frame in found.items()}  # fmt: skip


@pytest.mark.heavy
def test_numbers_are_the_same_whether_people_are_hidden_at_the_dump_by_a_scrub_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("USAGE_HASH_SALT", SALT)
    site = make_site(tmp_path / "source")
    hidden = OpenStackSite.model_validate(site.model_dump(by_alias=True) | {"personal": "hash"})
    clear = built(site, tmp_path / "clear")
    wanted = blinded(frames(clear))
    assert any(hashed("u", SALT) in row for row in wanted["timelines.usage_by_user"])
    assert blinded(frames(built(hidden, tmp_path / "hidden"))) == wanted
    scrub(OPENSTACK, hidden, clear)
    scrubbed = frames(clear)
    assert set(scrubbed["facts.intervals"]["user_id"].drop_nulls()) == {hashed("u", SALT)}
    assert blinded(scrubbed) == wanted
