"""A table as people read it, its cells already texts, so that a page and a plain text can't disagree."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from usage_assets.core.text import printable
from usage_assets.kinds.htcondor.tables.window import to_local

WIDTH = 100
"""Characters of a line of text."""
_LEAST = 24
"""Characters that a text keeps however many columns there are."""
_HEAD = 10
"""Heads that are longer take several lines."""
_GAP = "  "
_INDENT = "  "


@dataclass(frozen=True)
class Column:
    """A column's head; numbers stand to the right."""

    title: str
    is_number: bool = False
    is_fixed: bool = False
    """Never truncated."""


@dataclass(frozen=True)
class Row:
    """A row's cells; `level` indents the first, a total is set off."""

    cells: tuple[str, ...]
    level: int = 0
    is_total: bool = False


@dataclass(frozen=True)
class Grid:
    """A table; `title` where a section has several."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    title: str = ""


def grid(frame: pl.DataFrame, heads: Mapping[str, str], *, timezone: str = "UTC", title: str = "") -> Grid:
    """Some columns of a frame under their heads; instants by the pool's clocks.

    `level` and `is_total` of the frame, where it has them, say how a row is set.
    """
    columns = tuple(column(head, frame.schema[name]) for name, head in heads.items())
    rows = []
    for row in frame.iter_rows(named=True):
        cells = tuple(cell(row[name], timezone) for name in heads)
        rows.append(Row(cells, int(row.get("level") or 0), bool(row.get("is_total"))))
    return Grid(columns, tuple(rows), title)


def column(head: str, kind: pl.DataType) -> Column:
    """The column of a frame's column."""
    return Column(head, kind.is_numeric(), kind.is_temporal() or kind == pl.Boolean())


def cell(value: object, timezone: str = "UTC") -> str:
    """A value as people read it: one decimal, nothing as a dash, instants by the pool's clocks."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{to_local(value, timezone):%Y-%m-%d %H:%M}"
    return printable(str(value))


def text_lines(table: Grid, width: int = WIDTH) -> list[str]:
    """The table as lines of text, none longer than `width`: long texts are truncated, further columns follow below."""
    cells = [[_INDENT * row.level + row.cells[0], *row.cells[1:]] for row in table.rows]
    heads = [textwrap.wrap(column.title, _HEAD, break_long_words=False) or [""] for column in table.columns]
    widths = [max(map(len, [*head, *(row[place] for row in cells)])) for place, head in enumerate(heads)]
    widths = _fitted(widths, [column.is_number or column.is_fixed for column in table.columns], width)
    lines: list[str] = [table.title] if table.title else []

    def line(texts: Iterable[str], places: Sequence[int]) -> str:
        padded = []
        for text, place in zip(texts, places, strict=True):
            shown = text if len(text) <= widths[place] else f"{text[: widths[place] - 3]}..."
            is_number = table.columns[place].is_number
            padded.append(shown.rjust(widths[place]) if is_number else shown.ljust(widths[place]))
        return _GAP.join(padded).rstrip()

    for number, places in enumerate(_blocks(widths, _keys(table), width)):
        deep = max(len(heads[place]) for place in places)
        # heads stand on the rule, whatever their height
        padded = [[""] * (deep - len(heads[place])) + heads[place] for place in places]
        lines += [""] if number else []
        lines += [line(texts, places) for texts in zip(*padded, strict=True)]
        lines.append(line(("-" * widths[place] for place in places), places))
        lines += [line((row[place] for place in places), places) for row in cells]
    return lines


def _fitted(widths: list[int], fixed: list[bool], width: int) -> list[int]:
    """Widths with the longest texts cut as far as needed, each to some characters at least."""
    out = list(widths)
    texts = [place for place, is_fixed in enumerate(fixed) if not is_fixed]
    while sum(out) + len(_GAP) * (len(out) - 1) > width:
        longest = max(texts, key=lambda place: out[place], default=None)
        if longest is None or out[longest] <= _LEAST:
            break
        out[longest] -= 1
    return out


def _keys(table: Grid) -> list[int]:
    """The texts that a table begins with: they say what a row is, and begin every block."""
    first = next((place for place, one in enumerate(table.columns) if one.is_number or one.is_fixed), 1)
    return list(range(max(first, 1)))


def _blocks(widths: list[int], keys: list[int], width: int) -> list[list[int]]:
    """Places of columns that stand beside each other."""
    head = sum(widths[place] + len(_GAP) for place in keys) - len(_GAP)
    blocks, used = [list(keys)], head
    for place in range(len(keys), len(widths)):
        more = widths[place] + len(_GAP)
        if used + more > width and len(blocks[-1]) > len(keys):
            blocks.append(list(keys))
            used = head
        blocks[-1].append(place)
        used += more
    return blocks
