"""Polls that lie in files of their own beside the file of their month, as our collector leaves them for a day.

The folder `gpu_state_2026-11.polls` belongs to `gpu_state_2026-11.parquet`; readers take them as one file. A poll's
file is removed only when the month's file with that poll is in place. So a reader that takes the polls' files first and
the month's file after them has every poll, and leaves out those that it has from both.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from usage_assets.core.errors import SourceError
from usage_assets.kinds.htcondor.raw.tables import TIME

PARQUET_ENDING, POLLS_ENDING = ".parquet", ".polls"


def polls_folder(month_file: Path) -> Path:
    """Where polls lie that the file of their month does not hold yet."""
    return month_file.with_suffix(POLLS_ENDING)


def month_file(polls: Path) -> Path:
    """The file that a folder of polls belongs to."""
    return polls.with_suffix(PARQUET_ENDING)


def poll_files(folder: Path) -> list[Path]:
    """Files of polls in a folder, the oldest first; none where there is no such folder. OSError where it is closed.

    Names that begin with a dot are of files that are being written.
    """
    try:
        names = [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names) if name.endswith(PARQUET_ENDING) and not name.startswith(".")]


def read_polls(paths: Iterable[Path]) -> list[pa.Table]:
    """The polls of files; one that was removed meanwhile is in the month's file. SourceError names a damaged one."""
    out = []
    for path in paths:
        with suppress(FileNotFoundError), _errors_named(path, FileNotFoundError), pq.ParquetFile(path) as opened:
            table = opened.read(use_threads=False)
            _require_instants(table.schema, path)
            out.append(table)
    return out


def times_of(table: pa.Table) -> set[datetime]:
    """The instants of a table's rows."""
    return set(table.column(TIME).unique().to_pylist())


def schema_of(path: Path) -> pa.Schema:
    """The columns of a file that our collector wrote; SourceError where it did not, or the file is damaged."""
    with _errors_named(path):
        schema = pq.read_schema(path)
    _require_instants(schema, path)
    return schema


def times_in(path: Path, since: datetime | None = None) -> set[datetime]:
    """The instants that a file of polls holds, from `since` on; SourceError where it is damaged or not ours."""
    out: set[datetime] = set()
    with _errors_named(path), pq.ParquetFile(path) as opened:
        _require_instants(opened.schema_arrow, path)
        place = opened.schema_arrow.get_field_index(TIME)
        for number in range(opened.num_row_groups):
            known = opened.metadata.row_group(number).column(place).statistics
            if since is None or known is None or not known.has_min_max or known.max >= since:
                out |= times_of(opened.read_row_group(number, columns=[TIME]))
    return {at for at in out if at is not None and (since is None or at >= since)}


def without(tables: Sequence[pa.Table], held: set[datetime]) -> list[pa.Table]:
    """Polls that are not held yet, each once."""
    taken = set(held)
    out = []
    for table in tables:
        times = times_of(table)
        if times and not times <= taken:
            out.append(table)
            taken |= times
    return out


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Polls one after another; a column that one lacks is null there."""
    return pa.concat_tables(tables, promote_options="default")


def _require_instants(schema: pa.Schema, path: Path) -> None:
    kind = schema.field(TIME).type if TIME in schema.names else None
    if kind is None or not pa.types.is_timestamp(kind) or kind.tz is None:
        msg = (
            f"{path}: its column {TIME} holds no instants with a zone, so our collector did not write it, and polls "
            "can't stand beside it. Keep files of another collector in a folder of their own (snapshots)"
        )
        raise SourceError(msg)


@contextmanager
def _errors_named(path: Path, *passed: type[OSError]) -> Iterator[None]:
    """SourceError of a file that can't be read; errors of the types `passed` as they are."""
    try:
        yield
    except passed:
        raise
    except (pa.ArrowException, OSError) as error:
        text = str(error).splitlines()[0][:300]
        msg = f"{path}: can't be read as Parquet ({text}); is it damaged, cut off, or not whole?"
        raise SourceError(msg) from error
