"""Import of an older tracker's JSON files: totals by user, day and month, spending limits and profiles of users.

Each file is read once, object by object, and recorded by the hash of its content; files are never changed. Of several
objects for one user and period the one that was changed last counts, then the one with more requests, then the last by
path, whichever import they came with.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from usage_assets.core import clock
from usage_assets.core.errors import SiteError, SourceError
from usage_assets.core.hashing import hashes, salt_of
from usage_assets.core.months import month_of
from usage_assets.kinds.service.raw.legacy_files import (
    LegacyError,
    LegacyFile,
    find_files,
    limits,
    profiles,
    usages,
)
from usage_assets.kinds.service.raw.legacy_tables import (
    LEGACY_COUNTS,
    LEGACY_FILES,
    LEGACY_LIMITS,
    LEGACY_TABLES,
    LEGACY_USAGE,
    SERVICE_USER,
)
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.site.sources import located
from usage_assets.kinds.service.tables.legacy import LEGACY_DAILY, LEGACY_MONTHLY, counts_in_sums, differences
from usage_assets.pricing.limits import Limit
from usage_assets.schema import Table
from usage_assets.warehouse import Reader, Warehouse, Writer, staging

BATCH = 2_000
_MEMORY = "48MB"  # of DuckDB, when it stages and when it merges; what does not fit is spilled
_FIRST = datetime(1970, 1, 1)
_MOST = 20
_STAGED: Mapping[str, Mapping[str, Any]] = {
    "usage": {
        "n": pl.Int64, "period": pl.String, "date": pl.Date, "user_id": pl.String, "requests": pl.Int64,
        "succeeded": pl.Int64, "failed": pl.Int64, "input_tokens": pl.Int64, "output_tokens": pl.Int64,
        "cost": pl.Decimal(38, 12), "latency_sum_s": pl.Float64, "latency_n": pl.Int64, "sessions": pl.Int64,
        "updated_at": pl.Datetime("us"), "source_file": pl.String,
    },
    "counts": {"n": pl.Int64, "part": pl.String, "name": pl.String, "requests": pl.Int64},
    "limits": {
        "n": pl.Int64, "user_id": pl.String, "scope_type": pl.String, "other": pl.String, "window": pl.String,
        "amount": pl.Decimal(38, 12), "thresholds": pl.String, "enabled": pl.Boolean,
        "updated_at": pl.Datetime("us"), "source_file": pl.String,
    },
    "users": {
        "n": pl.Int64, "user_id": pl.String, "username": pl.String, "email": pl.String, "tier": pl.String,
        "active": pl.Boolean, "updated_at": pl.Datetime("us"), "source_file": pl.String,
    },
}  # fmt: skip
"""Columns of staged objects; `n` numbers them in the order of their files."""


@dataclass
class LegacyImport:
    """What an import found and did.

    `files` were read now, `known` ones had been before; `faults` name files and objects that could not be read, and
    `differences` months whose total is not the sum of their days, a sentence each.
    """

    files: list[str] = field(default_factory=list)
    known: int = 0
    totals: int = 0
    limits: int = 0
    users: int = 0
    faults: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def import_legacy(
    site: ServiceSite,
    warehouse: Warehouse,
    folders: Sequence[Path] = (),
    *,
    run_id: str = "",
    log: Callable[[str], None] = lambda _: None,
) -> LegacyImport:
    """Import the tracker's files below the folders, by default those of the site's sources `legacy_json`.

    All is stored or nothing. A file that can't be read is a fault and left out; an import of files that are all known
    writes nothing. SiteError where no source names a folder, SourceError where one is not there.
    """
    if site.personal.get("user_id") == "drop":
        msg = f"site {site.key}: personal: user_id: drop leaves nothing of an older tracker's totals; hash it instead"
        raise SiteError(msg)
    done = LegacyImport()
    with warehouse.site(site.key, "import of an older tracker's files"):
        with warehouse.read() as reader:
            known = set(reader.frame(LEGACY_FILES, site.key)["digest"])
        path = warehouse.path.parent / ".staging" / f"{site.key}.legacy.duckdb"
        with staging(path) as con:
            staged = _Staged(con)
            files = staged.load(_new_files(site, _folders(site, folders), known, done), done, log)
            staged.hide_people(site)
            con.close()
            if not files.is_empty():
                _store(site, warehouse, path, files=files, run_id=run_id, done=done)
    with warehouse.read() as reader:
        done.differences = _sentences(differences(reader, site.key))
    return done


def imported_limits(reader: Reader, site: ServiceSite) -> list[Limit]:
    """The tracker's limits, for `Limits.of(imported=)`; none at a site whose currency is not USD."""
    if not counts_in_sums(site):
        return []
    return [
        Limit(
            valid_from=row["valid_from"],
            scope_type=row["scope_type"],
            scope_id=row["scope_id"],
            window=row["window"],
            amount=row["amount"],
            thresholds=tuple(sorted(map(Decimal, json.loads(row["thresholds"])))),
            enabled=row["enabled"],
            place=row["source_file"],
        )
        for row in reader.frame(LEGACY_LIMITS, site.key).iter_rows(named=True)
    ]


def _folders(site: ServiceSite, given: Sequence[Path]) -> list[Path]:
    sources = [source for source in site.sources if source.reader == "legacy_json"]
    found = list(given) or [path for source in sources if (path := located(source, site.key)) is not None]
    if not found:
        msg = f"site {site.key}: no source has reader: legacy_json; add one with the path of the tracker's files"
        raise SiteError(msg)
    for folder in found:
        if not folder.is_dir():
            msg = f"site {site.key}: {folder} is no folder; nothing was changed. Look at sources in the site's file"
            raise SourceError(msg)
    return found


def _new_files(
    site: ServiceSite, folders: Iterable[Path], known: set[str], done: LegacyImport
) -> Iterator[tuple[LegacyFile, str]]:
    """Files that were not imported yet, with their hashes; of equal ones the last."""
    found: dict[str, LegacyFile] = {}
    for file in (file for folder in folders for file in find_files(folder)):
        try:
            found[_digest(file.path)] = file
        except OSError as error:
            done.faults.append(f"{file.name}: can't be read ({error.strerror})")
    done.known = len(known & found.keys())
    if not found:
        done.notes.append(f"site {site.key}: there is no file of an older tracker")
    yield from ((file, digest) for digest, file in found.items() if digest not in known)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Staged:
    """Objects of files in a scratch database."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        con.execute(f"SET memory_limit = '{_MEMORY}'").fetchall()
        self._numbers = count(1)
        self._rows: dict[str, list[Mapping[str, Any]]] = {name: [] for name in _STAGED}
        for name, columns in _STAGED.items():
            con.register("shape", pl.DataFrame(schema=columns).to_arrow())
            con.execute(f"CREATE TABLE {name} AS FROM shape").fetchall()
            con.unregister("shape")

    def load(
        self, files: Iterable[tuple[LegacyFile, str]], done: LegacyImport, log: Callable[[str], None]
    ) -> pl.DataFrame:
        """Stage the objects of files; the files that could be read, as rows of serving.legacy_files."""
        out = []
        for file, digest in files:
            first = next(self._numbers)
            try:
                objects = self._file(file, done)
            except (LegacyError, OSError) as fault:
                self._forget(first)
                done.faults.append(f"{file.name}: {fault}; nothing of it was imported")
                continue
            log(f"{file.name}: {objects} object(s)")
            done.files.append(file.name)
            out.append({"digest": digest, "file": file.name, "size": file.path.stat().st_size, "objects": objects})
        for name in _STAGED:
            self._flush(name)
        return pl.DataFrame(out)

    def _file(self, file: LegacyFile, done: LegacyImport) -> int:
        """Stage the objects of a file, and note its faults; how many there were."""
        faults: list[str] = []
        objects = 0
        for found in {"usage": usages, "limits": limits, "users": profiles}[file.content](file):
            if isinstance(found, LegacyError):
                faults.append(str(found))
            else:
                objects += 1
                self._add(file.content, found)
        if faults:
            shown = "; ".join(faults[:3])
            done.faults.append(f"{file.name}: {len(faults)} object(s) were left out: {shown}")
        return objects

    def _add(self, content: str, found: Any) -> None:
        number = {"n": next(self._numbers)}
        if content == "usage":
            self._put("usage", {**number, **found.row})
            for part, name, requests in found.counts:
                self._put("counts", {**number, "part": part, "name": name, "requests": requests})
        elif content == "limits":
            for row in found:
                self._put("limits", {**number, **row})
        else:
            self._put("users", {**number, **found})

    def _put(self, name: str, row: Mapping[str, Any]) -> None:
        self._rows[name].append(row)
        if len(self._rows[name]) >= BATCH:
            self._flush(name)

    def _flush(self, name: str) -> None:
        if self._rows[name]:
            self._con.register("objects", pl.DataFrame(self._rows[name], schema=_STAGED[name]).to_arrow())
            self._con.execute(f"INSERT INTO {name} BY NAME FROM objects").fetchall()
            self._con.unregister("objects")
            self._rows[name].clear()

    def _forget(self, first: int) -> None:
        """Take out what was staged since a number."""
        for name in _STAGED:
            self._rows[name] = [row for row in self._rows[name] if row["n"] < first]
            self._con.execute(f"DELETE FROM {name} WHERE n >= {first}").fetchall()

    def hide_people(self, site: ServiceSite) -> None:
        """Hash who is named, where the site's file says so; names and addresses are dropped then."""
        if site.personal.get("user_id") != "hash":
            return
        salt = salt_of(site.key, "personal asks for hashes")
        tables = ("usage", "limits", "users")
        every = " UNION ".join(f"SELECT user_id FROM {table}" for table in tables)
        texts = [user for (user,) in self._con.execute(every).fetchall()]
        found = hashes(texts, salt)
        names = pl.DataFrame({"old": list(found), "new": list(found.values())}, {"old": pl.String, "new": pl.String})
        self._con.register("people", names.to_arrow())
        for table in tables:
            self._con.execute(f"UPDATE {table} SET user_id = new FROM people WHERE old = user_id").fetchall()
        self._con.unregister("people")
        self._con.execute("UPDATE users SET username = NULL, email = NULL").fetchall()


_NEWEST = "updated_at DESC NULLS LAST, {more}source_file DESC, n DESC NULLS LAST"
_USAGE = f"""
SELECT * FROM (
  SELECT NULL AS n, * FROM {LEGACY_USAGE.qualified} WHERE site = $site
  UNION ALL BY NAME SELECT $site AS site, date_trunc('month', date)::DATE AS month, * FROM staged.usage
) QUALIFY row_number() OVER (PARTITION BY period, date, user_id ORDER BY {_NEWEST.format(more="requests DESC, ")}) = 1
"""
_COUNTS = f"""
SELECT c.* FROM {LEGACY_COUNTS.qualified} c JOIN fresh_usage u USING (period, date, user_id)
WHERE c.site = $site AND u.n IS NULL
UNION ALL BY NAME SELECT u.site, u.month, u.period, u.date, u.user_id, c.part, c.name, c.requests
FROM staged.counts c JOIN fresh_usage u USING (n)
"""
_LIMITS = f"""
WITH objects AS (
  SELECT NULL AS n, user_id, updated_at, source_file FROM {LEGACY_LIMITS.qualified} WHERE site = $site
  UNION SELECT n, user_id, updated_at, source_file FROM staged.limits
), newest AS (
  SELECT n, user_id FROM objects
  QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY {_NEWEST.format(more="")}) = 1
)
SELECT l.* FROM {LEGACY_LIMITS.qualified} l JOIN newest o ON o.user_id = l.user_id AND o.n IS NULL WHERE site = $site
UNION ALL BY NAME
SELECT $site AS site, date_trunc('month', since)::DATE AS month, since AS valid_from, scope_type,
  CASE WHEN other IS NULL THEN user_id ELSE to_json([user_id, other])::VARCHAR END AS scope_id,
  "window", amount, thresholds, enabled, user_id, updated_at, source_file
FROM (SELECT l.*, coalesce(l.updated_at, $first::TIMESTAMP) AS since FROM staged.limits l JOIN newest USING (n))
WHERE amount IS NOT NULL
"""
_USERS = f"""
SELECT * EXCLUDE (n) FROM (
  SELECT NULL AS n, * FROM {SERVICE_USER.qualified} WHERE site = $site
  UNION ALL BY NAME
  SELECT $site AS site, date_trunc('month', coalesce(updated_at, $first::TIMESTAMP))::DATE AS month, * FROM staged.users
) QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY {_NEWEST.format(more="")}) = 1
"""


def _store(
    site: ServiceSite, warehouse: Warehouse, path: Path, *, files: pl.DataFrame, run_id: str, done: LegacyImport
) -> None:
    """Merge what was read with what is stored, and make the sums anew; in one transaction."""
    now = clock.naive_utc_now().replace(microsecond=0)
    with warehouse.write(f"import of an older tracker of {site.key}") as writer:
        for setting in (f"memory_limit = '{_MEMORY}'", "threads = 1"):
            writer.con.execute(f"SET {setting}").fetchall()
        writer.ensure(*LEGACY_TABLES, LEGACY_FILES)
        writer.attach(path)
        params = {"site": site.key, "first": _FIRST}
        for name, sql in (("usage", _USAGE), ("counts", _COUNTS), ("limits", _LIMITS), ("users", _USERS)):
            wanted = {key: value for key, value in params.items() if f"${key}" in sql}
            writer.con.execute(f"CREATE OR REPLACE TEMP TABLE fresh_{name} AS {sql}", wanted).fetchall()
        done.totals = _replace(writer, LEGACY_USAGE, "fresh_usage", site.key)
        _replace(writer, LEGACY_COUNTS, "fresh_counts", site.key)
        done.limits = _replace(writer, LEGACY_LIMITS, "fresh_limits", site.key)
        done.users = _replace(writer, SERVICE_USER, "fresh_users", site.key)
        record = files.with_columns(
            site=pl.lit(site.key), month=pl.lit(month_of(now.date())), imported_at=pl.lit(now)
        ).select(LEGACY_FILES.names)
        writer.put(LEGACY_FILES, record)
        _sum(writer, site, run_id, done)


def _replace(writer: Writer, table: Table, fresh: str, site: str) -> int:
    """Put the rows of a relation in place of a site's; how many they are."""
    names = ", ".join(f'"{name}"' for name in table.names)
    writer.con.execute(f"DELETE FROM {table.qualified} WHERE site = $site", {"site": site}).fetchall()
    writer.con.execute(f"INSERT INTO {table.qualified} BY NAME SELECT {names} FROM {fresh}").fetchall()
    ((rows,),) = writer.con.execute(f"SELECT count(*) FROM {fresh}").fetchall()
    return int(rows)


def _sum(writer: Writer, site: ServiceSite, run_id: str, done: LegacyImport) -> None:
    """Make the days and months anew that only the tracker knows; those before the site's first month are told."""
    found = writer.con.execute("SELECT DISTINCT month FROM fresh_usage ORDER BY month").fetchall()
    months: list[date] = [month for (month,) in found]
    early = [month for month in months if month < site.first_month]
    if early:
        done.notes.append(
            f"{len(early)} month(s) lie before the site's first_month, {site.first_month:%Y-%m}: sums do not show them"
        )
    if not counts_in_sums(site):
        done.notes.append(f"amounts are in USD and the site's currency is {site.currency}: sums do not show them")
        return
    for month in months[len(early) :]:
        for asset in (LEGACY_DAILY, LEGACY_MONTHLY):
            assert asset.select is not None
            queries = asset.select(writer, site, month, {})
            name = f"{site.kind}/{asset.path}"
            broken = writer.insert_month(
                asset.table, queries, site=site.key, month=month, asset=name, run_id=run_id, owned=asset.owned
            )
            if broken:
                msg = f"site {site.key}: {name} {month:%Y-%m}: {'; '.join(map(str, broken))}; nothing was changed"
                raise SourceError(msg)


def _sentences(found: pl.DataFrame) -> list[str]:
    """A sentence per month and user whose total differs from its days."""
    out = [
        f"{row['month']:%Y-%m} of user {row['user_id']}: its days have {row['requests_of_days']:,} request(s) and "
        f"{row['cost_of_days'].normalize():f} USD, the month {row['requests']:,} and {row['cost'].normalize():f}"
        for row in found.head(_MOST).iter_rows(named=True)
    ]
    return [*out, f"and {found.height - _MOST} more"] if found.height > _MOST else out
