"""A LiteLLM proxy's log on real servers, with the table as the proxy's schema declares it."""

from datetime import date

import pytest
import sqlalchemy as sa

from usage_assets.core.errors import SourceError
from usage_assets_tests.services.dumps import PASSWORD, postgres_database, text
from usage_assets_tests.unit.kinds.service.raw.litellm_rows import EVENTS, LOG, day_sum, row
from usage_assets_tests.unit.kinds.service.raw.litellm_source import LOGS, MARCH, SUMS, events, make_table, reader_of

pytestmark = pytest.mark.services


def _same(found):
    return [{name: one[name] for name in EVENTS[0]} for one in found] == EVENTS


@pytest.fixture
def postgres_log(postgres_admin, prefix):
    """A database with the log, its index by time and its sums; the URL of its owner."""
    url = postgres_database(postgres_admin, f"{prefix}_litellm")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    make_table(engine, LOGS, LOG)
    make_table(engine, SUMS, [day_sum("gone", "2026-03-04")])
    with engine.begin() as con:
        con.exec_driver_sql(f'CREATE INDEX ON "{LOGS}" ("startTime", request_id)')
    return url


def test_postgresql_gives_the_events_that_were_worked_out_by_hand(postgres_log):
    reader = reader_of(text(postgres_log))
    (part,) = reader.parts([MARCH])
    assert _same(events(reader, part))


def test_mariadb_gives_the_same(mariadb_admin, prefix):
    name = f"{prefix}_litellm"
    with mariadb_admin.begin() as con:
        con.exec_driver_sql(f"CREATE DATABASE `{name}`")
    url = mariadb_admin.url.set(database=name)
    make_table(sa.create_engine(url, poolclass=sa.NullPool), LOGS, LOG)
    reader = reader_of(text(url))
    (part,) = reader.parts([MARCH])
    assert _same(events(reader, part))


def test_postgresql_gives_sums_of_days_that_are_gone_and_compares_them(postgres_log):
    reader = reader_of(text(postgres_log), rollups="fill")
    fourth, fifth = reader.parts([MARCH])
    assert [one["requests"] for one in events(reader, fourth)] == ["3", "1"]
    assert len(events(reader, fifth)) == len(LOG)
    said = reader.compare(date(2026, 3, 4), date(2026, 3, 5))
    assert [sentence[:10] for sentence in said] == ["2026-03-04", "2026-03-05"]


def test_an_account_reads_by_the_grants_that_are_printed_and_no_prompt(postgres_admin, postgres_log, prefix):
    account = f"{prefix}_ro"
    with postgres_admin.connect() as con:
        con.exec_driver_sql(f"CREATE ROLE \"{account}\" LOGIN PASSWORD '{PASSWORD}'")
    url = text(postgres_log.set(username=account, password=PASSWORD))
    reader = reader_of(url)
    with pytest.raises(SourceError, match="is not granted; an administrator may GRANT USAGE ON SCHEMA") as denied:
        reader.parts([MARCH])
    assert PASSWORD not in str(denied.value)
    owner = sa.create_engine(postgres_log, poolclass=sa.NullPool)
    with owner.begin() as con:
        for statement in reader.grants().splitlines():
            if statement.startswith("GRANT"):
                con.exec_driver_sql(statement)
    (part,) = reader.parts([MARCH])
    assert _same(events(reader, part))
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as con, pytest.raises(sa.exc.ProgrammingError):
        con.exec_driver_sql(f'SELECT messages FROM "{LOGS}"')


def test_no_message_has_the_password(postgres_log):
    with pytest.raises(SourceError) as error:
        reader_of(text(postgres_log.set(port=1, password="hunter22"))).parts([MARCH])
    assert "hunter22" not in str(error.value)


def test_many_rows_of_a_day_come_whole_and_in_order(postgres_admin, prefix):
    url = postgres_database(postgres_admin, f"{prefix}_many")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    make_table(engine, LOGS, [row("first", "00:00:00")])
    with engine.begin() as con:
        con.exec_driver_sql(
            f'INSERT INTO "{LOGS}" (request_id, call_type, "startTime", "endTime") SELECT \'r\' || n, \'acompletion\', '
            "TIMESTAMP '2026-03-05' + n * INTERVAL '1 second', TIMESTAMP '2026-03-05' + (n + 1) * INTERVAL '1 second' "
            "FROM generate_series(1, 30000) n"
        )
    reader = reader_of(text(url))
    found = events(reader, reader.parts([MARCH])[0])
    assert [one["event_id"] for one in found] == ["first", *(f"r{number}" for number in range(1, 30001))]
