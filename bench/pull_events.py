"""Pull 1,000,000 rows of nova.instance_actions_events from MariaDB: CPU and memory of the process that pulls.

    python bench/pull_events.py [--rows N] [--url mysql+pymysql://root@127.0.0.1:3306] [--dump]

Makes a database whose name begins with usage_bench_ and drops it afterwards. Without --dump it measures the read of the
one table into the staging database (joined at the server with actions and instances, parsed to the declared types);
with --dump the whole dump into a warehouse. Imports count.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import sqlalchemy as sa

CPU_SECONDS, MEMORY_MB = 12, 300
EVENTS_PER_ACTION, ACTIONS_PER_INSTANCE = 2, 4

_TIMES = "created_at DATETIME NULL, updated_at DATETIME NULL, deleted_at DATETIME NULL, deleted INT"
_DDL = (
    f"CREATE TABLE instances (id INT PRIMARY KEY, uuid VARCHAR(36) UNIQUE, {_TIMES}, launched_at DATETIME NULL, "
    "terminated_at DATETIME NULL, hidden TINYINT(1))",
    f"CREATE TABLE instance_actions (id INT PRIMARY KEY, instance_uuid VARCHAR(36), {_TIMES}, KEY (instance_uuid))",
    f"CREATE TABLE instance_actions_events (id INT PRIMARY KEY, {_TIMES}, event VARCHAR(255), action_id INT, "
    "start_time DATETIME NULL, finish_time DATETIME NULL, result VARCHAR(255), traceback TEXT, host VARCHAR(255), "
    "details TEXT, KEY (action_id))",
)


@contextmanager
def made_database(url: sa.URL, rows: int) -> Iterator[str]:
    """A Nova database with that many events, spread over the years since 2016."""
    name = f"usage_bench_{os.getpid()}"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    actions = rows // EVENTS_PER_ACTION
    instances = actions // ACTIONS_PER_INSTANCE
    step = 10 * 365 * 86_400 // rows
    with engine.connect() as con:
        con.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            con.exec_driver_sql(f"USE {name}")
            for statement in _DDL:
                con.exec_driver_sql(statement)
            at = f"'2016-01-01' + INTERVAL seq * {step} SECOND"
            con.exec_driver_sql(
                f"INSERT INTO instances SELECT seq, concat(lpad(hex(seq), 8, '0'), '-0000-4000-8000-000000000000'), "
                f"'2016-01-01' + INTERVAL seq * {step * rows // instances} SECOND, NULL, "
                f"'2016-01-02' + INTERVAL seq * {step * rows // instances} SECOND, seq, NULL, NULL, 0 "
                f"FROM seq_1_to_{instances}"
            )
            con.exec_driver_sql(
                f"INSERT INTO instance_actions SELECT seq, concat(lpad(hex((seq - 1) DIV {ACTIONS_PER_INSTANCE} + 1), 8, "
                f"'0'), '-0000-4000-8000-000000000000'), {at}, NULL, NULL, 0 FROM seq_1_to_{actions}"
            )
            con.exec_driver_sql(
                f"INSERT INTO instance_actions_events SELECT seq, {at}, {at} + INTERVAL 9 SECOND, NULL, 0, "
                f"'compute__do_build_and_run_instance', (seq - 1) DIV {EVENTS_PER_ACTION} + 1, {at}, "
                f"{at} + INTERVAL 9 SECOND, 'Success', NULL, concat('compute-', seq MOD 300), NULL FROM seq_1_to_{rows}"
            )
            con.commit()
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            con.exec_driver_sql(f"DROP DATABASE {name}")


def pull(url: str, *, whole: bool) -> None:
    """The measured part, in a process of its own."""
    from usage_assets.partitions import Window, months_between
    from usage_assets.raw import dump as dumps
    from usage_assets.raw.openstack import BY_NAME
    from usage_assets.sites import OpenStackSite
    from usage_assets.warehouse import Warehouse, staging

    site = OpenStackSite.model_validate({"kind": "openstack", "key": "bench", "name": "b", "databases": {"nova": url}})
    window = Window("bench", months_between(date(2016, 1, 1), date(2026, 12, 1)))
    tables = [BY_NAME["nova_instance_actions_events"]]
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder) / "warehouse.duckdb")
        if whole:
            result = dumps.dump(site, window, warehouse, tables=tables, run_id="bench")
            print(f"{sum(item.rows for item in result.months)} rows stored")
            return
        with staging(Path(folder) / "staging.duckdb") as con:
            print(f"{dumps.read_table(site, window, con, tables[0])} rows read")


def main() -> int:
    """Make the database, pull in a child process, print what it cost; 1 where it cost too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--url", default=os.environ.get("USAGE_TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306")
    )
    parser.add_argument("--dump", action="store_true", help="measure the whole dump, not the read alone")
    parser.add_argument("--pull", metavar="URL", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.pull:
        pull(args.pull, whole=args.dump)
        return 0
    with made_database(sa.make_url(args.url), args.rows) as url:
        started = time.monotonic()
        command = [sys.executable, __file__, "--pull", url, *(["--dump"] if args.dump else [])]
        subprocess.run(command, check=True)
        seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    what = "dumped" if args.dump else "pulled"
    print(f"{args.rows:,} events {what}: {cpu:.1f} s CPU, {memory:.0f} MB peak, {seconds:.1f} s in all")
    print(f"goal for 1,000,000 rows pulled: {CPU_SECONDS} s CPU, {MEMORY_MB} MB")
    return int(not args.dump and (cpu > CPU_SECONDS or memory > MEMORY_MB))


if __name__ == "__main__":
    raise SystemExit(main())
