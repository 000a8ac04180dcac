"""The reader `otel`: model calls among the spans of OTLP JSON lines, or of Parquet files of flattened spans.

A call inside another call of its trace is `nested`, whichever file has the outer one. Ancestors are looked for in the
file itself and in its neighbours by name, as a collector writes the spans of a trace within minutes of each other: at
least the file before and the file after, and more of them as long as they are small. What a file holds is known by its
own fingerprint and theirs, so that it is read again when one of them comes late. A call whose ancestors are in none of
these files counts.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb

from usage_assets.core.errors import SourceError
from usage_assets.kinds.service.raw.files import (
    fingerprint_of_rules,
    is_cut_off,
    lines_of,
    mended_copy,
    parts_below,
)
from usage_assets.kinds.service.raw.otel_calls import Options, calls, is_leaf, is_sampled, nested
from usage_assets.kinds.service.raw.otel_spans import lacking, of_lines, of_table
from usage_assets.kinds.service.raw.reader import Part, PartError, Reader
from usage_assets.kinds.service.raw.values import literal
from usage_assets.kinds.service.site.sources import located

NEAR_BYTES = 64_000_000
"""How many bytes of neighbours on either side are looked at for ancestors."""
_NESTED = "otel_nested"
_INDEX = "otel_spans_of_"
_BROKEN = (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.SerializationException, duckdb.IOException)


@dataclass(frozen=True)
class SpanFile:
    """A file of spans, and those in which the ancestors of its spans may lie."""

    path: Path
    near: tuple[Path, ...] = ()


class OtelReader(Reader):
    """Leaf calls of models, one span one request."""

    name = "otel"

    def parts(self, months: Collection[date]) -> Sequence[Part]:
        """The files; SourceError where the site's file says that they are a sample, and not of how many."""
        del months
        if self.source.sampled and self.source.scale is None:
            raise self._sampled("sources: sampled spans")
        path = located(self.source, self.site.key)
        assert path is not None
        rules = fingerprint_of_rules(self.site, self.source)
        files = parts_below(path, self.source.pattern, rules, self.site.key)
        sizes = [part.handle.stat().st_size for part in files]
        return [
            _with_neighbours(part, [files[other] for other in neighbours(sizes, number)])
            for number, part in enumerate(files)
        ]

    @contextmanager
    def rows(self, con: duckdb.DuckDBPyConnection, part: Part) -> Iterator[str]:
        """A file's spans; those that are no call, or a call inside one, with their reason."""
        file: SpanFile = part.handle
        try:
            if file.path.suffix == ".gz" and is_cut_off(file.path):
                msg = f"{part.name}: the gzip file ends before its end"
                raise PartError(msg)
            self._find_nested(con, part)
            flagged = f"(SELECT *, {is_leaf(self._options)} AS is_leaf FROM ({self._spans(con, file.path)}))"
            yield calls(flagged, _NESTED, self._options)
        except _BROKEN as error:
            msg = f"{part.name}: {error}"
            raise PartError(msg) from error
        except OSError as error:
            msg = f"{part.name}: can't be read ({error.strerror})"
            raise PartError(msg) from error
        finally:
            con.execute(f"DROP TABLE IF EXISTS {_NESTED}").fetchall()

    def mended(self, part: Part, folder: Path) -> Part | None:
        """The good lines of a text file."""
        file: SpanFile = part.handle
        if file.path.suffix == ".parquet":
            return None
        return replace(part, handle=replace(file, path=mended_copy(file.path, folder)))

    @property
    def _options(self) -> Options:
        said = self.source
        return Options(said.service_name, said.scope, said.model_id, said.provider, said.scale)

    def _find_nested(self, con: duckdb.DuckDBPyConnection, part: Part) -> None:
        """Make the table `otel_nested` of a file, from the spans of it and its neighbours."""
        file: SpanFile = part.handle
        own = self._index(con, file.path)
        if self.source.scale is None and con.execute(f"SELECT bool_or(is_sampled) FROM {own}").fetchall()[0][0]:
            raise self._sampled(part.name)
        tables = {own, *(self._index_of_neighbour(con, path) for path in file.near)} - {""}
        _drop_indexes(con, but=tables)
        near = " UNION ALL ".join(
            f"SELECT {literal(table)} AS part, trace, span, parent, is_leaf FROM {table}" for table in sorted(tables)
        )
        con.execute(f"CREATE OR REPLACE TABLE {_NESTED} AS {nested(f'({near})', own)}").fetchall()

    def _index_of_neighbour(self, con: duckdb.DuckDBPyConnection, path: Path) -> str:
        """As `_index`; '' of a file that can't be read, which is told of when it is its turn."""
        try:
            return self._index(con, path)
        except (*_BROKEN, PartError, OSError):
            return ""

    def _index(self, con: duckdb.DuckDBPyConnection, path: Path) -> str:
        """The table of a file's spans by their ids, made when it is not there yet."""
        name = _INDEX + hashlib.sha256(str(path).encode()).hexdigest()[:16]
        con.execute(
            f"CREATE TABLE IF NOT EXISTS {name} AS SELECT lower(trace) AS trace, lower(span) AS span, "
            f"lower(parent) AS parent, {is_leaf(self._options)} AS is_leaf, "
            f"{is_leaf(self._options)} AND ({is_sampled()}) AS is_sampled "
            f"FROM ({self._spans(con, path)}) WHERE is_readable"
        ).fetchall()
        return name

    def _spans(self, con: duckdb.DuckDBPyConnection, path: Path) -> str:
        """SQL of a file's spans, columns SPAN."""
        if path.suffix != ".parquet":
            return of_lines(f"({lines_of(path)})")
        relation = f"read_parquet({literal(str(path))}, file_row_number = true)"
        described = con.sql(f"FROM {relation} LIMIT 0")
        columns: Mapping[str, str] = dict(zip(described.columns, map(str, described.types), strict=True))
        missing = lacking(columns)
        if missing:
            msg = f"{path.name}: spans need a column {', '.join(missing)}; it has {', '.join(columns)[:200]}"
            raise PartError(msg)
        return of_table(relation, columns, "file_row_number + 1")

    def _sampled(self, where: str) -> SourceError:
        return SourceError(
            f"site {self.site.key}: {where}: the spans are a sample, which can't be counted; have the collector keep "
            "every span of model calls, or say by `scale` in the site's file how many calls a span stands for"
        )


def neighbours(sizes: Sequence[int], number: int) -> list[int]:
    """Numbers of the files, by their sizes in the order of names, that are looked at beside one of them."""
    before = _taken(sizes, range(number - 1, -1, -1))
    return [*reversed(before), *_taken(sizes, range(number + 1, len(sizes)))]


def _taken(sizes: Sequence[int], numbers: range) -> list[int]:
    """The first of the numbers, and more while their files are small together."""
    out: list[int] = []
    total = 0
    for number in numbers:
        total += sizes[number]
        if out and total > NEAR_BYTES:
            break
        out.append(number)
    return out


def _with_neighbours(part: Part, others: Sequence[Part]) -> Part:
    """The part with its neighbours in its fingerprint: it is read again when one of them is new or has changed."""
    told = "\n".join(f"{other.name}\n{other.fingerprint}" for other in others)
    fingerprint = f"{part.fingerprint}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    return replace(part, fingerprint=fingerprint, handle=SpanFile(part.handle, tuple(other.handle for other in others)))


def _drop_indexes(con: duckdb.DuckDBPyConnection, *, but: Collection[str]) -> None:
    """Drop the tables of files that are no neighbours any more."""
    there = con.execute("SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, $1)", [_INDEX]).fetchall()
    for (table,) in there:
        if table not in but:
            con.execute(f"DROP TABLE {table}").fetchall()
