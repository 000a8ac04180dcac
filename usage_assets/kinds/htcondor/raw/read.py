"""One file: its polls, faults of its rows, and the SQL that gives them the columns of raw.gpu_state."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from usage_assets.kinds.htcondor.pool.ids import ids_of, lists_of
from usage_assets.kinds.htcondor.raw.files import PARQUET, Copy, FileError
from usage_assets.kinds.htcondor.raw.sqlite import ROW
from usage_assets.kinds.htcondor.raw.tables import OWN, SOURCE, TEXT_LIMIT, TIME, require_columns
from usage_assets.kinds.htcondor.raw.wallclock import POLLS, Passes, passes, polls_of
from usage_assets.schema import Type

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_REALS = ("FLOAT", "DOUBLE")
_NAIVE = ("TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S")
_MOST_TIMES = 200_000
_MOST_GPUS = 1_000_000
_KEPT, _HASH = TEXT_LIMIT - 40, 16
_SHOWN, _SHOWN_TEXT = 3, 40


@dataclass
class Inspected:
    """A file's polls, one row each (see `POLLS`), and properties of the file."""

    copy: Copy
    polls: pl.DataFrame
    types: Mapping[str, str]
    """Type of each column that there is, by its name in raw.gpu_state, and of the time."""
    names: Mapping[str, str]
    passes: Passes
    """Where the second pass of an hour that comes twice begins."""
    lists: Mapping[str, tuple[str, ...]]
    """Values that list several GPUs, and their ids."""
    odd: Mapping[str, int]
    """Values that are neither the id of a GPU nor a list of ids, and how many rows have them."""
    rows: int
    bad_times: int
    shifted: int
    missing: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        """Whether the file has its times as texts."""
        return self.types[TIME] == "VARCHAR"

    @property
    def newest(self) -> datetime | None:
        """The latest wall clock time of a poll."""
        found = self.polls["local_at"].max()
        return found if isinstance(found, datetime) else None


def inspect(con: duckdb.DuckDBPyConnection, copy: Copy, zone: ZoneInfo, interval: timedelta) -> Inspected:
    """Read the times of a file and its ids of GPUs, and nothing else of it; FileError where that fails.

    `interval` is the time between polls.
    """
    try:
        known = columns_of(con, copy)
        require_columns(known, copy.file.path)
        time, kind = known[TIME]
        if kind not in {*_NAIVE, "VARCHAR", "TIMESTAMP WITH TIME ZONE"}:
            msg = f"{copy.file.path}: column {TIME} is of type {kind.lower()}, not a time or a text"
            raise FileError(msg)
        key = time_of(f'"{time}"', kind)
        counted = con.execute(
            f"SELECT {key} AS k, count(*) FROM {relation(copy)} GROUP BY k LIMIT {_MOST_TIMES + 1}"
        ).fetchall()
        if len(counted) > _MOST_TIMES:
            msg = f"{copy.file.path}: has more than {_MOST_TIMES:,} times; they should be those of polls, not of rows"
            raise FileError(msg)
        polls = polls_of((value for value, _ in counted), zone, is_utc=kind == "TIMESTAMP WITH TIME ZONE")
        bad = sum(number for value, number in counted if (None if value is None else str(value)) in polls.bad)
        found = {TIME: known[TIME]} | {c: known[s.lower()] for c, s in SOURCE.items() if s.lower() in known}
        types = {column: kind for column, (_, kind) in found.items()}
        names = {column: name for column, (name, _) in found.items()}
        order = _order(con, copy, key, polls.frame, names) if polls.ambiguous else None
        texts_of_gpus = _gpus(con, copy, _text(f'"{names["gpu"]}"', types["gpu"]))
    except duckdb.Error as error:
        raise unreadable(copy, error) from error
    texts = "raw" if kind == "VARCHAR" else "at"
    rows = {value: number for value, number in counted if value is not None}
    counts = pl.DataFrame(
        {texts: list(rows), "rows": list(rows.values())}, schema={texts: POLLS[texts], "rows": pl.Int64()}
    )
    frame = polls.frame.filter(pl.col("pass") == 0).join(counts, on=texts, how="left")
    both = Passes(None) if order is None else passes(order, polls.frame, interval, zone)
    if order is not None and both.jump is not None:
        frame = _twice(polls.frame, frame, order.with_columns(pl.col("key").alias(texts)), texts, both.jump)
    frame = frame.with_columns(is_twice=pl.col(texts).is_in(polls.frame.filter(pl.col("pass") == 1)[texts].implode()))
    return Inspected(
        copy,
        frame,
        types,
        names,
        both,
        lists=lists_of(texts_of_gpus),
        odd={text: number for text, number in texts_of_gpus.items() if text.strip() and not ids_of(text)},
        rows=sum(number for _, number in counted),
        bad_times=bad,
        shifted=polls.shifted,
        missing=tuple(name for column, name in SOURCE.items() if column not in found),
    )


def relation(copy: Copy, *, numbered: bool = False) -> str:
    """SQL of a copy's rows, with their numbers where asked for."""
    paths = ", ".join(_quoted(str(path)) for path in (copy.path, copy.polls) if path is not None)
    several = f"[{paths}], union_by_name = true" if copy.polls is not None else paths
    return f"read_parquet({several}{f', {ROW} = true' if numbered and copy.kind == PARQUET else ''})"


def columns_of(con: duckdb.DuckDBPyConnection, copy: Copy) -> dict[str, tuple[str, str]]:
    """Name and type of each column of a copy, by its name in small letters."""
    described = con.execute(f"DESCRIBE SELECT * FROM {relation(copy)}").fetchall()
    return {name.lower(): (name, kind) for name, kind, *_ in described}


def time_of(column: str, kind: str) -> str:
    """SQL of a time as polls are known by: a text as it is, else a time of whole microseconds."""
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"make_timestamp(epoch_us({column}))"
    return column if kind == "VARCHAR" else f"CAST({column} AS TIMESTAMP)"


def unreadable(copy: Copy, error: duckdb.Error) -> FileError:
    """The error of a file whose pages can't be read."""
    text = str(error).splitlines()[0].replace(str(copy.path), copy.file.path.name)[:300]
    return FileError(f"{copy.file.path}: can't be read as {copy.kind} ({text}); is it damaged, cut off, or not whole?")


def _gpus(con: duckdb.DuckDBPyConnection, copy: Copy, text: str) -> dict[str, int]:
    """The texts by which a file names GPUs, and how many rows have each."""
    found = con.execute(
        f"SELECT {text} AS g, count(*) FROM {relation(copy)} GROUP BY g HAVING g IS NOT NULL LIMIT {_MOST_GPUS + 1}"
    ).fetchall()
    if len(found) > _MOST_GPUS:
        msg = f"{copy.file.path}: more than {_MOST_GPUS:,} values of {SOURCE['gpu']}; it should hold ids of GPUs"
        raise FileError(msg)
    return dict(found)


def _order(
    con: duckdb.DuckDBPyConnection, copy: Copy, key: str, polls: pl.DataFrame, names: Mapping[str, str]
) -> pl.DataFrame:
    """The rows (`row`, `key`, `slot`, `gpu`) of the hour that the clock may show twice."""
    twice = polls.filter(pl.col("pass") == 1).select("raw", "at")
    con.register("twice", twice.to_arrow())
    column = "at" if twice["raw"].is_null().all() else "raw"
    texts = ", ".join(f'CAST("{names[name]}" AS VARCHAR) AS {name}' for name in ("slot", "gpu"))
    order = con.sql(
        f'SELECT k AS key, "row", slot, gpu FROM (SELECT {key} AS k, {ROW} AS "row", {texts} '
        f'FROM {relation(copy, numbered=True)}) WHERE k IN (SELECT "{column}" FROM twice)'
    ).pl()
    con.unregister("twice")
    return order


def _twice(polls: pl.DataFrame, first_pass: pl.DataFrame, order: pl.DataFrame, key: str, jump: int) -> pl.DataFrame:
    """The polls of both passes, those of the hour with the rows that each has."""
    counts = order.group_by(key, (pl.col("row") >= jump).cast(pl.Int8).alias("pass"))
    of_hour = polls.join(counts.agg(rows=pl.len().cast(pl.Int64)), on=[key, "pass"])
    return pl.concat([first_pass.join(order, on=key, how="anti"), of_hour.select(first_pass.columns)])


def select(found: Inspected, polls: str, constants: Mapping[str, str], *, since: object = None) -> str:
    """SQL of the file's rows at the polls of the relation `polls`: their content, `h` (a hash of it), `bad` and `cut`.

    `bad` counts numbers that are none, `cut` texts that were too long. `constants` are further columns. `since` is the
    first of the polls as the file has it: with it the parts of a file that lie before are not read.
    """
    jump = found.passes.jump
    rows = relation(found.copy, numbered=jump is not None)
    if found.lists:
        rows, found = _split(found, rows), replace(found, types={**found.types, "gpu": "VARCHAR"})
    columns = {column.name: _value(found, column.name, column.type) for column in OWN}
    there = [column for column in OWN if column.name in found.names]
    bad = " + ".join(_bad(found, column.name, column.type) for column in there if column.type != Type.TEXT)
    long = " + ".join(f"coalesce({_is_long(found, c.name)}, false)::INT" for c in there if c.type == Type.TEXT)
    key = time_of(f'f."{found.names[TIME]}"', found.types[TIME])
    on = f'p."{"raw" if found.is_text else "at"}" = {key}'
    if jump is not None:
        on += f' AND p."pass" = CASE WHEN p.is_twice AND f.{ROW} >= {jump} THEN 1 ELSE 0 END'
    if found.types[TIME] == "TIMESTAMP WITH TIME ZONE" and isinstance(since, datetime):
        on += f" AND f.\"{found.names[TIME]}\" >= TIMESTAMPTZ '{since}+00'"
    shown = ", ".join(f'{sql} AS "{name}"' for name, sql in {**constants, **columns}.items())
    names = ", ".join(f'"{name}"' for name in columns)
    inner = (
        f"SELECT p.poll_at, p.local_at, {shown}, ({bad or '0'})::BIGINT AS bad, ({long or '0'})::BIGINT AS cut "
        f"FROM {rows} f JOIN {polls} p ON {on}"
    )
    return f"SELECT *, hash({names}) AS h FROM ({inner})"


def remarks(found: Inspected) -> list[str]:
    """Remarks for an operator on the times and the GPUs of a file."""
    name = found.copy.file.path.name
    out = [] if found.passes.doubt is None else [f"{name}: {found.passes.doubt}"]
    if found.lists:
        out.append(f"{name}: column {SOURCE['gpu']} lists several GPUs in a row; each counts as a row of its own")
    if found.odd:
        shown = ", ".join(repr(text[:_SHOWN_TEXT]) for text in sorted(found.odd)[:_SHOWN])
        more = ", ..." if len(found.odd) > _SHOWN else ""
        out.append(
            f"{name}: {sum(found.odd.values())} row(s) whose {SOURCE['gpu']} is neither the id of a GPU nor ids with "
            f"commas between ({shown}{more}); they don't count, facts.rejects has them as bad_gpu"
        )
    return out


def _split(found: Inspected, rows: str) -> str:
    """SQL of a file's rows as if its collector had written one per GPU: those that list several become one for each."""
    column = f'"{found.names["gpu"]}"'
    text = _text(f"r.{column}", found.types["gpu"])
    lists = ", ".join(f"({_quoted(text)}, [{', '.join(map(_quoted, ids))}])" for text, ids in found.lists.items())
    return (
        f"(SELECT r.* EXCLUDE ({column}), unnest(coalesce(s.ids, [{text}])) AS {column} "
        f"FROM {rows} r LEFT JOIN (VALUES {lists}) s(listed, ids) ON s.listed = {text})"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _text(column: str, kind: str) -> str:
    """SQL of a column as text; of a list its elements with commas between."""
    if kind == "VARCHAR":
        return column
    return f"array_to_string(CAST({column} AS VARCHAR[]), ',')" if kind.endswith("]") else f"CAST({column} AS VARCHAR)"


def _value(found: Inspected, name: str, type_: Type) -> str:
    """SQL of a column's values in its type; null where they are none."""
    if name not in found.names:
        return f"CAST(NULL AS {type_})"
    column, kind = f'f."{found.names[name]}"', found.types[name]
    if type_ == Type.TEXT:
        text = _text(column, kind)
        cut = f"left({text}, {_KEPT}) || '...' || left(md5({text}), {_HASH})"
        return f"CASE WHEN {_is_long(found, name)} THEN {cut} ELSE {text} END"
    if kind == str(type_):
        return column
    if type_ == Type.INT and kind not in _NUMBERS:
        real = f"TRY_CAST({column} AS DOUBLE)"  # a whole number with nulls is a real one where pandas wrote it
        return f"CASE WHEN isfinite({real}) THEN TRY_CAST({real} AS BIGINT) END"
    return f"TRY_CAST({column} AS {type_})"


def _bad(found: Inspected, name: str, type_: Type) -> str:
    """SQL: 1 where there is a value that is no number; blank texts and NaN are nothing."""
    column, kind = f'f."{found.names[name]}"', found.types[name]
    if (kind in _NUMBERS and kind != "HUGEINT") or (kind in _REALS and type_ == Type.FLOAT):
        return "0"
    text = f"lower(trim(CAST({column} AS VARCHAR)))"
    is_value = f"NOT isnan({column})" if kind in _REALS else f"{text} NOT IN ('', 'nan', 'none', 'null')"
    return f"coalesce(({_value(found, name, type_)}) IS NULL AND {is_value}, false)::INT"


def _is_long(found: Inspected, name: str) -> str:
    text = _text(f'f."{found.names[name]}"', found.types[name])
    return f"strlen({text}) > {TEXT_LIMIT} AND length({text}) > {TEXT_LIMIT}"
