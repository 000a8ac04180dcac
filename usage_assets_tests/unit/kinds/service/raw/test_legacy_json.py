"""Import of an older tracker's files into a warehouse."""

import json
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from usage_assets.core.errors import SiteError, SourceError
from usage_assets.core.hashing import hashed
from usage_assets.kinds.service.raw.legacy_json import LegacyImport, import_legacy, imported_limits
from usage_assets.kinds.service.raw.legacy_tables import (
    LEGACY_COUNTS,
    LEGACY_FILES,
    LEGACY_LIMITS,
    LEGACY_TABLES,
    LEGACY_USAGE,
    SERVICE_USER,
)
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.tables.declarations import SERVICE_USER_DAILY, SERVICE_USER_MONTHLY
from usage_assets.kinds.service.tables.legacy import LEGACY_DAILY, LEGACY_MONTHLY
from usage_assets.pricing.limits import Limits
from usage_assets.schema import Table
from usage_assets.warehouse import Warehouse

MARCH = date(2025, 3, 1)


class Tracker:
    """The files of a tracker, and a warehouse that they are imported into."""

    def __init__(self, folder: Path, **said: Any) -> None:
        self.folder = folder / "old"
        self.folder.mkdir()
        usual = {"kind": "service", "key": "here", "name": "Here", "first_month": "2025-01"}
        sources = [{"reader": "legacy_json", "path": str(self.folder)}]
        self.site = ServiceSite.model_validate({**usual, "sources": sources, **said})
        self.warehouse = Warehouse(folder / "data" / "warehouse.duckdb")

    def put(self, name: str, said: object) -> None:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(said if isinstance(said, str) else json.dumps(said))

    def run(self) -> LegacyImport:
        """Import all files."""
        return import_legacy(self.site, self.warehouse)

    def rows(self, table: Table, *names: str) -> list[tuple[Any, ...]]:
        """Some columns of a table's rows, in order."""
        with self.warehouse.read() as reader:
            return sorted(reader.frame(table, "here").select(names).rows(), key=str)

    def state(self) -> dict[str, pl.DataFrame]:
        """All that was imported, but when it was."""
        with self.warehouse.read() as reader:
            tables = (*LEGACY_TABLES, SERVICE_USER_DAILY, SERVICE_USER_MONTHLY)
            return {table.name: reader.frame(table, "here").sort(pl.all()) for table in tables}


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    """A tracker without files."""
    return Tracker(tmp_path)


def totals(requests: int, cost: float = 1.0, **more: Any) -> dict[str, Any]:
    """A usage object of requests that all succeeded within a second."""
    return {
        "total_requests": requests, "successful_requests": requests, "failed_requests": 0,
        "total_input_tokens": 10 * requests, "total_output_tokens": requests, "total_cost": cost,
        "avg_latency_ms": 1000, "providers_used": {}, "models_used": {"small": requests}, "session_count": 1, **more,
    }  # fmt: skip


def test_days_become_rows_of_the_sums_whose_model_and_provider_are_all(tracker):
    tracker.put("daily_usage.json", {"u1": {"2025-03-05": totals(4, 0.1, successful_requests=2, failed_requests=1)}})
    found = tracker.run()
    assert (found.files, found.totals, found.faults, found.differences) == (["daily_usage.json"], 1, [], [])
    with tracker.warehouse.read() as reader:
        (row,) = reader.frame(SERVICE_USER_DAILY, "here").to_dicts()
        (month,) = reader.frame(SERVICE_USER_MONTHLY, "here").to_dicts()
    expected = {
        "site": "here", "month": MARCH, "user_id": "u1", "model_id": "*", "provider": "*", "requests": 4,
        "succeeded": 2, "failed": 1, "cancelled": 0, "unfinished": 1, "input_tokens": 40, "output_tokens": 4,
        "cached_tokens": 0, "cost": Decimal("0.100000000000"), "cost_unrated_requests": 0, "busy_seconds": 0.0,
        "latency_sum_s": 4.0, "latency_n": 4, "latency_p50_s": None, "latency_p95_s": None, "sessions": 1,
        "first_ts": None, "last_ts": None, "source": "legacy",
    }  # fmt: skip
    assert row == expected | {"date": date(2025, 3, 5)}
    assert month == expected
    assert tracker.rows(LEGACY_COUNTS, "part", "name", "requests") == [("model", "small", 4)]


def test_importing_again_changes_nothing_and_touches_no_file(tracker):
    tracker.put("daily_usage.json", {"u1": {"2025-03-05": totals(4)}})
    tracker.put("spending_limits.json", {"limits": [{"user_id": "u1", "daily_limit": 1}]})
    tracker.put("user_profiles.json", {"users": [{"user_id": "u1", "username": "a"}]})
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tracker.folder.rglob("*.json")}
    tracker.run()
    before, changed = tracker.state(), tracker.warehouse.path.stat().st_mtime_ns
    again = tracker.run()
    assert (again.files, again.known, again.totals) == ([], 3, 0)
    assert {name: frame.equals(before[name]) for name, frame in tracker.state().items()} == dict.fromkeys(before, True)
    assert tracker.warehouse.path.stat().st_mtime_ns == changed
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == files


def test_of_two_objects_the_newest_counts_then_the_one_with_more_requests_then_the_last_path(tracker):
    def of(user: str, day: int) -> str:
        return f"partitioned/ab/{user}/2025-03/daily_2025-03-0{day}.json"

    old: dict[str, Any]
    new: dict[str, Any]
    old, new = {"updated_at": "2025-03-10T00:00:00"}, {"updated_at": "2025-03-11T00:00:00"}
    tracker.put("daily_usage.json", {
        "u1": {"2025-03-01": totals(9, **old), "2025-03-02": totals(1), "2025-03-03": totals(5, 1.0)},
    })  # fmt: skip
    tracker.put(of("u1", 1), totals(2, **new))
    tracker.put(of("u1", 2), totals(7))
    tracker.put(of("u1", 3), totals(5, 2.0))
    tracker.run()
    assert tracker.rows(LEGACY_USAGE, "date", "requests", "cost", "source_file") == [
        (date(2025, 3, 1), 2, Decimal(1), of("u1", 1)),
        (date(2025, 3, 2), 7, Decimal(1), of("u1", 2)),
        (date(2025, 3, 3), 5, Decimal(2), of("u1", 3)),
    ]
    assert tracker.rows(LEGACY_COUNTS, "date", "requests") == [
        (date(2025, 3, 1), 2), (date(2025, 3, 2), 7), (date(2025, 3, 3), 5),
    ]  # fmt: skip


@pytest.mark.parametrize("first", ["a", "b"])
def test_files_that_come_one_after_the_other_give_what_they_give_at_once(tmp_path, first):
    names = {name: f"partitioned/{name}{name}/u1/2025-03/daily_2025-03-05.json" for name in "ab"}
    said = {"a": totals(9, models_used={"x": 9}), "b": totals(2, models_used={"y": 2}, updated_at="2025-03-06")}
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    once, twice = Tracker(tmp_path / "1"), Tracker(tmp_path / "2")
    for name in "ab":
        once.put(names[name], said[name])
    once.run()
    for name in sorted("ab", key=lambda name: name != first):
        twice.put(names[name], said[name])
        twice.run()
    expected = once.state()
    assert {name: frame.equals(expected[name]) for name, frame in twice.state().items()} == dict.fromkeys(
        expected, True
    )
    assert once.rows(LEGACY_COUNTS, "name", "requests") == [("y", 2)]


def test_a_month_that_is_not_the_sum_of_its_days_is_reported(tracker):
    days = {"2025-03-05": totals(4, 0.5), "2025-03-06": totals(2, 0.25)}
    tracker.put("daily_usage.json", {"u1": days, "u2": days, "u3": days})
    months = {"u1": totals(6, 0.75), "u2": totals(7, 0.75), "u3": totals(6, 0.7), "u4": totals(1, 1)}
    tracker.put("monthly_usage.json", {user: {"2025-03": said} for user, said in months.items()})
    assert tracker.run().differences == [
        "2025-03 of user u2: its days have 6 request(s) and 0.75 USD, the month 7 and 0.75",
        "2025-03 of user u3: its days have 6 request(s) and 0.75 USD, the month 6 and 0.7",
    ]
    assert tracker.rows(SERVICE_USER_MONTHLY, "user_id", "requests", "cost") == [
        ("u1", 6, Decimal("0.75")), ("u2", 6, Decimal("0.75")), ("u3", 6, Decimal("0.75")), ("u4", 1, Decimal(1)),
    ]  # fmt: skip


def _event_row(day: int, user: str, requests: int) -> dict[str, Any]:
    zero = dict.fromkeys(
        ("succeeded", "failed", "cancelled", "unfinished", "input_tokens", "output_tokens", "cached_tokens",
         "cost_unrated_requests", "latency_n", "sessions"), 0)  # fmt: skip
    return {
        "site": "here", "month": MARCH, "date": date(2025, 3, day), "user_id": user, "model_id": "m", "provider": "p",
        **zero, "requests": requests, "succeeded": requests, "cost": Decimal(1), "busy_seconds": 1.0,
        "latency_sum_s": 0.0, "source": "events",
    }  # fmt: skip


def test_rows_of_events_win_over_those_of_the_same_user_and_day(tracker):
    with tracker.warehouse.write("test") as writer:
        rows = [_event_row(5, "u1", 3), _event_row(6, "u2", 1), _event_row(7, "u1", 0)]  # the last only has seconds
        writer.ensure(SERVICE_USER_DAILY)
        writer.put(SERVICE_USER_DAILY, pl.DataFrame(rows, schema=SERVICE_USER_DAILY.polars_schema))
    tracker.put("daily_usage.json", {
        "u1": {"2025-03-05": totals(4), "2025-03-06": totals(5), "2025-03-07": totals(6)},
        "u2": {"2025-03-05": totals(7)},
    })  # fmt: skip
    tracker.put("monthly_usage.json", {"u2": {"2025-03": totals(9)}, "u3": {"2025-03": totals(8)}})
    tracker.run()
    daily = tracker.rows(SERVICE_USER_DAILY, "source", "user_id", "date", "requests")
    assert [row[1:] for row in daily if row[0] == "legacy"] == [
        ("u1", date(2025, 3, 6), 5), ("u1", date(2025, 3, 7), 6), ("u2", date(2025, 3, 5), 7),
    ]  # fmt: skip
    assert [row[1:] for row in daily if row[0] == "events"] == [
        ("u1", date(2025, 3, 5), 3), ("u1", date(2025, 3, 7), 0), ("u2", date(2025, 3, 6), 1),
    ]  # fmt: skip
    assert tracker.rows(SERVICE_USER_MONTHLY, "user_id", "requests", "source") == [
        ("u1", 11, "legacy"), ("u2", 7, "legacy"), ("u3", 8, "legacy"),
    ]  # fmt: skip


def test_events_that_come_after_the_import_win_when_the_sums_are_built_again(tracker):
    tracker.put("daily_usage.json", {"u1": {"2025-03-05": totals(4), "2025-03-06": totals(5)}})
    tracker.run()
    with tracker.warehouse.write("test") as writer:
        writer.put(SERVICE_USER_DAILY, pl.DataFrame([_event_row(5, "u1", 3)], schema=SERVICE_USER_DAILY.polars_schema))
        for asset in (LEGACY_DAILY, LEGACY_MONTHLY):
            assert asset.select is not None
            queries = asset.select(writer, tracker.site, MARCH, {})
            assert not writer.insert_month(
                asset.table, queries, site="here", month=MARCH, asset=asset.path, run_id="r", owned=asset.owned
            )
    assert tracker.rows(SERVICE_USER_DAILY, "source", "date", "requests") == [
        ("events", date(2025, 3, 5), 3), ("legacy", date(2025, 3, 6), 5),
    ]  # fmt: skip


def test_limits_are_rows_that_a_limits_file_wins_over(tracker):
    tracker.put("spending_limits.json", {"limits": [
        {"user_id": "u1", "daily_limit": 10, "model_limits": {"müller": 5}, "updated_at": "2025-03-05T10:00:00"},
        {"user_id": "u2", "daily_limit": 3, "updated_at": "2025-03-01T00:00:00"},
    ]})  # fmt: skip
    tracker.put("spending_limits/user_u2.json", {"monthly_limit": 4, "updated_at": "2025-03-02T00:00:00"})
    assert tracker.run().limits == 3
    assert tracker.rows(LEGACY_LIMITS, "scope_type", "scope_id", "window", "amount", "valid_from") == [
        ("user", "u1", "day", Decimal(10), datetime(2025, 3, 5, 10)),
        ("user", "u2", "month", Decimal(4), datetime(2025, 3, 2)),
        ("user_model", '["u1","müller"]', "month", Decimal(5), datetime(2025, 3, 5, 10)),
    ]
    with tracker.warehouse.read() as reader:
        rows = imported_limits(reader, tracker.site)
    own = [row for row in rows if row.scope_id == "u1"]
    kinds = {"user": ("user_id",), "user_model": ("user_id", "model_id")}
    known = Limits.of([], "here", kinds, "USD", imported=rows)
    assert known.pairs() == [("user", "day"), ("user", "month"), ("user_model", "month")]
    assert own[0].thresholds == (Decimal("0.5"), Decimal("0.8"), Decimal("0.95"))


def test_the_newest_profile_of_a_user_wins(tracker):
    tracker.put("user_profiles.json", {"users": [
        {"user_id": "u1", "username": "new", "user_tier": "free", "is_active": True, "updated_at": "2025-03-05"},
        {"user_id": "u2", "username": "b", "email": "b@x.org", "user_tier": "premium", "is_active": False},
    ]})  # fmt: skip
    tracker.put("user_profiles.jsonl", '{"user_id": "u1", "username": "old", "updated_at": "2025-03-04"}\n')
    assert tracker.run().users == 2
    assert tracker.rows(SERVICE_USER, "user_id", "username", "email", "tier", "active") == [
        ("u1", "new", None, "free", True), ("u2", "b", "b@x.org", "premium", False),
    ]  # fmt: skip


def test_what_cannot_be_read_is_told_and_the_rest_is_imported(tracker):
    tracker.put("daily_usage.json", {"u1": {"2025-03-05": totals(4), "soon": totals(5)}})
    tracker.put("monthly_usage.json", '{"u1": {"2025-03": {"total_requests": 1}}, "u2": ')
    found = tracker.run()
    assert found.faults == [
        "daily_usage.json: 1 object(s) were left out: soon of user u1: 'soon' is no day",
        "monthly_usage.json: no JSON: Expecting value; nothing of it was imported",
    ]
    assert tracker.rows(LEGACY_USAGE, "period", "requests") == [("day", 4)]
    assert tracker.rows(LEGACY_FILES, "file", "objects") == [("daily_usage.json", 1)]


def test_months_before_the_sites_first_and_amounts_in_another_currency_are_kept_but_not_summed(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    early, euro = Tracker(tmp_path / "1"), Tracker(tmp_path / "2", currency="EUR")
    for one in (early, euro):
        one.put("daily_usage.json", {"u1": {"2024-12-31": totals(1), "2025-01-01": totals(2)}})
        one.put("spending_limits.json", {"limits": [{"user_id": "u1", "daily_limit": 1}]})
    assert early.run().notes == ["1 month(s) lie before the site's first_month, 2025-01: sums do not show them"]
    assert early.rows(SERVICE_USER_DAILY, "date") == [(date(2025, 1, 1),)]
    assert euro.run().notes[1:] == ["amounts are in USD and the site's currency is EUR: sums do not show them"]
    assert euro.rows(SERVICE_USER_DAILY, "date") == []
    assert len(euro.rows(LEGACY_USAGE, "date")) == 2
    with euro.warehouse.read() as reader:
        assert imported_limits(reader, euro.site) == []


def test_people_are_hashed_where_the_sites_file_says_so_and_never_named(tmp_path, monkeypatch):
    monkeypatch.setenv("USAGE_HASH_SALT", "salt")
    tracker = Tracker(tmp_path, personal={"user_id": "hash"})
    tracker.put("daily_usage.json", {"u1": {"2025-03-05": totals(4)}})
    tracker.put("spending_limits.json", {"limits": [{"user_id": "u1", "model_limits": {"m": 1}}]})
    tracker.put("user_profiles.json", {"users": [{"user_id": "u1", "username": "a", "email": "a@x.org"}]})
    tracker.run()
    who = hashed("u1", "salt")
    assert tracker.rows(LEGACY_USAGE, "user_id") == [(who,)]
    assert tracker.rows(LEGACY_LIMITS, "scope_id") == [(f'["{who}","m"]',)]
    assert tracker.rows(SERVICE_USER, "user_id", "username", "email") == [(who, None, None)]


def test_what_can_not_be_imported_at_all_is_refused(tmp_path):
    (tmp_path / "1").mkdir()
    dropped = Tracker(tmp_path / "1", personal={"user_id": "drop"})
    with pytest.raises(SiteError, match="drop leaves nothing of an older tracker's totals"):
        dropped.run()
    (tmp_path / "2").mkdir()
    none = Tracker(tmp_path / "2", sources=[{"reader": "records", "path": str(tmp_path)}])
    with pytest.raises(SiteError, match="no source has reader: legacy_json"):
        none.run()
    with pytest.raises(SourceError, match="gone is no folder; nothing was changed"):
        import_legacy(none.site, none.warehouse, [tmp_path / "gone"])


_LARGE = """
import json, resource, sys
from pathlib import Path
from usage_assets.kinds.service.raw.legacy_json import import_legacy
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.warehouse import Warehouse
folder = Path(sys.argv[1])
said = {"kind": "service", "key": "here", "name": "Here", "first_month": "2025-01",
        "sources": [{"reader": "legacy_json", "path": str(folder / "old")}]}
site, warehouse = ServiceSite.model_validate(said), Warehouse(folder / "data" / "w.duckdb")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
found = import_legacy(site, warehouse)
print(json.dumps([found.totals, before, peak()]))
"""


@pytest.mark.heavy
def test_a_file_of_100_megabytes_stays_under_200_megabytes_of_memory(tmp_path):
    (tmp_path / "old").mkdir()
    one = json.dumps(totals(4, unique_sessions=["x" * 36] * 4))
    with (tmp_path / "old" / "daily_usage.json").open("w") as file:
        users, days = 2_000, 100_000_000 // (2_000 * (len(one) + 14))
        for user in range(users):
            listed = ", ".join(f'"2025-{1 + day // 28:02}-{1 + day % 28:02}": {one}' for day in range(days))
            file.write(f'{"," if user else "{"}"user-{user}": {{{listed}}}')
        file.write("}")
    assert (tmp_path / "old" / "daily_usage.json").stat().st_size > 95_000_000
    ran = subprocess.run(
        [sys.executable, "-c", _LARGE, str(tmp_path)], capture_output=True, text=True, check=True
    )  # fmt: skip
    imported, before, peak = json.loads(ran.stdout.splitlines()[-1])
    assert imported == users * days
    assert peak - before < 200
