"""What was read of a month, merged with what is stored of it: poll by poll, and nothing is lost.

A poll that is as it is stored stays untouched. One with other rows is replaced, its old rows go to
`evidence.gpu_state`. One that the files no longer hold stays, marked `gone_at`; where many vanish at once, the month is
refused until someone says that this is known.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise

import polars as pl

from usage_assets.core.errors import EvidenceError
from usage_assets.kinds.htcondor.raw.read import Inspected, select
from usage_assets.kinds.htcondor.raw.tables import CONTENT, COPIES, GPU_STATE
from usage_assets.schema import violations
from usage_assets.schema.contract import Violation, require_columns
from usage_assets.sources.sql.evidence import SHRINK_FRACTION, SHRINK_ROWS, Counts
from usage_assets.specs.raw_table import EXTRACTED_AT, GONE_AT, IS_CONTEXT, SEEN_FROM, SEEN_TO
from usage_assets.warehouse import Writer, bound

TABLE = GPU_STATE.table
INCOMING = "incoming_gpu_state"
_CONTENT = ", ".join(f'"{name}"' for name in CONTENT)
_HASH = f"hash({_CONTENT})"


@dataclass(frozen=True)
class Part:
    """The polls of a file that are to be stored, with the file."""

    found: Inspected
    polls: pl.DataFrame


@dataclass
class Stored:
    """What a write did to a month: its counts, whether any row was touched, and why it was refused."""

    counts: Counts = field(default_factory=Counts)
    wrote: bool = False
    refused: tuple[Violation, ...] = ()
    missed: int = 0
    doubles: int = 0


@dataclass(frozen=True)
class MonthRows:
    """The rows that were read for a month. `twice` are (poll_at, h) of rows that a file holds more than once.

    With `whole` every file of the month was read, and a stored poll that is not among these has vanished, but those of
    the local months `kept`, whose files could not be read.
    """

    site: str
    month: date
    parts: Sequence[Part]
    twice: pl.DataFrame
    whole: bool
    kept: Collection[date] = ()


def show(writer: Writer, rows: MonthRows, now: datetime) -> None:
    """Make the rows readable in the shape of raw.gpu_state, by a name of this connection."""
    con = writer.con
    constants = {
        "site": f"'{rows.site}'",
        "month": f"DATE '{rows.month}'",
        IS_CONTEXT.name: "false",
        GONE_AT.name: "CAST(NULL AS TIMESTAMP)",
        EXTRACTED_AT.name: f"TIMESTAMP '{now}'",
        SEEN_FROM.name: f"TIMESTAMP '{now}'",
    }
    texts = []
    for number, part in enumerate(rows.parts):
        con.register(f"polls_of_file_{number}", part.polls.to_arrow())
        texts.append(select(part.found, f"polls_of_file_{number}", constants, since=part.polls["at"].min()))
    if not texts:
        names = ", ".join(f'"{name}"' for name in TABLE.names)
        con.execute(
            f"CREATE OR REPLACE TEMP VIEW {INCOMING} AS SELECT {names} FROM {TABLE.qualified} LIMIT 0"
        ).fetchall()
        return
    base = " UNION ALL BY NAME ".join(f"({text})" for text in texts)
    others = ", ".join(f'"{name}"' for name in TABLE.names if name != COPIES)
    rows_sql = f"SELECT {others}, 1::BIGINT AS {COPIES} FROM ({base})"
    if not rows.twice.is_empty():
        con.register("rows_held_twice", rows.twice.to_arrow())
        rows_sql = (
            f"SELECT {others}, 1::BIGINT AS {COPIES} FROM ({base}) ANTI JOIN rows_held_twice USING (poll_at, h) "
            f"UNION ALL BY NAME SELECT {others}, count(*)::BIGINT AS {COPIES} FROM ({base}) "
            f"SEMI JOIN rows_held_twice USING (poll_at, h) GROUP BY {others}"
        )
    kind = "VIEW" if rows.whole else "TABLE"  # a whole month would take its room in memory
    con.execute(f"CREATE OR REPLACE TEMP {kind} {INCOMING} AS {rows_sql}").fetchall()


def merge(writer: Writer, rows: MonthRows, *, now: datetime, purge_known: bool, asset: str, run_id: str) -> Stored:
    """Write the month in the writer's transaction; the gate says whether it was refused."""
    con = writer.con
    writer.ensure(TABLE)
    show(writer, rows, now)
    out = Stored()
    scope = "site = $site AND month = $month::DATE"
    params = bound({"site": rows.site, "month": rows.month})
    described = con.sql(f"SELECT * FROM {INCOMING} LIMIT 0")
    require_columns(TABLE, zip(described.columns, map(str, described.types), strict=True))
    broken = [found for found in violations(con, INCOMING, TABLE) if rows.parts]
    before = con.execute(f"SELECT count(*) FROM {TABLE.qualified} WHERE {scope}", params).fetchall()[0][0]
    if broken:
        out.refused = tuple(broken)
    elif not before:
        con.execute(f"INSERT INTO {TABLE.qualified} BY NAME SELECT * FROM {INCOMING}").fetchall()
        out.wrote = True
    else:
        _compare(writer, rows, out, now=now, purge_known=purge_known)
    _count(writer, rows, out)
    if not before and not out.refused:
        out.counts.rows_new = out.counts.rows
    refused = {rows.month: list(out.refused)} if out.refused else {}
    writer.record_readiness(asset, rows.site, [rows.month], refused, run_id)
    if out.wrote:
        writer.record_write(rows.site, asset, run_id, {rows.month: out.counts.rows})
    for number in range(len(rows.parts)):
        con.unregister(f"polls_of_file_{number}")
    return out


def _compare(writer: Writer, rows: MonthRows, out: Stored, *, now: datetime, purge_known: bool) -> None:
    con = writer.con
    scope = "site = $site AND month = $month::DATE"
    params = bound({"site": rows.site, "month": rows.month})
    signs = f"count(*) AS n, bit_xor({_HASH}) AS x, sum({COPIES})::BIGINT AS s"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE fresh_polls AS SELECT poll_at, {signs} FROM {INCOMING} GROUP BY poll_at"
    ).fetchall()
    (first,) = con.execute("SELECT min(poll_at) FROM fresh_polls").fetchall()[0]
    # a bound known beforehand lets the storage skip what lies before
    least = "" if rows.whole or first is None else f" AND poll_at >= TIMESTAMP '{first}'"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE stored_polls AS SELECT poll_at, any_value(local_at) AS local_at, {signs}, "
        f"count(*) FILTER (WHERE {GONE_AT.name} IS NULL) AS alive FROM {TABLE.qualified} WHERE {scope}{least} "
        "GROUP BY poll_at",
        params,
    ).fetchall()
    con.execute(
        "CREATE OR REPLACE TEMP TABLE changed_polls AS SELECT poll_at FROM fresh_polls f JOIN stored_polls o "
        "USING (poll_at) WHERE (f.n, f.x, f.s) <> (o.n, o.x, o.s) OR o.alive < o.n"
    ).fetchall()
    con.execute(
        "CREATE OR REPLACE TEMP TABLE new_polls AS SELECT poll_at FROM fresh_polls "
        "ANTI JOIN stored_polls USING (poll_at)"
    ).fetchall()
    if rows.whole:
        _mark_gone(writer, rows, out, now=now, purge_known=purge_known)
        if out.refused:
            return
    changed, new = (
        con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in ("changed_polls", "new_polls")
    )
    if changed:
        _replace(writer, rows, out, now=now)
    if new:
        done = con.execute(
            f"INSERT INTO {TABLE.qualified} BY NAME SELECT * FROM {INCOMING} SEMI JOIN new_polls USING (poll_at)"
        ).fetchall()
        out.counts.rows_new += int(done[0][0])
        out.wrote = True


def _mark_gone(writer: Writer, rows: MonthRows, out: Stored, *, now: datetime, purge_known: bool) -> None:
    """Mark the polls that the files no longer hold."""
    con = writer.con
    con.execute(
        "CREATE OR REPLACE TEMP TABLE gone_polls AS SELECT poll_at, alive FROM stored_polls o "
        "ANTI JOIN fresh_polls USING (poll_at) WHERE date_trunc('month', o.local_at)::DATE NOT IN "
        "(SELECT unnest($kept::DATE[]))",
        bound({"kept": sorted(rows.kept) or [date.min]}),
    ).fetchall()
    lost = con.execute("SELECT coalesce(sum(alive), 0)::BIGINT FROM gone_polls").fetchall()[0][0]
    if not lost:
        return
    alive = con.execute("SELECT sum(alive)::BIGINT FROM stored_polls").fetchall()[0][0]
    if lost > SHRINK_ROWS and lost / alive > SHRINK_FRACTION and not purge_known:
        msg = (
            f"site {rows.site}: gpu_state {rows.month:%Y-%m}: {lost} of {alive} rows are not in the files any more; "
            "nothing was written. Have the files back; if they were removed on purpose, run once with purge_known"
        )
        out.refused = (Violation(rows.month, str(EvidenceError(msg)), 0),)
        return
    con.execute(
        f"UPDATE {TABLE.qualified} SET {GONE_AT.name} = $now::TIMESTAMP WHERE site = $site AND month = $month::DATE "
        f"AND {GONE_AT.name} IS NULL AND poll_at IN (SELECT poll_at FROM gone_polls)",
        {"now": now, "site": rows.site, "month": rows.month},
    ).fetchall()
    out.wrote = True


def _replace(writer: Writer, rows: MonthRows, out: Stored, *, now: datetime) -> None:
    """Replace polls whose rows differ; rows of them that are the same keep their `seen_from`."""
    con = writer.con
    params = {"now": now, "site": rows.site, "month": rows.month}
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE old_rows AS SELECT *, {_HASH} AS h FROM {TABLE.qualified} "
        "WHERE site = $site AND month = $month::DATE AND poll_at IN (SELECT poll_at FROM changed_polls)",
        {"site": rows.site, "month": rows.month},
    ).fetchall()
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE new_rows AS SELECT *, {_HASH} AS h FROM {INCOMING} "
        "SEMI JOIN changed_polls USING (poll_at)"
    ).fetchall()
    con.execute(
        f"UPDATE new_rows AS n SET {SEEN_FROM.name} = least(o.{SEEN_FROM.name}, n.{SEEN_FROM.name}) FROM old_rows o "
        f"WHERE n.poll_at = o.poll_at AND n.h = o.h AND o.{GONE_AT.name} IS NULL"
    ).fetchall()
    lost = "SELECT * FROM old_rows ANTI JOIN (SELECT poll_at, h FROM new_rows) USING (poll_at, h)"
    replaced = f"({lost} UNION ALL SELECT * FROM old_rows SEMI JOIN (SELECT poll_at, h FROM new_rows) "
    replaced += f"USING (poll_at, h) WHERE {GONE_AT.name} IS NOT NULL)"
    versions = int(con.execute(f"SELECT count(*) FROM {replaced}").fetchall()[0][0])
    if versions:
        writer.ensure(GPU_STATE.versions)
        con.execute(
            f"INSERT INTO {GPU_STATE.versions.qualified} BY NAME SELECT * EXCLUDE (h) "
            f"REPLACE (least({SEEN_FROM.name}, $now::TIMESTAMP) AS {SEEN_FROM.name}), "
            f"$now::TIMESTAMP AS {SEEN_TO.name} FROM {replaced}",
            {"now": now},
        ).fetchall()
    fresh = con.execute(
        "SELECT count(*) FROM new_rows ANTI JOIN (SELECT poll_at, h FROM old_rows) USING (poll_at, h)"
    ).fetchall()[0][0]
    out.counts.rows_changed = min(versions, int(fresh))
    out.counts.rows_new += int(fresh) - out.counts.rows_changed
    out.counts.versions = versions
    con.execute(
        f"DELETE FROM {TABLE.qualified} WHERE site = $site AND month = $month::DATE "
        "AND poll_at IN (SELECT poll_at FROM changed_polls)",
        {"site": params["site"], "month": params["month"]},
    ).fetchall()
    con.execute(f"INSERT INTO {TABLE.qualified} BY NAME SELECT * EXCLUDE (h) FROM new_rows").fetchall()
    out.wrote = True


def _count(writer: Writer, rows: MonthRows, out: Stored) -> None:
    found = writer.con.execute(
        f"SELECT count(*), count({GONE_AT.name}), coalesce(sum({COPIES} - 1), 0)::BIGINT FROM {TABLE.qualified} "
        "WHERE site = $site AND month = $month::DATE",
        {"site": rows.site, "month": rows.month},
    ).fetchall()[0]
    out.counts.rows, out.counts.rows_gone, out.doubles = map(int, found)


def missed_polls(writer: Writer, site: str, month: date, poll_minutes: int) -> int:
    """Polls that should lie between those stored of a month, and are not there."""
    found = writer.con.execute(
        f"SELECT DISTINCT poll_at FROM {TABLE.qualified} WHERE site = $site AND month = $month::DATE ORDER BY 1",
        {"site": site, "month": month},
    ).fetchall()
    step = timedelta(minutes=poll_minutes)
    polls = [at for (at,) in found]
    apart = (later - earlier for earlier, later in pairwise(polls))
    return sum(round(each / step) - 1 for each in apart if each > 1.5 * step)
