"""Hours per host, project and user: worked by hand, and names that are shown or hashed."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from usage_assets.core.errors import UsageError
from usage_assets.core.hashing import hashed
from usage_assets.core.months import Window
from usage_assets.facts.tables import INTERVALS
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.timelines import dimension_checks as checks
from usage_assets.kinds.openstack.timelines import dimensions as made_of
from usage_assets.kinds.openstack.timelines.scope import usage_scope
from usage_assets.timelines.dimension_tables import USAGE_BY_HOST, USAGE_BY_PROJECT, USAGE_BY_USER
from usage_assets.timelines.tables import USAGE
from usage_assets.timelines.usage import build_usage
from usage_assets.warehouse import Warehouse

FEB, MAR = date(2024, 2, 1), date(2024, 3, 1)
MONTHS = (FEB, MAR)
WHOLE = 29 * 24.0


def site(**more: Any) -> OpenStackSite:
    databases = dict.fromkeys(("nova", "nova_api", "blazar", "keystone"), "sqlite:////nowhere.db")
    return OpenStackSite.model_validate(
        {"kind": "openstack", "key": "s", "name": "S", "databases": databases, "first_month": "2024-02"} | more
    )


def interval(metric: str, node: str | None, first: int, last: int, **more: Any) -> dict[str, Any]:
    """Of February, from the beginning of one day to that of another, of 48 vCPUs without known GPUs."""
    base = {
        "site": "s", "month": FEB, "metric": metric, "source": "t", "entity_id": f"{metric}{node}{first}",
        "start_at": datetime(2024, 2, first), "end_at": datetime(2024, 2, last) if last < 30 else datetime(2024, 3, 1),
        "action": "kept", "node": node, "node_type": "x", "nodes": 1.0, "vcpus": 48.0, "memory_mb": 1000.0,
    }  # fmt: skip
    return base | more


TWO_HOSTS = [
    interval("total", "a", 1, 30),
    interval("total", "b", 1, 11),
    interval("reservable", "a", 1, 30),
    interval("committed", "a", 2, 12, project_id="p", user_id="u"),
    interval("occupied_reservation", "a", 3, 5, project_id="p", user_id="v"),
    interval("occupied_ondemand", "b", 1, 2, project_id="q", user_id="u"),
    interval("occupied_unknown", None, 1, 2, nodes=None, vcpus=4.0),
]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb")


def build(
    warehouse: Warehouse, rows: list[dict[str, Any]], where: OpenStackSite | None = None, until: datetime | None = None
) -> dict[str, pl.DataFrame]:
    """The three tables and usage, of February alone; stored as well, so that the checks see them."""
    one = where or site()
    frame = pl.DataFrame(rows, schema=INTERVALS.polars_schema)
    extracted = {FEB: until} if until else {}
    with warehouse.write("facts") as writer:
        writer.replace(INTERVALS, frame, site="s", months=[FEB], asset="facts", run_id="1")
    out = {}
    with warehouse.read() as reader:
        for name in ("hosts", "projects", "users"):
            read = getattr(made_of, f"read_{name}")(reader, one, [FEB])
            out[name] = getattr(made_of, f"make_{name}")(one, [FEB], read, extracted).rows
    types = pl.DataFrame(schema={"month": pl.Date, "node_type": pl.String})
    usage = build_usage(usage_scope(one), [FEB], frame, extracted, types).usage
    tables = {"hosts": USAGE_BY_HOST, "projects": USAGE_BY_PROJECT, "users": USAGE_BY_USER}
    with warehouse.write("made") as writer:
        writer.replace(USAGE, usage, site="s", months=[FEB], asset="usage", run_id="1")
        for name, table in tables.items():
            done = writer.replace(table, out[name], site="s", months=[FEB], asset=name, run_id="1")
            assert not done.refused
    return {name: rows.cast({pl.Categorical: pl.String}) for name, rows in out.items()}


def of_host(rows: pl.DataFrame, node: str, resource: str = "nodes", day: int | None = None) -> dict[str, Any]:
    period, at = ("month", 1) if day is None else ("day", day)
    found = rows.filter(node=node, resource=resource, period=period, timestamp=datetime(2024, 2, at))
    return found.row(0, named=True) if found.height else {}


def test_hours_of_hosts_by_the_month(warehouse: Warehouse):
    rows = build(warehouse, TWO_HOSTS)["hosts"]
    a, b = of_host(rows, "a"), of_host(rows, "b", "vcpus")
    assert (a["total_hours"], a["reservable_hours"], a["committed_hours"]) == (WHOLE, WHOLE, 240.0)
    assert (a["occupied_hours"], a["idle_hours"]) == (48.0, 240.0 - 48)
    assert (b["total_hours"], b["committed_hours"], b["occupied_hours"], b["idle_hours"]) == (240 * 48, 0, 24 * 48, 0)


def test_a_share_is_the_part_of_the_sites_hours_of_that_resource_and_period(warehouse: Warehouse):
    rows = build(warehouse, TWO_HOSTS)["hosts"]
    assert of_host(rows, "a")["committed_share"] == 1.0
    assert of_host(rows, "a")["occupied_share"] == 48 / 72
    assert of_host(rows, "a", day=20)["committed_share"] is None  # nobody holds any that day
    assert of_host(rows, "b", day=1)["occupied_share"] == 1.0


def test_days_are_there_while_a_host_exists_and_only_of_four_resources(warehouse: Warehouse):
    rows = build(warehouse, TWO_HOSTS)["hosts"]
    days = rows.filter(period="day")
    assert days.filter(node="a", resource="nodes").height == 29
    assert days.filter(node="b", resource="nodes").height == 10
    assert set(days["resource"]) == {"nodes", "vcpus"}  # GPUs are not known, memory is the month's
    assert set(rows.filter(period="month")["resource"]) == {"nodes", "vcpus", "memory_mb"}
    assert of_host(rows, "a", day=11)["committed_hours"] == 24.0
    assert of_host(rows, "a", day=12)["committed_hours"] == 0.0


def test_an_interval_is_cut_at_midnight(warehouse: Warehouse):
    late = interval("total", "a", 1, 3) | {
        "start_at": datetime(2024, 2, 1, 18), "end_at": datetime(2024, 2, 3, 0, 30)
    }  # fmt: skip
    rows = build(warehouse, [late])["hosts"]
    assert [of_host(rows, "a", day=day)["total_hours"] for day in (1, 2, 3)] == [6.0, 24.0, 0.5]


def test_a_server_without_a_machine_is_of_the_unknown_host_in_the_resources_it_tells(warehouse: Warehouse):
    rows = build(warehouse, TWO_HOSTS)["hosts"]
    assert of_host(rows, "unknown") == {}
    assert of_host(rows, "unknown", "vcpus")["occupied_hours"] == 96.0


def test_hours_of_projects_and_users(warehouse: Warehouse):
    tables = build(warehouse, TWO_HOSTS)
    found = {row["project_id"]: row for row in tables["projects"].filter(resource="nodes").iter_rows(named=True)}
    assert {key: row["committed_hours"] for key, row in found.items()} == {"p": 240.0, "q": 0.0}
    assert {key: row["idle_hours"] for key, row in found.items()} == {"p": 192.0, "q": 0.0}
    assert found["q"]["occupied_share"] == 24 / 72
    users = {row["user_id"]: row for row in tables["users"].filter(resource="vcpus").iter_rows(named=True)}
    assert set(users) == {"u", "v", "none"}
    assert users["none"]["occupied_hours"] == 96.0
    # a server in another user's reservation: what it uses is not idle time of its own
    assert users["v"]["idle_hours"] == -48.0 * 48


def test_hours_are_unknown_in_a_known_gap_and_so_is_the_month_that_it_touches(warehouse: Warehouse):
    gap = {"known_gaps": [{"source": "blazar_computehost_allocations", "to": "2024-02-11"}]}
    rows = build(warehouse, TWO_HOSTS, site(**gap))["hosts"]
    month, early, late = of_host(rows, "a"), of_host(rows, "a", day=10), of_host(rows, "a", day=11)
    assert (month["total_hours"], month["committed_hours"], month["idle_hours"]) == (WHOLE, None, None)
    assert (early["committed_hours"], early["occupied_hours"], early["committed_share"]) == (None, None, None)
    assert (late["committed_hours"], late["committed_share"]) == (24.0, 1.0)


def test_what_a_site_does_not_count_is_unknown(warehouse: Warehouse):
    nova = site(databases={"nova": "sqlite:////nowhere.db"})
    rows = [row for row in TWO_HOSTS if row["metric"] in {"total", "occupied_ondemand"}]
    b = of_host(build(warehouse, rows, nova)["hosts"], "b")
    assert (b["reservable_hours"], b["committed_hours"], b["idle_hours"]) == (None, None, None)
    assert b["occupied_hours"] == 24.0


def findings(warehouse: Warehouse, where: OpenStackSite | None = None) -> dict[str, str]:
    names = ("hosts_add_up", "projects_add_up", "users_add_up", "days_add_up")
    with warehouse.read() as reader:
        found = {name: getattr(checks, name)(reader, where or site(), Window("s", MONTHS)) for name in names}
    assert all(set(each) == set(MONTHS) for each in found.values())
    return {name: each[FEB].text for name, each in found.items() if not each[FEB].passed}


def test_the_checks_find_nothing_in_what_was_built(warehouse: Warehouse):
    build(warehouse, TWO_HOSTS)
    assert findings(warehouse) == {}


def test_the_checks_leave_known_gaps_alone(warehouse: Warehouse):
    gaps = site(known_gaps=[{"source": "nova_compute_nodes", "to": "2024-02-11"}])
    build(warehouse, TWO_HOSTS, gaps)
    assert findings(warehouse, gaps) == {}


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ("UPDATE timelines.usage_by_host SET total_hours = 1 WHERE node = 'a' AND period = 'month'",
         {"hosts_add_up", "days_add_up"}),
        ("DELETE FROM timelines.usage_by_host WHERE node = 'b' AND period = 'day'", {"hosts_add_up", "days_add_up"}),
        ("DELETE FROM timelines.usage_by_project WHERE project_id = 'q'", {"projects_add_up"}),
        ("UPDATE timelines.usage_by_user SET occupied_hours = occupied_hours * (1 + 2e-9)", {"users_add_up"}),
    ],
)  # fmt: skip
def test_the_checks_find_sums_that_differ(warehouse: Warehouse, change: str, failing: set[str]):
    build(warehouse, TWO_HOSTS)
    with warehouse.write("spoil") as writer:
        writer.con.execute(change).fetchall()
    found = findings(warehouse)
    assert set(found) == failing
    assert all("hours" in text and "sum(s) differ" in text for text in found.values())


def test_the_running_month_ends_at_its_extraction(warehouse: Warehouse):
    now = datetime(2024, 2, 3, 12)
    row = interval("total", "a", 1, 3) | {"end_at": now}
    rows = build(warehouse, [row], until=now)["hosts"]
    assert of_host(rows, "a")["total_hours"] == 60.0
    assert of_host(rows, "a", day=3)["total_hours"] == 12.0
    assert findings(warehouse) == {}


def test_thirds_of_machines_add_up_exactly(warehouse: Warehouse):
    rows = [
        interval("occupied_ondemand", f"h{n % 7}", 1 + n % 20, 2 + n % 25 + n % 20, nodes=1 / 3, vcpus=0.1,
                 project_id=f"p{n % 3}", entity_id=f"e{n}")
        for n in range(200) if 2 + n % 25 + n % 20 < 30
    ]  # fmt: skip
    build(warehouse, rows)
    assert findings(warehouse) == {}


def names(tables: dict[str, pl.DataFrame]) -> dict[str, str | None]:
    return dict(tables["projects"].select("project_id", "project_name").unique().iter_rows())


def put_keystone(warehouse: Warehouse) -> None:
    rows = [{"site": "s", "month": FEB, "id": key, "name": f"{key} of Keystone", "is_context": False,
             "extracted_at": datetime(2024, 4, 1), "seen_from": datetime(2024, 4, 1)}
            for key in ("p", "q")]  # fmt: skip
    with warehouse.write("raw") as writer:
        table = BY_NAME["keystone_project"].table
        frame = pl.DataFrame(rows, schema=table.polars_schema)
        writer.replace(table, frame, site="s", months=[FEB], asset="raw", run_id="1")


def test_the_sites_map_of_names_wins_over_keystone(warehouse: Warehouse):
    assert names(build(warehouse, TWO_HOSTS)) == {"p": None, "q": None, "none": None}
    put_keystone(warehouse)
    named = site(project_names={"p": "Physics"})
    assert names(build(warehouse, TWO_HOSTS, named)) == {"p": "Physics", "q": "q of Keystone", "none": None}


def test_hashes_stand_in_place_of_ids_and_names(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USAGE_HASH_SALT", "a secret")
    put_keystone(warehouse)
    tables = build(warehouse, TWO_HOSTS, site(hash_names=True))
    found = names(tables)
    assert found == {
        hashed("p", "a secret"): hashed("p of Keystone", "a secret"),
        hashed("q", "a secret"): hashed("q of Keystone", "a secret"),
        "none": None,
    }
    assert all(len(key) == 16 for key in found if key != "none")
    assert set(tables["users"]["user_id"]) == {"none", hashed("u", "a secret"), hashed("v", "a secret")}
    assert findings(warehouse, site(hash_names=True)) == {}
    assert hashed("p", "another") not in found


def test_without_a_salt_the_error_says_what_to_set(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("USAGE_HASH_SALT", raising=False)
    with pytest.raises(UsageError, match="site s: hash_names is true, but the environment has no USAGE_HASH_SALT"):
        build(warehouse, TWO_HOSTS, site(hash_names=True))


def test_without_facts_there_are_no_rows(warehouse: Warehouse):
    with warehouse.read() as reader:
        read = made_of.read_hosts(reader, site(), [FEB])
    assert made_of.make_hosts(site(), [FEB], read, {}).rows.is_empty()
