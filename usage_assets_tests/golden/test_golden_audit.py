"""Where the rows and hours of small sites went: the audit, its page and its check; the facts as events."""

import random
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds import KINDS
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.timelines.dimension_checks import (
    days_add_up,
    hosts_add_up,
    projects_add_up,
    users_add_up,
)
from usage_assets.orchestration.build import build_assets
from usage_assets.reports.audit import balanced, page
from usage_assets.reports.tables import AUDIT
from usage_assets.warehouse import Warehouse
from usage_assets_tests.golden.builder import Rows, make_site, spec_text
from usage_assets_tests.golden.random_site import random_case
from usage_assets_tests.golden.stored import store
from usage_assets_tests.golden.test_oracle import SLOW
from usage_assets_tests.golden.worked import JAN, one_metal
from usage_assets_tests.properties import examples

DAY = 24.0
ALL = ("facts/leases", "reports/audit")


def two_leases() -> Rows:
    """One machine; a lease of it, one that ran before its hour, a server that never ran and one that overlaps."""
    rows, host = one_metal()
    _, reservation, _ = rows.booked(host, "2024-01-05", "2024-01-15")
    rows.allocation("nowhere", host, "2024-01-20", "2024-01-21")
    one = rows.instance("h", "2024-01-06", "2024-01-10", project_id="q")
    rows.spec(one, spec_text([reservation]))
    late = rows.instance("h", "2024-01-14", "2024-01-17")
    rows.spec(late, spec_text([reservation]))
    never = rows.instance("h", "2024-01-20", "2024-01-21", launched_at=None)
    rows.spec(never)
    return rows


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.setenv("USAGE_DATA", str(tmp_path))
    return Warehouse(tmp_path / "warehouse.duckdb")


def audit(warehouse: Warehouse, asset: str, source: str) -> dict[tuple[str, str], tuple]:
    """(outcome, reason) -> rows, hours."""
    with warehouse.read() as reader:
        rows = reader.frame(AUDIT).filter(asset=f"openstack/facts/{asset}", source=source)
    return {(row["outcome"], row["reason"]): (row["rows"], row["hours"]) for row in rows.iter_rows(named=True)}


def findings(warehouse: Warehouse, site: OpenStackSite, window: Window) -> list[str]:
    with warehouse.read() as reader:
        return [finding.text for finding in balanced(reader, site, window).values() if not finding.passed]


def test_rows_and_hours_are_kept_clipped_or_rejected_by_reason(warehouse: Warehouse):
    site = make_site()
    window = store(warehouse, two_leases(), site, [JAN], tables=ALL)
    assert audit(warehouse, "committed", "blazar_computehost_allocations") == {
        ("read", ""): (2, 11 * DAY),
        ("kept", ""): (1, 10 * DAY),
        ("clipped", ""): (None, 0.0),
        ("outside", ""): (0, 0.0),
        ("rejected", "no_reservation"): (1, DAY),
    }
    assert audit(warehouse, "occupied", "nova_instances") == {
        ("read", ""): (3, 8 * DAY),
        ("kept", ""): (2, 5 * DAY),
        ("clipped", ""): (None, 2 * DAY),
        ("outside", ""): (0, 0.0),
        ("rejected", "never_launched"): (1, DAY),
    }
    assert findings(warehouse, site, window) == []


def test_shares_are_parts_of_what_was_read(warehouse: Warehouse):
    store(warehouse, two_leases(), make_site(), [JAN], tables=ALL)
    with warehouse.read() as reader:
        rows = reader.frame(AUDIT, where="asset = 'openstack/facts/occupied' AND source = 'nova_instances'")
    shares = {row["outcome"]: (row["rows_share"], row["hours_share"]) for row in rows.iter_rows(named=True)}
    assert shares["rejected"] == (1 / 3, 1 / 8)
    assert shares["clipped"] == (None, 2 / 8)


RULE = {"table": "nova_instances", "reason": "load test", "by": "ops"}


@pytest.mark.parametrize(
    ("bounds", "rejected"),
    [
        ({}, (1, 4 * DAY)),  # nothing is left of it: it is a rejected row
        ({"to": "2024-01-08"}, (0, 2 * DAY)),  # its other half is kept
    ],
)
def test_excluded_hours_count_and_a_kept_row_that_loses_some_is_no_rejected_row(
    warehouse: Warehouse, bounds: dict[str, str], rejected: tuple[int, float]
):
    site = make_site(exclusions=[RULE | {"where": {"project_id": "q"}} | bounds])
    window = store(warehouse, two_leases(), site, [JAN], tables=ALL)
    assert audit(warehouse, "occupied", "nova_instances")["rejected", "excluded"] == rejected
    assert findings(warehouse, site, window) == []


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM reports.audit WHERE outcome = 'rejected' AND source = 'nova_instances'",
        "UPDATE reports.audit SET hours = hours - 1 WHERE outcome = 'kept' AND asset LIKE '%/occupied'",
    ],
)
def test_the_check_names_what_does_not_add_up(warehouse: Warehouse, change: str):
    site = make_site()
    window = store(warehouse, two_leases(), site, [JAN], tables=ALL)
    with warehouse.write("spoil") as writer:
        writer.con.execute(change).fetchall()
    (text,) = findings(warehouse, site, window)
    assert "openstack/facts/occupied, nova_instances: 3 rows read" in text


def test_the_page_of_a_month_is_whole_and_shows_each_source(warehouse: Warehouse, tmp_path: Path):
    site = make_site(name="Gold & <Sons>")
    window = store(warehouse, two_leases(), site, [JAN], tables=ALL)
    text = (tmp_path / "plots" / site.key / "2024-01" / "audit.html").read_text(encoding="utf-8")
    assert text.rstrip().endswith("</html>")
    assert "Gold &amp; &lt;Sons&gt; (golden), 2024-01: row and hour accounting" in text
    assert "<caption>nova_instances</caption>" in text
    assert "<td>no_reservation</td>" in text
    assert "9.1%" in text
    assert 'class="bad"' not in text
    assert "its reservation is not there" in text
    assert list((tmp_path / "plots").rglob("*.part")) == []
    (table,) = (table for table in KINDS["openstack"].tables if table.name == "audit")
    shown = build_assets(KINDS["openstack"], site, window, warehouse, [table], run_id="again")["reports/audit"]
    assert str(shown[JAN]["page"].value).endswith("/golden/2024-01/audit.html")


def test_the_page_says_when_rows_are_lost():
    source = ("golden", JAN, "a", "t")
    lines = [(*source, "read", "", 2, 5.0, 1.0, 1.0), (*source, "kept", "", 1, 5.0, 0.5, 1.0)]
    rows = pl.DataFrame(lines, schema=AUDIT.polars_schema, orient="row")
    assert 'class="bad"' in page(make_site(), JAN, rows, None, ())
    assert "Nothing was read in this month" in page(make_site(), JAN, rows.clear(), None, ())


def events(warehouse: Warehouse, metric: str) -> list[tuple]:
    with warehouse.read() as reader:
        return reader.sql(
            "SELECT timestamp, state, sum(CASE state WHEN 'start' THEN 1 ELSE -1 END) "
            "OVER (ORDER BY timestamp RANGE UNBOUNDED PRECEDING)::BIGINT AS n "
            "FROM facts.timeline WHERE quantity_type = $metric ORDER BY timestamp",
            {"metric": metric},
        ).rows()


def test_the_ledger_has_two_events_per_interval(warehouse: Warehouse):
    store(warehouse, two_leases(), make_site(), [JAN])
    assert [(f"{at:%m-%d}", state, n) for at, state, n in events(warehouse, "committed")] == [
        ("01-05", "start", 1),
        ("01-15", "end", 0),
    ]
    with warehouse.read() as reader:
        found = reader.sql("SELECT * FROM facts.timeline WHERE quantity_type = 'committed'")
    assert found.columns == ["site", "timestamp", "source", "entity_id", "quantity_type", "state"]
    assert found["entity_id"].n_unique() == 1


@given(seed=st.integers(0, 2**32))
@examples(8, like=SLOW, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_random_sites_are_balanced_add_up_and_have_as_many_open_events_as_intervals(seed: int, tmp_path_factory):
    case = random_case(random.Random(seed))
    folder = tmp_path_factory.mktemp("site")
    warehouse = Warehouse(folder / "warehouse.duckdb")
    dimensions = [f"timelines/usage_by_{name}" for name in ("host", "project", "user")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USAGE_DATA", str(folder))
        window = store(warehouse, case.rows, case.site, case.months, tables=[*dimensions, *ALL])
    with warehouse.read() as reader:
        for check in (balanced, hosts_add_up, projects_add_up, users_add_up, days_add_up):
            found = check(reader, case.site, window)
            assert [finding.text for finding in found.values() if not finding.passed] == []
        counts = reader.sql(
            "WITH instants AS (SELECT DISTINCT metric, start_at AS at_time FROM facts.intervals) "
            "SELECT count(*) FILTER ((SELECT count(*) FROM facts.intervals i WHERE i.metric = s.metric "
            "AND i.start_at <= s.at_time AND i.end_at > s.at_time) <> "
            "(SELECT sum(CASE state WHEN 'start' THEN 1 ELSE -1 END) FROM facts.timeline t "
            "WHERE t.quantity_type = s.metric AND t.timestamp <= s.at_time)) AS wrong FROM instants s"
        ).item()
        months = set(reader.frame(INTERVALS, columns=("month",))["month"])
    assert counts == 0
    assert months <= set(case.months)
    assert all(isinstance(month, date) for month in months)
