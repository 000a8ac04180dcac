"""Assets that select their rows in the warehouse, and months beside a run's that are built again."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any

import pytest

from usage_assets.core.months import Window
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.openstack.kind import OpenStack
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.build import build_assets
from usage_assets.orchestration.neighbours import widened, with_unchecked
from usage_assets.schema import Rule, Table, at, number, text
from usage_assets.specs.asset import Asset
from usage_assets.warehouse import Query, Warehouse, Writer
from usage_assets.warehouse.bookkeeping import ACCOUNTS, GATES, VERSIONS

JAN, FEB, MAR, APR, MAY = (date(2024, month, 1) for month in range(1, 6))
EVENTS = Table("events", "raw", "Events.", (at("at", "When"), number("n", "How many")))
SUMS = Table(
    "sums",
    "timelines",
    "Sums of the events of a month and those beside it.",
    (text("name", "Name", nullable=False), number("n", "Sum")),
    key=("name",),
    rules=(Rule("not negative", "n >= 0", "A sum of counts"),),
)
DOUBLES = Table("doubles", "timelines", "Sums, doubled.", (text("name", "Name"), number("n", "Sum")), key=("name",))
SITE = OpenStackSite.model_validate({"kind": "openstack", "key": "metal", "name": "Metal", "databases": {"nova": "x"}})


def sums(writer: Writer, site: Any, month: date, _extracted: object, *, beside: int) -> Iterator[Query]:
    sql = (
        f"SELECT '{site.key}' AS site, $month::DATE AS month, $name AS name, coalesce(sum(n), 0)::BIGINT AS n "
        f"FROM raw.events WHERE site = $site AND month BETWEEN $month::DATE - to_months({beside}) "
        f"AND $month::DATE + to_months({beside})"
    )
    for name in ("all", "again"):
        yield Query(sql, {"site": site.key, "month": month, "name": name})


def doubles(writer: Writer, site: Any, month: date, _extracted: object) -> Iterable[Query]:
    names = "site, month, name, 2 * n AS n"
    return [Query(f"SELECT {names} FROM timelines.sums WHERE month = $month", {"month": month})]


def asset(beside: int = 1, **more: Any) -> Asset:
    return Asset(
        stage="timelines",
        name="sums",
        table=SUMS,
        after=("facts/events",),
        select=partial(sums, beside=beside),
        months_before=beside,
        months_after=beside,
        **more,
    )


class Counting(OpenStack):
    """A kind whose sums read the months beside their own, and whose doubles are made of the sums."""

    def __init__(self, *tables: Asset) -> None:
        self._tables = tables

    facts = ()

    @property
    def tables(self) -> tuple[Asset, ...]:
        return self._tables


@pytest.fixture
def warehouse(tmp_path) -> Warehouse:
    return Warehouse(tmp_path / "warehouse.duckdb")


def put(warehouse: Warehouse, **numbers: int) -> None:
    """Write one event a month, `feb=3`."""
    months = {"jan": JAN, "feb": FEB, "mar": MAR, "apr": APR, "may": MAY}
    with warehouse.write("test") as writer:
        for name, n in numbers.items():
            rows = Query("SELECT 'metal' AS site, $m::DATE AS month, $m::TIMESTAMP AS at, $n::BIGINT AS n",
                         {"m": months[name], "n": n})  # fmt: skip
            writer.insert_month(
                EVENTS, [rows], site="metal", month=months[name], asset="openstack/facts/events", run_id="0"
            )


def build(warehouse: Warehouse, months: Sequence[date], *assets: Asset, run_id: str = "1") -> dict[str, dict]:
    kind = Counting(*(assets or (asset(),)))
    return build_assets(kind, SITE, Window("metal", tuple(months)), warehouse, kind.tables, run_id=run_id)


def stored(warehouse: Warehouse, table: Table = SUMS) -> dict[date, int]:
    with warehouse.read() as reader:
        rows = reader.frame(table, columns=["month", "name", "n"], where="name = 'all'")
    return {month: n for month, _, n in sorted(rows.iter_rows())}


def test_the_rows_of_each_query_are_stored_with_their_bookkeeping(warehouse: Warehouse):
    put(warehouse, jan=1, feb=2)
    build(warehouse, [JAN, FEB], asset(beside=0))
    assert stored(warehouse) == {JAN: 1, FEB: 2}
    with warehouse.read() as reader:
        name = "openstack/timelines/sums"
        written = reader.frame(VERSIONS, columns=["month", "version", "rows"], where=f"asset = '{name}'")
        ready = reader.frame(GATES, columns=["month", "ok", "reason"], where=f"asset = '{name}'")
    assert sorted(written.iter_rows()) == [(JAN, 1, 2), (FEB, 1, 2)]
    assert sorted(ready.iter_rows()) == [(JAN, True, None), (FEB, True, None)]


def test_a_month_that_breaks_a_rule_keeps_its_rows_and_the_others_are_written(warehouse: Warehouse):
    put(warehouse, jan=1, feb=2)
    build(warehouse, [JAN, FEB], asset(beside=0))
    put(warehouse, jan=5, feb=-2)
    shown = build(warehouse, [JAN, FEB], asset(beside=0), run_id="2")["timelines/sums"]
    assert stored(warehouse) == {JAN: 5, FEB: 2}
    assert "not negative broken by 2 row(s)" in str(shown[FEB])
    with warehouse.read() as reader:
        ready = reader.frame(GATES, columns=["month", "ok"], where="asset = 'openstack/timelines/sums'")
    assert dict(ready.iter_rows()) == {JAN: True, FEB: False}


def test_a_month_whose_input_is_not_there_waits_and_keeps_its_rows(warehouse: Warehouse):
    put(warehouse, jan=1)
    shown = build(warehouse, [JAN, FEB], asset(beside=0))["timelines/sums"]
    assert stored(warehouse) == {JAN: 1}
    assert "openstack/facts/events was never built for 2024-02" in str(shown[FEB])


def test_accounts_are_stored_with_the_month(warehouse: Warehouse):
    put(warehouse, jan=1)
    zero = ", ".join(f"0.0 AS hours_{name}" for name in ("in", "kept", "clipped", "rejected"))
    account = f"SELECT 'events' AS source, 3 AS rows_in, 2 AS rows_kept, 1 AS rows_rejected, 0 AS rows_outside, {zero}"
    columns = account + ", NULL::VARCHAR AS joins, NULL::VARCHAR AS reasons"
    for _ in range(2):
        build(warehouse, [JAN], asset(beside=0, accounts=lambda writer, site, month: Query(columns)))
    with warehouse.read() as reader:
        rows = reader.frame(ACCOUNTS, columns=["site", "month", "asset", "source", "rows_in", "rows_kept"])
    assert rows.rows() == [("metal", JAN, "openstack/timelines/sums", "events", 3, 2)]


def test_a_month_that_reads_a_changed_month_is_built_again(warehouse: Warehouse):
    put(warehouse, jan=1, feb=2, mar=4, apr=8, may=16)
    build(warehouse, [JAN, FEB, MAR, APR, MAY])
    assert stored(warehouse) == {JAN: 3, FEB: 7, MAR: 14, APR: 28, MAY: 24}
    put(warehouse, mar=0)
    shown = build(warehouse, [MAR], run_id="2")
    assert stored(warehouse) == {JAN: 3, FEB: 3, MAR: 10, APR: 24, MAY: 24}
    assert list(shown["timelines/sums"]) == [MAR]


def test_months_that_come_one_by_one_in_reverse_are_as_those_of_one_run(warehouse: Warehouse):
    for month, name, n in [(MAY, "may", 16), (APR, "apr", 8), (MAR, "mar", 4), (FEB, "feb", 2), (JAN, "jan", 1)]:
        put(warehouse, **{name: n})
        build(warehouse, [month])
    assert stored(warehouse) == {JAN: 3, FEB: 7, MAR: 14, APR: 28, MAY: 24}


def test_what_is_made_of_a_month_built_again_is_built_again(warehouse: Warehouse):
    after = Asset(
        stage="timelines", name="doubles", table=DOUBLES, after=("timelines/sums",), select=doubles, months_after=1
    )
    put(warehouse, jan=1, feb=2, mar=4, apr=8)
    build(warehouse, [JAN, FEB, MAR, APR], asset(), after)
    put(warehouse, apr=0)
    build(warehouse, [APR], asset(), after, run_id="2")
    assert stored(warehouse, DOUBLES) == {JAN: 6, FEB: 14, MAR: 12, APR: 8}
    with warehouse.read() as reader:
        rows = reader.frame(VERSIONS, columns=["month", "version"], where="asset = 'openstack/timelines/doubles'")
    assert dict(rows.iter_rows()) == {JAN: 1, FEB: 2, MAR: 2, APR: 2}


def test_a_month_that_was_never_built_is_not_built_for_a_neighbour(warehouse: Warehouse):
    put(warehouse, jan=1, feb=2, mar=4)
    build(warehouse, [FEB])
    assert stored(warehouse) == {FEB: 7}


def test_kinds_whose_assets_read_their_own_month_have_no_neighbours(warehouse: Warehouse):
    put(warehouse, jan=1, feb=2)
    window = Window("metal", (FEB,))
    with warehouse.read() as reader:
        for one in OPENSTACK.declared.values():
            assert widened(reader, OPENSTACK, SITE, window, one) is window
        assert with_unchecked(reader, OPENSTACK, window) is window


def test_months_written_beside_the_window_are_to_be_checked_with_it(warehouse: Warehouse):
    put(warehouse, jan=1, feb=2, mar=4, apr=8)
    build(warehouse, [JAN, FEB, MAR, APR])
    with warehouse.read() as reader:
        wide = with_unchecked(reader, Counting(asset()), Window("metal", (MAR,)))
    assert wide.months == (FEB, MAR, APR)


def test_an_asset_of_every_month_before_is_built_again_in_all_later_months(warehouse: Warehouse) -> None:
    class Ever(OpenStack):
        tables = (
            Asset("timelines", "ever", SUMS, ("timelines/sums",), all_before=("timelines/sums",), select=doubles),
        )  # fmt: skip

    with warehouse.write("test") as writer:
        for name, months in (("sums", (JAN, FEB, MAR, APR)), ("ever", (FEB, MAR, APR))):
            writer.record_write("metal", f"openstack/timelines/{name}", "1", dict.fromkeys(months, 1))
    with warehouse.write("test") as writer:
        writer.con.execute(f"UPDATE {VERSIONS.qualified} SET written_at = '2024-05-01'")
        writer.con.execute(
            f"UPDATE {VERSIONS.qualified} SET written_at = '2024-05-02' "
            "WHERE month = '2024-01-01' AND asset LIKE '%sums'"
        )
    with warehouse.read() as reader:
        assert widened(reader, Ever(), SITE, Window("metal", (JAN,)), Ever.tables[0]).months == (JAN, FEB, MAR, APR)
