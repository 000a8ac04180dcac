"""Files that hold the columns of a LiteLLM proxy's log: JSON lines, CSV or Parquet, as an export writes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from usage_assets.kinds.service.raw.files import LONGEST_LINE, is_cut_off, lines_of
from usage_assets.kinds.service.raw.litellm_rows import SPEND_LOGS
from usage_assets.kinds.service.raw.reader import Part, PartError
from usage_assets.kinds.service.raw.records import column_text
from usage_assets.kinds.service.raw.values import literal

_NAMES = [column.name for column in SPEND_LOGS.columns]
_BROKEN = (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.SerializationException, duckdb.IOException)


@contextmanager
def file_rows(con: duckdb.DuckDBPyConnection, part: Part) -> Iterator[str]:
    """SQL of a file's rows as texts, by the log's columns, and `is_readable`; columns it lacks are null.

    PartError where the file can't be read, also while the block runs it, or where it has no request_id.
    """
    file: Path = part.handle
    try:
        if file.suffix == ".gz" and is_cut_off(file):
            msg = f"{part.name}: the gzip file ends before its end"
            raise PartError(msg)
        yield f"({_select(con, part, file)})"
    except _BROKEN as error:
        msg = f"{part.name}: {error}"
        raise PartError(msg) from error
    except OSError as error:
        msg = f"{part.name}: can't be read ({error.strerror})"
        raise PartError(msg) from error


def _select(con: duckdb.DuckDBPyConnection, part: Part, file: Path) -> str:
    kind = file.name.removesuffix(".gz").rpartition(".")[2].lower()
    if kind not in {"csv", "parquet"}:
        return _of_lines(file)
    packed = "gzip" if file.suffix == ".gz" else "none"
    relation = f"read_parquet({literal(str(file))})"
    if kind == "csv":
        relation = (
            f"read_csv({literal(str(file))}, all_varchar = true, header = true, delim = ',', quote = '\"', "
            f"escape = '\"', compression = '{packed}', max_line_size = {LONGEST_LINE}, "
            f"buffer_size = {2 * LONGEST_LINE}, null_padding = true, strict_mode = false)"
        )
    found = con.sql(f"FROM {relation} LIMIT 0")
    kinds = dict(zip(found.columns, map(str, found.types), strict=True))
    if "request_id" not in kinds:
        msg = f"{part.name}: a log of LiteLLM has a column request_id; there are {', '.join(kinds)[:200]}"
        raise PartError(msg)
    values = ", ".join(f'{column_text(name, kinds)} AS "{name}"' for name in _NAMES)
    return f"SELECT true AS is_readable, {values} FROM {relation}"


def _of_lines(file: Path) -> str:
    paths = ", ".join(literal(f'$."{name}"') for name in _NAMES)
    values = ", ".join(f'x[{number}] AS "{name}"' for number, name in enumerate(_NAMES, 1))
    return (
        f"SELECT x IS NOT NULL AS is_readable, {values} FROM (SELECT CASE WHEN json_type(j) = 'OBJECT' THEN "
        f"json_extract_string(j, [{paths}]::VARCHAR[]) END AS x FROM (SELECT TRY_CAST(line AS JSON) AS j "
        f"FROM ({lines_of(file)}) WHERE trim(line) <> ''))"
    )
