"""The assets of a tiny site through Dagster: everything is built, a bad month stops only itself, checks say which."""

from pathlib import Path

import dagster as dg
import pytest

from usage_assets.core.months import RANGE_END, RANGE_START, Window
from usage_assets.definitions import build_defs
from usage_assets.facts.assets import fact_assets
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds import OPENSTACK
from usage_assets.orchestration.build import build_assets
from usage_assets.orchestration.partitions import partition_key, partition_keys
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.schema import Violation, violations
from usage_assets.warehouse import Warehouse, Writer
from usage_assets.warehouse.bookkeeping import CHECKED, FAILED_CHECKS, VERSIONS
from usage_assets_tests.assets.conftest import Built
from usage_assets_tests.assets.tiny import FEB, JAN, MADE, MAR, WINDOW, build, change, checks, failed, make_site, tables

KEYS = [str(key) for key in partition_keys(WINDOW)]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def site(tmp_path: Path):
    return make_site(tmp_path)


@pytest.fixture(autouse=True)
def _no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER_PATH", "nowhere")


def hours(warehouse: Warehouse, metric: str, resource: str = "nodes") -> dict:
    with warehouse.read() as reader:
        rows = reader.sql(
            "SELECT month, round(sum(hours), 6) FROM timelines.usage WHERE metric = $metric AND resource = $resource "
            "GROUP BY month ORDER BY month",
            {"metric": metric, "resource": resource},
        )
    return dict(rows.iter_rows())


def test_a_range_run_builds_every_stage_and_every_check_passes(built: Built):
    result, warehouse, plots = built.result, built.warehouse, built.plots
    assert result.success
    assert failed(result) == set()
    assert hours(warehouse, "total") == {JAN: 2 * 31 * 24.0, FEB: 2 * 29 * 24.0, MAR: 2 * 31 * 24.0}
    assert hours(warehouse, "committed") == {JAN: 21 * 24.0, FEB: 10 * 24.0, MAR: 0.0}
    assert hours(warehouse, "occupied_reservation") == {JAN: 20 * 24.0, FEB: 9 * 24.0, MAR: 0.0}
    monthly = (
        "audit",
        "leadtime",
        "leadtime_compare",
        "leadtime_projected",
        "node_types",
        "usage_stack",
        "utilization",
    )
    assert sorted(path.relative_to(plots).as_posix() for path in plots.rglob("*.html")) == [
        *(f"2020-0{month}/{plot}.html" for month in (1, 2, 3) for plot in monthly),
        *(f"tiny_{plot}.html" for plot in ("leadtime", "leadtime_compare", "stack")),
    ]
    assert (plots.parent / "cross_site_usage.html").is_file()


def test_every_asset_shows_every_month_with_its_row_count(built: Built):
    result = built.result
    events = result.get_asset_materialization_events()
    assets = {event.asset_key for event in events}
    assert len(events) == 3 * len(assets)
    assert {event.partition for event in events} == set(KEYS)
    shown = {
        (event.materialization.asset_key.to_user_string(), event.partition): event.materialization.metadata
        for event in events
    }
    leases = shown["openstack/raw/blazar_leases", KEYS[0]]
    assert leases["dagster/partition_row_count"].value == 1
    assert leases["status"].value == "written"
    committed = shown["openstack/facts/committed", KEYS[0]]
    assert (committed["rows_in"].value, committed["rows_kept"].value, committed["hours_kept"].value) == (1, 1, 504.0)
    absent = shown["openstack/raw/zun_container", KEYS[0]]
    assert absent["dagster/partition_row_count"].value == 0
    assert absent["note"].value
    assert str(shown["openstack/reports/usage_stack", KEYS[0]]["plot"].value).endswith("usage_stack.html")


def test_previews_and_thumbnails_stand_beside_the_month_that_they_show(built: Built):
    events = built.result.get_asset_materialization_events()
    shown = {(event.asset_key.to_user_string(), str(event.partition)): event.materialization for event in events}  # type: ignore[union-attr]
    few = {at: str(one.metadata["preview"].value) for at, one in shown.items() if "preview" in one.metadata}
    assert {asset: None for asset, _ in few}.keys() > {"openstack/raw/nova_instances", "openstack/facts/total"}
    for (asset, partition), text in few.items():
        assert text.startswith(partition[:7]), asset
    of_usage = [few["openstack/timelines/usage", key] for key in KEYS]
    assert all(f"| {key[:7]}-" in text for key, text in zip(KEYS, of_usage, strict=True))
    assert [key for key in KEYS if ("openstack/facts/committed", key) in few] == KEYS[:2]  # the lease ends in February
    for key in KEYS:
        drawn = shown["openstack/reports/usage_stack", key].metadata
        assert f"![tiny {key[:7]} usage_stack](" in str(drawn["thumbnail"].value)
        assert f"/tiny/{key[:7]}/" in str(drawn["plot"].value)
    images = [str(shown["openstack/reports/usage_stack", key].metadata["thumbnail"].value)[40:] for key in KEYS]
    assert len(set(images)) == len(KEYS)  # each its own month's use


def test_checks_of_facts_and_timelines_stand_beside_their_month(built: Built):
    result, instance = built.result, built.instance
    found = checks(result)
    for asset, check in (("facts/committed", "conservation"), ("timelines/usage", "base_not_negative")):
        of_months = [found[f"openstack/{asset}", check, key] for key in KEYS]
        pointers = [one.target_materialization_data for one in of_months]
        assert [pointer and pointer.run_id for pointer in pointers] == [result.run_id] * 3
        key = dg.AssetCheckKey(dg.AssetKey(["openstack", *asset.split("/")]), check)
        shown = instance.event_log_storage.get_asset_check_partition_info([key])
        assert {info.partition_key for info in shown} == set(KEYS)
    assert ("openstack/raw/blazar_leases", "contract", None) in found


def errors(warehouse: Warehouse) -> set[tuple]:
    with warehouse.read() as reader:
        rows = reader.frame(FAILED_CHECKS, where="severity = 'ERROR'", columns=["month", "asset", "check_name"])
    return set(rows.iter_rows())


def test_what_a_run_wrote_has_a_version_and_was_checked_by_the_same_run(built: Built):
    with built.warehouse.read() as reader:
        written = reader.frame(VERSIONS, columns=["month", "asset", "version", "run_id"])
        checked = reader.frame(CHECKED, columns=["month", "asset", "run_id"])
    assert set(written["version"]) == {1}
    assert set(written["run_id"]) == {built.result.run_id}
    assert set(written.drop("version").iter_rows()) == set(checked.iter_rows())
    assert errors(built.warehouse) == set()


def refuse_february(con, relation, table):
    """What the contract says when raw.blazar_leases breaks a rule in February."""
    extra = [Violation(FEB, "a rule", 1, [{"id": "l1"}])] if table.name == "blazar_leases" else []
    return [*violations(con, relation, table), *extra]


def test_a_bad_month_of_a_raw_table_is_kept_gated_and_does_not_stop_the_others(
    with_everything, warehouse: Warehouse, instance, monkeypatch: pytest.MonkeyPatch
):
    site = with_everything
    february = hours(warehouse, "committed")[FEB]
    change(site, "blazar", "UPDATE leases SET end_date = '2020-01-21 00:00:00', updated_at = '2020-01-20 00:00:00'")
    monkeypatch.setattr("usage_assets.warehouse.rows.violations", refuse_february)
    result = build(site, warehouse, instance)
    assert result.success
    bad = failed(result)
    assert ("openstack/raw/blazar_leases", "contract", None) in bad
    assert ("openstack/facts/committed", "coverage", KEYS[1]) in bad
    assert ("openstack/timelines/usage", "coverage", KEYS[1]) in bad
    assert ("openstack/reports/usage_stack", "coverage", None) in bad
    assert not [one for one in bad if one[2] in {KEYS[0], KEYS[2]}]
    assert "2020-02" in str(checks(result)["openstack/raw/blazar_leases", "contract", None].description)
    said = str(checks(result)["openstack/facts/committed", "coverage", KEYS[1]].description)
    assert "site tiny 2020-02" in said
    assert "openstack/raw/blazar_leases was refused" in said
    assert hours(warehouse, "committed") == {JAN: 10 * 24.0, FEB: february, MAR: 0.0}
    assert {(asset, check) for month, asset, check in errors(warehouse) if month == FEB} >= {
        ("openstack/raw/blazar_leases", "contract"),
        ("openstack/facts/committed", "coverage"),
        ("openstack/timelines/usage", "coverage"),
        ("openstack/reports/usage_stack", "coverage"),
        ("openstack/reports/usage_wide", "coverage"),
    }
    assert {month for month, *_ in errors(warehouse)} == {FEB}
    months = {
        event.partition: event.materialization.metadata["status"].value
        for event in result.get_asset_materialization_events()
        if event.materialization.asset_key.path[-1] == "committed"
    }
    assert months == {KEYS[0]: "written", KEYS[1]: "kept_old", KEYS[2]: "written"}


@pytest.mark.heavy
def test_a_run_whose_only_month_is_gated_keeps_it_and_does_not_fail(
    with_everything, warehouse: Warehouse, instance, monkeypatch: pytest.MonkeyPatch
):
    site = with_everything
    before = hours(warehouse, "committed")
    monkeypatch.setattr("usage_assets.warehouse.rows.violations", refuse_february)
    result = build(site, warehouse, instance, Window(site.key, (FEB,)))
    assert result.success
    assert ("openstack/timelines/usage", "coverage", KEYS[1]) in failed(result)
    assert hours(warehouse, "committed") == before


def test_a_fact_that_does_not_add_up_fails_conservation_in_its_month_only(
    site, warehouse: Warehouse, instance, monkeypatch: pytest.MonkeyPatch
):
    real = Writer.replace

    def losing(self, table, rows, **more):
        if table is INTERVALS and more["asset"] == OPENSTACK.asset("facts", "committed"):
            rows = rows.filter(rows["month"] != FEB)
        return real(self, table, rows, **more)

    monkeypatch.setattr(Writer, "replace", losing)
    result = build(site, warehouse, instance, tables_only=True)
    bad = failed(result)
    assert ("openstack/facts/committed", "conservation", KEYS[1]) in bad
    assert not [one for one in bad if one[2] in {KEYS[0], KEYS[2]}]


def test_a_source_that_fails_fails_the_run_with_one_sentence_and_leaves_the_months(
    with_tables, warehouse: Warehouse, instance
):
    site = with_tables
    before = tables(warehouse, ["facts.intervals", "timelines.usage"])
    broken = site.model_copy(update={"databases": {**site.databases, "blazar": "sqlite:////nowhere/blazar.db"}})
    result = build(broken, warehouse, instance, tables_only=True)
    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert failure.step_failure_data.user_failure_data is not None
    said = str(failure.step_failure_data.user_failure_data.description)
    assert "tiny" in said
    assert "\n  File" not in said
    assert tables(warehouse, ["facts.intervals", "timelines.usage"]) == before


def test_facts_of_a_month_that_was_never_dumped_wait_for_it(site, warehouse: Warehouse, instance):
    done = build_assets(OPENSTACK, site, Window("tiny", (JAN,)), warehouse, fact_assets(OPENSTACK), run_id="r")
    total = done["facts/total"][JAN]
    assert total["dagster/partition_row_count"] == 0
    assert "openstack/raw/nova_compute_nodes was never built for 2020-01" in total["reason"]


def test_some_assets_of_a_stage_can_be_built_alone(with_tables, warehouse: Warehouse, instance):
    site = with_tables
    job = build_defs({site.key: site}, warehouse).resolve_job_def("openstack")
    only = {dg.AssetKey(["openstack", "facts", "total"]), dg.AssetKey(["openstack", "raw", "blazar_leases"])}
    before = tables(warehouse, ["facts.intervals", "facts.rejects", "serving.accounts", "timelines.usage"])
    result = job.execute_in_process(
        instance=instance, asset_selection=list(only), partition_key=partition_key("tiny", JAN)
    )
    assert {event.asset_key for event in result.get_asset_materialization_events()} == only
    after = tables(warehouse, ["facts.intervals", "facts.rejects", "serving.accounts", "timelines.usage"])
    assert after == before


def test_a_range_with_the_dimensions_of_its_first_month_beside_it_is_built_whole(site, warehouse: Warehouse, instance):
    job = build_defs({"tiny": site}, warehouse, automation=False).resolve_job_def("openstack")
    key = asset_key("openstack", "raw", "nova_instances")
    tags = {
        RANGE_START: str(partition_keys(WINDOW)[0]),
        RANGE_END: str(partition_keys(WINDOW)[-1]),
        "dagster/partition/month": str(JAN),  # a backfill launched from a job's page has these too
        "dagster/partition/site": "tiny",
    }
    assert job.execute_in_process(instance=instance, asset_selection=[key], tags=tags).success
    assert instance.get_materialized_partitions(key) == {str(key) for key in partition_keys(WINDOW)}
    with warehouse.read() as reader:
        gates = reader.sql(
            "SELECT month FROM serving.gates WHERE asset = 'openstack/raw/nova_instances' ORDER BY month"
        )
    assert gates["month"].to_list() == [JAN, FEB, MAR]


@pytest.mark.heavy
def test_months_one_by_one_in_reverse_or_in_a_range_give_equal_tables(site, tmp_path: Path, instance):
    stored = []
    for n, windows in enumerate(([WINDOW], [Window("tiny", (month,)) for month in (MAR, FEB, JAN)])):
        warehouse = Warehouse(tmp_path / f"w{n}" / "warehouse.duckdb")
        for window in windows:
            assert build(site, warehouse, instance, window, tables_only=True, derived=True).success
        stored.append(tables(warehouse, MADE))
    assert stored[0] == stored[1]
