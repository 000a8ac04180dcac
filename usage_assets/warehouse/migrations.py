"""Versions of the warehouse's schema: an older file is upgraded when it is opened, a newer one is refused.

A release that changes the columns of a stored table appends a migration here; a new table needs none, as it is made
when it is first written. A migration is frozen once it is released: it names tables and columns as they were then, not
by today's declarations. All that a file lacks are applied in one transaction, so a killed upgrade leaves the old file.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version

import duckdb

from usage_assets.core import clock
from usage_assets.core.errors import WarehouseError

_log = logging.getLogger("usage_assets")


@dataclass(frozen=True)
class Migration:
    """What brings a file from the version before to `version`; `description` is shown to the operator."""

    version: int
    description: str
    apply: Callable[[duckdb.DuckDBPyConnection], None]


def _add_seen_from(con: duckdb.DuckDBPyConnection) -> None:
    """Rows of raw tables say since when they are as they are: of older ones their last dump is all that is known."""
    for table in stored_tables(con, "raw"):
        if "seen_from" not in con.sql(f"SELECT * FROM raw.{table} LIMIT 0").columns:
            add_column(con, f"raw.{table}", "seen_from", "TIMESTAMP", "extracted_at")
    add_optional(con, "serving.dumps", {"run_id": "VARCHAR"})


def _add_capsules(con: duckdb.DuckDBPyConnection) -> None:
    """Containers say which capsule they belong to; of rows dumped before it is not known."""
    for schema in ("raw", "evidence"):
        add_optional(con, f"{schema}.zun_container", {"container_type": "BIGINT", "capsule_id": "BIGINT"})


def _read_joined_names_again(con: duckdb.DuckDBPyConnection) -> None:
    """Months in which a row names several devices at once are read again: their files count as never seen."""
    if "gpu_state" in stored_tables(con, "raw") and "files" in stored_tables(con, "serving"):
        con.execute(
            "DELETE FROM serving.files WHERE table_name = 'gpu_state' AND (site, month) IN "
            "(SELECT DISTINCT site, month FROM raw.gpu_state WHERE contains(gpu, ',') OR starts_with(gpu, '['))"
        ).fetchall()


_MARKED_AS_DELETED = (
    *("nova_compute_nodes", "nova_services", "nova_instances", "nova_cell0_instances"),
    *("blazar_leases", "blazar_reservations", "blazar_events", "blazar_resource_properties"),
    *("blazar_computehosts", "blazar_computehost_allocations", "blazar_computehost_reservations"),
    *("blazar_computehost_extra_capabilities", "blazar_instance_reservations"),
    *("blazar_devices", "blazar_device_allocations", "blazar_device_reservations", "blazar_device_extra_capabilities"),
)


def _mark_deleted_rows(con: duckdb.DuckDBPyConnection) -> None:
    """Raw rows say whether their service holds them as deleted; of rows dumped before it is not known."""
    for schema in ("raw", "evidence"):
        for table in _MARKED_AS_DELETED:
            add_optional(con, f"{schema}.{table}", {"deleted": "BOOLEAN"})
    add_optional(con, "serving.dumps", {"undated": "BIGINT"})


def _upgrade_raw_rows(con: duckdb.DuckDBPyConnection) -> None:
    """Raw rows hold what rules of this release ask of them: null in rows that were dumped before."""
    _add_capsules(con)
    _read_joined_names_again(con)
    add_optional(con, "serving.accounts", {"reasons": "VARCHAR"})
    _mark_deleted_rows(con)


def _add_requests(con: duckdb.DuckDBPyConnection) -> None:
    """Intervals may be of requests, too: none of those stored before is."""
    for table in ("facts.intervals", "facts.rejects"):
        add_optional(con, table, {"requests": "DOUBLE"})


MIGRATIONS: tuple[Migration, ...] = (
    Migration(2, "versions of raw rows are told apart, every dump is recorded", _add_seen_from),
    Migration(3, "raw rows say which are deleted, and what is needed to count each device once", _upgrade_raw_rows),
    Migration(4, "intervals may be of requests", _add_requests),
)


def newest() -> int:
    """The version that this release reads and writes."""
    return max((migration.version for migration in MIGRATIONS), default=1)


def release() -> str:
    """The installed release of this package."""
    return installed_version("usage-assets")


def stored_version(con: duckdb.DuckDBPyConnection, database: str = "") -> int | None:
    """The version of an open file, or of `database` attached to the connection; none where it never was written down.

    A file without a version is of version 1, or empty. Raises WarehouseError where a newer release made it.
    """
    try:
        found = con.execute(
            f"SELECT version, release FROM {database + '.' if database else ''}serving.schema_version "
            "ORDER BY version DESC LIMIT 1"
        ).fetchall()
    except duckdb.CatalogException:
        return None
    if not found:
        return None
    version, made_by = found[0]
    if version > newest():
        msg = (
            f"the warehouse has schema version {version}, made by release {made_by} of usage_assets; this is release "
            f"{release()}, which knows versions up to {newest()}. Nothing was touched. Install release {made_by} or a "
            "newer one, or restore a backup that was made before the upgrade (usage-assets restore)"
        )
        raise WarehouseError(msg)
    return int(version)


def is_current(con: duckdb.DuckDBPyConnection, database: str = "") -> bool:
    """Whether this release may read the file as it is; raises WarehouseError where a newer release made it."""
    version = stored_version(con, database)
    if version is None and newest() > 1:
        return _is_empty(con, database)
    return version in {None, newest()}


def pending(version: int) -> list[Migration]:
    """The migrations that a file of this version lacks, in order."""
    return sorted((each for each in MIGRATIONS if each.version > version), key=lambda each: each.version)


def upgrade(con: duckdb.DuckDBPyConnection) -> None:
    """Bring an open file to this release's version, in one transaction, and say so on the log.

    An empty file is of the newest version at once. Raises WarehouseError where a newer release made the file, or where
    a migration fails; the file is then as it was.
    """
    version = stored_version(con)
    missing = pending(version or 1)
    if version is not None and not missing:
        return
    if _is_empty(con):
        missing = []
    con.execute("BEGIN").fetchall()
    try:
        _apply(con, missing)
        _record_versions(con, [each.version for each in missing] or [newest()])
    except BaseException:
        con.execute("ROLLBACK").fetchall()
        raise
    con.execute("COMMIT").fetchall()
    if missing:
        done = "; ".join(each.description for each in missing)
        _log.warning("usage_assets: warehouse upgraded from version %d to %d: %s", version or 1, newest(), done)


def _apply(con: duckdb.DuckDBPyConnection, missing: list[Migration]) -> None:
    for migration in missing:
        try:
            migration.apply(con)
        except duckdb.Error as error:
            cause = str(error).splitlines()[0]
            msg = (
                f"the warehouse can't be upgraded to version {migration.version} ({migration.description}): {cause}; "
                "it is as it was. Use the release that made it, and report this"
            )
            raise WarehouseError(msg) from error


def _record_versions(con: duckdb.DuckDBPyConnection, versions: list[int]) -> None:
    con.execute("CREATE SCHEMA IF NOT EXISTS serving").fetchall()
    con.execute(
        "CREATE TABLE IF NOT EXISTS serving.schema_version "
        "(version BIGINT NOT NULL, release VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL)"
    ).fetchall()
    now = clock.naive_utc_now()
    for version in versions:
        con.execute("INSERT INTO serving.schema_version VALUES (?, ?, ?)", [version, release(), now]).fetchall()


def _is_empty(con: duckdb.DuckDBPyConnection, database: str = "") -> bool:
    here = "$database" if database else "current_database()"
    query = f"SELECT count(*) FROM duckdb_tables() WHERE database_name = {here} AND NOT internal"
    return con.execute(query, {"database": database} if database else {}).fetchall() == [(0,)]


def stored_tables(con: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    """Names of the tables that the file has in a schema: a migration changes only what is there."""
    found = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? AND database_name = current_database() "
        "ORDER BY table_name",
        [schema],
    ).fetchall()
    return [name for (name,) in found]


def add_column(con: duckdb.DuckDBPyConnection, table: str, name: str, kind: str, value: str) -> None:
    """Give a stored table (`<schema>.<name>`) one more column at its end, required, filled by an SQL expression.

    The table is written anew: within one transaction DuckDB can't fill an added column and then require it.
    `kind` is a DuckDB type; `value` may use the table's other columns.
    """
    schema, plain = table.split(".")
    columns = con.execute(f"DESCRIBE {table}").fetchall()
    old = [f'"{column}" {type_}{"" if nullable == "YES" else " NOT NULL"}' for column, type_, nullable, *_ in columns]
    fresh = f'{schema}."{plain}__new"'
    body = ", ".join([*old, f'"{name}" {kind} NOT NULL'])
    con.execute(f"CREATE TABLE {fresh} ({body})").fetchall()
    con.execute(f'INSERT INTO {fresh} SELECT *, {value} FROM {schema}."{plain}"').fetchall()
    con.execute(f'DROP TABLE {schema}."{plain}"').fetchall()
    con.execute(f'ALTER TABLE {fresh} RENAME TO "{plain}"').fetchall()


def add_optional(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]) -> None:
    """Give a stored table (`<schema>.<name>`), where the file has it, more columns (name -> DuckDB type), all null."""
    for name, kind in columns.items():
        con.execute(f'ALTER TABLE IF EXISTS {table} ADD COLUMN IF NOT EXISTS "{name}" {kind}').fetchall()
