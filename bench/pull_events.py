"""Pull rows of nova.instance_actions_events from MariaDB: CPU and memory of the process that pulls.

    python -m bench.pull_events [--rows 1000000] [--url mysql+pymysql://root@127.0.0.1:3306] [--dump]

Makes a database whose name begins with usage_bench_ and drops it afterwards. Measured is a process of its own, imports
and all: without --dump the read of the one table into the staging database (joined with actions and instances at the
server, parsed to the declared types), with --dump the whole dump into a warehouse.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import sqlalchemy as sa

from bench.measure import run
from usage_assets.core.months import Window, months_between
from usage_assets.kinds.openstack.raw.dump import dump
from usage_assets.kinds.openstack.raw.personal import redactor_of
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.sources.sql.dump import steps_of, with_parents
from usage_assets.sources.sql.reflection import find_tables
from usage_assets.sources.sql.servers import open_servers
from usage_assets.sources.sql.stage import Stage
from usage_assets.sources.sql.statements import Filter
from usage_assets.warehouse import Warehouse, staging

CPU_SECONDS, MEMORY_MB = 12, 300  # the goal for 1,000,000 rows pulled
EVENTS_PER_ACTION, ACTIONS_PER_INSTANCE = 2, 4
URL = "mysql+pymysql://root@127.0.0.1:3306"

_ROW = "id INT PRIMARY KEY, created_at DATETIME NULL, updated_at DATETIME NULL, deleted_at DATETIME NULL"
_TABLES = {
    "instances": f"{_ROW}, uuid VARCHAR(36) UNIQUE, terminated_at DATETIME NULL, hidden TINYINT(1)",
    "instance_actions": f"{_ROW}, instance_uuid VARCHAR(36), KEY (instance_uuid)",
    "instance_actions_events": f"{_ROW}, event VARCHAR(255), action_id INT, start_time DATETIME NULL, "
    "finish_time DATETIME NULL, result VARCHAR(255), traceback TEXT, host VARCHAR(255), KEY (action_id)",
}


@contextmanager
def made_database(url: sa.URL, rows: int) -> Iterator[str]:
    """A Nova database with that many events, spread over ten years since 2016; its URL."""
    name = f"usage_bench_{os.getpid()}"
    actions = rows // EVENTS_PER_ACTION
    instances = actions // ACTIONS_PER_INSTANCE

    def at(many: int) -> str:
        return f"'2016-01-01' + INTERVAL seq * {10 * 365 * 86_400 // many} SECOND"

    def uuid(number: str) -> str:
        return f"concat(lpad(hex({number}), 8, '0'), '-0000-4000-8000-000000000000')"

    with sa.create_engine(url, poolclass=sa.NullPool).connect() as con:
        con.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            con.exec_driver_sql(f"USE {name}")
            for table, columns in _TABLES.items():
                con.exec_driver_sql(f"CREATE TABLE {table} ({columns})")
            con.exec_driver_sql(
                f"INSERT INTO instances SELECT seq, {at(instances)}, NULL, NULL, {uuid('seq')}, "
                f"{at(instances)} + INTERVAL 1 DAY, 0 FROM seq_1_to_{instances}"
            )
            con.exec_driver_sql(
                f"INSERT INTO instance_actions SELECT seq, {at(actions)}, NULL, NULL, "
                f"{uuid(f'(seq - 1) DIV {ACTIONS_PER_INSTANCE} + 1')} FROM seq_1_to_{actions}"
            )
            con.exec_driver_sql(
                f"INSERT INTO instance_actions_events SELECT seq, {at(rows)}, {at(rows)} + INTERVAL 9 SECOND, NULL, "
                f"'compute__do_build_and_run_instance', (seq - 1) DIV {EVENTS_PER_ACTION} + 1, {at(rows)}, "
                f"{at(rows)} + INTERVAL 9 SECOND, 'Success', NULL, concat('compute-', seq MOD 300) "
                f"FROM seq_1_to_{rows}"
            )
            con.commit()
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            con.exec_driver_sql(f"DROP DATABASE {name}")


def pull(url: str, *, whole: bool) -> int:
    """What is measured: the rows read, or stored of a whole dump."""
    site = OpenStackSite.model_validate({"kind": "openstack", "key": "bench", "name": "b", "databases": {"nova": url}})
    window = Window("bench", months_between(date(2016, 1, 1), date(2026, 12, 1)))
    events = BY_NAME["nova_instance_actions_events"]
    with tempfile.TemporaryDirectory() as folder:
        if whole:
            warehouse = Warehouse(Path(folder) / "warehouse.duckdb")
            return sum(item.rows for item in dump(site, window, warehouse, tables=[events], run_id="bench").months)
        with staging(Path(folder) / "staging.duckdb") as con, open_servers(site) as servers:
            found = find_tables(servers, with_parents([events], BY_NAME))
            names = [column.name for column in events.columns]
            stage = Stage(con, Filter(window), redactor_of(site))
            return stage.read(found[events.name], steps_of(events, found, BY_NAME), names=names).read


def main() -> None:
    """Make the database, pull in a child process, print what it cost."""
    parser = argparse.ArgumentParser(prog="python -m bench.pull_events")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--url", default=os.environ.get("USAGE_TEST_MARIADB_URL", URL))
    parser.add_argument("--dump", action="store_true", help="measure the whole dump, not the read alone")
    parser.add_argument("--pull", metavar="URL", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.pull:
        print(f"{pull(args.pull, whole=args.dump):,} rows", "stored" if args.dump else "read")
        return
    try:
        with made_database(sa.make_url(args.url), args.rows) as url:
            measured = run(
                [sys.executable, "-m", "bench.pull_events", "--pull", url, *(["--dump"] if args.dump else [])]
            )
    except sa.exc.OperationalError as error:
        print(f"pulling events: not measured, no MariaDB answers (USAGE_TEST_MARIADB_URL): {error.orig}")
        return
    what = f"{'dumping' if args.dump else 'pulling'} {args.rows:,} events from MariaDB"
    print(measured.line(what, "none" if args.dump else f"{CPU_SECONDS} s CPU, {MEMORY_MB} MB"))


if __name__ == "__main__":
    main()
