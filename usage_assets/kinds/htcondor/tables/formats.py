"""Tables as text, HTML, JSON and CSV. Pure: texts are returned, nothing is written.

Names of users, machines and jobs come from the pool: in text nothing of them moves a cursor, in HTML they are escaped,
in CSV no spreadsheet takes them for a formula.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
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
    if wanted != "csv":
        msg = f"format is one of {', '.join(FORMATS)}, not {wanted!r}"
        raise UsageError(msg)
    if len(results) != 1:
        msg = f"CSV holds one table; choose one of {', '.join(results)}, or another format"
        raise UsageError(msg)
    return as_csv(next(iter(results.values())).frame)


def _noted(results: Mapping[str, Result]) -> Iterator[tuple[str, Sequence[str], Sequence[str], pl.DataFrame]]:
    """Heading, window (where it is another one than before), remarks and frame of each table."""
    previous: tuple[str, ...] = ()
    for name, result in results.items():
        about = period(result.metadata)
        yield heading(name), about if about != previous else (), remarks(result.metadata), result.frame
        previous = about


def as_text(results: Mapping[str, Result], *, title: str = "GPU pool") -> str:
    """Tables as plain text: names to the left, numbers to the right with one decimal."""
    lines = [printable(title), "=" * len(printable(title))]
    for name, about, notes, frame in _noted(results):
        lines += ["", printable(name), "-" * len(name), *map(printable, about)]
        lines += [*(printable(f"({note})") for note in notes), "", *text_table(frame)]
    return "\n".join(lines) + "\n"


def text_table(frame: pl.DataFrame) -> list[str]:
    """One table as lines of text."""
    if frame.is_empty():
        return ["  nothing"]
    frame = readable(frame)
    rows = [[_short(printable(cell(value))) for value in row] for row in frame.iter_rows()]
    heads = _heads(frame)
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]

    def line(cells: Iterable[str]) -> str:
        placed = zip(cells, widths, frame.dtypes, strict=True)
        return "  ".join(
            text.rjust(width) if kind.is_numeric() else text.ljust(width) for text, width, kind in placed
        ).rstrip()

    return [line(heads), line("-" * width for width in widths), *map(line, rows)]


def as_html(results: Mapping[str, Result], *, title: str = "GPU pool") -> str:
    """Tables as one page that needs nothing else; every text is escaped."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for name, about, notes, frame in _noted(results):
        parts.append(f"<h2>{escape(name)}</h2>")
        parts += [f'<p class="note">{escape(printable(note))}</p>' for note in (*about, *notes)]
        parts.append(html_table(frame))
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def html_table(frame: pl.DataFrame) -> str:
    """One table as HTML."""
    if frame.is_empty():
        return "<p>nothing</p>"
    frame = readable(frame)

    def line(tag: str, cells: Iterable[str]) -> str:
        marks = (' class="number"' if kind.is_numeric() else "" for kind in frame.dtypes)
        placed = zip(cells, marks, strict=True)
        return "<tr>" + "".join(f"<{tag}{mark}>{escape(printable(text))}</{tag}>" for text, mark in placed) + "</tr>"

    rows = "\n".join(line("td", map(cell, row)) for row in frame.iter_rows())
    return f"<table>\n<thead>{line('th', _heads(frame))}</thead>\n<tbody>\n{rows}\n</tbody></table>"


def as_json(results: Mapping[str, Result]) -> str:
    """Tables as JSON: per table its rows, unrounded, and its metadata; instants in ISO form."""
    tables = {
        name: {"metadata": asdict(one.metadata), "columns": one.frame.columns, "rows": one.frame.to_dicts()}
        for name, one in results.items()
    }

    def plain(value: Any) -> Any:
        return value.isoformat()

    return json.dumps({"tables": tables}, indent=1, allow_nan=False, ensure_ascii=False, default=plain) + "\n"


def as_csv(frame: pl.DataFrame) -> str:
    """One table as CSV, unrounded, instants in ISO form; no text in it is a formula."""
    texts = [name for name, kind in frame.schema.items() if kind == pl.String()]
    inert = frame.with_columns(
        pl.when(pl.col(name).str.contains(r"^[=+\-@\t\r]")).then(pl.lit("'") + pl.col(name)).otherwise(name).alias(name)
        for name in texts
    )
    return inert.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S")


def readable(frame: pl.DataFrame) -> pl.DataFrame:
    """A table with labels in place of keys, indented where rows are parts of others."""
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
    """Title of a table."""
    return TITLES.get(name, label(name))


def label(column: str) -> str:
    """Title of a column: `gpu_hours_observed` is `GPU hours observed`."""
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
    """Rows that a table leaves out, and options that match nothing."""
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
