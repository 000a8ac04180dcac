"""The layout of a figure: title, panels over one time axis, known gaps, remarks, legend, fonts and colours.

A figure is a plain mapping of `data` and `layout` as plotly takes them. Plotly's own classes would check each of its
thousand properties anew for every page; the tests do that once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from html import escape
from typing import Any

from usage_assets.facts.tables import RESOURCES
from usage_assets.sites.base import Gap, Site
from usage_assets.specs.plot_context import Figure, Trace, Window

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
INK, FAINT, GRID = "#222222", "#666666", "#E4E4E4"
HEIGHT, TOP_PX, FOOT_PX, GAP_PX = 640, 84, 62, 40
PLOT_WIDTH_PX, ROW_PX = 840, 17  # the panels in the picture, and a row of labels at their top
_LEFT_PX = 72  # left of panels of that width
_FOOT_LINE_PX = 26  # below the panels: under the labels of the axis
_UNITS = {column.name: column.unit for column in RESOURCES}
_COUNT = {"nodes": "node count", "devices": "device count", "gpus": "GPU count"}
_COUNT |= {"memory_mb": "memory", "disk_gb": "disk space"}
_MAX_NAMES = 5
"""How many node types a line names: more would run out of the picture."""
_NOTE = {"xref": "paper", "yref": "paper", "showarrow": False}
_REMARK = {**_NOTE, "xanchor": "left", "yanchor": "top", "align": "left"}
_AXIS: dict[str, Any] = {"gridcolor": GRID, "zeroline": False, "linecolor": INK, "ticks": "outside", "ticklen": 4}


@dataclass(frozen=True)
class Panel:
    """One of the panels that stand over each other and share the time axis.

    `range` is in the units of the axis; the first panel's grows upwards by the room that labels take. `remark` stands
    to the right of the panel, where a legend does not.
    """

    title: str
    range: tuple[float, float]
    weight: float = 1.0
    axis: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""
    legend: bool = False


@dataclass(frozen=True)
class Label:
    """A text at the top of the first panel about a span (shaded over all panels) or an instant (a thin line)."""

    start: datetime
    end: datetime
    text: str
    colour: str


def stamp(at: datetime) -> str:
    """An instant in the shortest format that plotly reads."""
    return f"{at:%Y-%m-%d}" if at.time() == time.min else f"{at:%Y-%m-%d %H:%M:%S}"


def regular(trace: Trace) -> tuple[datetime, timedelta]:
    """Start and step of a trace of regular steps, which has `x0` and `dx` instead of a time for each value."""
    return datetime.fromisoformat(trace["x0"]), timedelta(milliseconds=trace["dx"])


def width_text(bucket: timedelta) -> str:
    """The width of a bucket in words."""
    minutes = int(bucket.total_seconds() // 60)
    if minutes == 1440:
        return "day"
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def span_text(window: Window) -> str:
    """First and last day of a window, for a subtitle."""
    return f"{window[0]:%Y-%m-%d} to {window[1] - timedelta(microseconds=1):%Y-%m-%d} UTC"


def resource_label(resource: str) -> tuple[str, str]:
    """Title of the axis of a resource, and a remark on how it is counted."""
    unit = unit_of(resource)
    title = unit if unit != unit.lower() else unit.capitalize()
    return title, " (with overcommit)" if resource.endswith("_overcommit") else ""


def unit_of(resource: str) -> str:
    """Unit of a resource, for use within a sentence."""
    return _UNITS.get(resource, resource)


def heading(site: str, text: str) -> str:
    """The title of a figure.

    All text that comes from a site's file or database is escaped: plotly reads a little HTML.
    """
    return f"<b>{escape(site)}</b>  {text}"


def axis(number: int) -> str:
    """Name of the y axis of a panel; panels are numbered from the top."""
    return "y" if number == 0 else f"y{number + 1}"


def layout(
    title: str,
    subtitle: str,
    panels: Sequence[Panel],
    window: Window,
    *,
    labels: Iterable[Label] = (),
    hover: str = "x unified",
    height: int = HEIGHT,
    left_px: int = _LEFT_PX,
    foot: str = "",
    is_long: bool = False,
) -> dict[str, Any]:
    """The layout of panels over one time axis; `labels` outside the window must be cut off before.

    `foot` is a remark below the axis; `is_long` has buttons there that show the last month, half year ... of a history.
    """
    shown = list(labels)
    xaxis = _AXIS | {"type": "date", "anchor": axis(len(panels) - 1), "domain": [0, 1], "showgrid": False}
    xaxis |= {"range": list(map(stamp, window)), "hoverformat": "%a %Y-%m-%d %H:%M UTC"}
    out = _paper(title, subtitle, left_px=left_px)
    out |= {"hovermode": hover, "hoverlabel": {"bgcolor": "rgba(255,255,255,0.94)", "font": {"size": 12}}}
    out["xaxis"] = xaxis | {"title": _axis_title("Time (UTC)")}
    if hover == "x unified":
        out["hoversubplots"] = "axis"
    if height != HEIGHT:
        out["height"] = height
    foot_px = FOOT_PX + (ROW_PX * (foot.count("<br>") + 1) + 4 if foot else 0)
    out["margin"]["b"] = foot_px
    plot_px = height - TOP_PX - foot_px
    texts, rows = _placed(shown, window, PLOT_WIDTH_PX + _LEFT_PX - left_px)
    notes: list[dict[str, Any]] = []
    for number, (panel, (low, high)) in enumerate(zip(panels, _domains(panels, plot_px), strict=True)):
        name = axis(number)
        bottom, top = panel.range
        if number == 0 and rows:
            room = 1 - (ROW_PX * rows + 6) / ((high - low) * plot_px)
            top = bottom + (top - bottom) / max(room, 0.4)
        yaxis = {"domain": [low, high], "title": _axis_title(panel.title), "range": [bottom, top]}
        out[f"yaxis{name[1:]}"] = {**_AXIS, **yaxis, **panel.axis}
        if panel.legend:
            legend = {"x": 1.015, "y": high, "xanchor": "left", "yanchor": "top"}
            out[f"legend{name[1:]}"] = legend | {"font": {"size": 12}, "bgcolor": "white"}
        if panel.remark:
            notes.append(_REMARK | {"text": panel.remark, "x": 1.015, "y": high, "font": {"size": 12}})
    if foot:  # below the title of the time axis
        font = {"size": 12, "color": FAINT}
        notes.append(_REMARK | {"text": foot, "x": 0, "y": 0, "yshift": -FOOT_PX, "font": font})
    if is_long:
        out["xaxis"]["rangeselector"] = _buttons(plot_px)
    out["shapes"] = [shape for label in shown for shape in _shapes(label, len(panels))]
    out["annotations"] = texts + notes
    return out


def sentence(title: str, subtitle: str, text: str) -> Figure:
    """A figure that says why there is nothing to show; without axes, which would look like a measurement of zero."""
    out = _paper(title, subtitle, left_px=_LEFT_PX)
    out["margin"]["r"] = _LEFT_PX
    out |= {"height": 320, "xaxis": {"visible": False}, "yaxis": {"visible": False}}
    out["annotations"] = [_NOTE | {"text": text, "x": 0.5, "y": 0.6, "font": {"size": 16, "color": FAINT}}]
    return {"data": [], "layout": out}


def left_out(missing: Iterable[tuple[str, tuple[str, ...]]]) -> str:
    """End of a subtitle: the node types that are not in the sums, see `exclusions`."""
    return "".join(f"; {text}" for text in exclusions(missing))


def exclusions(missing: Iterable[tuple[str, tuple[str, ...]]]) -> list[str]:
    """Sentences that name the node types left out of the drawn sums because their amounts are unknown.

    `missing` are pairs of the unknown amount, such as `node count`, and the node types.
    """
    out, pairs = [], dict.fromkeys(missing)
    for types in dict.fromkeys(names for _, names in pairs if names):
        amounts = " and ".join(amount for amount, names in pairs if names == types)
        listed = ", ".join(f"'{escape(name)}'" for name in types[:_MAX_NAMES])
        more = f" and {len(types) - _MAX_NAMES} more" if len(types) > _MAX_NAMES else ""
        out.append(f"excludes node type{'s' if len(types) > 1 else ''} {listed}{more} ({amounts} not known)")
    return out


def count_of(resource: str) -> str:
    """Name of the amount of a resource, for use within a sentence."""
    return _COUNT.get(resource, unit_of(resource))


def height_of(count: int, each_px: int, *, least: int = 420) -> int:
    """Height of a figure with so many equal panels or rows."""
    return max(least, TOP_PX + FOOT_PX + count * each_px)


def _buttons(plot_px: int) -> dict[str, Any]:
    """Buttons that show the last month, half year ... of a long history, beside the title of its axis."""
    steps = ((1, "month", "1 month"), (6, "month", "6 months"), (1, "year", "1 year"), (3, "year", "3 years"))
    choices = [{"count": count, "step": step, "stepmode": "backward", "label": text} for count, step, text in steps]
    out = {"buttons": [*choices, {"step": "all", "label": "all"}], "x": 1, "xanchor": "right", "yanchor": "top"}
    return out | {"y": -_FOOT_LINE_PX / plot_px, "bgcolor": "#F3F3F3", "font": {"size": 11}}


def site_labels(
    site: Site, window: Window, *, read_at: datetime | None = None, of: Callable[[Gap], bool] = lambda _: True
) -> list[Label]:
    """The known gaps and remarks of a site within a window, and where its last reading cuts it."""
    start, end = window
    out = []
    for gap in sorted(site.known_gaps, key=lambda gap: (gap.start, gap.end, gap.source)):
        first, last = max(midnight(gap.start), start), min(midnight(gap.end), end)
        if first < last and of(gap):
            until = f" until {gap.end:%Y-%m-%d}" if gap.start == date.min else ""
            out.append(Label(first, last, f"no {escape(gap.source)} history{until}", "#444444"))
    out += remarks(site, window)
    if read_at is not None and start < read_at < end:
        out.append(Label(read_at, read_at, f"read {read_at:%Y-%m-%d %H:%M}", FAINT))
    return out


def remarks(site: Site, window: Window, *, with_name: bool = False) -> list[Label]:
    """The remarks of a site's file within a window; `with_name` where several sites share a figure."""
    notes = sorted((midnight(note.at), note.text) for note in site.annotations)
    front = f"{escape(site.name)}: " if with_name else ""
    return [Label(at, at, front + escape(text), INK) for at, text in notes if window[0] <= at < window[1]]


def _paper(title: str, subtitle: str, *, left_px: int) -> dict[str, Any]:
    heading = {"text": title, "x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 18}}
    return {
        "template": {},
        "title": heading | {"subtitle": {"text": subtitle, "font": {"size": 13, "color": FAINT}}},
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": left_px, "r": 210, "t": TOP_PX, "b": FOOT_PX},
    }


def _domains(panels: Sequence[Panel], plot_px: int) -> list[tuple[float, float]]:
    """The part of the height that each panel takes, from the top."""
    gap = (GAP_PX if len(panels) < 4 else GAP_PX // 2) / plot_px
    room = 1 - gap * (len(panels) - 1)
    weights = sum(panel.weight for panel in panels)
    out, top = [], 1.0
    for panel in panels:
        low = top - room * panel.weight / weights
        out.append((max(round(low, 4), 0.0), round(top, 4)))
        top = low - gap
    return out


def _shapes(label: Label, panels: int) -> Iterable[dict[str, Any]]:
    """A span shaded over all panels, or an instant as a thin upright line."""
    span = {"x0": stamp(label.start), "x1": stamp(label.end), "y0": 0, "y1": 1}
    if label.start == label.end:
        line = {"width": 1, "color": label.colour, "dash": "2px,3px"}
        return [span | {"type": "line", "yref": "paper", "line": line}]
    shade = {"name": "known_gap", "layer": "below", "line": {"width": 0}, "fillcolor": "rgba(110,110,110,0.16)"}
    return [span | shade | {"type": "rect", "yref": f"{axis(number)} domain"} for number in range(panels)]


def _placed(labels: list[Label], window: Window, plot_px: int) -> tuple[list[dict[str, Any]], int]:
    """The texts, each in the first row where it does not run into another, and how many rows that takes."""
    start, end = window
    ends: list[float] = []
    out = []
    for label in labels:
        if not label.text:
            continue
        left, right = ((at - start) / (end - start) for at in (label.start, label.end))
        width = (len(label.text) * 6.4 + 14) / plot_px
        anchor = "right" if left + width > 1 else "left"
        first = right - width if anchor == "right" else left
        row = next((row for row, taken in enumerate(ends) if taken <= first), len(ends))
        ends[row : row + 1] = [first + width]
        place = {"x": stamp(label.end if anchor == "right" else label.start), "xanchor": anchor, "y": 1}
        place |= {"yref": "y domain", "yanchor": "top", "yshift": -3 - ROW_PX * row}
        # lines of other labels pass behind the text
        paper = {"showarrow": False, "bgcolor": "rgba(255,255,255,0.9)", "borderpad": 1}
        out.append({"text": label.text, "font": {"size": 12, "color": label.colour}, **place, **paper})
    return out, len(ends)


def _axis_title(text: str) -> dict[str, Any]:
    return {"text": text, "standoff": 10, "font": {"size": 13}}


def midnight(day: date) -> datetime:
    """Start of a day."""
    return datetime.combine(day, time.min)
