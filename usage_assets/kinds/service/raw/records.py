"""Reader `records`: JSON lines, CSV, Parquet or a table of a database, by a mapping."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from usage_assets.core.errors import SiteError, SourceError
from usage_assets.kinds.service.raw.columns import Columns, as_instant, expressions, mapping_of
from usage_assets.kinds.service.raw.files import (
    LONGEST_LINE,
    fingerprint_of_rules,
    is_cut_off,
    lines_of,
    mended_copy,
    parts_below,
)  # fmt: skip
from usage_assets.kinds.service.raw.preset import Preset
from usage_assets.kinds.service.raw.presets import PRESETS
from usage_assets.kinds.service.raw.reader import BLANK, Part, PartError, Reader
from usage_assets.kinds.service.raw.values import identifier, literal
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.kinds.service.site.sources import Records, located

_SAMPLE = 20_000
_BROKEN = (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.SerializationException)


class RecordsReader(Reader):
    """Rows of files, or of a table."""

    name = "records"

    def __init__(self, site: ServiceSite, source: Records) -> None:
        super().__init__(site, source)
        self.preset = _preset(site, source.preset)
        self.mapping = mapping_of(source.mapping, self.preset)
        self.zone = source.timezone or site.timezone
        self.null = tuple(dict.fromkeys((*source.null, *(self.preset.null if self.preset else ()))))
        self.filter = (self.preset.filter if self.preset else {}) | source.filter

    @property
    def time_of(self) -> str:
        """As the source says, else its preset, else the site."""
        of_preset = self.preset.event_time if self.preset else None
        return self.source.event_time or of_preset or self.site.event_time

    def parts(self, months: Collection[date]) -> Sequence[Part]:
        """The files."""
        del months
        path = located(self.source, self.site.key)
        assert path is not None
        return parts_below(path, self.source.pattern, fingerprint_of_rules(self.site, self.source), self.site.key)

    @contextmanager
    def rows(self, con: duckdb.DuckDBPyConnection, part: Part) -> Iterator[str]:
        """The rows of a file."""
        file: Path = part.handle
        try:
            if file.suffix == ".gz" and is_cut_off(file):
                msg = f"{part.name}: the gzip file ends before its end"
                raise PartError(msg)
            self._refuse_new_columns(con, part)
            yield self._select(con, file)
        except _BROKEN as error:
            raise PartError(f"{part.name}: {error}") from error
        except duckdb.Error as error:
            if str(file) not in str(error):
                raise
            raise PartError(f"{part.name}: {error}") from error
        except OSError as error:
            raise PartError(f"{part.name}: can't be read ({error.strerror})") from error

    def mended(self, part: Part, folder: Path) -> Part | None:
        """The good lines of a text file."""
        if self._format(part.handle) == "parquet":
            return None
        return Part(part.name, part.fingerprint, handle=mended_copy(part.handle, folder))

    def describe(self, con: duckdb.DuckDBPyConnection, part: Part) -> tuple[Sequence[str], Sequence[str]]:
        """Columns of a file, of JSON lines those of its first rows, that something is read of, and the others."""
        file: Path = part.handle
        if self._format(file) == "jsonl":
            lines = f"SELECT line FROM ({self._lines(file)}) LIMIT {_SAMPLE}"
            is_object = "json_valid(line) AND json_type(CASE WHEN json_valid(line) THEN line END) = 'OBJECT'"
            keys = f"unnest(json_keys(CASE WHEN {is_object} THEN line END))"
            columns = [
                str(name) for (name,) in con.execute(f"SELECT DISTINCT {keys} FROM ({lines}) ORDER BY 1").fetchall()
            ]
        else:
            columns = con.sql(f"SELECT * FROM {self._relation(file)} LIMIT 0").columns
        heads = set(self.heads())
        return [name for name in columns if name in heads], [name for name in columns if name not in heads]

    def _refuse_new_columns(self, con: duckdb.DuckDBPyConnection, part: Part) -> None:
        """As the site's file says of files with columns that no rule names."""
        if self.site.new_columns == "accept":
            return
        _, others = self.describe(con, part)
        if others:
            msg = (
                f"site {self.site.key}: {part.name} has columns that are not mapped: {', '.join(others)[:300]}; "
                "map them (sources: mapping), or set new_columns: accept"
            )
            raise SourceError(msg) if self.site.new_columns == "refuse" else PartError(msg)

    def heads(self) -> list[str]:
        """The columns that the mapping, the filter and the preset read, or parts of them."""
        heads: dict[str, None] = {}

        def value(path: str) -> str:
            heads.setdefault(path.partition(".")[0])
            return "NULL"

        self._mapped(Columns(value, lambda _, __: None, value))
        self._reason(value)
        return list(heads)

    def _format(self, file: Path) -> str:
        if self.source.format is not None:
            return str(self.source.format)
        name = file.name.removesuffix(".gz")
        endings = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
        return endings.get(Path(name).suffix.lower(), "jsonl")

    def _select(self, con: duckdb.DuckDBPyConnection, file: Path) -> str:
        return self._of_lines(file) if self._format(file) == "jsonl" else self._of_columns(con, self._relation(file))

    def _relation(self, file: Path) -> str:
        """A CSV or Parquet file."""
        if self._format(file) == "parquet":
            return f"read_parquet({literal(str(file))})"
        packed = "gzip" if file.suffix == ".gz" else "none"
        return (
            f"read_csv({literal(str(file))}, all_varchar = true, header = true, delim = "
            f"{literal(self.source.delimiter)}, quote = '\"', escape = '\"', compression = '{packed}', "
            f"max_line_size = {LONGEST_LINE}, buffer_size = {2 * LONGEST_LINE}, null_padding = true, "
            "strict_mode = false, auto_detect = true, sample_size = 1, parallel = false)"
        )

    def _of_lines(self, file: Path) -> str:
        """JSON lines: the values of all paths are taken of a line at once."""
        paths: list[str] = []

        def found(path: str) -> str:
            if path not in paths:
                paths.append(path)
            return f"x[{paths.index(path) + 1}]"

        def value(path: str) -> str:
            at = found(_json_path(path.split(".")))
            if "." in path:
                at = f"coalesce({at}, {found(_json_path([path]))})"
            return self._known(at)

        def meters(path: str) -> str:
            return json_meters(value(path))

        select = self._mapped(Columns(value, lambda _, __: None, meters))
        reason = self._reason(value)
        names = ", ".join(literal(path) for path in paths)  # after all that ask for one
        return (
            f"SELECT {select}, CASE WHEN x IS NOT NULL THEN {reason} WHEN line IS NULL OR trim(line) = '' THEN "
            f"'{BLANK}' ELSE 'unreadable' END AS reason, line AS identity FROM (SELECT line, CASE WHEN "
            f"TRY(json_type(line)) = 'OBJECT' THEN json_extract_string(line, [{names}]::VARCHAR[]) END AS x "
            f"FROM ({self._lines(file)}))"
        )

    def _lines(self, file: Path) -> str:
        lines = lines_of(file)
        return lines if self.preset is None or self.preset.lines is None else self.preset.lines(lines)

    def _of_columns(self, con: duckdb.DuckDBPyConnection, relation: str, *, identifies_all: bool = False) -> str:
        """CSV and Parquet: columns by their names, parts of structs, maps and JSON by paths.

        The text of the whole row costs as much as all others, so only rows without an event_id have it, or all.
        """
        described = con.sql(f"SELECT * FROM {relation} LIMIT 0")
        kinds = dict(zip(described.columns, map(str, described.types), strict=True))

        def value(path: str) -> str:
            return self._known(column_text(path, kinds))

        def time(path: str, zone: str | None) -> str | None:
            return as_instant(identifier(path), kinds[path], zone) if path in kinds else None

        def meters(path: str) -> str:
            kind = kinds.get(path)
            if kind is not None and kind.startswith("MAP("):
                return f"{identifier(path)}::MAP(VARCHAR, VARCHAR)"
            if kind is not None and kind.startswith("STRUCT("):
                return json_meters(f"to_json({identifier(path)})::VARCHAR")
            return json_meters(value(path))

        found = self._expressions(Columns(value, time, meters))
        identity = "t::VARCHAR"
        if "event_id" in found and not identifies_all:
            identity = f"CASE WHEN nullif({found['event_id']}, '') IS NULL THEN t::VARCHAR END"
        return f"SELECT {_named(found)}, {self._reason(value)} AS reason, {identity} AS identity FROM {relation} t"

    def _known(self, text: str) -> str:
        """The text, null where it stands for no value."""
        if text == "NULL" or not self.null:
            return text
        return f"CASE WHEN {text} NOT IN ({', '.join(map(literal, self.null))}) THEN {text} END"

    def _expressions(self, columns: Columns) -> dict[str, str]:
        return expressions(self.mapping, self.source.mapping, self.preset, columns, self.zone)

    def _mapped(self, columns: Columns) -> str:
        return _named(self._expressions(columns))

    def _reason(self, value: Callable[[str], str]) -> str:
        parts = [
            f"CASE WHEN coalesce({value(path)} NOT IN ({', '.join(map(literal, texts))}), true) THEN 'not_usage' END"
            for path, texts in self.filter.items()
        ]
        if self.preset is not None and self.preset.reason is not None:
            parts.append(self.preset.reason(value))
        return f"coalesce({', '.join(parts)}, NULL::VARCHAR)" if parts else "NULL::VARCHAR"


def _named(found: Mapping[str, str]) -> str:
    return ", ".join(f"{sql} AS {name}" for name, sql in found.items())


def _preset(site: ServiceSite, name: str | None) -> Preset | None:
    if name is None:
        return None
    if name not in PRESETS:
        msg = f"site {site.key}: sources: there is no preset {name!r}; there are {', '.join(sorted(PRESETS)) or 'none'}"
        raise SiteError(msg)
    return PRESETS[name]


def _json_path(keys: Sequence[str]) -> str:
    return "$" + "".join("." + '"' + key.replace('"', '\\"') + '"' for key in keys)


def column_text(path: str, kinds: dict[str, Any]) -> str:
    """SQL of the text of a column, or of a part of one; NULL where there is none."""
    if path in kinds:
        name = identifier(path)
        nested = kinds[path].startswith(("STRUCT(", "MAP(")) or kinds[path].endswith("]")
        return name if kinds[path] == "VARCHAR" else f"to_json({name})::VARCHAR" if nested else f"{name}::VARCHAR"
    head, _, rest = path.partition(".")
    if not rest or head not in kinds:
        return "NULL"
    keys, name = _json_path(rest.split(".")), identifier(head)
    if kinds[head] in {"VARCHAR", "JSON"}:
        return f"json_extract_string(CASE WHEN json_valid({name}) THEN {name} END, {literal(keys)})"
    if kinds[head].startswith("MAP("):
        return f"{name}[{literal(rest)}]::VARCHAR"
    return f"json_extract_string(to_json({name}), {literal(keys)})"


def json_meters(text: str) -> str:
    """SQL of the names and quantities of a JSON object; a text that is none gives a quantity that is no number."""
    is_object = f"json_valid({text}) AND json_type(CASE WHEN json_valid({text}) THEN {text} END) = 'OBJECT'"
    return (
        f"CASE WHEN {text} IS NULL THEN NULL WHEN {is_object} THEN {text}::JSON::MAP(VARCHAR, VARCHAR) "
        f"ELSE map(['meters'], [{text}]) END"
    )
