"""Publishing: a copy of the warehouse that readers may open while runs write on.

Order is what makes it safe against a kill and a power cut: the copy is made under a hidden name, made good, brought to
the disk, given its name, and only then does CURRENT name it. Whatever is cut off before leaves CURRENT as it was.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb

from usage_assets.core import clock, settings
from usage_assets.core.disk import copy_file, put_in_place, remove, require_room, sync
from usage_assets.core.errors import SnapshotError
from usage_assets.core.file_faults import advice
from usage_assets.core.locks import file_lock
from usage_assets.serving.hold_back import Held, find_held, held_in, hold_back
from usage_assets.serving.pointer import Pointer, digest, generations, read_pointer, snapshot_name, write_pointer
from usage_assets.serving.state_hash import state_hash
from usage_assets.warehouse import Reader, Warehouse, Writer, migrations
from usage_assets.warehouse.connections import attach, connect

KEPT = 2
"""Generations that stay: readers of the one before have until the next publishing to move on."""


@dataclass(frozen=True)
class Publication:
    """What readers have now; `changed` is false where nothing had changed and no new generation was made."""

    pointer: Pointer
    path: Path
    held: tuple[Held, ...]
    seconds: float
    changed: bool


def publish(warehouse: Warehouse, folder: Path | None = None) -> Publication:
    """Publish the warehouse into a folder, `$USAGE_DATA/published` unless given.

    SnapshotError where there is no warehouse yet or the copy could not be made, WarehouseError where the warehouse is
    held for too long, DiskError where the disk has no room. CURRENT then names what it named before.
    """
    began = time.monotonic()
    folder = settings.published_dir() if folder is None else folder
    with file_lock(folder / ".publish.lock", "publishing", wait_seconds=settings.lock_wait_seconds()):
        current = _current(folder)
        _tidy(folder, current)
        if not warehouse.path.exists():
            msg = f"{warehouse.path}: there is no warehouse to publish yet; materialize something first"
            raise SnapshotError(msg)
        if current is not None:
            with warehouse.read() as reader:
                same = state_hash(reader) == current.mark
            if same:
                path = current.path(folder)
                return Publication(current, path, _held_back(path), time.monotonic() - began, changed=False)
        generation = max([*generations(folder), 0 if current is None else current.generation]) + 1
        part = folder / f".snapshot-{generation}.part"
        try:
            require_room(folder, warehouse.path.stat().st_size, "publish the warehouse")
            warehouse.copy_to(part)
            previous = None if current is None else current.path(folder)
            pointer, held = _finish(part, folder, generation, previous, copy_of=warehouse.path)
        except (OSError, duckdb.Error) as error:
            now = "nothing is published" if current is None else f"generation {current.generation} stays"
            todo = f"What to do: {advice(error, folder)}; then publish again"
            msg = f"{folder}: generation {generation} could not be made ({error}); {now}. {todo}"
            raise SnapshotError(msg) from error
        finally:
            remove(part)
        _tidy(folder, pointer)
        return Publication(pointer, pointer.path(folder), tuple(held), time.monotonic() - began, changed=True)


def _finish(
    part: Path, folder: Path, generation: int, previous: Path | None, *, copy_of: Path
) -> tuple[Pointer, list[Held]]:
    """Make a copy of the warehouse the snapshot of a generation and let CURRENT name it."""
    written_at = clock.naive_utc_now()
    with connect(part, copy_of=copy_of) as con:
        mark = state_hash(Reader(con))  # before anything is held back: it is the warehouse's
        before = () if previous is None else _held_back(previous)
        held = find_held(Reader(con), generation, before)
        _hold_back(con, folder, held, previous)
        con.execute("CHECKPOINT").fetchall()
    with ThreadPoolExecutor(max_workers=1) as pool:
        on_disk = pool.submit(sync, part)  # the disk is slow where hashing is not, and the other way round
        sha256 = digest(part)
        on_disk.result()
    path = folder / snapshot_name(generation)
    size = part.stat().st_size
    put_in_place(part, path)
    pointer = Pointer(generation, path.name, sha256, size, written_at, migrations.release(), mark)
    write_pointer(folder, pointer)
    return pointer, held


def _hold_back(con: duckdb.DuckDBPyConnection, folder: Path, held: Sequence[Held], previous: Path | None) -> None:
    older = folder / ".previous.part"
    try:
        if held and previous is not None:
            attach(con, previous, "previous")
            if not migrations.is_current(con, "previous"):
                con.execute("DETACH previous").fetchall()
                copy_file(previous, older)  # a release has changed the shape of tables since
                with connect(older) as old:
                    migrations.upgrade(old)
                attach(con, older, "previous")
        con.execute("BEGIN").fetchall()
        hold_back(Writer(con), held)
        con.execute("COMMIT").fetchall()
        if held and previous is not None:
            con.execute("DETACH previous").fetchall()
    finally:
        remove(older)


def _held_back(path: Path) -> tuple[Held, ...]:
    with connect(path, read_only=True) as con:
        return tuple(held_in(Reader(con)))


def _current(folder: Path) -> Pointer | None:
    """What CURRENT names, where its file is there; what can't be read is published anew."""
    try:
        pointer = read_pointer(folder)
    except SnapshotError:
        return None
    return pointer if pointer.path(folder).is_file() else None


def _tidy(folder: Path, current: Pointer | None) -> None:
    """Remove what killed publishings left, and generations older than the last ones up to CURRENT."""
    for stale in folder.glob(".*.part*"):
        remove(stale)
    if current is None:
        return
    found = generations(folder)
    keep = [generation for generation in found if generation <= current.generation][-KEPT:]
    for generation, path in found.items():
        if generation not in keep:
            path.unlink(missing_ok=True)
