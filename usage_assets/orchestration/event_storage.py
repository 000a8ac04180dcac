"""Dagster's SQLite event log, with one open connection per file instead of a new engine for every event.

Dagster opens an engine, compiles its statements and waits for the disk for each of the two events that a partition
of an asset costs: 20 ms. Kept open, and with `synchronous = NORMAL` (safe against a kill; a power cut may lose the last
events, never the tables), it is 3 ms, and in batches (DAGSTER_EVENT_BATCH_SIZE in the environment) 1 ms. Files and
tables are Dagster's own: without this class in dagster.yaml its stock storage reads on.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import StaticPool

from usage_assets.core.disk import remove

_OPEN_RUNS = 8
"""Files of runs kept open at once, beside the index."""


class SteadySqliteEventLogStorage(SqliteEventLogStorage):
    """The stock storage, its connections kept. `base_dir` is `$DAGSTER_HOME/history/runs` unless given."""

    def __init__(self, base_dir: str | None = None, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[tuple[int, str], Engine] = OrderedDict()
        self._tables: set[str] = set()
        self._has_index_columns = False
        self._batch: dict[str, Connection] | None = None
        super().__init__(base_dir or str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)
        # a batch holds it while each of its events connects
        self._db_lock = threading.RLock()  # type: ignore[assignment]  # Dagster declares a Lock

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Options in dagster.yaml."""
        return {"base_dir": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "SteadySqliteEventLogStorage":
        """What Dagster calls with the options."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if self._batch is not None and shard in self._batch:
                yield self._batch[shard]
                return
            engine = self._engine(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def _together(self, *shards: str) -> Iterator[None]:
        """One transaction per file for all events that are stored within the block."""
        with self._db_lock, ExitStack() as stack:
            opened = {shard: stack.enter_context(self._connect(shard)) for shard in shards}
            self._batch = opened
            try:
                yield
            finally:
                self._batch = None

    def _engine(self, shard: str) -> Engine:
        """The engine of a file; a forked process opens its own, and files of older runs are let go."""
        key = (os.getpid(), shard)
        engine = self._engines.get(key)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _tune)
            if shard not in self._initialized_dbs:
                if not _is_made(engine):
                    self._initdb(engine)
                self._initialized_dbs.add(shard)
            self._engines[key] = engine
        self._engines.move_to_end(key)
        runs = [old for old in self._engines if old[1] != INDEX_SHARD_NAME]
        for old in runs[:-_OPEN_RUNS]:
            self._engines.pop(old).dispose()
        return engine

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Events of one run in one transaction per file.

        Dagster sends what it plans for the partitions of an asset, and what it materialized of them, as batches; its
        own storage writes them one by one. Of an asset's key only the last event says anything new.
        """
        if any(event.dagster_event_type not in ASSET_EVENTS for event in events):
            with self._together(events[0].run_id, INDEX_SHARD_NAME):
                super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        insert = SqlEventLogStorageTable.insert()
        with self._connect(events[0].run_id) as connection:
            connection.execute(insert, rows)
        with self._connect(INDEX_SHARD_NAME) as connection:
            ids = [connection.execute(insert, row).lastrowid for row in rows]
            self._store_asset_event_tags(connection, events, ids)
            last = {row["asset_key"]: place for place, row in enumerate(rows)}
            for place in last.values():
                self._store_asset_event(connection, events[place], ids[place])

    @property
    def folder(self) -> Path:
        """Where the files of the runs lie."""
        return Path(self._base_dir)

    def forget(self, run_ids: Sequence[str]) -> None:
        """Remove all events of runs in one transaction, and their files, which Dagster's own way leaves behind."""
        events, tags = SqlEventLogStorageTable, AssetEventTagsTable
        with self._connect(INDEX_SHARD_NAME) as connection:
            ids = sa.select(events.c.id).where(events.c.run_id.in_(run_ids))
            connection.execute(tags.delete().where(tags.c.event_id.in_(ids)))
            connection.execute(events.delete().where(events.c.run_id.in_(run_ids)))
        with self._db_lock:
            for run in run_ids:
                engine = self._engines.pop((os.getpid(), run), None)
                if engine is not None:
                    engine.dispose()
                self._initialized_dbs.discard(run)
                remove(self.folder / f"{run}.db")

    def has_table(self, table_name: str) -> bool:
        """Whether a table is there; one that is there stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:
        if not self._has_index_columns:
            self._has_index_columns = super()._has_asset_key_index_cols_on_connection(conn)
        return self._has_index_columns

    def dispose(self) -> None:
        """Close what is open, so that files may be moved and SQLite takes in what it wrote beside them."""
        with self._db_lock:
            self._let_go()
        super().dispose()

    def _let_go(self) -> None:
        while self._engines:
            self._engines.popitem()[1].dispose()

    def wipe(self) -> None:
        """Forget everything; the files are removed, so nothing of them may stay open."""
        with self._db_lock:
            self._let_go()
            self._tables.clear()
        super().wipe()


def _is_made(engine: Engine) -> bool:
    """Whether a file has Dagster's tables: their revision is stamped last. Dagster's own look reads every revision."""
    try:
        with engine.connect() as connection:
            return connection.execute(sa.text("SELECT count(*) FROM alembic_version")).scalar_one() > 0
    except sa.exc.DatabaseError:  # no such table, or one that is being made
        return False


def _tune(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
