"""One dump of a service: the parts of its sources that are new, changed or waited for are read once, then merged.

Reading and judging happen in a scratch database beside the warehouse; the warehouse is held for one transaction, so a
run that fails or is killed leaves it as it was. A part that holds rows of other months is remembered with them: they
are stored when their month is run, and only parts with rows of it are read again then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import duckdb

from usage_assets.core import clock
from usage_assets.core.errors import WarehouseError
from usage_assets.core.file_faults import advice
from usage_assets.core.months import Window
from usage_assets.kinds.service.raw.merge import Merge, Merged
from usage_assets.kinds.service.raw.plan import Plan, plan, remembered
from usage_assets.kinds.service.raw.stage import Staging
from usage_assets.kinds.service.raw.tables import EVENT_FILES, REJECTED_EVENTS, TABLES, USAGE_EVENTS
from usage_assets.kinds.service.reports.retention_tables import gone_months
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.schema import Violation
from usage_assets.sources import record
from usage_assets.sources.record import DumpResult, TableMonth
from usage_assets.sources.sql.evidence import Counts
from usage_assets.specs.raw_table import RawTable
from usage_assets.warehouse import Warehouse, Writer
from usage_assets.warehouse.bookkeeping import GATES


def dump(
    site: ServiceSite,
    window: Window,
    warehouse: Warehouse,
    *,
    tables: Sequence[RawTable] = TABLES,
    run_id: str,
    purge_known: bool = False,
    allow_missing: bool = False,
    log: Callable[[str], None] = lambda _: None,
) -> DumpResult:
    """Read what the months of the window need from the site's sources and store it, all or nothing.

    A month that would lose many rows at once is refused, unless `purge_known` says that they were removed on purpose.
    Both tables are always written; a source may lack columns, so `allow_missing` changes nothing.
    """
    del tables, allow_missing
    now = clock.naive_utc_now().replace(microsecond=0)
    path = warehouse.path.parent / ".staging" / f"{site.key}.events.duckdb"
    months = [month for month in window.months if month >= site.first_month]
    try:
        with warehouse.site(site.key, f"run {run_id[:8]}, dump of {window}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            found = plan(site, warehouse, months)
            log(f"{window}: {len(found.tasks)} part(s) to read, {found.unchanged} as they were")
            staging = Staging(path, site)
            try:
                try:
                    staging.read(found.tasks, months)
                finally:
                    staging.close()
                run = _Write(site, window, months, found, staging, now, run_id)
                done = run.store(warehouse, purge_known=purge_known)
            finally:
                staging.remove()
    except (duckdb.Error, OSError) as error:
        msg = (
            f"{window}: the rows could not be stored ({error}); stored months are untouched. "
            f"What to do: {advice(error, warehouse.path.parent)}"
        )
        raise WarehouseError(msg) from error
    for note in staging.notes:
        log(f"{window}: {note}")
    for item in done:
        log(f"{window}: {item.table.name} {item.month:%Y-%m}: {item.rows} row(s), {item.rows_new} new")
    return DumpResult(window, now, tuple(done), tuple(staging.notes[:_MOST_NOTES]))


_MOST_NOTES = 20


@dataclass(frozen=True)
class _Write:
    """The one transaction of a dump."""

    site: ServiceSite
    window: Window
    months: Sequence[date]
    plan: Plan
    staging: Staging
    now: datetime
    run_id: str

    def store(self, warehouse: Warehouse, *, purge_known: bool) -> list[TableMonth]:
        """Merge, and record what was done; per table and month of the window."""
        with warehouse.write(f"dump of {self.window}") as writer:
            writer.attach(self.staging.path)
            removed = gone_months(writer, self.site.key).get(f"raw/{USAGE_EVENTS.name}", ())
            merge = Merge(
                writer,
                self.staging,
                self.site.key,
                self.months,
                vanished=self.plan.vanished,
                now=self.now,
                removed=removed,
            )
            merged = merge.run(purge_known=purge_known)
            self._remember_parts(writer, merged)
            done = [
                *self._record(writer, USAGE_EVENTS, merged, merged.events),
                *self._record(writer, REJECTED_EVENTS, merged, merged.rejects),
            ]
            record.record(writer, self.site.key, done, self.run_id)
        return done

    def _record(self, writer: Writer, table: RawTable, merged: Merged, changed: set[date]) -> list[TableMonth]:
        """Readiness of the window's months, and versions of those that were changed, also beside the window."""
        asset, key = f"{self.site.kind}/raw/{table.name}", self.site.key
        ready = writer.frame(GATES, key, list(self.window.months)).filter(asset=asset, ok=True)["month"].to_list()
        numbers = dict(
            writer.con.execute(
                f"SELECT month, count(*) FROM {table.table.qualified} WHERE site = $site GROUP BY month", {"site": key}
            ).fetchall()
        )
        good = [month for month in self.window.months if month not in merged.refused]
        written = {month for month in good if month not in ready} | changed
        writer.record_readiness(asset, key, self.window.months, merged.refused, self.run_id)
        writer.record_write(key, asset, self.run_id, {month: numbers.get(month, 0) for month in sorted(written)})
        out = []
        for month in self.window.months:
            counts = merged.counts.get(month, Counts()) if table is USAGE_EVENTS else Counts(rows=numbers.get(month, 0))
            refused: tuple[Violation, ...] = merged.refused.get(month, ())
            out.append(TableMonth(**vars(counts), table=table, month=month, extracted_at=self.now, refused=refused))
        return out

    def _remember_parts(self, writer: Writer, merged: Merged) -> None:
        """Replace what serving.event_files says of the parts that were read, and of those that are gone."""
        writer.ensure(EVENT_FILES)
        good = [month for month in self.months if month not in merged.refused]
        newest = max(good or self.window.months)
        found = writer.sql(
            "SELECT source_file, coalesce(month, $newest::DATE) AS month, count(*) AS rows_read, "
            f"count(reason) AS rows_rejected FROM ({self.staging.rows('staged').sql}) GROUP BY ALL",
            {"newest": newest},
        )
        before = writer.frame(EVENT_FILES, self.site.key)
        after = remembered(self.plan, before, found, site=self.site.key, good=good, newest=newest, at=self.now)
        writer.con.execute(f"DELETE FROM {EVENT_FILES.qualified} WHERE site = ?", [self.site.key]).fetchall()
        writer.put(EVENT_FILES, after)
