"""One dump of a GPU pool: the files of each month are checked, read where they changed, and stored month by month.

A month whose file can't be read keeps its rows and is refused; the others are stored. The running month is read from
its newest stored poll on, as long as its earlier rows have not changed.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from usage_assets.core import clock
from usage_assets.core.errors import SourceError, WarehouseError
from usage_assets.core.file_faults import advice
from usage_assets.core.months import Window, next_month
from usage_assets.kinds.htcondor.raw.files import SnapshotFile, find_files
from usage_assets.kinds.htcondor.raw.pull import Known, Pull, Pulled
from usage_assets.kinds.htcondor.raw.store import MonthRows, Stored, count, merge, missed_polls
from usage_assets.kinds.htcondor.raw.tables import GPU_STATE
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.schema import Violation
from usage_assets.sources import record
from usage_assets.sources.record import DumpResult, TableMonth
from usage_assets.specs.raw_table import RawTable
from usage_assets.warehouse import Warehouse, Writer
from usage_assets.warehouse.bookkeeping import FILES, GATES


def dump(
    site: HTCondorSite,
    window: Window,
    warehouse: Warehouse,
    *,
    tables: Sequence[RawTable] = (GPU_STATE,),
    run_id: str,
    purge_known: bool = False,
    allow_missing: bool = False,
    log: Callable[[str], None] = lambda _: None,
) -> DumpResult:
    """Read the months of the window from the site's files and store them, each month by itself.

    `purge_known`: polls that vanish from the files, however many, are no fault. A file may lack columns, so
    `allow_missing` changes nothing.
    """
    del tables, allow_missing
    now = clock.naive_utc_now().replace(microsecond=0)
    folder = warehouse.path.parent / ".staging" / f"{site.key}.files"
    out = []
    try:
        with warehouse.site(site.key, f"run {run_id[:8]}, dump of {window}"), _room(folder):
            files = find_files(site)
            for month in window.months:
                done = _Month(site, month, warehouse, files, folder, now, run_id).run(purge_known=purge_known)
                log(f"{window}: {GPU_STATE.name} {month:%Y-%m}: {_summary(done)}")
                out.append(done)
    except (duckdb.Error, OSError) as error:
        msg = (
            f"{window}: the rows could not be stored ({error}); each month is as it was, or whole. "
            f"What to do: {advice(error, warehouse.path.parent)}"
        )
        raise WarehouseError(msg) from error
    return DumpResult(window, now, tuple(out))


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """A folder for copies, empty and gone in the end; a killed process may have left its own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _summary(done: TableMonth) -> str:
    """What a dump did to a month, for its log."""
    if done.refused:
        return "; ".join(map(str, done.refused))
    numbers = {"new": done.rows_new, "changed": done.rows_changed, "gone": done.rows_gone}
    parts = [f"{number} {name}" for name, number in numbers.items() if number]
    return ", ".join(filter(None, [f"{done.rows} row(s)", *parts, done.note]))


@dataclass
class _Month:
    site: HTCondorSite
    month: date
    warehouse: Warehouse
    found: Mapping[date, Sequence[SnapshotFile]]
    folder: Path
    now: datetime
    run_id: str

    def __post_init__(self) -> None:
        self.pull = Pull(self.site, self.month, self.found, self.folder, self.now)
        self.asset = f"{self.site.kind}/raw/{GPU_STATE.name}"

    def run(self, *, purge_known: bool) -> TableMonth:
        """Store the new rows of the month; refused where its own files can't be read."""
        month, params = self.month, {"site": self.site.key, "month": self.month, "next": next_month(self.month)}
        with self.warehouse.read() as reader:
            files = reader.frame(FILES, self.site.key, [month]).filter(pl.col("table_name") == GPU_STATE.name)
            gates = reader.frame(GATES, self.site.key, [month], where=f"asset = '{self.asset}' AND ok")
            # rows of the month's own files, without the hours of its neighbours' ones
            sql = (
                f"SELECT count(*) FROM {GPU_STATE.table.qualified} WHERE site = $site AND month = $month::DATE "
                "AND local_at >= $month::DATE AND local_at < $next::DATE"
            )
            stored = int(reader.sql(sql, params).item()) if reader.has(GPU_STATE.table) else 0
        known, good = {row["file"]: row for row in files.iter_rows(named=True)}, not gates.is_empty()
        if not stored and not self.pull.has_own:
            reason = self._absent()
            if reason is not None:
                return self._refuse(reason)
        changed = self.pull.changed(known)
        if good and not changed and {file.name for file in self.pull.files} == set(known):
            return self._unchanged(known)
        try:
            pulled = self.pull.read(known, changed, good=good)
        except SourceError as error:
            return self._refuse(str(error))
        return self._store(pulled, known, purge_known=purge_known)

    def _absent(self) -> str | None:
        """The error of a month without a file and without stored rows; null where none is expected."""
        gaps = any(gap.start <= self.month and gap.end >= next_month(self.month) for gap in self.site.known_gaps)
        if self.month < self.site.first_month or gaps or self.pull.is_running:
            return None
        folders = ", ".join(f"{each.path(self.site.key)} ({', '.join(each.files)})" for each in self.site.snapshots)
        return (
            f"site {self.site.key}: there is no snapshot file of {self.month:%Y-%m} in {folders}; find it, or say in "
            "the site's file that there is none (first_month, known_gaps)"
        )

    def _store(self, pulled: Pulled, known: Known, *, purge_known: bool) -> TableMonth:
        rows = MonthRows(self.site.key, self.month, pulled.parts, pulled.twice, pulled.whole, pulled.kept)
        with self.warehouse.write(f"dump of {self.site.key} {self.month:%Y-%m}") as writer:
            # texts come again and again: looking whether parts of them do costs a sixth of a month and saves nothing
            writer.con.execute("SET disabled_compression_methods = 'fsst'").fetchall()
            stored = merge(writer, rows, now=self.now, purge_known=purge_known, asset=self.asset, run_id=self.run_id)
            files: dict[str, Mapping[str, Any]] = {} if pulled.whole else dict(known)
            files |= {row["file"]: row for row in pulled.files}
            stored.missed = missed_polls(writer, self.site.key, self.month, self.site.poll_minutes)
            done = self._done(stored, files, pulled.notes)
            if not stored.refused:
                self._record_files(writer, list(files.values()))
            record.record(writer, self.site.key, [done], self.run_id)
        return done

    def _record_files(self, writer: Writer, files: Sequence[Mapping[str, Any]]) -> None:
        writer.ensure(FILES)
        writer.delete(FILES, site=self.site.key, months=[self.month], owned={"table_name": [GPU_STATE.name]})
        if files:
            writer.put(FILES, pl.DataFrame(files, schema=FILES.polars_schema))

    def _unchanged(self, known: Known) -> TableMonth:
        """Record that the files of the month were checked and have not changed."""
        with self.warehouse.write(f"dump of {self.site.key} {self.month:%Y-%m}") as writer:
            stored = Stored()
            count(writer, self.site.key, self.month, stored)
            stored.missed = missed_polls(writer, self.site.key, self.month, self.site.poll_minutes)
            done = self._done(stored, known, ["its files are as they were"] if known else [])
            record.record(writer, self.site.key, [done], self.run_id)
            modified = {file.name: file.modified_ns for file in self.pull.files}
            rows = [{**row, "modified_ns": modified[name]} for name, row in known.items()]
            if rows != list(known.values()):
                self._record_files(writer, rows)
        return done

    def _refuse(self, reason: str) -> TableMonth:
        with self.warehouse.write(f"dump of {self.site.key} {self.month:%Y-%m}") as writer:
            writer.ensure(GPU_STATE.table)
            refused = (Violation(self.month, reason, 0),)
            writer.record_readiness(self.asset, self.site.key, [self.month], {self.month: refused}, self.run_id)
        return self._done(Stored(refused=refused), {}, [])

    def _done(self, stored: Stored, files: Known, notes: Sequence[str]) -> TableMonth:
        bad_times, bad_numbers, cut_texts, shifted_times = (
            sum(int(row[name]) for row in files.values())
            for name in ("bad_times", "bad_numbers", "cut_texts", "shifted_times")
        )
        stored.counts.zero_dates = bad_times
        numbers = {
            "poll(s) missed": stored.missed,
            "row(s) that stand twice, held once": stored.doubles,
            "row(s) whose time is none, left out": bad_times,
            "number(s) that are none, null": bad_numbers,
            "text(s) cut": cut_texts,
            "time(s) in the hour that the clock left out": shifted_times,
        }
        texts = [f"{number} {name}" for name, number in numbers.items() if number]
        return TableMonth(
            **vars(stored.counts),
            table=GPU_STATE,
            month=self.month,
            extracted_at=self.now,
            note="; ".join([*dict.fromkeys(notes), *texts]) or None,
            refused=stored.refused,
        )
