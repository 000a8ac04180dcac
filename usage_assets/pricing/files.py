"""Record files of an operator: CSV, JSON lines, YAML or Parquet by suffix, with declared columns.

`read_records(path, fields, error)` serves any file of rows, not only prices: give each column's name and `Field` (see
`values`: text, money, quantity, whole, flag, instant, decimals, texts). Columns may be missing unless required; an
empty text is null; a column that was not declared is an error. All faults of a file are told in one error, a line each:
`rates.csv:3: price: 'x' is no number; ...` (the line of the record; of Parquet, which has none, the number of the row).
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from usage_assets.core.errors import SiteError, UsageError
from usage_assets.core.text_files import LARGEST_BYTES, read_text
from usage_assets.core.yaml_files import masked, parse_any
from usage_assets.pricing.values import Field

LARGEST_FILE = 64_000_000
"""Bytes that a CSV or JSON lines file may have; YAML is for short files (1 MB)."""
_MOST_FAULTS = 20
_HELP = "the site file that names it"

_Raw = Iterator[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class Records:
    """The rows of a record file in its order: their lines, and a tuple of values in the order of the fields."""

    file: str
    fields: Mapping[str, Field]
    lines: list[int]
    values: list[tuple[Any, ...]]

    def place(self, index: int) -> str:
        """Where a row stands: `rates.csv:3`."""
        return f"{self.file}:{self.lines[index]}"

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each row's place and its values by name."""
        for index, values in enumerate(self.values):
            yield self.place(index), dict(zip(self.fields, values, strict=True))

    def frame(self) -> pl.DataFrame:
        """The rows as a frame of the declared columns and types, and `line` of each."""
        columns = zip(*self.values, strict=True) if self.values else [()] * len(self.fields)
        made = [
            pl.Series(name, list(column), dtype=field.dtype)
            for (name, field), column in zip(self.fields.items(), columns, strict=True)
        ]
        return pl.DataFrame([*made, pl.Series("line", self.lines, dtype=pl.Int64)])


def read_records(path: Path, fields: Mapping[str, Field], error: type[UsageError] = SiteError) -> Records:
    """The rows of a file with these columns; `error` names file, line and key of every fault."""
    readers: dict[str, Callable[[Path, type[UsageError]], _Raw]] = {
        ".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".yaml": _yaml, ".yml": _yaml,
        ".parquet": _parquet,
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        msg = f"{path.name}: the suffix says the format; it is one of {', '.join(readers)}"
        raise error(msg)
    lines, values, faults = [], [], []
    for line, row in reader(path, error):
        wrong = _unknown(row, fields)
        lines.append(line)
        values.append(tuple(_value(row, name, field, wrong) for name, field in fields.items()))
        faults += [masked(f"{path.name}:{line}: {fault}") for fault in wrong]
        if len(faults) >= _MOST_FAULTS:
            break
    if faults:
        raise error("\n".join(faults[:_MOST_FAULTS]))
    return Records(path.name, dict(fields), lines, values)


def _unknown(row: Mapping[str, Any], fields: Mapping[str, Field]) -> list[str]:
    allowed = ", ".join(sorted(fields))
    return [f"{name}: unknown key; allowed: {allowed}" for name in row if name not in fields]


def _value(row: Mapping[str, Any], name: str, field: Field, faults: list[str]) -> Any:
    """The value of a column, null where it has a fault, which is added to the faults."""
    raw = row.get(name)
    if raw is None or raw == "":
        if field.required:
            faults.append(f"{name}: is missing; every row needs it")
        return None
    try:
        return field.read(raw)
    except ValueError as fault:
        faults.append(f"{name}: {fault}")
        return None


def _csv(path: Path, error: type[UsageError]) -> _Raw:
    """Rows below a header; each stands in the line where it begins."""
    table = csv.reader(io.StringIO(_text(path, error), newline=""), strict=True)
    header: list[str] | None = None
    begins = 1
    try:
        for cells in table:
            line, begins = begins, table.line_num + 1
            if not cells:
                continue
            if header is None:
                header = cells
                _refuse_twice(path, line, header, error)
            elif len(cells) != len(header):
                msg = f"{path.name}:{line}: has {len(cells)} cells, the header has {len(header)}"
                raise error(msg)
            else:
                yield line, dict(zip(header, cells, strict=True))
    except csv.Error as fault:
        msg = f"{path.name}:{begins}: is not CSV ({fault})"
        raise error(msg) from None


def _refuse_twice(path: Path, line: int, names: list[str], error: type[UsageError]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        msg = f"{path.name}:{line}: {min(twice)} stands twice"
        raise error(masked(msg))


def _json_lines(path: Path, error: type[UsageError]) -> _Raw:
    """A JSON object per line; blank lines are skipped."""
    for line, text in enumerate(_text(path, error).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_object)
        except (ValueError, RecursionError) as fault:  # the text of JSONDecodeError has the column in it
            msg = f"{path.name}:{line}: is not JSON ({fault})"
            raise error(masked(msg)) from None
        if not isinstance(row, dict):
            msg = f"{path.name}:{line}: expected an object of keys and values, found {type(row).__name__}"
            raise error(msg)
        yield line, row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [name for name, _ in pairs]
        msg = f"{next(name for name in names if names.count(name) > 1)} stands twice"
        raise ValueError(msg)
    return out


def _no_number(name: str) -> None:
    msg = f"{name} is no number"
    raise ValueError(msg)


class _ExactLoader(yaml.SafeLoader):
    """YAML whose numbers with a fraction are decimals."""


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal | float:
    text = str(loader.construct_scalar(node))
    return loader.construct_yaml_float(node) if text.lower().endswith(("inf", "nan")) else Decimal(text)


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _decimal)


def _yaml(path: Path, error: type[UsageError]) -> _Raw:
    """A list of mappings."""
    text = read_text(path, error, help_at=_HELP, largest=LARGEST_BYTES)
    data, lines = parse_any(path, text, error)
    if data is None:
        return
    if not isinstance(data, list):
        msg = f"{path.name}:1: expected a list of rows (- key: value), found {type(data).__name__}"
        raise error(msg)
    for index, row in enumerate(yaml.load(text, Loader=_ExactLoader)):  # noqa: S506  # it is a SafeLoader
        line = lines[index,]
        if not isinstance(row, dict):
            msg = f"{path.name}:{line}: expected keys and values, found {type(row).__name__}"
            raise error(msg)
        yield line, {str(name): value for name, value in row.items()}


def _parquet(path: Path, error: type[UsageError]) -> _Raw:
    """The rows of a Parquet file, by their number."""
    try:
        frame = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as fault:
        msg = f"{path.name}: can't be read as Parquet ({type(fault).__name__}); look at {_HELP}"
        raise error(msg) from fault
    yield from enumerate(frame.iter_rows(named=True), start=1)


def _text(path: Path, error: type[UsageError]) -> str:
    return read_text(path, error, help_at=_HELP, largest=LARGEST_FILE)
