"""The reader `otel`: model calls among the spans of OTLP JSON lines, or of Parquet files of flattened spans.

A call inside another call of its trace is `nested`, whichever file has the outer one. Ancestors are looked for in the
file itself and in its neighbours by name, as a collector writes the spans of a trace within minutes of each other: at
least the file before and the file after, and more of them as long as they are small. What a file holds is known by its
own fingerprint and theirs, so that it is read again when one of them comes late. A call whose ancestors are in none of
these files counts.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb

from usage_assets.core.errors import SourceError
from usage_assets.kinds.service.raw.files import (
    fingerprint_of_rules,
    mended_copy,
    parts_below,
)
from usage_assets.kinds.service.raw.otel_calls import Options, calls, identities, nested, with_nested
from usage_assets.kinds.service.raw.otel_lines import batches_of_lines
from usage_assets.kinds.service.raw.otel_spans import lacking, of_lines, of_table
from usage_assets.kinds.service.raw.reader import Part, PartError, Reader
from usage_assets.kinds.service.raw.values import literal
from usage_assets.kinds.service.site.sources import located

NEAR_BYTES = 64_000_000
"""How many bytes of neighbours on either side are looked at for ancestors."""
_CALLS, _NESTED, _LINES = "otel_calls", "otel_nested", "otel_lines"
_NO_LINES = "(SELECT NULL::VARCHAR AS line LIMIT 0)"
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
            self._load(con, file.path, _CALLS, calls)
            ((is_sampled,),) = con.execute(f"SELECT bool_or(is_sampled) FROM {_CALLS}").fetchall()
            if is_sampled and self.source.scale is None:
                raise self._sampled(part.name)
            self._find_nested(con, file)
            yield with_nested(_CALLS, _NESTED)
        except _BROKEN as error:
            msg = f"{part.name}: {error}"
            raise PartError(msg) from error
        except OSError as error:
            msg = f"{part.name}: can't be read ({error.strerror})"
            raise PartError(msg) from error
        finally:
            for table in (_CALLS, _NESTED):
                con.execute(f"DROP TABLE IF EXISTS {table}").fetchall()

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

    def _find_nested(self, con: duckdb.DuckDBPyConnection, file: SpanFile) -> None:
        """Make the table `otel_nested` of a file, from the spans of it and its neighbours."""
        tables = [self._index(con, path) for path in file.near]
        _drop_indexes(con, but=tables)
        near = " UNION ALL ".join(
            f"SELECT '{table}' AS part, trace, span, parent, is_leaf FROM {table}" for table in (_CALLS, *tables)
        )
        con.execute(f"CREATE OR REPLACE TABLE {_NESTED} AS {nested(f'({near})', _CALLS)}").fetchall()

    def _index(self, con: duckdb.DuckDBPyConnection, path: Path) -> str:
        """The table of a neighbour's spans by their ids, made when it is not there yet.

        One that can't be read is told of when it is its turn; until then what it has counts, up to its fault.
        """
        name = _INDEX + hashlib.sha256(str(path).encode()).hexdigest()[:16]
        if not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = $1", [name]).fetchall():
            try:
                self._load(con, path, name, identities)
            except (*_BROKEN, PartError, OSError):
                con.execute(f"CREATE TABLE IF NOT EXISTS {name} AS {identities(of_lines(_NO_LINES), self._options)}")
        return name

    def _load(
        self, con: duckdb.DuckDBPyConnection, path: Path, table: str, select: Callable[[str, Options], str]
    ) -> None:
        """Make a table of a file's spans, as a query says of spans with the columns SPAN.

        Lines are taken some at a time: a line may hold hundreds of spans, and DuckDB takes 2,048 lines at once.
        """
        if path.suffix == ".parquet":
            con.execute(
                f"CREATE OR REPLACE TABLE {table} AS {select(_of_parquet(con, path), self._options)}"
            ).fetchall()
            return
        con.execute(f"CREATE OR REPLACE TABLE {table} AS {select(of_lines(_NO_LINES), self._options)}").fetchall()
        rows = 0
        for lines in batches_of_lines(path):
            con.register(_LINES, lines)
            sql = select(of_lines(_LINES, after=rows), self._options)
            rows += int(con.execute(f"INSERT INTO {table} BY NAME {sql}").fetchall()[0][0])
            con.unregister(_LINES)

    def _sampled(self, where: str) -> SourceError:
        return SourceError(
            f"site {self.site.key}: {where}: the spans are a sample, which can't be counted; have the collector keep "
            "every span of model calls, or say by `scale` in the site's file how many calls a span stands for"
        )


def _of_parquet(con: duckdb.DuckDBPyConnection, path: Path) -> str:
    """SQL of the flattened spans of a file, columns SPAN; PartError where it lacks what a span needs."""
    relation = f"read_parquet({literal(str(path))}, file_row_number = true)"
    described = con.sql(f"FROM {relation} LIMIT 0")
    columns: Mapping[str, str] = dict(zip(described.columns, map(str, described.types), strict=True))
    missing = lacking(columns)
    if missing:
        msg = f"{path.name}: spans need a column {', '.join(missing)}; it has {', '.join(columns)[:200]}"
        raise PartError(msg)
    return of_table(relation, columns, "file_row_number + 1")


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
