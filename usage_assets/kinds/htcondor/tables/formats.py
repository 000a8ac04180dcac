"""Show: tables as text, HTML, JSON and CSV. Pure: what is shown is returned, nothing is written.

Names of users, machines and jobs come from the pool: in text nothing of them moves a cursor, in HTML they are escaped,
in CSV no spreadsheet takes them for a formula.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import date
from html import escape
from typing import Any, Literal

import polars as pl

from usage_assets.core.errors import UsageError
from usage_assets.core.text import printable
from usage_assets.kinds.htcondor.reports.grid import cell
from usage_assets.kinds.htcondor.tables.options import Metadata, Result

Format = Literal["text", "html", "json", "csv"]
FORMATS: tuple[Format, ...] = ("text", "html", "json", "csv")
TITLES: dict[str, str] = {
    "summary": "Real slots",
    "allocation": "Allocation by class",
    "cluster": "The pool as a whole",
    "open_tiers": "Open capacity by tier",
    "devices": "Allocation by device",
    "memory": "Primary slots by memory",
    "model_users": "Users of one model",
    "backfill_users": "Users of backfill",
    "users": "Users",
    "never_active": "Machines with no active primary GPU",
    "machine_categories": "Machine categories",
    "hosts": "Hosts",
    "unused_gpus": "GPUs that no primary job used",
    "draining": "Draining",
    "draining_episodes": "Draining, each time",
    "refusing": "Machines that prevent new jobs",
    "excluded_hosts": "Excluded hosts",
    "spell_lengths": "How long GPUs stand free for backfill",
    "evictions_by_user": "Evictions by user",
    "evictions_by_machine": "Evictions by machine",
    "timeseries": "Time series",
    "weekly": "GPU-hours by week",
    "performance": "Usage of claimed GPUs",
    "performance_by_device": "Usage of claimed GPUs by device",
}
_WORDS = {
    "refusing": "prevented",
    "avg": "avg.",
    "gpu": "GPU",
    "gpus": "GPUs",
    "percent": "%",
    "p90": "90 %",
    "mean": "mean",
    "utc": "UTC",
}
_WIDEST = 80
"""Characters of the widest column of a text table; other formats cut nothing."""
_STYLE = (
    "body{font:14px/1.4 sans-serif;color:#222;margin:2em}table{border-collapse:collapse;margin:.5em 0 1.5em}"
    "th,td{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:left}th{border-bottom:2px solid #222}"
    "td{white-space:pre-wrap}.number{text-align:right;font-variant-numeric:tabular-nums}.note{color:#666}"
)


def shown(results: Mapping[str, Result], wanted: str, *, title: str = "GPU pool") -> str:
    """Tables in a format. CSV holds one table: of several, ask for each by itself."""
    if wanted == "text":
        return as_text(results, title=title)
    if wanted == "html":
        return as_html(results, title=title)
    if wanted == "json":
        return as_json(results)
    if wanted == "csv":
        if len(results) != 1:
            msg = f"CSV holds one table; choose one of {', '.join(results)}, or another format"
            raise UsageError(msg)
        return as_csv(next(iter(results.values())).frame)
    msg = f"format is one of {', '.join(FORMATS)}, not {wanted!r}"
    raise UsageError(msg)


def as_text(results: Mapping[str, Result], *, title: str = "GPU pool") -> str:
    """Tables as plain text: names to the left, numbers to the right with one decimal."""
    lines = [printable(title), "=" * len(printable(title))]
    previous: tuple[str, ...] = ()
    for name, result in results.items():
        about = tuple(printable(line) for line in period(result.metadata))
        lines += ["", printable(heading(name)), "-" * len(heading(name))]
        lines += about if about != previous else ()
        lines += [printable(f"({remark})") for remark in remarks(result.metadata)]
        lines += ["", *text_table(result.frame)]
        previous = about
    return "\n".join(lines) + "\n"


def text_table(frame: pl.DataFrame) -> list[str]:
    """One table as lines of text."""
    if frame.is_empty():
        return ["  nothing"]
    frame = readable(frame)
    rows = [[_short(printable(cell)) for cell in row] for row in _cells(frame)]
    heads = _heads(frame)
    right = [_is_number(kind) for kind in frame.dtypes]
    widths = [max(len(head), *(len(row[place]) for row in rows)) for place, head in enumerate(heads)]

    def line(cells: Iterable[str]) -> str:
        placed = zip(cells, widths, right, strict=True)
        return "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in placed
        ).rstrip()

    return [line(heads), line("-" * width for width in widths), *map(line, rows)]


def as_html(results: Mapping[str, Result], *, title: str = "GPU pool") -> str:
    """Tables as one page that needs nothing else; every text is escaped."""
    parts = [f"<h1>{escape(title)}</h1>"]
    previous: tuple[str, ...] = ()
    for name, result in results.items():
        about = period(result.metadata)
        parts.append(f"<h2>{escape(heading(name))}</h2>")
        notes = [*(about if about != previous else ()), *remarks(result.metadata)]
        parts += [f'<p class="note">{escape(printable(note))}</p>' for note in notes]
        parts.append(html_table(result.frame))
        previous = about
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def html_table(frame: pl.DataFrame) -> str:
    """One table as HTML."""
    if frame.is_empty():
        return "<p>nothing</p>"
    frame = readable(frame)
    marks = [' class="number"' if _is_number(kind) else "" for kind in frame.dtypes]

    def line(tag: str, cells: Iterable[str]) -> str:
        placed = zip(cells, marks, strict=True)
        return "<tr>" + "".join(f"<{tag}{mark}>{escape(printable(cell))}</{tag}>" for cell, mark in placed) + "</tr>"

    rows = "\n".join(line("td", row) for row in _cells(frame))
    head = line("th", _heads(frame))
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{rows}\n</tbody></table>"


def as_json(results: Mapping[str, Result]) -> str:
    """Tables as JSON: per table its rows, unrounded, and what it tells about."""
    tables = {
        name: {
            "metadata": result.metadata.as_dict(),
            "columns": result.frame.columns,
            "rows": list(_rows(result.frame)),
        }
        for name, result in results.items()
    }
    return json.dumps({"tables": tables}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def as_csv(frame: pl.DataFrame) -> str:
    """One table as CSV, unrounded, instants in ISO form; no text in it is a formula."""
    texts = [name for name, kind in frame.schema.items() if kind == pl.String()]
    inert = frame.with_columns(
        pl.when(pl.col(name).str.contains(r"^[=+\-@\t\r]")).then(pl.lit("'") + pl.col(name)).otherwise(name).alias(name)
        for name in texts
    )
    return inert.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S")


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    """A table as people read it: what a row is called in place of its key, indented where rows are parts of others."""
    if "label" not in frame.columns:
        return frame
    if "level" in frame.columns:
        frame = frame.with_columns(label=pl.lit("  ").repeat_by("level").list.join("") + pl.col("label"))
    return frame.drop("row", "level", "class", "category", strict=False).rename({"label": "class"})


def _heads(frame: pl.DataFrame) -> list[str]:
    """Names of columns; of instants the clock too."""
    clock = {name: " (UTC)" if isinstance(kind, pl.Datetime) else "" for name, kind in frame.schema.items()}
    return [label(name) + (clock[name] if name != "local_at" else "") for name in frame.columns]


def heading(name: str) -> str:
    """What a table is called."""
    return TITLES.get(name, label(name))


def label(column: str) -> str:
    """What a column is called: `gpu_hours_observed` is `GPU hours observed`."""
    words = [_WORDS.get(word, word) for word in column.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def period(metadata: Metadata) -> tuple[str, ...]:
    """The window of a table in words, and how much of it was seen."""
    first, last = (f"{at:%Y-%m-%d %H:%M}" if at else "none" for at in (metadata.first_poll, metadata.last_poll))
    span = f"{metadata.local_start:%Y-%m-%d %H:%M} to {metadata.local_end:%Y-%m-%d %H:%M} {metadata.timezone}"
    intervals = f"{metadata.intervals:,} of {metadata.expected:,} intervals of {metadata.bucket_minutes} minutes seen"
    return (
        f"{span} ({metadata.hours:g} hours)",
        f"{metadata.polls:,} polls, {intervals} ({metadata.coverage:.1%}); first poll {first}, last {last} UTC",
    )


def remarks(metadata: Metadata) -> list[str]:
    """What a table leaves out, and what was asked for in vain."""
    out = []
    if metadata.filtered_families:
        gone = ", ".join(metadata.filtered_devices) or "none of the window's devices"
        out.append(f"Without the families {', '.join(metadata.filtered_families)}: {gone}")
    if metadata.hosts:
        out.append(f"Hosts: {', '.join(metadata.hosts)}")
    if metadata.excluded_users:
        out.append(f"Without users: {', '.join(metadata.excluded_users)}")
    return [*out, *metadata.notes]


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _is_number(kind: pl.DataType) -> bool:
    return kind.is_numeric()


def _cells(frame: pl.DataFrame) -> Iterable[list[str]]:
    for row in frame.iter_rows():
        yield [cell(value) for value in row]


def _rows(frame: pl.DataFrame) -> Iterable[dict[str, Any]]:
    for row in frame.iter_rows(named=True):
        yield {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}
