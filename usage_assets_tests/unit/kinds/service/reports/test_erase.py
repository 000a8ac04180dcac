"""One person is taken out of every table, sums stay, and keys stay unique when it is done for several."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from usage_assets.core.errors import UsageError
from usage_assets.kinds import OPENSTACK
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.raw.legacy_tables import LEGACY_COUNTS, LEGACY_FILES, LEGACY_USAGE, SERVICE_USER
from usage_assets.kinds.service.raw.tables import REJECTED_EVENTS, USAGE_EVENTS
from usage_assets.kinds.service.reports.erase import ERASED, erase
from usage_assets.kinds.service.reports.spending_tables import SPENDING_STATUS
from usage_assets.kinds.service.tables.assets import TABLE_ASSETS
from usage_assets.schema import Table, violations
from usage_assets.warehouse import Writer
from usage_assets_tests.unit.kinds.service.tables.made import MARCH, MadeSite, build, check, opened, request, store

_NOW = "now()::TIMESTAMP"


def _insert(writer: Writer, table: Table, **values: str) -> None:
    """A row of SQL expressions."""
    writer.ensure(table)
    columns = ", ".join(f'{value} AS "{name}"' for name, value in values.items())
    writer.con.execute(f"INSERT INTO {table.qualified} BY NAME SELECT {columns}")


@pytest.fixture
def writer() -> Writer:
    writer = opened()
    rows = [
        request("a1", "03-02 10:00:00", "03-02 10:00:01", user_id="ann", cost=Decimal("0.1"), session_id="s"),
        request("a2", "03-02 11:00:00", "03-02 11:00:03", user_id="ann", cost=Decimal("0.2"), session_id="t"),
        request("b1", "03-02 12:00:00", "03-02 12:00:05", user_id="bob", cost=Decimal("0.3"), session_id="t"),
        request("b2", "03-05 23:59:00", "03-06 00:01:00", user_id="bob"),
        request("c1", "03-02 13:00:00", "03-02 13:00:09", user_id="cy", cost=Decimal("0.4")),
    ]
    store(writer, rows)
    for asset in TABLE_ASSETS:
        build(writer, asset)
    for number, user in enumerate(("ann", "bob", "cy")):
        common = {
            "site": "'llm'",
            "month": "DATE '2026-03-01'",
            "reader": "'f'",
            "source_file": "'f'",
            "source_row": "1",
        }
        common |= {"is_context": "false", "extracted_at": _NOW, "seen_from": _NOW, "ingested_at": _NOW}
        own = {"event_id": f"'{number}'", "ts": _NOW, "event_type": "'complete'", "requests": "1", "time_of": "'end'"}
        event = common | own | {"user_id": f"'{user}'", "parameters": f"'of {user}'"}
        _insert(writer, USAGE_EVENTS.table, **event)
        _insert(writer, USAGE_EVENTS.versions, **event, seen_to=_NOW)
        row = f"""'{{"user_id": "{user}", "model_id": "big", "parameters": {{"prompt": "of {user}"}}}}'"""
        _insert(writer, REJECTED_EVENTS.table, **common, reason="'negative'", row=row)
    return writer


def _holds(writer: Writer, text: str) -> list[str]:
    """The tables that have a text in some row."""
    tables = writer.con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
    return [
        name
        for (name,) in tables
        if writer.con.execute(
            f"SELECT count(*) FROM {name} t WHERE contains(t::VARCHAR, $text)", {"text": text}
        ).fetchall()
        != [(0,)]
    ]


def test_the_name_is_in_no_table_and_every_table_has_its_rows(writer: Writer) -> None:
    assert len(_holds(writer, "ann")) == 7

    changed = erase(writer, "llm", "ann")

    assert changed == {
        "raw.usage_events": 1,
        "evidence.usage_events": 1,
        "raw.rejected_events": 1,
        "facts.service_requests": 2,
        "timelines.service_user_daily": 1,
        "timelines.service_user_monthly": 1,
        "timelines.service_uses": 1,
    }
    assert _holds(writer, "ann") == []
    assert sorted(writer.frame(USAGE_EVENTS.table)["user_id"]) == [ERASED, "bob", "cy"]
    assert '{"model_id":"big","user_id":"(erased)"}' in writer.frame(REJECTED_EVENTS.table)["row"].to_list()
    assert erase(writer, "llm", "ann") == {}


def test_several_erased_persons_are_one_row_with_exact_sums_and_percentiles(writer: Writer) -> None:
    erase(writer, "llm", "ann")
    erase(writer, "llm", "bob")

    first = writer.frame(TABLE_ASSETS[0].table, "llm").filter(user_id=ERASED).sort("date").row(0, named=True)

    assert (first["requests"], first["cost"], first["sessions"]) == (3, Decimal("0.6"), 2)
    assert (first["latency_n"], first["latency_p50_s"], first["latency_p95_s"]) == (3, 3.0, pytest.approx(4.8))
    for asset in TABLE_ASSETS[:2]:
        assert violations(writer.con, asset.table.qualified, asset.table) == []
        for one in asset.checks:
            assert check(writer, asset.name, one.name)[MARCH].passed


def test_a_month_that_is_built_again_has_the_same_rows(writer: Writer) -> None:
    erase(writer, "llm", "ann")
    erase(writer, "llm", "bob")
    names = ("service_user_daily", "service_user_monthly", "service_uses")
    tables = {asset.name: asset.table for asset in TABLE_ASSETS}
    before = {name: writer.frame(tables[name], "llm").sort(tables[name].unique_key) for name in names}

    for name in names:
        assert build(writer, name).equals(before[name])


def test_without_facts_sums_are_merged_and_percentiles_are_not_known(writer: Writer) -> None:
    writer.con.execute(f"DROP TABLE {SERVICE_REQUESTS.qualified}")
    writer._tables = None
    erase(writer, "llm", "ann")
    erase(writer, "llm", "bob")

    first = writer.frame(TABLE_ASSETS[0].table, "llm").filter(user_id=ERASED).sort("date").row(0, named=True)

    assert (first["requests"], first["cost"], first["latency_p50_s"]) == (3, Decimal("0.6"), None)


def test_what_limits_say_of_the_person_goes(writer: Writer) -> None:
    scopes = [("user", "ann"), ("user", "bob"), ("user_model", '["ann","big"]'), ("team", "ann"), ("user_model", "odd")]
    rows: list[dict[str, Any]] = [
        {"site": "llm", "month": MARCH, "scope_type": kind, "scope_id": name, "window": "day", "period": "p"}
        | {"as_of": None, "unlimited": True, "spent": Decimal(1), "burn_per_day": Decimal(1), "unrated_requests": 0}
        for kind, name in scopes
    ]
    writer.ensure(SPENDING_STATUS)
    frame = pl.DataFrame(rows, SPENDING_STATUS.polars_schema, orient="row").with_columns(
        as_of=pl.lit(MARCH, pl.Datetime("us"))
    )
    writer.put(SPENDING_STATUS, frame)

    assert erase(writer, "llm", "ann")["reports.spending_status"] == 2
    assert sorted(writer.frame(SPENDING_STATUS)["scope_id"]) == ["ann", "bob", "odd"]


def test_what_an_older_tracker_said_is_merged_and_its_profile_goes(writer: Writer) -> None:
    for user in ("ann", "bob", "cy"):
        own = {"site": "'llm'", "month": "DATE '2026-03-01'", "user_id": f"'{user}'"}
        day = {"period": "'day'", "date": "DATE '2026-03-02'", "requests": "2"}
        zero = dict.fromkeys(("succeeded", "failed", "input_tokens", "output_tokens", "latency_n", "sessions"), "1")
        file = f"'partitioned/00/{user}/daily.json'"
        _insert(writer, LEGACY_USAGE, **own, **day, **zero, cost="0.1", latency_sum_s="1.5", source_file=file)
        _insert(writer, LEGACY_COUNTS, **own, **day, part="'model'", name="'m'")
        _insert(writer, SERVICE_USER, **own, email=f"'{user}@example.org'", source_file="'users.json'")
        _insert(writer, LEGACY_FILES, site="'llm'", month=own["month"], digest=f"'{len(user)}{user[1]}'", file=file,
                size="1", objects="1", imported_at=_NOW)  # fmt: skip

    for user in ("ann", "bob"):
        erase(writer, "llm", user)

        assert _holds(writer, user) == []

    rows = (
        writer.frame(LEGACY_USAGE).sort("user_id").select("user_id", "requests", "cost", "latency_sum_s", "source_file")
    )
    assert rows.rows()[0] == (ERASED, 4, Decimal("0.2"), 3.0, ERASED)
    assert writer.frame(LEGACY_COUNTS).sort("user_id").select("user_id", "requests").rows() == [(ERASED, 4), ("cy", 2)]
    assert writer.frame(SERVICE_USER)["user_id"].to_list() == ["cy"]


def test_another_site_keeps_its_users(writer: Writer) -> None:
    assert erase(writer, "other", "ann") == {}


def test_a_kind_without_users_of_its_own_says_so(writer: Writer) -> None:
    with pytest.raises(UsageError, match="site llm: of sites of kind openstack no single user can be erased"):
        OPENSTACK.erase(writer, MadeSite(), "ann")
