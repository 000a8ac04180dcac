"""What earlier dumps stored, brought under today's `personal` of the site's file: raw rows, their evidence, facts."""

import polars as pl

from usage_assets.core import clock
from usage_assets.core.errors import UsageError
from usage_assets.sites.base import Site
from usage_assets.sources.personal import Redactor
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Warehouse, Writer
from usage_assets.warehouse.bookkeeping import CHECKED, VERSIONS

_IDENTITIES = ("user_id", "project_id")
NOBODY = "none"  # in place of an id where the time belongs to nobody


def scrub(kind: Kind, site: Site, warehouse: Warehouse) -> dict[str, int]:
    """Hash or drop what the site's file wants hidden, in one transaction; rows changed, by table.

    Rows that are hidden already stay as they are, so that doing it again changes nothing. The next dump then finds
    rows as they are stored, and no clear value becomes evidence. UsageError where the site hides nothing.
    """
    redactor = kind.redactor(site)
    if redactor is None and getattr(site, "personal", None):
        msg = (
            f"site {site.key}: rows of {kind.name} that are stored already can't be hidden as a whole; take persons "
            f"out one by one (usage-assets scrub --site {site.key} --user NAME)"
        )
        raise UsageError(msg)
    if redactor is None or not redactor.rules:
        msg = f"site {site.key}: its file has no personal, so there is nothing to hide; see docs/adding-a-site.md"
        raise UsageError(msg)
    by_name = {raw.name: raw for raw in kind.raw_tables}
    changed: dict[str, int] = {}
    with warehouse.site(site.key, "scrub"), warehouse.write(f"scrub of {site.key}") as writer:
        work = _Scrub(writer, site.key, redactor)
        for column in redactor.rules:
            raw = by_name[column.partition(".")[0]]
            for table in (raw.table, raw.versions):
                if writer.has(table):
                    done = work.rewrite(table.qualified, column)
                    changed[table.qualified] = changed.get(table.qualified, 0) + done
        for identity in _IDENTITIES:
            alike = next((column for column in redactor.rules if column.endswith(f".{identity}")), None)
            for name in work.derived_tables(identity) if alike is not None else ():
                changed[name] = changed.get(name, 0) + work.rewrite_derived(name, str(alike))
        if any(changed.values()):
            _mark_changed(writer, site.key)
    return {name: number for name, number in changed.items() if number}


def erase(kind: Kind, site: Site, warehouse: Warehouse, user: str) -> dict[str, int]:
    """Take one person out of what is stored of a site, in one transaction; rows of the person, by table.

    UsageError where the kind has no users that it can take out. What the sources still say comes back when they are
    read again.
    """
    with warehouse.site(site.key, "scrub"), warehouse.write(f"scrub of a user of {site.key}") as writer:
        changed = kind.erase(writer, site, user)
        if changed:
            _mark_changed(writer, site.key)
    return changed


class _Scrub:
    def __init__(self, writer: Writer, site: str, redactor: Redactor) -> None:
        self.writer = writer
        self.site = site
        self.redactor = redactor

    def rewrite(self, table: str, column: str) -> int:
        """Hide a column (`<raw table>.<column>`) in a table that has it; rows that were not hidden yet."""
        name = column.partition(".")[2]
        if self.redactor.rules[column] == "drop":
            return self._run(f'UPDATE {table} SET "{name}" = NULL WHERE site = $site AND "{name}" IS NOT NULL')
        part = self.redactor.reduced.get(column)
        if part is not None:
            # a value that was reduced is one that reducing leaves as it is
            change = f'UPDATE {table} SET "{name}" = {part} WHERE site = $site AND "{name}" IS NOT NULL'
            return self._run(f'{change} AND "{name}" IS DISTINCT FROM {part}')
        return self._replace(table, name, column)

    def rewrite_derived(self, table: str, column: str) -> int:
        """The same in a table derived from raw rows."""
        name = column.partition(".")[2]
        if self.redactor.rules[column] == "drop" and table.startswith("timelines."):
            # a row per person: without persons its rows are others
            return self._run(f"DELETE FROM {table} WHERE site = $site AND \"{name}\" <> 'none'")
        return self.rewrite(table, column)

    def derived_tables(self, identity: str) -> list[str]:
        """Tables derived from raw rows that have this column of an identity."""
        found = self.writer.sql(
            "SELECT c.schema_name || '.' || c.table_name AS name FROM duckdb_columns() c JOIN duckdb_tables() t "
            "ON t.table_oid = c.table_oid AND t.database_oid = c.database_oid "
            "WHERE c.column_name = $name AND c.schema_name IN ('facts', 'timelines') ORDER BY 1",
            {"name": identity},
        )
        return [str(name) for name in found["name"]]

    def _replace(self, table: str, name: str, column: str) -> int:
        found = self.writer.sql(
            f'SELECT DISTINCT "{name}" AS old FROM {table} WHERE site = $site AND "{name}" IS NOT NULL',
            {"site": self.site},
        )["old"].to_list()
        there = [text for text in found if text != NOBODY]
        hidden = self.redactor.hidden(column, there)
        new = [(old, hidden[old]) for old in there if hidden[old] != old]
        if not new:
            return 0
        frame = pl.DataFrame(new, schema={"old": pl.String, "new": pl.String}, orient="row")
        self.writer.con.register("texts_to_hide", frame.to_arrow())
        done = self._run(
            f'UPDATE {table} t SET "{name}" = h.new FROM texts_to_hide h WHERE t.site = $site AND t."{name}" = h.old'
        )
        self.writer.con.unregister("texts_to_hide")
        return done

    def _run(self, statement: str) -> int:
        return int(self.writer.con.execute(statement, {"site": self.site}).fetchall()[0][0])


def _mark_changed(writer: Writer, site: str) -> None:
    """Raise the versions, so that the change is published; rows stay checked, as no number changed."""
    params = {"site": site, "now": clock.naive_utc_now()}
    raised = "version = version + 1, run_id = 'scrub', written_at = $now"
    for table, change in ((VERSIONS, raised), (CHECKED, "checked_at = $now")):
        if writer.has(table):
            writer.con.execute(f"UPDATE {table.qualified} SET {change} WHERE site = $site", params).fetchall()
