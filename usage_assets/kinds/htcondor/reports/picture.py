"""GPUs held by each class over the period, as an SVG within the page; no browser is needed."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import count, groupby

import polars as pl

from usage_assets.kinds.htcondor.pool import classes
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.labels import TOTAL
from usage_assets.kinds.htcondor.tables.series import time_series
from usage_assets.kinds.htcondor.tables.window import to_local

_WIDTH, _HEIGHT = 860, 250
_LEFT, _TOP, _RIGHT, _BOTTOM = 44, 12, 8, 62
_MOST = 120
_TICKS, _LABELS = 4, 8
_CLOCK_HOURS = 48
"""Shorter periods have times of day below them, longer ones days."""
Place = Callable[[float], float]
_WIDTHS = (15, 30, 60, 120, 240, 480, 720, 1440, 10_080)


def stacked(cube: Cube, titles: dict[str, str]) -> str:
    """GPUs held by class, one on the other, under the line of those available; empty where nothing was seen."""
    window = cube.observed.window
    if not cube.observed.intervals:
        return ""
    minutes = next((width for width in _WIDTHS if window.hours * 60 / width <= _MOST), _WIDTHS[-1])
    frame = time_series(cube, max(minutes, cube.observed.bucket_minutes)).frame
    total = frame.filter(pl.col("class") == TOTAL)
    available = total["available_avg"].to_list()
    top = _rounded(max([value for value in available if value is not None], default=0))
    starts = total["bucket_at"].to_list()
    edges = [(max(at, window.start) - window.start) / (window.end - window.start) for at in starts] + [1.0]
    across = [round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1) for share in edges]

    def down(value: float) -> float:
        return round(_HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM), 1)

    base: list[float] = [0.0] * len(starts)
    shapes, legend = [], []
    for name, (colour, _) in classes.COLOURS.items():
        held = frame.filter(pl.col("class") == name)["allocated_avg"].to_list()
        if not any(held):
            continue
        upper = [None if value is None else low + value for low, value in zip(base, held, strict=True)]
        path = "".join(_area(across, base, upper, down))
        shapes.append(f'<path d="{path}" fill="{colour}"/>')
        legend.append((colour, titles.get(name, classes.LABELS[name])))
        base = [low if value is None else value for low, value in zip(base, upper, strict=True)]
    line = "".join(_line(across, available, down))
    shapes.append(f'<path d="{line}" fill="none" stroke="#222" stroke-width="1.2"/>')
    parts = [*_axes(cube, top, down), *shapes, *_legend([*legend, ("#222", "Available, each GPU once")])]
    what = escape("GPUs held by class over the period, and GPUs available")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" aria-label="{what}" '
        f'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="11">{"".join(parts)}</svg>'
    )


def _stretches(values: Sequence[float | None]) -> Iterator[tuple[int, int]]:
    """Where values are known, as first place and the place after the last: a gap is left blank."""
    for is_known, group in groupby(range(len(values)), key=lambda place: values[place] is not None):
        if is_known:
            places = list(group)
            yield places[0], places[-1] + 1


def _area(across: list[float], low: Sequence[float], high: Sequence[float | None], down: Place) -> Iterator[str]:
    for first, after in _stretches(high):
        points = [f"M{across[first]},{down(low[first])}"]
        points += [f"V{down(high[place] or 0)}H{across[place + 1]}" for place in range(first, after)]
        points += [f"V{down(low[place])}H{across[place]}" for place in reversed(range(first, after))]
        yield "".join(points) + "Z"


def _line(across: list[float], values: Sequence[float | None], down: Place) -> Iterator[str]:
    for first, after in _stretches(values):
        yield f"M{across[first]},{down(values[first] or 0)}"
        for place in range(first, after):
            yield f"V{down(values[place] or 0)}H{across[place + 1]}"


def _axes(cube: Cube, top: float, down: Place) -> Iterator[str]:
    for value in (top * number / _TICKS for number in range(_TICKS + 1)):
        y = down(value)
        yield f'<path d="M{_LEFT},{y}H{_WIDTH - _RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 5}" y="{y + 4}" text-anchor="end">{value:,.0f}</text>'
    window = cube.observed.window
    shown = "%H:%M" if window.hours <= _CLOCK_HOURS else "%d %b"
    days = round(window.hours / 24)
    labels = days if window.hours > _CLOCK_HOURS and days <= _LABELS + 2 else _LABELS
    for number in range(labels + 1):
        share = number / labels
        at = to_local(window.start + (window.end - window.start) * share, window.timezone)
        anchor = "start" if number == 0 else "end" if number == labels else "middle"
        x = round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)
        yield f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="{anchor}">{escape(at.strftime(shown))}</text>'


def _legend(entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    x, y = float(_LEFT), _HEIGHT - _BOTTOM + 34
    for colour, title in entries:
        width = 22 + 6.4 * len(title)
        if x + width > _WIDTH and x > _LEFT:
            x, y = _LEFT, y + 17
        yield f'<rect x="{x:.0f}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 14:.0f}" y="{y}">{escape(title)}</text>'
        x += width


def _rounded(value: float) -> int:
    """The next number that four lines divide well."""
    steps = (step * 10**power for power in count() for step in (4, 6, 8, 12, 16, 20, 28, 32))
    return next(step for step in steps if step >= value)
