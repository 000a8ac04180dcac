"""The warehouse file: opened for reading or writing behind its lock, at the version of this release."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from usage_assets.core import settings
from usage_assets.core.disk import copy_file, put_in_place, remove, require_room
from usage_assets.core.errors import WarehouseError
from usage_assets.core.file_faults import advice, damage
from usage_assets.core.locks import file_lock
from usage_assets.warehouse import migrations
from usage_assets.warehouse.connections import attach, connect, in_memory
from usage_assets.warehouse.rows import Reader, Writer

_Identity = tuple[int, int, int]
_current: dict[Path, _Identity] = {}  # files as this process last left or met them, at this release's version


@dataclass(frozen=True)
class Warehouse:
    """The DuckDB file of an installation; `options` are DuckDB's for each connection, in place of ours."""

    path: Path
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def default(cls) -> "Warehouse":
        """The warehouse of the environment (`USAGE_DATA`)."""
        return cls(settings.warehouse_path())

    def _connect(self, *, read_only: bool = False) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return connect(self.path, read_only=read_only, options=self.options)

    @property
    def _lock(self) -> Path:
        return self.path.parent / ".warehouse.lock"

    @contextmanager
    def read(self, *, wait_seconds: float | None = None) -> Iterator[Reader]:
        """Reads of one state; several processes may read at once, a writer waits for them.

        A file of an older release is upgraded first; WarehouseError where a newer one made it.
        """
        while True:
            with self._shared(wait_seconds):
                if not self.path.exists():
                    yield Reader(None)
                    return
                with self._connect(read_only=True) as con:
                    if self._is_current(con):
                        yield Reader(con)
                        return
            self.upgrade(wait_seconds=wait_seconds)

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A plain connection that only reads one state; WarehouseError where there is no file yet."""
        with self._shared(), self._connect(read_only=True) as con:
            yield con

    @contextmanager
    def beside(self, con: duckdb.DuckDBPyConnection) -> Iterator[bool]:
        """Attach the warehouse read-only as `stored` to a staging connection; false where there is none yet."""
        while True:
            with self._shared():
                if not self.path.exists():
                    yield False
                    return
                attach(con, self.path, "stored")
                try:
                    if self._is_current(con, "stored"):
                        yield True
                        return
                finally:
                    con.execute("DETACH stored").fetchall()
            self.upgrade()

    @contextmanager
    def write(self, holder: str) -> Iterator[Writer]:
        """One transaction: all of the block or nothing of it. `holder` is shown to those who wait.

        A file of an older release is upgraded first; WarehouseError where a newer one made it.
        """
        with self._alone(holder):
            found = _identity(self.path)
            with self._connect() as con:
                if found is None or _current.get(self.path) != found:
                    migrations.upgrade(con)
                con.execute("BEGIN").fetchall()
                try:
                    writer = Writer(con)
                    yield writer
                    writer.finish()
                except BaseException:
                    con.execute("ROLLBACK").fetchall()
                    raise
                con.execute("COMMIT").fetchall()
            self._remember()

    def upgrade(self, *, wait_seconds: float | None = None) -> None:
        """Bring the file to this release's version; nothing to do where it is, or where there is no file."""
        with self._alone("upgrading the warehouse", wait_seconds):
            if self.path.exists():
                with self._connect() as con:
                    migrations.upgrade(con)

    def _shared(self, wait_seconds: float | None = None) -> AbstractContextManager[None]:
        return self._locked("reading", shared=True, wait_seconds=wait_seconds)

    def _alone(self, holder: str, wait_seconds: float | None = None) -> AbstractContextManager[None]:
        return self._locked(holder, shared=False, wait_seconds=wait_seconds)

    def _locked(self, holder: str, *, shared: bool, wait_seconds: float | None) -> AbstractContextManager[None]:
        wait = settings.lock_wait_seconds() if wait_seconds is None else wait_seconds
        return file_lock(self._lock, holder, shared=shared, wait_seconds=wait, what="the warehouse")

    def _is_current(self, con: duckdb.DuckDBPyConnection, database: str = "") -> bool:
        """Whether the open file is of this release's version; asked of the file once until another process writes."""
        found = _identity(self.path)
        if found is not None and _current.get(self.path) == found:
            return True
        current = migrations.is_current(con, database)
        if current:
            self._remember()
        return current

    def _remember(self) -> None:
        found = _identity(self.path)
        if found is not None:
            _current[self.path] = found

    def compact(self) -> tuple[int, int]:
        """Rewrite the file without the room that replaced rows left; its size in bytes before and after.

        Killed at any moment it leaves the old file; what it had begun the next one removes. DiskError where
        the disk has no room for a second file.
        """
        with self._alone("compacting"):
            if not self.path.exists():
                return 0, 0
            with self._connect() as con:  # a write-ahead file of a killed process is taken in first
                migrations.upgrade(con)
                con.execute("CHECKPOINT").fetchall()
            before = self.path.stat().st_size
            fresh = self.path.with_name(f".{self.path.name}.compact")
            remove(fresh)
            require_room(self.path.parent, before, "compact the warehouse")
            try:
                with in_memory(self.path.parent) as con:
                    attach(con, self.path, "old")
                    attach(con, fresh, "fresh", read_only=False)
                    con.execute("COPY FROM DATABASE old TO fresh").fetchall()
                put_in_place(fresh, self.path)
            except (duckdb.Error, OSError) as error:
                todo = f"What to do: {advice(error, self.path.parent)}"
                msg = f"the warehouse could not be compacted ({error}); it is as it was. {todo}"
                raise WarehouseError(damage(error, self.path) or msg) from error
            finally:
                remove(fresh)
            return before, self.path.stat().st_size

    def copy_to(self, target: Path) -> int | None:
        """Copy the file as it stands between two writes; its schema version, None where there is no file yet.

        Readers go on meanwhile, writers wait. A file of an older release is copied as it is, not upgraded.
        """
        while True:
            with self._shared():
                if not self.path.exists():
                    return None
                if not self._left_writes():
                    copy_file(self.path, target)
                    with self._connect(read_only=True) as con:
                        return migrations.stored_version(con) or 1
            with self._alone("taking in what a killed process had written"):
                if self._left_writes():
                    with self._connect() as con:
                        migrations.stored_version(con)
                        con.execute("CHECKPOINT").fetchall()

    def _left_writes(self) -> bool:
        return self.path.with_name(self.path.name + ".wal").exists()

    def version(self, *, wait_seconds: float | None = None) -> int | None:
        """The schema version of the file as it is, nothing upgraded; None where there is no file yet."""
        with self._shared(wait_seconds):
            if not self.path.exists():
                return None
            with self._connect(read_only=True) as con:
                return migrations.stored_version(con) or 1

    @contextmanager
    def closed(self, holder: str) -> Iterator[None]:
        """Keep everybody out of the file and of all sites for the block, at once or not at all."""
        with ExitStack() as held:
            for lock in (self._lock, *sorted(self._site_locks.glob("*.lock"))):
                held.enter_context(file_lock(lock, holder, wait_seconds=0))
            yield

    @property
    def _site_locks(self) -> Path:
        return self.path.parent / ".locks"

    def site(self, site: str, holder: str) -> AbstractContextManager[None]:
        """Exclude other runs of the same site for the block; runs of other sites go on."""
        lock = self._site_locks / f"{site}.lock"
        return file_lock(lock, holder, wait_seconds=settings.lock_wait_seconds(), what=f"site {site}")

    def checks(self, holder: str) -> AbstractContextManager[None]:
        """Let one run after another tell what its checks found: what is told last is what was recorded last."""
        lock = self.path.parent / ".checks.lock"
        return file_lock(lock, holder, wait_seconds=settings.lock_wait_seconds())


def _identity(path: Path) -> _Identity | None:
    """What changes when another process writes the file; none where a killed one left writes beside it."""
    if path.with_name(path.name + ".wal").exists() or not path.exists():
        return None
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
