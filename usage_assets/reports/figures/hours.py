"""An axis of hours from nothing to years, points on it, and their colours by node type.

Half of all leases begin at once, others weeks later. The axis is logarithmic on both sides of zero; what is shorter
than 90 seconds (Blazar cuts dates to the minute) lies on zero itself, so that everything longer stands visibly above.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import copysign, log10
from typing import Any
from zlib import crc32

import polars as pl

from usage_assets.reports.frame import FAINT, Panel, axis
from usage_assets.reports.series import extremes
from usage_assets.specs.plot_context import Trace

AT_ONCE = 0.025
"""90 seconds: what is shorter began at once."""
_LIFT = 0.5
_TICKS = ((5 / 60, "5 min"), (1.0, "1 h"), (6.0, "6 h"), (24.0, "1 d"), (168.0, "1 week"), (720.0, "30 d"),
          (2160.0, "90 d"), (8766.0, "1 year"))  # fmt: skip
_FAINT = {"color": "#8A8A8A", "symbol": "circle-open", "opacity": 0.6}
# told apart by colour-blind readers as colours and in grey print as symbols
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4B00")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x")
_PAIRS = [(colour, symbol) for symbol in _SYMBOLS for colour in _COLOURS]
_SHOWN_TYPES = 12
_NAME = 24  # letters of a node type that the legend has room for


def place(hours: pl.Expr) -> pl.Expr:
    """Position of hours on the axis."""
    far = (hours.abs() / AT_ONCE).log(10) + _LIFT
    return pl.when(hours.abs() < AT_ONCE).then(0.0).otherwise(hours.sign() * far).round(4)


def placed(hours: float) -> float:
    """Position of a number of hours on the axis."""
    return 0.0 if abs(hours) < AT_ONCE else copysign(log10(abs(hours) / AT_ONCE) + _LIFT, hours)


def panel(title: str, columns: Sequence[pl.Series], *, legend: bool = False) -> Panel:
    """A panel whose axis covers all these hours."""
    reaches = [extremes(column) for column in columns]
    low, high = placed(min([0.0, *(low for low, _ in reaches)])), placed(max([24.0, *(high for _, high in reaches)]))
    upper = [(placed(hours), text) for hours, text in _TICKS if placed(hours) <= high + 0.2]
    ticks = [(0.0, "0"), *upper, *((-at, f"-{text}") for at, text in upper if -at >= low - 0.2)]
    options = {"tickmode": "array", "tickvals": [round(at, 4) for at, _ in ticks], "ticktext": [t for _, t in ticks]}
    return Panel(title, (low - 0.25, high + 0.25), axis=options, legend=legend)


def ranked(node_types: pl.Series, every: Iterable[str] = ()) -> dict[str, Trace]:
    """The node types that have an entry of their own in the legend, the most frequent first, with their markers.

    `every` are all node types of the site, whenever it had them: the same type then looks the same in every plot.
    """
    counts = node_types.value_counts().sort("count", node_types.name, descending=[True, False])
    kept: list[str] = [name for name in counts[node_types.name] if name != "unknown"]
    shown = kept if len(kept) <= _SHOWN_TYPES + 1 else kept[:_SHOWN_TYPES]
    of_all = markers({*every, *kept} - {"unknown"})
    return {name: of_all[name] for name in shown}


def by_type(rows: pl.DataFrame, value: str, types: Mapping[str, Trace], *, number: int, label: str) -> list[Trace]:
    """Points of a column over `at`: one trace per node type, one for all further ones, and one for unknown ones.

    `rows` has at, node_type and the column; where it has lease_id, hovering shows it.
    """
    known = rows.filter(pl.col(value).is_not_null())
    unknown = pl.col("node_type") == "unknown"
    further = ~pl.col("node_type").is_in(list(types)) & ~unknown
    count = rows.filter(further)["node_type"].n_unique()
    # first, so that it lies below the others: leases that were rolled back never got a machine that had a type
    groups = [(unknown, "unknown", _FAINT | {"size": 5, "symbol": "circle", "opacity": 0.3})]
    groups += [(pl.col("node_type") == name, _short(name), marker) for name, marker in types.items()]
    groups.append((further, f"{count} further types", _FAINT))
    parts = (points(known.filter(of), value, name, mark, number=number, label=label) for of, name, mark in groups)
    return [trace for part in parts for trace in part]


def points(
    rows: pl.DataFrame, value: str, name: str, marker: Mapping[str, Any], *, number: int, label: str
) -> list[Trace]:
    """One trace of points in panel `number`; none where there are no rows. Hovering names the value by `label`."""
    if rows.is_empty():
        return []
    trace: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": rows["at"].dt.strftime("%Y-%m-%d %H:%M").to_list(),
        "y": rows.select(place(pl.col(value))).to_series().to_list(),
        "customdata": rows[value].round(3).to_list(),
        "yaxis": axis(number),
        "name": name,
        "legendgroup": name,
        "showlegend": True,
        "meta": label,
        "marker": {"size": 6, "opacity": 0.75, "line": {"width": 0}, **marker},
        "hovertemplate": f"%{{x}} UTC<br>{label} %{{customdata:,.2f}} h",
    }
    if "lease_id" in rows.columns:
        trace["text"] = [escape(lease) for lease in rows["lease_id"].to_list()]
        trace["hovertemplate"] += "<br>lease %{text}"
    return [trace]


def _short(name: str) -> str:
    return escape(name if len(name) <= _NAME else f"{name[: _NAME - 1]}…")


def at_once(hours: pl.Series) -> str:
    """Share of these that began at once and their median, in words."""
    known = hours.drop_nulls()
    share = (known.abs() < AT_ONCE).sum() / max(len(known), 1)
    return f"<span style='color:{FAINT}'>{share:.0%} within 90 s, median {duration(known.median())}</span>"


def duration(hours: Any) -> str:
    """Hours in the unit that reads best."""
    if hours is None:
        return "unknown"
    if abs(hours) < AT_ONCE:
        return "0"
    for unit, text in ((24.0, "d"), (1.0, "h")):
        if abs(hours) >= 2 * unit:
            return f"{hours / unit:,.1f} {text}"
    return f"{hours * 60:,.0f} min"


def markers(names: Iterable[str]) -> dict[str, Trace]:
    """Colour and symbol per name, no two alike up to 35 names: the same in all plots of a site and in all its months.

    The name alone decides, as long as it meets no other; of names that do, the first in the alphabet keeps its marker.
    So that all plots agree, give every plot all names that the site ever had.
    """
    taken: set[int] = set()
    out: dict[str, Trace] = {}
    for name in sorted(set(names)):
        wanted = crc32(name.encode()) % len(_PAIRS)
        near = ((wanted + step) % len(_PAIRS) for step in range(len(_PAIRS)))
        place = next((place for place in near if place not in taken), wanted)
        taken.add(place)
        colour, symbol = _PAIRS[place]
        out[name] = {"color": colour, "symbol": symbol}
    return out
