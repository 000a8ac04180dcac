"""Exports to real servers: readers meet whole tables, a kill leaves whole tables, other rows and grants stay."""

import re
import signal
import subprocess
import sys
import threading
from datetime import date, datetime

import polars as pl
import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from usage_assets.core.errors import ExportError
from usage_assets.reports.exports import database, files
from usage_assets.reports.exports.tables import EXPORTS, USAGE_LONG
from usage_assets_tests import ROOT
from usage_assets_tests import export_queries as examples
from usage_assets_tests.export_queries import MONTHS, SITES, assert_series

WAIT_SECONDS = 60

JAN, FEB = MONTHS


@pytest.fixture(params=["mariadb", "postgres"])
def url(request, prefix: str, monkeypatch: pytest.MonkeyPatch) -> URL:
    """An empty database of the server, which the environment names as the target."""
    admin: sa.Engine = request.getfixturevalue(f"{request.param}_admin")
    name = f"{prefix}_export"
    with admin.connect() as con:
        con.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(f"CREATE DATABASE {name}")
    found = admin.url.set(database=name)
    monkeypatch.setenv("USAGE_EXPORT_URL", found.render_as_string(hide_password=False))
    return found


@pytest.fixture
def engine(url: URL) -> sa.Engine:
    return sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")


def put(site: str, month: date, value: float, days: int = 5) -> None:
    at = [datetime(month.year, month.month, day) for day in range(1, days + 1)]
    rows = pl.DataFrame(
        {"time": at, "site": site, "resource": "nodes", "metric": "total", "value": value, "complete": True},
        schema=USAGE_LONG.polars_schema,
    )
    files.write_month(USAGE_LONG, site, month, rows)


def load(site: str, *months: date) -> dict[str, int]:
    paths = {month: files.month_path(USAGE_LONG, site, month) for month in months}
    return database.load(site, [database.Load(USAGE_LONG, paths, files.site_paths(USAGE_LONG, site))])


def sums(engine: sa.Engine) -> dict[str, tuple[int, float]]:
    with engine.connect() as con:
        found = con.exec_driver_sql("SELECT site, count(*), sum(value) FROM usage_long GROUP BY site").all()
    return {site: (count, float(total)) for site, count, total in found}


def test_months_are_replaced_and_other_rows_are_carried_over(url, engine):
    for site, month, value in (("s", JAN, 1.0), ("s", FEB, 2.0), ("t", JAN, 3.0)):
        put(site, month, value)
    load("s", JAN, FEB)
    load("t", JAN)
    put("s", FEB, 20.0, days=1)
    assert load("s", FEB) == {"usage_long": 6}
    assert sums(engine) == {"s": (6, 25.0), "t": (5, 15.0)}
    assert sa.inspect(engine).get_table_names() == ["usage_long"]


def test_columns_have_the_types_key_and_index_that_dashboards_rely_on(url, engine):
    examples.write_files()
    for site in SITES:
        loads = [
            database.Load(table, found, found) for table in EXPORTS.values() if (found := files.site_paths(table, site))
        ]
        database.load(site, loads)
    inspector = sa.inspect(engine)
    for table in EXPORTS.values():
        columns = {column["name"]: column["type"] for column in inspector.get_columns(table.name)}
        assert list(columns) == table.names
        assert inspector.get_pk_constraint(table.name)["constrained_columns"] == list(table.key)
        indexes = [index["column_names"] for index in inspector.get_indexes(table.name)]
        assert ["site", table.time] in indexes
    values = {str(column["type"]) for column in inspector.get_columns("usage_wide")[3:-1]}
    assert values <= {"DOUBLE", "DOUBLE PRECISION"}
    assert str(inspector.get_columns("usage_wide")[-1]["type"]) in {"TINYINT", "BOOLEAN"}
    time = inspector.get_columns("usage_wide")[0]["type"]
    assert isinstance(time, sa.DateTime)
    if url.get_backend_name() == "mysql":
        assert getattr(time, "fsp", None) == 6


def test_a_reader_never_meets_an_empty_or_half_table(url, engine):
    put("s", JAN, 1.0)
    put("t", JAN, 1.0)
    load("s", JAN)
    load("t", JAN)
    faults: list[object] = []
    seen: set[float] = set()
    stop = threading.Event()

    def read() -> None:
        with engine.connect() as con:
            while not stop.is_set():
                try:
                    row = con.exec_driver_sql(
                        "SELECT count(*), sum(CASE WHEN site = 's' THEN value END), "
                        "sum(CASE WHEN site = 't' THEN 1 END) FROM usage_long"
                    ).one()
                except Exception as error:
                    faults.append(error)
                    return
                if row[0] != 10 or row[2] != 5:
                    faults.append(tuple(row))
                seen.add(float(row[1] or 0))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for value in range(2, 8):
            put("s", JAN, float(value))
            load("s", JAN)
    finally:
        stop.set()
        for reader in readers:
            reader.join(WAIT_SECONDS)
    assert faults == []
    assert seen <= {5.0 * value for value in range(1, 8)}
    assert len(seen) > 1


@pytest.mark.parametrize("where", ["insert", "swap", "drop"])
def test_an_export_that_is_killed_leaves_whole_tables_and_the_next_one_tidies_up(url, engine, where):
    put("s", JAN, 1.0)
    put("t", JAN, 3.0)
    load("s", JAN)
    load("t", JAN)
    put("s", JAN, 2.0)
    # "drop": after the new table took the old one's place, where a server does that in a step of its own
    code = (
        "import os, signal\n"
        "from usage_assets.reports.exports import database\n"
        "from usage_assets_tests.services import test_exports as tests\n"
        "kill = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "real = database._Target.drop\n"
        f"where = {where!r}\n"
        "if where == 'drop':\n"
        "    database._Target.drop = lambda self, *names: (\n"
        "        kill() if all(name.endswith('__old') for name in names) else real(self, *names))\n"
        "else:\n"
        "    for target in set(database._TARGETS.values()):\n"
        "        setattr(target, where, kill)\n"
        "tests.load('s', tests.JAN)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    dropped = where == "drop" and url.get_backend_name() == "postgresql"  # one step with the swap there: never killed
    assert done.returncode == (0 if dropped else -signal.SIGKILL), done.stderr
    assert sums(engine) == {"s": (5, 10.0 if where == "drop" else 5.0), "t": (5, 15.0)}
    load("s", JAN)
    assert sums(engine) == {"s": (5, 10.0), "t": (5, 15.0)}
    assert sa.inspect(engine).get_table_names() == ["usage_long"]


def test_exports_at_once_wait_for_each_other_and_lose_no_rows(url, engine):
    for site in ("s", "t", "u"):
        put(site, JAN, 1.0)
    faults: list[Exception] = []

    def export(site: str) -> None:
        try:
            for _ in range(3):
                load(site, JAN)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=export, args=(site,)) for site in ("s", "t", "u")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert faults == []
    assert sums(engine) == dict.fromkeys(("s", "t", "u"), (5, 5.0))


def test_a_foreign_table_of_that_name_is_refused(url, engine):
    put("s", JAN, 1.0)
    with engine.connect() as con:
        con.exec_driver_sql("CREATE TABLE usage_long (time TIMESTAMP, site VARCHAR(8), amount FLOAT)")
    with pytest.raises(ExportError, match="a table usage_long that is not ours"):
        load("s", JAN)
    assert [column["name"] for column in sa.inspect(engine).get_columns("usage_long")] == ["time", "site", "amount"]


def test_the_grants_of_the_guide_are_enough(url, engine, prefix, monkeypatch):
    user, guide = f"{prefix}_w", (ROOT / "docs" / "exports" / "README.md").read_text(encoding="utf-8")
    with engine.connect() as con:
        if url.get_backend_name() == "mysql":
            (grant,) = re.findall(r"GRANT (.*) ON usage_export\.\* TO usage_export", guide)
            con.exec_driver_sql(f"CREATE USER '{user}'@'%%' IDENTIFIED BY 'pw'")
            con.exec_driver_sql(f"GRANT {grant} ON {url.database}.* TO '{user}'@'%%'")
        else:
            con.exec_driver_sql(f"CREATE ROLE {user} LOGIN PASSWORD 'pw'")
            con.exec_driver_sql(f"ALTER DATABASE {url.database} OWNER TO {user}")
    writer = url.set(username=user, password="pw")
    monkeypatch.setenv("USAGE_EXPORT_URL", writer.render_as_string(hide_password=False))
    for value in (1.0, 2.0):
        put("s", JAN, value)
        load("s", JAN)
    assert sums(engine) == {"s": (5, 10.0)}


def test_who_may_select_may_do_so_after_the_next_export(url, engine, prefix):
    put("s", JAN, 1.0)
    load("s", JAN)
    mysql = url.get_backend_name() == "mysql"
    user = f"{prefix}_r"
    with engine.connect() as con:
        if mysql:
            con.exec_driver_sql(f"CREATE USER '{user}'@'%%' IDENTIFIED BY 'pw'")
            con.exec_driver_sql(f"GRANT SELECT ON {url.database}.usage_long TO '{user}'@'%%'")
        else:
            con.exec_driver_sql(f"CREATE ROLE {user} LOGIN PASSWORD 'pw'")
            con.exec_driver_sql(f"GRANT SELECT ON usage_long TO {user}")
    put("s", JAN, 2.0)
    load("s", JAN)
    reader = sa.create_engine(url.set(username=user, password="pw"), poolclass=sa.NullPool)
    assert sums(reader) == {"s": (5, 10.0)}


def test_an_account_that_may_not_write_is_said_without_its_password(url, engine, monkeypatch):
    put("s", JAN, 1.0)
    wrong = url.set(username="nobody_here", password="s3cr3t").render_as_string(hide_password=False)
    monkeypatch.setenv("USAGE_EXPORT_URL", wrong)
    if url.get_backend_name() == "postgresql":
        monkeypatch.setenv("USAGE_EXPORT_URL", wrong.replace(str(url.database), "no_such_database"))
    with pytest.raises(ExportError) as caught:
        load("s", JAN)
    assert "s3cr3t" not in str(caught.value)
    assert "its tables are as they were" in str(caught.value)


@pytest.fixture
def mysql(request, prefix, monkeypatch) -> URL:
    """A MariaDB with the tables of the examples."""
    admin: sa.Engine = request.getfixturevalue("mariadb_admin")
    with admin.begin() as con:
        con.exec_driver_sql(f"CREATE DATABASE {prefix}_examples")
    url = admin.url.set(database=f"{prefix}_examples")
    monkeypatch.setenv("USAGE_EXPORT_URL", url.render_as_string(hide_password=False))
    examples.write_files()
    for site in SITES:
        paths = {table: files.site_paths(table, site) for table in EXPORTS.values()}
        database.load(site, [database.Load(table, found, found) for table, found in paths.items()])
    return url


def ask(url: URL, sql: str, values: list | None = None) -> tuple[list[str], list[tuple]]:
    """As the tools ask: PyMySQL, a session in UTC."""
    con = pymysql.connect(
        host=url.host, port=url.port or 3306, user=url.username, password=str(url.password or ""),
        database=url.database, init_command="SET time_zone = '+00:00'",
    )  # fmt: skip
    with con, con.cursor() as cursor:
        cursor.execute(sql, values)
        return [column[0] for column in cursor.description], list(cursor.fetchall())


def test_every_panel_of_the_dashboard_shows_series_from_mariadb(mysql):
    for title, sql, kind in examples.dashboard_queries("grafana-mysql.json"):
        assert_series(*ask(mysql, examples.grafana(sql, "mysql", one_site="$site" in title)), kind)
    for sql in examples.variable_queries("grafana-mysql.json"):
        columns, rows = ask(mysql, sql)
        assert columns == ["__text", "__value"]
        assert rows


def test_every_query_of_the_report_gives_what_its_view_shows_from_mariadb(mysql):
    queries = examples.report_queries()
    assert {kind for _, _, kind in queries} == {"plot", "single_stat", "table"}
    for _, sql, kind in queries:
        assert_series(*ask(mysql, *examples.reported(sql)), kind)
