"""One dump: a window of months of a site, read once per table from one snapshot per server, written at once.

Reading, sorting into months and merging happen in a staging database beside the warehouse; the warehouse itself is
held only for the one transaction at the end, so a run that fails or is killed leaves it as it was.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb

from usage_assets.core import clock
from usage_assets.core.errors import SourceError, WarehouseError
from usage_assets.core.file_faults import advice
from usage_assets.core.months import Window
from usage_assets.sites.sql import SqlSite
from usage_assets.sources import record
from usage_assets.sources.personal import Redactor
from usage_assets.sources.record import DumpResult, TableMonth
from usage_assets.sources.sql import evidence, months
from usage_assets.sources.sql.access import grant_for, warnings
from usage_assets.sources.sql.evidence import Counts, Merge
from usage_assets.sources.sql.reflection import Found, find_tables
from usage_assets.sources.sql.schema_drift import refuse_emptied, refuse_lost_columns
from usage_assets.sources.sql.servers import Server, open_servers
from usage_assets.sources.sql.stage import Stage
from usage_assets.sources.sql.statements import Filter, Step
from usage_assets.specs.raw_table import Life, Machine, RawTable, Satellite, ServerLife
from usage_assets.warehouse import Warehouse, staging


def dump(
    site: SqlSite,
    window: Window,
    warehouse: Warehouse,
    *,
    tables: Sequence[RawTable],
    catalogue: Mapping[str, RawTable],
    redactor: Redactor,
    run_id: str,
    purge_known: bool = False,
    allow_missing: bool = False,
    log: Callable[[str], None] = lambda _: None,
) -> DumpResult:
    """Read the months of the window from the site's databases and store them, all or nothing.

    `tables` are the raw tables to write; others of the `catalogue` are read along where the month rule needs them.
    The `redactor` hides what names people.
    `purge_known` says that rows vanishing at the source, however many, are no fault of the read; `allow_missing` the
    same of columns.
    """
    path = warehouse.path.parent / ".staging" / f"{site.key}.duckdb"
    try:
        with warehouse.site(site.key, f"run {run_id[:8]}, dump of {window}"), staging(path) as con:
            run = _Dump(site, window, warehouse, con, catalogue, redactor, log, purge_known, allow_missing)
            databases = {raw.database for raw in with_parents(closure(tables, catalogue), catalogue)}
            with open_servers(site, sorted(databases)) as servers:
                merged = run.read(servers, tables)
                warned = tuple(warnings(servers))
            for name, item in merged.items():
                log(record.line(window, name, item.counts, item.note))
            for text in warned:
                log(f"{window}: {text}")
            con.close()
            return replace(run.write(path, tables, merged, run_id), warnings=warned)
    except (duckdb.Error, OSError) as error:
        msg = (
            f"{window}: the rows could not be stored ({error}); stored months are untouched. "
            f"What to do: {advice(error, warehouse.path.parent)}"
        )
        raise WarehouseError(msg) from error
    except SourceError as error:
        error.__cause__ = error.__context__ = None  # a driver's own error may carry what we took out of the text
        raise


@contextmanager
def _transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """One transaction; ended also by an error, as no database can be detached within one."""
    con.execute("BEGIN").fetchall()
    try:
        yield
    except BaseException:
        con.execute("ROLLBACK").fetchall()
        raise
    con.execute("COMMIT").fetchall()


@dataclass
class _Dump:
    site: SqlSite
    window: Window
    warehouse: Warehouse
    con: duckdb.DuckDBPyConnection
    catalogue: Mapping[str, RawTable]
    redactor: Redactor
    log: Callable[[str], None]
    purge_known: bool
    allow_missing: bool
    extracted_at: datetime = field(default_factory=lambda: clock.naive_utc_now().replace(microsecond=0))

    def read(self, servers: Sequence[Server], tables: Sequence[RawTable]) -> dict[str, Merge]:
        """Stage each table and sort it into months, parents before children; then merge with what is stored."""
        self.extracted_at = min((server.now for server in servers), default=self.extracted_at)
        stage = Stage(self.con, Filter(self.window), self.redactor)
        wanted = {raw.name for raw in tables}
        needed = closure(tables, self.catalogue)
        found = find_tables(servers, with_parents(needed, self.catalogue))
        for item in found.values():
            self._refuse_denied(item)
        if not self.allow_missing and any(item.missing for item in found.values()):
            with self.warehouse.read() as reader:
                refuse_lost_columns(reader, self.window, found.values())
        merged: dict[str, Merge] = {}
        with stage.one_transaction():
            months.create_window(self.con, self.window, self.site.first_month)
            for raw in needed:
                columns, steps = self._columns(raw, wanted), steps_of(raw, found, self.catalogue)
                staged = stage.read(found[raw.name], steps, names=columns)
                if isinstance(raw.months, ServerLife):
                    stage.date_terminations(raw, *self._tables_of_terminations(servers, found, raw.months))
                months.assign_months(self.con, raw, roots(raw, self.catalogue), self._namers(raw))
                if staged.narrow:
                    stage.fill(found[raw.name], columns)
                if raw.name in wanted:
                    note = "; ".join(filter(None, [found[raw.name].note, *staged.notes()])) or None
                    server = found[raw.name].server
                    now = server.now if server else self.extracted_at
                    merged[raw.name] = Merge(found[raw.name], now, note, steps, roots(raw, self.catalogue))
                    evidence.assemble(self.con, merged[raw.name], self.site.key)
                stage.commit_if_large(staged.read)
                self.log(f"{self.window}: {raw.name}: {staged.read} row(s) read")
        self._merge(stage, merged)
        self._follow_gone(stage, needed, merged)
        return merged

    def _merge(self, stage: Stage, merged: Mapping[str, Merge]) -> None:
        """Merge tables with what is stored of them; the warehouse is held for the comparison only."""
        with self.warehouse.beside(self.con) as there:
            with _transaction(self.con):
                for item in merged.values():
                    evidence.compare(self.con, item, self.window, is_stored=there)
            for item in merged.values():
                if item.alive is not None and not self.allow_missing:
                    refuse_emptied(self.con, self.window, item.found)
        for item in merged.values():
            evidence.keep(stage, item, self.site.key, purge_known=self.purge_known)

    def _follow_gone(self, stage: Stage, needed: Sequence[RawTable], merged: Mapping[str, Merge]) -> None:
        """Hold also what rows name that are kept though gone: a host that a vanished allocation stood on."""
        again: dict[str, Merge] = {}
        moved: set[str] = set()
        for raw in needed:
            owners, namers = roots(raw, self.catalogue), self._gone_namers(raw, merged)
            if namers or any(owner.name in moved for owner, _ in owners):
                months.assign_months(self.con, raw, owners, [*self._namers(raw), *namers])
                moved.add(raw.name)
                if raw.name in merged:
                    again[raw.name] = merged[raw.name]
                    evidence.assemble(self.con, merged[raw.name], self.site.key)
        if again:
            self._merge(stage, again)

    def write(self, path: Path, tables: Sequence[RawTable], merged: Mapping[str, Merge], run_id: str) -> DumpResult:
        """Replace the months of all tables in one transaction, with the record of the dump."""
        out: list[TableMonth] = []
        with self.warehouse.write(f"dump of {self.window}") as writer:
            writer.attach(path)
            for raw in tables:
                item = merged[raw.name]
                replaced = writer.replace(
                    raw.table,
                    f"staged.out_{raw.name}",
                    site=self.site.key,
                    months=self.window.months,
                    asset=f"{self.site.kind}/raw/{raw.name}",
                    run_id=run_id,
                )
                good = [month for month in self.window.months if month not in replaced.refused]
                if any(item.counts[month].versions for month in good if month in item.counts):
                    evidence.keep_versions(writer, raw, good)
                out += [
                    TableMonth(
                        **vars(item.counts.get(month, Counts())),
                        table=raw,
                        month=month,
                        extracted_at=item.extracted_at,
                        note=item.note,
                        refused=tuple(replaced.refused.get(month, ())),
                    )
                    for month in self.window.months
                ]
            record.record(writer, self.site.key, out, run_id)
        return DumpResult(self.window, self.extracted_at, tuple(out))

    def _refuse_denied(self, found: Found) -> None:
        if found.denied:
            give = grant_for(self.site, found.raw, found.raw.source)
            msg = f"site {self.site.key}: {found.raw.name}: {found.note}; an administrator may {give}"
            raise SourceError(msg)

    def _tables_of_terminations(
        self, servers: Sequence[Server], found: dict[str, Found], life: ServerLife
    ) -> tuple[Found, Found]:
        """The tables of steps on servers and of the requests that they belong to, also where the run reads neither."""
        steps, requests, _ = life.terminated_by
        known = found | find_tables(servers, [self.catalogue[name] for name in (steps, requests) if name not in found])
        return known[steps], known[requests]

    def _columns(self, raw: RawTable, wanted: set[str]) -> list[str]:
        names = self.redactor.read(raw, [column.name for column in raw.columns])
        if raw.name in wanted or not isinstance(raw.months, Life):
            return names
        life = raw.months  # read along for its satellites' sake: what its months and their links need is enough
        needed = {"uuid", *raw.key, *life.columns}
        return [name for name in names if name in needed]

    def _namers(self, raw: RawTable) -> list[str]:
        """Rows of this run's months that name rows of a machine's table, as a relation (month, name)."""
        if (namer := namer_of(raw)) is None:
            return []
        other, column = namer
        key = ", ".join(f'"{name}"' for name in self.catalogue[other].key)
        rows = f'm_{other} m JOIN s_{other} s USING ({key}) WHERE s."{column}" IS NOT NULL'
        return [f'(SELECT DISTINCT m.month, CAST(s."{column}" AS VARCHAR) AS name FROM {rows})']

    def _gone_namers(self, raw: RawTable, merged: Mapping[str, Merge]) -> list[str]:
        """The same for rows that are kept though the source has lost them."""
        other, column = namer_of(raw) or ("", "")
        if other not in merged or not any(counts.rows_gone for counts in merged[other].counts.values()):
            return []
        rows = f'out_{other} WHERE gone_at IS NOT NULL AND "{column}" IS NOT NULL'
        return [f'(SELECT DISTINCT month, CAST("{column}" AS VARCHAR) AS name FROM {rows})']


def namer_of(raw: RawTable) -> tuple[str, str] | None:
    """The raw table, and its column, whose rows name rows of a machine's table that are held too."""
    return raw.months.named_by if isinstance(raw.months, Machine) else None


def family(name: str, catalogue: Mapping[str, RawTable]) -> list[str]:
    """A raw table and those that stand beside it (another cell)."""
    return [name, *(raw.name for raw in catalogue.values() if raw.extends == name)]


def roots(raw: RawTable, catalogue: Mapping[str, RawTable]) -> list[tuple[RawTable, str]]:
    """The tables of the rows that a satellite belongs to, with the column that names them."""
    if not isinstance(raw.months, Satellite):
        return []
    _, parent, column = raw.months.path[-1]
    return [(catalogue[name], column) for name in family(parent, catalogue)]


def steps_of(raw: RawTable, found: Mapping[str, Found], catalogue: Mapping[str, RawTable]) -> list[Step]:
    """The path to a satellite's root as the source has it; none where a step is not there at all."""
    if not isinstance(raw.months, Satellite):
        return []
    steps = []
    for here, parent, there in raw.months.path:
        parents = tuple(found[name] for name in family(parent, catalogue) if found[name].column(there) is not None)
        if not parents:
            return []
        steps.append(Step(here, parents, there))
    return steps if found[raw.name].column(steps[0].here) is not None else []


def closure(tables: Iterable[RawTable], catalogue: Mapping[str, RawTable]) -> list[RawTable]:
    """The tables and all whose months theirs follow, in the order in which months can be found."""
    graph: dict[str, set[str]] = {}
    waiting = [raw.name for raw in tables]
    while waiting:
        name = waiting.pop()
        if name in graph:
            continue
        raw = catalogue[name]
        graph[name] = {root.name for root, _ in roots(raw, catalogue)}
        if (namer := namer_of(raw)) is not None:
            graph[name].add(namer[0])
        waiting += graph[name]
    order = {name: number for number, name in enumerate(catalogue)}
    ordered = TopologicalSorter(
        {name: sorted(graph[name], key=order.__getitem__) for name in sorted(graph, key=order.__getitem__)}
    )
    return [catalogue[name] for name in ordered.static_order()]


def with_parents(tables: Iterable[RawTable], catalogue: Mapping[str, RawTable]) -> list[RawTable]:
    """The tables and those that the paths of satellites among them lead over."""
    out = {raw.name: raw for raw in tables}
    for raw in list(out.values()):
        if isinstance(raw.months, Satellite):
            for _, parent, _ in raw.months.path:
                out |= {name: catalogue[name] for name in family(parent, catalogue)}
    return list(out.values())
