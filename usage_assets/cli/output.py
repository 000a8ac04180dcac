"""What commands that show tables share: what is read, and how rows are printed or written into a file."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl

from usage_assets.cli.access import table_of_lines
from usage_assets.cli.console import console
from usage_assets.core import settings
from usage_assets.core.errors import UsageError
from usage_assets.core.text import line
from usage_assets.reports.render import write_file
from usage_assets.serving.pointer import read_pointer
from usage_assets.warehouse import Reader, Warehouse
from usage_assets.warehouse.connections import connect

_CELL = 60
_LEAST = 24


@contextmanager
def reading(*, published: bool) -> Iterator[Reader]:
    """The warehouse, or the newest published snapshot."""
    if not published:
        with Warehouse.default().read() as reader:
            yield reader
        return
    folder = settings.published_dir()
    with connect(read_pointer(folder).path(folder), read_only=True) as con:
        yield Reader(con)


def write_output(text: str, path: Path | None) -> None:
    """Print a text, or write it into a file."""
    if path is None:
        sys.stdout.write(text)
        return
    try:
        write_file(path.absolute(), text.encode())
    except OSError as error:
        msg = f"{path} can't be written ({error.strerror})"
        raise UsageError(msg) from None


def show_frame(
    frame: pl.DataFrame, title: str, page_format: str, output: Path | None, *, top: int | None = None
) -> None:
    """Rows as a table of text, or as CSV or JSON with exact amounts; text has the first `top` and counts the rest."""
    if page_format == "json":
        rows = [{name: _plain(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]
        write_output(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", output)
    elif page_format == "csv":
        exact = [pl.col(name).cast(pl.String) for name, kind in frame.schema.items() if kind.is_decimal()]
        write_output(frame.with_columns(exact).write_csv(), output)
    elif output is not None:
        lines = ["\t".join(frame.columns), *("\t".join(map(cell, row)) for row in frame.iter_rows())]
        write_output("\n".join([title, *lines]) + "\n", output)
    else:
        _print(frame, title, top)


def _print(frame: pl.DataFrame, title: str, top: int | None) -> None:
    numbers = [name for name, kind in frame.schema.items() if kind.is_numeric()]
    heads = {name: name.replace("_", "\n") for name in frame.columns}  # narrow, so that rows have room
    table = table_of_lines(title, *heads.values(), numbers=[heads[name] for name in numbers])
    shown = frame if top is None else frame.head(top)
    rows = [tuple(map(cell, row)) for row in shown.iter_rows()]
    for column, cells in zip(table.columns, zip(*rows, strict=True), strict=False):
        column.min_width = min(_LEAST, max(map(len, cells)))  # a narrow terminal folds lines, it hides no name
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if frame.is_empty():
        console.print("nothing")
    elif shown.height < frame.height:
        console.print(f"... and {frame.height - shown.height:,} more (--top 0 shows all)")


def cell(value: object) -> str:
    """A value as people read it, on one line; an unknown one is a dash."""
    match value:
        case None:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case Decimal():
            text = f"{value.quantize(Decimal('0.0001')):,f}"
        case float():
            text = f"{value:,.4g}" if abs(value) < 100 else f"{value:,.1f}"
        case int():
            text = f"{value:,}"
        case datetime():
            text = f"{value:%Y-%m-%d %H:%M}"
        case list():
            text = ", ".join(map(cell, value))
        case _:
            text = line(str(value), _CELL)
    return text


def _plain(value: object) -> object:
    """A value as JSON has it: money as exact text, instants in ISO form with Z."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value
