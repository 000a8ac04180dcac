"""Reading the files of one month: the polls of each that are to be stored, and faults of their rows."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from usage_assets.core.errors import SourceError
from usage_assets.core.months import months_between, next_month
from usage_assets.kinds.htcondor.raw.files import SQLITE, SnapshotFile, digest, kind_of, still
from usage_assets.kinds.htcondor.raw.read import Inspected, inspect, relation, remarks, select, time_of, unreadable
from usage_assets.kinds.htcondor.raw.sqlite import ROW, Rows
from usage_assets.kinds.htcondor.raw.store import Part
from usage_assets.kinds.htcondor.raw.tables import GPU_STATE, TIME
from usage_assets.kinds.htcondor.raw.wallclock import is_ambiguous, local_span
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.warehouse.connections import in_memory

Known = Mapping[str, Mapping[str, Any]]
"""Rows of serving.files, by file."""
TWICE: dict[str, Any] = {"poll_at": pl.Datetime("us"), "h": pl.UInt64()}
_US = timedelta(microseconds=1)
_COUNTS = ("rows", "bad_times", "bad_numbers", "cut_texts", "shifted_times")


class DoubtError(Exception):
    """A file no longer begins with the rows that were read of it before."""


@dataclass
class Pulled:
    """The content of the files that is to be stored.

    With `whole` it is all there is of the month, but for the local months `kept`, whose files can't be read. `files`
    are rows of serving.files; `taken` the polls found so far: of two files that hold a poll the first one counts.
    """

    whole: bool
    parts: list[Part] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    doubles: list[pl.DataFrame] = field(default_factory=list)
    kept: set[date] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    taken: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"poll_at": pl.Datetime("us")}))

    @property
    def twice(self) -> pl.DataFrame:
        """The rows (poll_at, h) that a file holds more than once."""
        return pl.concat(self.doubles) if self.doubles else pl.DataFrame(schema=TWICE)


class Pull:
    """The files of a site that hold polls of one UTC month: those of its local month, and the edges of its neighbours.

    `now` decides whether the month is running; copies are written to `folder`.
    """

    def __init__(
        self, site: HTCondorSite, month: date, found: Mapping[date, Sequence[SnapshotFile]], folder: Path, now: datetime
    ) -> None:
        self.site = site
        self.month = month
        self.folder = folder
        self.now = now
        self.start = datetime.combine(month, time())
        self.end = datetime.combine(next_month(month), time())
        first, last = local_span(self.start, self.end, site.zone)
        self.days = first.date(), (last - _US).date() + timedelta(days=1)
        local = months_between(first.date().replace(day=1), (last - _US).date().replace(day=1))
        self.files = [file for each in local for file in found.get(each, ())]

    @property
    def is_running(self) -> bool:
        """Whether the month is not over."""
        return self.end > self.now

    @property
    def has_own(self) -> bool:
        """Whether there is a file of the month itself."""
        return any(file.month == self.month for file in self.files)

    def changed(self, known: Known) -> list[SnapshotFile]:
        """Files that are not as they were read; one with another date and the same content is as it was."""
        return [file for file in self.files if not _is_same(file, known.get(file.name))]

    def read(self, known: Known, changed: Collection[SnapshotFile], *, good: bool) -> Pulled:
        """New polls of the running month where its files still begin with the rows read before, else all; SourceError.

        `good`: the stored rows of the month are good, so that later ones can be added to them.
        """
        newest = [known[file.name]["newest_at"] for file in changed if file.name in known]
        # in an hour that comes twice the order of all its rows is needed
        is_clear = not any(at is None or is_ambiguous(at, self.site.zone) for at in newest)
        if is_clear and good and self.is_running and set(known) <= {file.name for file in self.files}:
            with suppress(DoubtError):
                return self._read_files(changed, known, whole=False)
        return self._read_files(self.files, {}, whole=True)

    def _read_files(self, files: Collection[SnapshotFile], known: Known, *, whole: bool) -> Pulled:
        out = Pulled(whole)
        with in_memory(self.folder) as con:
            for number, file in enumerate(files):
                try:
                    self._read_file(con, file, self.folder / f"{number}.parquet", known.get(file.name), out)
                except SourceError as error:
                    if file.month == self.month or not whole:
                        raise
                    out.kept.add(file.month)
                    out.notes.append(f"its hours in a file of another month were not read: {error}")
        return out

    def _read_file(
        self,
        con: duckdb.DuckDBPyConnection,
        file: SnapshotFile,
        target: Path,
        known: Mapping[str, Any] | None,
        out: Pulled,
    ) -> None:
        own = file.month == self.month
        is_sqlite = kind_of(file) == SQLITE
        if known is not None and is_sqlite and known["position"] is None:
            raise DoubtError
        wanted = Rows(after=known["position"]) if known is not None and is_sqlite else Rows()
        if not own and known is None:
            wanted = Rows(first=self.days[0] - timedelta(days=1), last=self.days[1] + timedelta(days=1))
        copy = still(file, target, rows=wanted)
        found = inspect(con, copy, self.site.zone, timedelta(minutes=self.site.poll_minutes))
        inside = pl.col("poll_at").is_between(self.start, self.end, closed="left")
        polls = found.polls.filter(inside).with_columns(is_new=pl.lit(value=True))
        if known is not None and known["newest_at"] is not None:
            since = known["newest_at"]
            _require_same_beginning(found, since, 0 if is_sqlite else known["rows_before"])
            polls = polls.filter(pl.col("local_at") >= since).with_columns(is_new=pl.col("local_at") > since)
        again = polls.join(out.taken, on="poll_at", how="semi")
        polls = polls.join(out.taken, on="poll_at", how="anti")
        if not again.is_empty():
            out.notes.append(f"{again.height} poll(s) of {file.path.name} are in another file too")
        out.taken = pl.concat([out.taken, polls.select("poll_at").unique()])
        counts = dict.fromkeys(_COUNTS, 0) | {"rows": found.rows}
        if not polls.is_empty():
            counts["bad_numbers"], counts["cut_texts"] = self._inspect(con, found, polls, out)
            out.parts.append(Part(found, polls))
        if own:
            out.notes += [*_remarks_on_columns(found), *remarks(found)]
            counts |= {"bad_times": found.bad_times, "shifted_times": found.shifted}
        if known is not None:  # what was counted before: of Parquet all times were looked at again
            before = _COUNTS if is_sqlite else ("bad_numbers", "cut_texts")
            counts |= {name: counts[name] + int(known[name]) for name in before}
        out.files.append(self._row(con, found, counts, is_sqlite=is_sqlite))

    def _row(
        self, con: duckdb.DuckDBPyConnection, found: Inspected, counts: Mapping[str, int], *, is_sqlite: bool
    ) -> dict[str, Any]:
        """Row of serving.files."""
        copy, newest = found.copy, found.newest
        return {
            "site": self.site.key,
            "month": self.month,
            "table_name": GPU_STATE.name,
            "file": copy.file.name,
            "size": copy.file.size,
            "modified_ns": copy.file.modified_ns,
            "digest": None if self.is_running else digest(copy.file.path if is_sqlite else copy.path),
            "newest_at": newest,
            "rows_before": _rows_before(found, newest) if newest is not None else 0,
            "position": _position(con, found, newest) if is_sqlite and newest is not None else None,
            "read_at": self.now,
            **counts,
        }

    @staticmethod
    def _inspect(con: duckdb.DuckDBPyConnection, found: Inspected, polls: pl.DataFrame, out: Pulled) -> tuple[int, int]:
        """Bad numbers and cut texts of new polls; rows that stand twice are added to `out`."""
        con.register("polls_to_inspect", polls.to_arrow())
        rows = select(found, "polls_to_inspect", {"is_new": "p.is_new"}, since=polls["at"].min())
        grouped = (
            "SELECT poll_at, h, count(*) AS n, sum(bad) AS bad, sum(cut) AS cut, any_value(is_new) AS is_new "
            f"FROM ({rows}) GROUP BY poll_at, h"
        )
        try:
            doubles, bad, cut = con.execute(
                "SELECT coalesce(sum(n - 1), 0)::BIGINT, coalesce(sum(bad) FILTER (WHERE is_new), 0)::BIGINT, "
                f"coalesce(sum(cut) FILTER (WHERE is_new), 0)::BIGINT FROM ({grouped})"
            ).fetchall()[0]
            if doubles:
                twice = con.sql(f"SELECT poll_at, h FROM ({grouped}) WHERE n > 1").pl()
                out.doubles.append(twice.cast(pl.Schema(TWICE)))
        except duckdb.Error as error:
            raise unreadable(found.copy, error) from error
        con.unregister("polls_to_inspect")
        return int(bad), int(cut)


def _rows_before(found: Inspected, at: datetime) -> int:
    return int(found.polls.filter(pl.col("local_at") < at)["rows"].sum() or 0)


def _require_same_beginning(found: Inspected, since: datetime, before: int) -> None:
    """DoubtError unless the file goes on where it was left: from its newest poll, with as many rows before that."""
    if _rows_before(found, since) != before or since not in found.polls["local_at"]:
        raise DoubtError


def _is_same(file: SnapshotFile, row: Mapping[str, Any] | None) -> bool:
    if row is None or file.size != row["size"]:
        return False
    if file.modified_ns == row["modified_ns"]:
        return True
    try:
        return row["digest"] is not None and digest(file.path) == row["digest"]
    except SourceError:
        return False


def _remarks_on_columns(found: Inspected) -> list[str]:
    """Columns that a file lacks, and its rows of other months."""
    name = found.copy.file.path.name
    out = []
    if found.missing:
        out.append(f"{name} has no column {', '.join(found.missing)}")
    stray = found.polls.filter(pl.col("local_at").dt.truncate("1mo").dt.date() != found.copy.file.month)
    if not stray.is_empty():
        out.append(f"{name} holds {stray['rows'].sum()} row(s) of other months")
    return out


def _position(con: duckdb.DuckDBPyConnection, found: Inspected, newest: datetime) -> int | None:
    """The number of the row before the newest poll's first one."""
    row = found.polls.filter(pl.col("local_at") == newest).row(0, named=True)
    time = time_of(f'"{found.names[TIME]}"', found.types[TIME])
    sql = f"SELECT min({ROW}) FROM {relation(found.copy)} WHERE {time} = $key"
    first = con.execute(sql, {"key": row["raw"] if found.is_text else row["at"]}).fetchall()[0][0]
    return None if first is None else int(first) - 1
