"""Cost and requests per day as an SVG within the page of a usage report; no browser is needed."""

from collections.abc import Iterator, Sequence
from datetime import date
from html import escape
from itertools import count

import polars as pl

from usage_assets.kinds.service.reports.period import Period

_WIDTH, _HEIGHT, _LEFT, _RIGHT = 860, 130, 64, 8
_TOP, _BOTTOM = 18, 20
_COST, _REQUESTS = "#0072B2", "#E69F00"
_MOST = 124
_TICKS = 2


def drawing(days: pl.DataFrame, period: Period, currency: str) -> str:
    """Bars of the cost per day above, of the requests per day below; longer periods by groups of days."""
    length = (period.end - period.start).days
    width = -(-length // _MOST)
    per = "day" if width == 1 else f"{width} days"
    costs, requests = ([0.0] * -(-length // width) for _ in range(2))
    day: date
    for day, cost, number in days.select("date", pl.col("cost").cast(pl.Float64), "requests").iter_rows():
        costs[(day - period.start).days // width] += cost
        requests[(day - period.start).days // width] += number
    parts = [*_panel(costs, 0, _COST, f"Cost per {per} ({currency})")]
    parts += _panel(requests, _HEIGHT, _REQUESTS, f"Requests per {per}")
    parts += _dates(period, 2 * _HEIGHT + 6)
    what = escape(f"Cost and requests per {per}, {period.label}")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {2 * _HEIGHT + 14}" width="100%" role="img" aria-label="{what}" '
        f'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="11">{"".join(parts)}</svg>'
    )


def _panel(values: Sequence[float], top: int, colour: str, title: str) -> Iterator[str]:
    highest = _rounded(max(values, default=0.0))
    floor, room = top + _HEIGHT - _BOTTOM, _HEIGHT - _TOP - _BOTTOM
    yield f'<text x="{_LEFT}" y="{top + 11}" fill="#555">{escape(title)}</text>'
    for number in range(_TICKS + 1):
        y = round(floor - room * number / _TICKS, 1)
        yield f'<path d="M{_LEFT},{y}H{_WIDTH - _RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 5}" y="{y + 4}" text-anchor="end">{highest * number / _TICKS:,.4g}</text>'
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(values), 1)
    bars = [
        f"M{_LEFT + step * (place + 0.1):.1f},{floor}v{-room * value / highest:.1f}h{step * 0.8:.1f}V{floor}Z"
        for place, value in enumerate(values)
        if value > 0
    ]
    yield f'<path d="{"".join(bars)}" fill="{colour}"/>'


def _dates(period: Period, y: int) -> Iterator[str]:
    """Days below the panels, at most nine of them."""
    length = (period.end - period.start).days
    every = -(-length // 9)
    for place in range(0, length, every):
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (place + 0.5) / length
        day = date.fromordinal(period.start.toordinal() + place)
        yield f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{day:%Y-%m-%d}</text>'


def _rounded(value: float) -> float:
    """The next number of 1, 2, 4, 6 or 8 times a power of ten; 1 where there is nothing."""
    if value <= 0:
        return 1.0
    steps = (step * 10.0**power for power in count(-12) for step in (1, 2, 4, 6, 8))
    return next(step for step in steps if step >= value)
