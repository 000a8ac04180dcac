"""What every kind of site must keep, so that everything after the facts can treat kinds alike."""

from collections import Counter
from datetime import date

import pytest

from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS, RESOURCE_NAMES
from usage_assets.kinds import KINDS, kind_of
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.site_files import MODELS
from usage_assets.orchestration.build import build_assets
from usage_assets.sites.base import Site
from usage_assets.specs.kind import Kind
from usage_assets.timelines.assets import assets_of
from usage_assets.timelines.metrics import SHARED_METRICS, metrics_with
from usage_assets.timelines.tables import USAGE
from usage_assets.timelines.usage import build_usage
from usage_assets.warehouse import Warehouse
from usage_assets.warehouse.bookkeeping import DUMPS, GATES

MONTHS = (date(2024, 1, 1), date(2024, 2, 1))
URL = "sqlite:///nowhere.db"
# sites of every kind, with everything and with as little as the kind allows
CLOUDS: tuple[Site, ...] = tuple(
    OpenStackSite.model_validate({"kind": "openstack", "key": f"site_{n}", "name": "Site", "databases": databases})
    for n, databases in enumerate(
        (
            dict.fromkeys(("nova", "nova_cell0", "nova_api", "blazar", "zun", "chameleon_usage"), URL),
            {"nova": URL},
            {"blazar": URL, "zun": URL},
            {"blazar": URL},
        )
    )
)
POOLS: tuple[Site, ...] = tuple(
    HTCondorSite.model_validate({"kind": "htcondor", "key": f"pool_{n}", "name": "Pool", "snapshots": "nowhere"} | said)
    for n, said in enumerate(({}, {"timezone": "Europe/Berlin", "masked": {"h": "why"}, "hosted": ["g"]}))
)
MACHINES: tuple[Site, ...] = (*CLOUDS, *POOLS)
SERVICES: tuple[Site, ...] = tuple(
    ServiceSite.model_validate(
        {"kind": "service", "key": f"service_{n}", "name": "Service", "first_month": "2024-01", "sources": [source]}
        | said
    )
    for n, (source, said) in enumerate(
        (
            ({"reader": "records", "path": "nowhere"}, {}),
            ({"reader": "otel", "path": "nowhere"}, {"max_parallel": {"m": 4}, "resolution": "1h"}),
        )
    )
)
SITES = (*MACHINES, *SERVICES)
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
every_site = pytest.mark.parametrize("site", SITES, ids=[f"{site.kind} {site.key}" for site in SITES])


def test_the_registry_and_the_site_files_know_the_same_kinds():
    assert set(KINDS) == set(MODELS)
    assert {kind_of(site).name for site in SITES} == set(KINDS)


@every_kind
def test_raw_tables_have_names_of_their_own(kind: Kind):
    assert max(Counter(raw.name for raw in kind.raw_tables).values()) == 1
    assert all(raw.name == f"{raw.database}_{raw.source}" for raw in kind.raw_tables)


@every_kind
def test_each_metric_of_the_facts_has_one_owner(kind: Kind):
    owned = Counter(metric for fact in kind.facts for metric in fact.metrics)
    assert max(owned.values()) == 1
    assert set(owned) <= set(metrics_with(kind.metrics).by_name)


def test_kinds_add_counted_metrics_of_names_of_their_own():
    added = [metric for kind in KINDS.values() for metric in kind.metrics]
    names = Counter((*SHARED_METRICS.by_name, *(metric.name for metric in added)))
    assert max(names.values()) == 1
    assert all(metric.is_counted for metric in added)


@every_kind
def test_facts_read_raw_tables_and_build_on_facts_that_are_there(kind: Kind):
    raw, facts = {f"raw/{table.name}" for table in kind.raw_tables}, {fact.path for fact in kind.facts}
    for fact in kind.facts:
        # those that select their rows are stored one after the other, so that they may be made of facts
        inputs = raw | facts if fact.select or fact.make else raw
        assert {*fact.after, *fact.optional} <= inputs - {fact.path}
        assert set(fact.shown_after) <= facts - {fact.path}


@every_site
def test_the_scope_counts_metrics_that_a_fact_owns_in_resources_that_intervals_have(site: Site):
    scope = kind_of(site).usage_scope(site)
    owned = {metric for fact in kind_of(site).facts for metric in fact.metrics}
    assert scope.counted
    assert set(scope.counted) <= owned
    assert all(scope.metrics.by_name[name].is_counted for name in scope.counted)
    assert scope.resources
    assert set(scope.resources) <= set(RESOURCE_NAMES)
    assert set(scope.gaps) <= set(scope.counted)


@pytest.mark.parametrize("site", MACHINES, ids=[site.key for site in MACHINES])
def test_a_site_without_a_single_row_gives_dense_zeros_or_nulls_where_nothing_was_seen_and_no_error(
    site: Site, tmp_path
):
    kind = kind_of(site)
    with Warehouse(tmp_path / "warehouse.duckdb").read() as reader:
        raw = kind.read_raw(reader, site, MONTHS)
        types = kind.node_types(reader, site, MONTHS)
        observed = kind.observed(reader, site, MONTHS)
    facts = kind.build_facts(site, MONTHS, raw, {}, [fact.name for fact in kind.facts])
    assert facts.intervals.schema == INTERVALS.polars_schema
    assert facts.intervals.is_empty()
    assert facts.rejects.is_empty()
    scope = kind.usage_scope(site)
    usage = build_usage(scope, MONTHS, facts.intervals, {}, types, observed=observed).usage
    counted = usage.filter(usage["metric"].is_in(list(scope.counted)))
    assert counted.height == (31 + 29) * len(scope.counted) * len(scope.resources)
    assert (counted["value"] == 0).all() if observed is None else counted["value"].is_null().all()


@pytest.mark.parametrize("site", SERVICES, ids=lambda site: site.key)
def test_a_service_without_a_single_event_gives_dense_zeros_and_no_other_row(site: Site, tmp_path):
    kind = kind_of(site)
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    with warehouse.write("test") as writer:
        writer.ensure(DUMPS)
        for raw in kind.raw_tables:
            for month in MONTHS:
                name = kind.asset("raw", raw.name)
                assert not writer.insert_month(raw.table, (), site=site.key, month=month, asset=name, run_id="1")
    assets = assets_of(kind)
    shown = build_assets(kind, site, Window(site.key, MONTHS), warehouse, assets, run_id="1")
    assert {path: sorted(months) for path, months in shown.items()} == {one.path: list(MONTHS) for one in assets}
    with warehouse.read() as reader:
        states = reader.frame(GATES, site.key, MONTHS)
        assert states["ok"].all(), states.filter(~states["ok"])["reason"].to_list()
        usage = reader.frame(USAGE, site.key, MONTHS)
        rows = {one.path: reader.frame(one.table, site.key).height for one in assets if one.stage == "facts"}
    assert set(rows.values()) == {0}
    counted = usage.filter(~usage["metric"].is_in(["capacity", "available"]))
    assert counted["value"].max() == 0
    assert counted["timestamp"].n_unique() == (31 + 29) * 1440 // site.bucket_minutes
