"""Which parts of a site's sources a dump reads: new and changed ones, and those with months that wait."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.core.errors import SourceError
from usage_assets.kinds.service.raw.reader import Part, Reader
from usage_assets.kinds.service.raw.sources import readers_of
from usage_assets.kinds.service.raw.stage import Task
from usage_assets.kinds.service.raw.tables import EVENT_FILES, REJECTED_EVENTS, USAGE_EVENTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.warehouse import Reader as Stored
from usage_assets.warehouse import Warehouse


@dataclass(frozen=True)
class Plan:
    """Parts to read, names of those that are no longer there, and the number of those that are as they were."""

    tasks: tuple[Task, ...]
    vanished: tuple[str, ...]
    unchanged: int


@dataclass(frozen=True)
class _Found:
    """A part that is there."""

    reader: Reader
    part: Part


def plan(site: ServiceSite, warehouse: Warehouse, window: Sequence[date]) -> Plan:
    """What a dump of these months reads; SourceError where two sources have a part of the same name."""
    there: dict[str, _Found] = {}
    readers = readers_of(site)
    forgets = {reader.name for _, reader in readers if not reader.lists_all}
    for label, reader in readers:
        for part in reader.parts(window):
            name = f"{label}{part.name}"
            if name in there:
                msg = f"site {site.key}: two sources have a file {name}; give one of them a name (sources: name)"
                raise SourceError(msg)
            there[name] = _Found(reader, part)
    with warehouse.read() as stored:
        known = stored.frame(EVENT_FILES, site.key)
        by_file = {str(name): rows for (name,), rows in known.group_by(["source_file"])}
        months = set(window)
        vanished = [
            name
            for name, rows in by_file.items()
            if name not in there and months & set(rows["month"]) and not forgets & set(rows["reader"])
        ]
        tasks = {name: _task(name, found, by_file.get(name), months) for name, found in sorted(there.items())}
        changed = [name for name, task in tasks.items() if task is not None and task.is_changed and name in by_file]
        for name in _rivals(stored, site.key, [*changed, *vanished]):
            if name in there:
                tasks[name] = Task(there[name].reader, there[name].part, name, is_rival=True)
    wanted = tuple(task for task in tasks.values() if task is not None)
    return Plan(wanted, tuple(sorted(vanished)), len(there) - len(wanted))


def _task(name: str, found: _Found, known: pl.DataFrame | None, window: set[date]) -> Task | None:
    """How a part is to be read; None of one that is as it was and has nothing to be stored."""
    part = found.part
    if part.months is not None and not window & set(part.months):
        return None
    if part.fingerprint is None or known is None or part.fingerprint not in set(known["fingerprint"]):
        return Task(found.reader, part, name)
    if set(known.filter(pl.col("month").is_in(window))["fingerprint"]) - {part.fingerprint}:
        return Task(found.reader, part, name)  # it was read again since, but not for one of these months
    waits: set[date] = set(known.filter(~pl.col("merged"))["month"])
    due = frozenset(waits & window)
    return Task(found.reader, part, name, due) if due else None


def _rivals(stored: Stored, site: str, changed: Iterable[str]) -> list[str]:
    """Parts that hold rows which lost to one of a part that has changed: one of them may count now."""
    names = list(changed)
    found = set(names)
    if not names or not stored.has(REJECTED_EVENTS.table) or not stored.has(USAGE_EVENTS.table):
        return []
    while names:
        more = stored.sql(
            f"SELECT DISTINCT r.source_file FROM {REJECTED_EVENTS.table.qualified} r JOIN "
            f"{USAGE_EVENTS.table.qualified} s ON s.site = r.site AND s.event_id = r.event_id WHERE r.site = $site AND "
            "r.content IS NOT NULL AND s.source_file IN (SELECT unnest($names::VARCHAR[]))",
            {"site": site, "names": names},
        )["source_file"].to_list()
        names = [name for name in more if name not in found]
        found |= set(names)
    return sorted(found - set(changed))


def remembered(
    plan: Plan,
    before: pl.DataFrame,
    found: pl.DataFrame,
    *,
    site: str,
    good: Sequence[date],
    newest: date,
    at: datetime,
) -> pl.DataFrame:
    """Rows of serving.event_files after a dump that stored the months `good`.

    `found` are source_file, month, rows_read, rows_rejected of what was read. A month that an older version of a part
    is stored in keeps that one's fingerprint: the part counts as changed when the month is run.
    """
    tasks = {task.source_file: task for task in plan.tasks}
    read = pl.DataFrame(
        [(name, each.reader.name, each.part.fingerprint or "", each.is_rival) for name, each in tasks.items()],
        {"source_file": pl.String, "reader": pl.String, "fingerprint": pl.String, "is_rival": pl.Boolean},
        orient="row",
    )
    is_good, is_read = pl.col("month").is_in(list(good)), pl.col("source_file").is_in(list(tasks))
    is_gone = pl.col("source_file").is_in(list(plan.vanished))
    rivals = read.filter("is_rival")["source_file"].to_list()
    kept = before.filter(~(is_good & (is_read | is_gone))).with_columns(
        merged=pl.col("merged") & ~pl.col("source_file").is_in(rivals)
    )
    fresh = found.join(read.drop("is_rival"), on="source_file").with_columns(merged=is_good)
    fresh = fresh.join(kept.select("source_file", "month"), on=["source_file", "month"], how="anti")
    there = {*fresh["source_file"], *kept["source_file"]}
    empty = read.drop("is_rival").filter(~pl.col("source_file").is_in(list(there)))
    zero = pl.lit(0, pl.Int64)
    empty = empty.with_columns(month=pl.lit(newest), rows_read=zero, rows_rejected=zero, merged=pl.lit(value=True))
    fresh = pl.concat([fresh, empty.select(fresh.columns)])
    return pl.concat([kept, fresh.with_columns(site=pl.lit(site), read_at=pl.lit(at)).select(kept.columns)])
