"""What a site wants hidden is stored hidden, in a dump and by a scrub of what was stored before, and numbers stay."""

from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from usage_assets.core.errors import UsageError
from usage_assets.core.hashing import hashed
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.facts.inputs import read_raw
from usage_assets.kinds.openstack.raw.dump import dump
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.serving.state_hash import state_hash, unchecked
from usage_assets.sources.scrub import scrub
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import CHECKED, VERSIONS
from usage_assets_tests.assets.tiny import FEB, JAN, WINDOW, change, make_site

SALT = "a long secret text"
PEOPLE = ("nova_instances", "blazar_leases", "nova_api_request_specs", "nova_instance_actions")
SPEC = (
    '{"nova_object.data": {"user_id": "alice", "project_id": "p", "image": {"name": "alices image"}, '
    '"scheduler_hints": {"reservation": ["r1"], "other": "x"}, "flavor": {"nova_object.data": '
    '{"name": "baremetal", "extra_specs": {"resources:VGPU": "1"}}}}}'
)


@pytest.fixture(autouse=True)
def _salt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_HASH_SALT", SALT)


@pytest.fixture
def site(tmp_path: Path) -> OpenStackSite:
    made = make_site(tmp_path)
    change(made, "nova", "UPDATE instances SET user_id = 'alice'")
    change(made, "blazar", "UPDATE leases SET user_id = 'alice', name = 'alices lease'")
    change(made, "nova_api", f"UPDATE request_specs SET spec = '{SPEC}'")
    return made


def with_rules(site: OpenStackSite, personal: object, **more: object) -> OpenStackSite:
    return OpenStackSite.model_validate(site.model_dump(by_alias=True) | {"personal": personal} | more)


def read(site: OpenStackSite, warehouse: Warehouse) -> None:
    dump(site, WINDOW, warehouse, tables=[BY_NAME[name] for name in PEOPLE], run_id="run")


def column(warehouse: Warehouse, table: str, name: str) -> set[str | None]:
    with warehouse.read() as reader:
        return set(reader.sql(f"SELECT DISTINCT {name} FROM {table}")[name])


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_without_the_option_rows_are_stored_as_they_are(site, warehouse):
    read(site, warehouse)
    assert column(warehouse, "raw.nova_instances", "user_id") == {"alice"}


def test_one_person_has_one_hash_in_every_table_and_the_clear_value_is_in_no_file(site, warehouse):
    read(with_rules(site, "hash"), warehouse)
    alice = hashed("alice", SALT)
    assert column(warehouse, "raw.nova_instances", "user_id") == {alice}
    assert column(warehouse, "raw.blazar_leases", "user_id") == {alice}
    assert column(warehouse, "raw.blazar_leases", "name") == {hashed("alices lease", SALT)}
    assert b"alice" not in everything(warehouse.path.parent)


def requests(site: OpenStackSite, warehouse: Warehouse) -> pl.DataFrame:
    """What facts read of the requests."""
    read(site, warehouse)
    with warehouse.read() as reader:
        found = read_raw(reader, site.key, [JAN, FEB], only=["nova_api_request_specs"])
        return found["nova_api_request_specs"].collect().sort("month")


def test_of_a_request_its_reservation_and_flavor_are_kept_and_read_alike(site, tmp_path, warehouse):
    clear = requests(site, Warehouse(tmp_path / "other" / "warehouse.duckdb"))
    assert clear["hint"].to_list() == ['["r1"]', '["r1"]']
    assert clear["flavor"].to_list() == ["baremetal", "baremetal"]
    assert requests(with_rules(site, "hash"), warehouse).equals(clear)


@pytest.mark.parametrize(
    "spec", [None, "", "no json", "{}", "[]", '"nova_object.data"', '{"nova_object.data": "text"}',
             '{"other": 1}', '{"scheduler_hints": {"reservation": "r2"}}',
             '{"nova_object.data": {"scheduler_hints": null, "flavor": null}}', '{"nova_object.data": 7}',
             '{"nova_object.data": {"flavor": {"nova_object.data": {"name": "a\\"b\'c", "extra_specs": {}}}}}'],
)  # fmt: skip
def test_odd_requests_mean_the_same_when_they_are_reduced(site, tmp_path, warehouse, spec):
    quoted = "NULL" if spec is None else "'" + spec.replace("'", "''") + "'"
    change(site, "nova_api", f"UPDATE request_specs SET spec = {quoted}")
    clear = requests(site, Warehouse(tmp_path / "other" / "warehouse.duckdb"))
    assert requests(with_rules(site, "hash"), warehouse).equals(clear)


def test_a_dropped_column_is_not_even_read(site, warehouse):
    read(with_rules(site, {"user_id": "hash", "blazar_leases.name": "drop"}), warehouse)
    assert column(warehouse, "raw.blazar_leases", "name") == {None}


def test_names_that_mean_maintenance_stay(site, warehouse):
    same = "created_at, updated_at, deleted_at, project_id, user_id, start_date, end_date, status, degraded"
    change(site, "blazar", f"INSERT INTO leases (id, {same}, name) SELECT 'l2', {same}, 'maint-of-node1' FROM leases")
    read(with_rules(site, "hash", maintenance={"lease_name": "^maint-of-"}), warehouse)
    assert column(warehouse, "raw.blazar_leases", "name") == {hashed("alices lease", SALT), "maint-of-node1"}


def test_a_hash_that_would_mean_maintenance_by_accident_is_left_out(site, warehouse):
    read(with_rules(site, "hash", maintenance={"lease_name": "^[0-9a-f]+$"}), warehouse)
    assert column(warehouse, "raw.blazar_leases", "name") == {None}


def test_without_a_salt_nothing_is_read(site, warehouse, monkeypatch):
    monkeypatch.delenv("USAGE_HASH_SALT")
    with pytest.raises(UsageError, match="site tiny: personal asks for hashes, but the environment has no USAGE_HASH"):
        read(with_rules(site, "hash"), warehouse)
    assert not warehouse.path.exists()


def test_a_scrub_hides_what_was_stored_before_and_its_versions(site, warehouse):
    read(site, warehouse)
    change(site, "nova", "UPDATE instances SET user_id = 'bob', updated_at = '2020-02-01 00:00:00'")
    read(site, warehouse)
    assert column(warehouse, "evidence.nova_instances", "user_id") == {"alice"}
    hidden = with_rules(site, "hash")
    changed = scrub(OPENSTACK, hidden, warehouse)
    assert changed["evidence.nova_instances"] > 0
    assert column(warehouse, "raw.nova_instances", "user_id") == {hashed("bob", SALT)}
    assert column(warehouse, "evidence.nova_instances", "user_id") == {hashed("alice", SALT)}
    assert "alice" not in str(column(warehouse, "raw.nova_api_request_specs", "spec"))
    assert scrub(OPENSTACK, hidden, warehouse) == {}


def test_after_a_scrub_the_next_dump_finds_nothing_changed(site, warehouse):
    read(site, warehouse)
    hidden = with_rules(site, "hash")
    scrub(OPENSTACK, hidden, warehouse)
    result = dump(hidden, WINDOW, warehouse, tables=[BY_NAME[name] for name in PEOPLE], run_id="run")
    assert sum(month.rows_changed for month in result.months) == 0


def test_a_scrub_and_a_compaction_leave_the_clear_value_in_no_file(site, warehouse):
    read(site, warehouse)
    scrub(OPENSTACK, with_rules(site, "hash"), warehouse)
    warehouse.compact()
    assert b"alice" not in everything(warehouse.path.parent)


def test_what_a_scrub_rewrote_is_published_anew_and_stays_checked(site, warehouse):
    read(site, warehouse)
    with warehouse.write("test") as writer:
        writer.ensure(CHECKED)
        writer.con.execute(f"INSERT INTO {CHECKED.qualified} BY NAME SELECT site, month, asset, run_id, written_at "
                           f"AS checked_at FROM {VERSIONS.qualified}")  # fmt: skip
    with warehouse.read() as reader:
        before = state_hash(reader)
        assert unchecked(reader) == []
    scrub(OPENSTACK, with_rules(site, "hash"), warehouse)
    with warehouse.read() as reader:
        assert state_hash(reader) != before
        assert unchecked(reader) == []


def test_other_sites_are_left_alone(site, warehouse):
    read(site, warehouse)
    with warehouse.write("test") as writer:
        writer.con.execute("INSERT INTO raw.nova_instances SELECT * REPLACE ('other' AS site) FROM raw.nova_instances")
    scrub(OPENSTACK, with_rules(site, "hash"), warehouse)
    with warehouse.read() as reader:
        found = reader.sql("SELECT DISTINCT site, user_id FROM raw.nova_instances ORDER BY 1").rows()
    assert found == [("other", "alice"), ("tiny", hashed("alice", SALT))]


def test_a_site_that_hides_nothing_has_nothing_to_scrub(site, warehouse):
    with pytest.raises(UsageError, match="its file has no personal"):
        scrub(OPENSTACK, site, warehouse)


@pytest.mark.parametrize(
    ("personal", "more", "said"),
    [
        ("drop", {}, "write hash, or columns"),
        ({"nova_instances.uuid": "hash"}, {}, "nova_instances.uuid can't be hidden"),
        ({"nova_instances.nonsense": "hash"}, {}, "nova_instances.nonsense can't be hidden"),
        ({"nova_instances.user_id": "maybe"}, {}, "Input should be 'hash' or 'drop'"),
        ({"nova_instances.user_id": "hash"}, {}, "user_id must be treated alike in all tables"),
        ({"nova_api_request_specs.spec": "drop"}, {}, "hash keeps these two"),
        ({"project_id": "hash"}, {"maintenance": {"projects": ["p"]}}, "maintenance.projects needs project_id"),
        ({"project_id": "hash"}, {"project_names": {"p": "P"}}, "project_names needs project_id"),
        ({"blazar_leases.name": "drop"}, {"maintenance": {"lease_name": "x"}}, "maintenance.lease_name needs"),
        (
            {"user_id": "drop"},
            {"exclusions": [{"table": "nova_instances", "where": {"user_id": "a"}, "reason": "r", "by": "b"}]},
            "an exclusion needs nova_instances.user_id",
        ),
    ],
)
def test_what_would_break_the_numbers_is_refused(site, personal, more, said):
    with pytest.raises(ValidationError, match=said):
        with_rules(site, personal, **more)


def test_an_exclusion_by_user_matches_the_hash(site, warehouse):
    from usage_assets.kinds.openstack.facts.exclusions import read_exclusions

    rule = {"table": "nova_instances", "where": {"user_id": "alice"}, "reason": "a load test", "by": "ops"}
    hidden = with_rules(site, "hash", exclusions=[rule])
    read(hidden, warehouse)
    with warehouse.read() as reader:
        found = read_exclusions(reader, hidden, [JAN, FEB], {})
    assert sorted(found["month"]) == [JAN, FEB]
