"""What surrounds the data of a figure: title, axes, known gaps, remarks, legend, type and paper."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from html import escape
from typing import Any

from usage_assets.facts.tables import RESOURCES
from usage_assets.sites import Site

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
INK, FAINT, GRID = "#222222", "#666666", "#E4E4E4"
PANELS = {"y": (0.32, 1.0), "y2": (0.0, 0.24)}
PANEL_PX, PANEL_WIDTH_PX, ROW_PX = 340, 840, 17  # the upper panel in the picture, and a row of its labels
_UNITS = {column.name: column.unit for column in RESOURCES}
_AXIS: dict[str, Any] = {"gridcolor": GRID, "zeroline": False, "linecolor": INK, "ticks": "outside", "ticklen": 4}


def stamp(at: datetime) -> str:
    """An instant as plotly reads it, as short as it can be."""
    return f"{at:%Y-%m-%d}" if at.time() == time.min else f"{at:%Y-%m-%d %H:%M:%S}"


def width_text(bucket: timedelta) -> str:
    """The width of a bucket in words."""
    minutes = int(bucket.total_seconds() // 60)
    if minutes == 1440:
        return "day"
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def resource_label(resource: str) -> tuple[str, str]:
    """What is counted, as an axis says it, and how."""
    unit = _UNITS.get(resource, resource)
    text = unit if unit != unit.lower() else unit.capitalize()
    return text, " (with overcommit)" if resource.endswith("_overcommit") else ""


def layout(
    site: Site,
    resource: str,
    *,
    title: str,
    subtitle: str,
    window: tuple[datetime, datetime] | None,
    highest: float,
    highest_share: float,
    read_at: datetime | None = None,
) -> dict[str, Any]:
    """The layout of a figure of two panels over one time axis.

    All text that comes from a site's file is escaped: plotly reads a little HTML in text.
    """
    unit, how = resource_label(resource)
    out: dict[str, Any] = {
        "template": {},
        "title": {
            "text": f"<b>{escape(site.name)}</b>  {unit} in use{how}, {title}",
            "subtitle": {"text": subtitle, "font": {"size": 13, "color": FAINT}},
            "x": 0,
            "xref": "paper",
            "y": 0.945,
            "yref": "container",
            "yanchor": "middle",
            "font": {"size": 19, "color": INK},
        },
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 72, "r": 210, "t": 84, "b": 58},
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "hoverlabel": {"bgcolor": "rgba(255,255,255,0.94)", "font": {"size": 12}},
        "xaxis": {
            **_AXIS,
            "type": "date",
            "anchor": "y2",
            "domain": [0, 1],
            "title": _axis_title("Time (UTC)"),
            "hoverformat": "%a %Y-%m-%d %H:%M UTC",
            "showgrid": False,
        },
        "yaxis": {**_AXIS, "domain": PANELS["y"], "title": _axis_title(unit + how), "tickformat": ",~r"},
        "yaxis2": {
            **_AXIS,
            "domain": PANELS["y2"],
            "title": _axis_title("Share"),
            "range": [0, max(1.0, highest_share) * 1.04],
            "tickformat": ".0%",
            "dtick": 0.25 if highest_share <= 1.25 else None,
        },
        "legend": _legend(PANELS["y"][1]),
        "legend2": _legend(PANELS["y2"][1]),
    }
    rows = 0
    if window is not None:
        out["xaxis"]["range"] = [stamp(window[0]), stamp(window[1])]
        labels = [*_gap_labels(site, *window), *_remarks(site, *window)]
        if read_at is not None and window[0] < read_at < window[1]:
            labels.append(Label(read_at, read_at, f"read {read_at:%Y-%m-%d %H:%M}", FAINT))
        out["shapes"] = [shape for label in labels for shape in _shapes(label)]
        out["annotations"], rows = _placed(labels, *window)
    room = 1 - (ROW_PX * rows + 6) / PANEL_PX
    out["yaxis"]["range"] = [0, (highest or 1.0) / max(room, 0.4)]
    return out


def nothing_known() -> dict[str, Any]:
    """The remark of a figure without a single value."""
    return {
        "text": "No value is known for this time",
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.6,
        "showarrow": False,
        "font": {"size": 16, "color": FAINT},
    }


def buttons() -> dict[str, Any]:
    """Buttons that show the last month, half year ... of a long history."""
    steps = ((1, "month", "1 month"), (6, "month", "6 months"), (1, "year", "1 year"), (3, "year", "3 years"))
    choices: list[dict[str, Any]] = [
        {"count": count, "step": step, "stepmode": "backward", "label": label} for count, step, label in steps
    ]
    return {
        "buttons": [*choices, {"step": "all", "label": "all"}],
        "x": 1,
        "xanchor": "right",
        "y": 1.02,
        "yanchor": "bottom",
        "bgcolor": "#F3F3F3",
        "font": {"size": 11},
    }


@dataclass(frozen=True)
class Label:
    """A text at the top of the upper panel, about a span or an instant."""

    start: datetime
    end: datetime
    text: str
    colour: str


def _gap_labels(site: Site, start: datetime, end: datetime) -> list[Label]:
    """Each known gap within the window."""
    out = []
    for gap in sorted(site.known_gaps, key=lambda gap: (gap.start, gap.end, gap.source)):
        first, last = max(_midnight(gap.start), start), min(_midnight(gap.end), end)
        if first < last:
            until = f" until {gap.end:%Y-%m-%d}" if gap.start == date.min else ""
            out.append(Label(first, last, f"no {escape(gap.source)} history{until}", "#444444"))
    return out


def _remarks(site: Site, start: datetime, end: datetime) -> list[Label]:
    notes = sorted((_midnight(note.at), note.text) for note in site.annotations)
    return [Label(at, at, escape(text), INK) for at, text in notes if start <= at < end]


def _shapes(label: Label) -> Iterable[dict[str, Any]]:
    """A span shaded over both panels, or an instant as a thin upright line."""
    if label.start == label.end:
        x = stamp(label.start)
        line = {"width": 1, "color": label.colour, "dash": "2px,3px"}
        yield {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}
        return
    for axis in PANELS:
        yield {
            "type": "rect",
            "name": "known_gap",
            "x0": stamp(label.start),
            "x1": stamp(label.end),
            "y0": 0,
            "y1": 1,
            "yref": f"{axis} domain",
            "layer": "below",
            "line": {"width": 0},
            "fillcolor": "rgba(110,110,110,0.16)",
        }


def _placed(labels: list[Label], start: datetime, end: datetime) -> tuple[list[dict[str, Any]], int]:
    """The texts, each in the first row where it does not run into another, and how many rows that takes."""
    ends: list[float] = []
    out = []
    for label in labels:
        left, right = ((at - start) / (end - start) for at in (label.start, label.end))
        width = (len(label.text) * 6.4 + 14) / PANEL_WIDTH_PX
        anchor = "right" if left + width > 1 else "left"
        first = right - width if anchor == "right" else left
        row = next((row for row, taken in enumerate(ends) if taken <= first), len(ends))
        ends[row : row + 1] = [first + width]
        out.append(
            {
                "text": label.text,
                "x": stamp(label.end if anchor == "right" else label.start),
                "xanchor": anchor,
                "y": 1,
                "yref": "y domain",
                "yanchor": "top",
                "yshift": -3 - ROW_PX * row,
                "showarrow": False,
                "font": {"size": 12, "color": label.colour},
            }
        )
    return out, len(ends)


def _axis_title(text: str) -> dict[str, Any]:
    return {"text": text, "standoff": 10, "font": {"size": 13}}


def _legend(top: float) -> dict[str, Any]:
    return {"x": 1.015, "y": top, "xanchor": "left", "yanchor": "top", "font": {"size": 12}, "bgcolor": "white"}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min)
