"""What coverage says of a site-month, from frames that stand here: statuses, reasons, and the time that they need."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from usage_assets.kinds import KINDS
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.reports.coverage.judge import Stored, coverage, expected
from usage_assets.reports.tables import COVERAGE, STATUSES
from usage_assets.warehouse.readiness import GATED

RAW, FACT = "openstack/raw/nova_instances", "openstack/facts/total"
JAN, FEB, MAR = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1)
NOW = datetime(2020, 3, 10, 12)
LIMIT = timedelta(hours=36)
KEY = {"site": pl.String(), "month": pl.Date(), "asset": pl.String()}


def frame(rows: Sequence[tuple], /, **columns: pl.DataType) -> pl.DataFrame:
    return pl.DataFrame([("a", *row) for row in rows], schema={**KEY, **columns}, orient="row")


def asked(*rows: tuple[date, str], settle_days: int = 31, gap: str | None = None, hours: float = 0.0) -> pl.DataFrame:
    return frame(
        [(*row, settle_days, hours, gap) for row in rows],
        settle_days=pl.Int64(),
        gap_hours=pl.Float64(),
        gap=pl.String(),
    )


def stored(
    readiness: Sequence[tuple] = (),
    versions: Sequence[tuple] = (),
    dumps: Sequence[tuple] = (),
    failed: Sequence[tuple] = (),
) -> Stored:
    return Stored(
        readiness=frame(readiness, ok=pl.Boolean(), reason=pl.String()),
        versions=frame(versions, version=pl.Int64(), rows=pl.Int64(), written_at=pl.Datetime("us")),
        dumps=frame(dumps, extracted_at=pl.Datetime("us"), dumped_rows=pl.Int64()),
        failed=frame(failed, checks_failed=pl.Int64()),
    )


def judged(of: pl.DataFrame, have: Stored, now: datetime = NOW) -> list[dict[str, Any]]:
    rows = coverage(of, have, now, LIMIT)
    assert rows.schema == COVERAGE.polars_schema
    return rows.rows(named=True)


def status(of: pl.DataFrame, have: Stored, now: datetime = NOW) -> list[tuple[str, str | None]]:
    return [(row["status"], row["reason"]) for row in judged(of, have, now)]


def read(month: date, at: datetime, *, ok: bool = True, reason: str | None = None) -> Stored:
    """A raw table whose month was read at an instant."""
    return stored([(month, RAW, ok, reason)], [(month, RAW, 3, 7, at)], [(month, RAW, at, 7)])


def test_a_month_that_was_written_and_read_lately_is_ok_and_says_what_is_stored():
    at = datetime(2020, 3, 10, 2)
    (row,) = judged(asked((MAR, RAW)), read(MAR, at))
    assert row == {
        "site": "a", "month": MAR, "asset": RAW, "status": "ok", "rows": 7, "version": 3, "written_at": at,
        "extracted_at": at, "checks_failed": 0, "gap_hours": 0.0, "reason": None,
    }  # fmt: skip


def test_a_month_that_was_never_built_is_missing():
    assert status(asked((JAN, RAW)), stored()) == [("missing", "never built")]


def test_a_month_that_began_less_than_the_limit_ago_is_not_asked_for_yet():
    began = datetime(2020, 3, 1)
    assert status(asked((MAR, RAW)), stored(), began + LIMIT - timedelta(seconds=1)) == []
    assert status(asked((MAR, RAW)), stored(), began + LIMIT) == [("missing", "never built")]


def test_a_month_whose_rows_were_refused_is_refused_and_one_that_waits_for_it_waits():
    have = stored([(JAN, RAW, False, "3 row(s) break a rule"), (JAN, FACT, False, f"{GATED}raw was refused")])
    assert status(asked((JAN, RAW), (JAN, FACT)), have) == [
        ("waits", "raw was refused"),
        ("refused", "3 row(s) break a rule"),
    ]


def test_a_month_that_lies_in_a_known_gap_of_its_source_is_a_known_gap_built_or_not():
    of = asked((JAN, RAW), gap="nova_instances", hours=744.0)
    assert status(of, stored()) == [("known_gap", "known gap of nova_instances")]
    assert status(of, read(JAN, datetime(2020, 2, 3))) == [("known_gap", "known gap of nova_instances")]


def test_a_refused_month_is_refused_also_in_a_known_gap():
    have = stored([(JAN, RAW, False, "doubled keys")])
    assert status(asked((JAN, RAW), gap="nova_instances"), have) == [("refused", "doubled keys")]


@pytest.mark.parametrize("month", [MAR, FEB], ids=["the current month", "a month that has not settled"])
def test_a_month_that_can_still_change_is_stale_once_its_last_dump_is_older_than_the_limit(month: date):
    assert status(asked((month, RAW)), read(month, NOW - LIMIT)) == [("ok", None)]
    assert status(asked((month, RAW)), read(month, NOW - LIMIT - timedelta(hours=4))) == [
        ("stale", "last read 2020-03-08 20:00 UTC, 40 h ago")
    ]


def test_a_settled_month_that_was_read_after_its_end_is_ok_for_ever():
    assert status(asked((JAN, RAW)), read(JAN, datetime(2020, 2, 1, 2)), datetime(2029, 1, 1)) == [("ok", None)]


def test_a_closed_month_that_was_never_read_after_its_end_is_stale_however_long_ago_that_is():
    have = read(JAN, datetime(2020, 1, 31, 2))
    assert status(asked((JAN, RAW)), have, datetime(2029, 1, 1)) == [
        ("stale", "last read 2020-01-31 02:00 UTC, before the month ended")
    ]


def test_a_month_that_has_just_ended_is_not_stale_before_a_night_could_read_it():
    have = read(FEB, datetime(2020, 2, 29, 2))
    for settle_days in (0, 31):
        of = asked((FEB, RAW), settle_days=settle_days)
        assert status(of, have, datetime(2020, 3, 1, 1)) == [("ok", None)]
        assert [name for name, _ in status(of, have, datetime(2020, 3, 2, 13))] == ["stale"]


def test_settle_days_say_how_long_a_month_can_change():
    have = read(JAN, datetime(2020, 2, 2, 2))
    now = datetime(2020, 3, 10)
    assert status(asked((JAN, RAW), settle_days=31), have, now) == [("ok", None)]
    assert [name for name, _ in status(asked((JAN, RAW), settle_days=60), have, now)] == ["stale"]


def test_what_is_made_of_raw_tables_is_as_old_as_the_earliest_of_them():
    old, new = NOW - timedelta(hours=50), NOW - timedelta(hours=2)
    other = "openstack/raw/nova_services"
    have = stored([(MAR, FACT, True, None)], [(MAR, FACT, 1, 5, new)], [(MAR, RAW, new, 1), (MAR, other, old, 1)])
    (row,) = judged(asked((MAR, FACT)), have)
    assert (row["status"], row["extracted_at"]) == ("stale", old)


def test_what_was_not_built_again_since_is_stale_though_its_source_was_read():
    new = NOW - timedelta(hours=2)
    have = stored([(MAR, FACT, True, None)], [(MAR, FACT, 1, 5, NOW - timedelta(hours=50))], [(MAR, RAW, new, 1)])
    assert status(asked((MAR, FACT)), have) == [("stale", "last read 2020-03-08 10:00 UTC, 50 h ago")]


def test_rows_of_files_of_older_releases_that_counted_no_versions_are_those_of_the_dump():
    at = NOW - timedelta(hours=1)
    (row,) = judged(asked((MAR, RAW)), stored([(MAR, RAW, True, None)], [], [(MAR, RAW, at, 9)]))
    assert (row["status"], row["rows"], row["version"]) == ("ok", 9, None)


def test_checks_that_fail_are_counted():
    have = read(MAR, NOW)
    failing = Stored(have.readiness, have.versions, have.dumps, frame([(MAR, RAW, 2)], checks_failed=pl.Int64()))
    assert [row["checks_failed"] for row in judged(asked((MAR, RAW)), failing)] == [2]


def test_what_is_stored_of_other_sites_or_assets_is_nobodys_coverage():
    have = stored([(MAR, "openstack/raw/gone", True, None)])
    assert [row["asset"] for row in judged(asked((MAR, RAW)), have)] == [RAW]


def test_every_status_can_come_out_and_none_without_a_reason_but_ok():
    dumps = [(JAN, "s", datetime(2020, 1, 2), 1), (JAN, "o", datetime(2020, 2, 2), 1)]
    readiness = [(JAN, "r", False, None), (JAN, "w", False, GATED), (JAN, "s", True, None), (JAN, "o", True, None)]
    of = pl.concat([asked(*((JAN, name) for name in "rwsom")), asked((JAN, "g"), gap="x")])
    found = dict(status(of, stored(readiness, [], dumps)))
    assert set(found) == set(STATUSES)
    assert [name for name, reason in found.items() if reason is None] == ["ok"]


def site(**more: object) -> OpenStackSite:
    data = {"kind": "openstack", "key": "a", "name": "A", "databases": {"nova": "sqlite://"}, "first_month": "2020-01"}
    return OpenStackSite.model_validate(data | more)


def test_every_month_since_the_first_is_expected_of_every_asset_that_the_site_has():
    rows = expected(KINDS, [site(), site(key="later", first_month="2020-04")], date(2020, 3, 10))
    assert set(rows["site"]) == {"a"}
    assert sorted(set(rows["month"])) == [JAN, FEB, MAR]
    assets = set(rows["asset"])
    assert rows.height == 3 * len(assets)
    assert {RAW, FACT, "openstack/timelines/usage"} <= assets
    assert not any("blazar" in asset for asset in assets)
    assert set(rows["settle_days"]) == {31}


def test_gap_hours_are_those_of_the_source_and_of_any_source_each_hour_once():
    gaps = [
        {"source": "nova_compute_nodes", "to": "2020-02-11"},
        {"source": "nova_instances", "from": "2020-02-06", "to": "2020-02-16"},
    ]
    rows = expected(KINDS, [site(known_gaps=gaps)], date(2020, 3, 10))

    def hours(asset: str) -> list[tuple[float, str | None]]:
        return rows.filter(pl.col("asset") == asset).sort("month").select("gap_hours", "gap").rows()

    assert hours("openstack/raw/nova_compute_nodes") == [(744.0, "nova_compute_nodes"), (240.0, None), (0.0, None)]
    assert hours(RAW) == [(0.0, None), (240.0, None), (0.0, None)]
    assert hours(FACT) == [(744.0, None), (360.0, None), (0.0, None)]
