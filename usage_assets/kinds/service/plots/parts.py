"""What several figures of a service share: colours, names of series, and bars that stand on each other."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from html import escape
from typing import Any

import polars as pl

from usage_assets.reports import frame
from usage_assets.specs.plot_context import Trace

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A4B00")
_FURTHER = "#BDBDBD"
HATCH = {"shape": "/", "fillmode": "overlay", "fgcolor": "white", "size": 6, "solidity": 0.35}
"""Pattern of bars that share a colour with others, or are told apart from them in print."""
_NAME = 26
_DAY = timedelta(days=1)
_MILLISECOND = timedelta(milliseconds=1)
Looks = Mapping[str, tuple[str, str]]
"""Column -> label and colour."""
TOKENS: Looks = {
    "input": ("Input", "#0072B2"),
    "cached": ("Input from a cache", "#56B4E9"),
    "output": ("Output", "#E69F00"),
}
"""Parts of the tokens."""
STATES: Looks = {
    "succeeded": ("Succeeded", "#0072B2"),
    "failed": ("Failed", "#D55E00"),
    "cancelled": ("Cancelled", "#E69F00"),
    "unfinished": ("Unfinished", _FURTHER),
}
"""What became of requests."""


def marker(place: int | None) -> dict[str, Any]:
    """Marker of bars of a series by its place from 0: after seven colours hatched ones; none = all further ones."""
    if place is None:
        return {"color": _FURTHER}
    out: dict[str, Any] = {"color": _COLOURS[place % len(_COLOURS)]}
    if place >= len(_COLOURS):
        out["pattern"] = HATCH
    return out


def clipped(name: str, most: int = _NAME) -> str:
    """A name of at most so many characters, its beginning and its end, escaped: plotly reads a little HTML."""
    end = most // 2
    return escape(name if len(name) <= most else f"{name[: most - end - 1]}…{name[-end:]}", quote=False)


def labels(names: Sequence[str], most: int = _NAME) -> list[str]:
    """Names as figures show them; those that look alike once they are clipped are numbered."""
    short = [clipped(name, most) for name in names]
    return [text if short.count(text) == 1 else f"{text} #{number}" for number, text in enumerate(short, start=1)]


def daily_bars(
    days: Sequence[date], values: Sequence[float | None], name: str, look: Mapping[str, Any], **more: Any
) -> Trace:
    """Bars of one series, a day each, that stand in the middle of their days; days without a value have none."""
    pairs = [(day, value) for day, value in zip(days, values, strict=True) if value]
    return _bars(
        [frame.midnight(day) + _DAY / 2 for day, _ in pairs], [value for _, value in pairs], _DAY, name, look, **more
    )


def monthly_bars(
    months: Sequence[date], values: Sequence[float | None], name: str, look: Mapping[str, Any], **more: Any
) -> Trace:
    """Bars of one series, a month each."""
    pairs = [(month, value) for month, value in zip(months, values, strict=True) if value]
    places = [frame.midnight(month) + 15 * _DAY for month, _ in pairs]
    return _bars(places, [value for _, value in pairs], 28 * _DAY, name, look, **more)


def _bars(
    places: Sequence[datetime], values: Sequence[float], width: timedelta, name: str, look: Mapping[str, Any],
    *, panel: int = 0, template: str = "%{y:,.0f}", legend: bool = True, group: str = "", round_to: int = 6,
) -> Trace:  # fmt: skip
    return {
        "type": "bar", "x": [frame.stamp(at) for at in places], "y": [round(float(one), round_to) for one in values],
        "width": 0.86 * width / _MILLISECOND, "name": name, "marker": dict(look), "yaxis": frame.axis(panel),
        "hovertemplate": template, "showlegend": legend, "legendgroup": group or name, "meta": group or name,
    }  # fmt: skip


def added(rows: pl.DataFrame, names: Iterable[str]) -> list[float]:
    """The sum of some columns in each row."""
    return rows.select(pl.sum_horizontal(pl.col(name).cast(pl.Float64) for name in names)).to_series().to_list()


def counts_axis(top: float) -> dict[str, Any]:
    """Options of an axis of whole numbers up to `top`: no fractions, and k, M, G for large ones."""
    if top < 6:
        return {"dtick": 1, "tickformat": ",d"}
    return {"tickformat": ",~s" if top >= 10_000 else ",d"}


def top_of(sums: Sequence[float]) -> float:
    """End of an axis of stacked bars: a little above the highest, 1 where there is none."""
    highest = max(sums, default=0.0)
    return 1.06 * highest if highest > 0 else 1.0
