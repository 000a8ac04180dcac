"""A figure as a picture of a few kilobytes, made without a browser: what its first panel shows, as SVG."""

from base64 import b64encode
from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import accumulate, groupby, pairwise

from usage_assets.reports.frame import regular
from usage_assets.specs.plot_context import Figure, Trace, Window

MAX_BYTES = 8192
_WIDTH, _HEIGHT = 320, 72
_ROOM = (MAX_BYTES - 200) * 3 // 4  # base64 takes four letters for three bytes; a title and markup stand around
_POINTS = (160, 120, 80, 40, 20)  # as many as fit


def fitting(figure: Figure) -> str | None:
    """The thumbnail as SVG, as fine as its markdown may be large; none where there is nothing to draw."""
    texts = (svg(figure, points) for points in _POINTS)
    return next((text for text in texts if text is None or len(text.encode()) <= _ROOM), None)


def markdown(text: str, title: str) -> str:
    """A thumbnail as a markdown image of at most 8 kB; `title` is its alternative text."""
    return f"![{title}](data:image/svg+xml;base64,{b64encode(text.encode()).decode()})"


def svg(figure: Figure, points: int = 120) -> str | None:
    """The cells, stacked areas, or points and lines of the first panel, over the figure's window."""
    traces = [trace for trace in figure["data"] if trace.get("yaxis", "y") == "y"]
    window = figure["layout"].get("xaxis", {}).get("range")
    if window is None or not traces or figure["layout"]["xaxis"].get("type") != "date":
        return None
    start, end = (datetime.fromisoformat(edge) for edge in window)
    if traces[0]["type"] == "heatmap":
        parts = _cells([trace for trace in traces if trace["type"] == "heatmap"], points)
    elif any("stackgroup" in trace for trace in traces):
        parts = _stack(traces, _columns(start, end, points))
    else:
        low, high = figure["layout"]["yaxis"]["range"]
        parts = _marks(traces, (start, end), (low, high), points)
    box = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}><rect {box[:24]} fill="#fff"/>{"".join(parts)}</svg>'


def _stack(traces: list[Trace], columns: list[datetime]) -> list[str]:
    """The stacked areas and the line of the greatest capacity, drawn as steps."""
    areas = [trace for trace in traces if "stackgroup" in trace]
    lines = [_sampled(trace, columns) for trace in traces if trace.get("meta") == "total"]
    stacks = [_sampled(trace, columns) for trace in areas]
    # per column the height of each area, with those below it
    heights = [list(accumulate(value or 0.0 for value in at)) for at in zip(*stacks, strict=True)]
    highest = max([1e-9, *(at[-1] for at in heights), *(value or 0.0 for line in lines for value in line)])
    scale = (_HEIGHT - 3) / highest
    parts = []
    # from the top of the stack down, each area drawn to the floor: later ones cover what is below them
    for index in reversed(range(len(stacks))):
        path = _steps([at[index] * scale if value else 0.0 for at, value in zip(heights, stacks[index], strict=True)])
        if path:
            parts.append(f'<path d="{path}" fill="{areas[index]["fillcolor"]}"/>')
    for line in lines:
        path = _outline([None if value is None else value * scale for value in line])
        parts.append(f'<path d="{path}" fill="none" stroke="#000"/>')
    return parts


def _cells(traces: list[Trace], points: int) -> list[str]:
    """The cells of a heat map, of equal colour together; of many rows the uppermost, which are the largest types."""
    rows = min(len(traces[0]["y"]), max(points // 10, 4))
    days = len(traces[0]["z"][0])
    height, width = _HEIGHT / rows, _WIDTH / days
    paths: dict[str, list[str]] = {}
    for trace in traces:
        low, high = trace.get("zmin", 0), trace.get("zmax", 1)
        for row, values in enumerate(reversed(trace["z"][-rows:])):
            day = 0
            for value, run in groupby(values):
                length = len(list(run))
                if value is not None:
                    colour = _colour(trace["colorscale"], (value - low) / (high - low))
                    line = f"M{day * width:.4g} {(row + 0.5) * height:.3g}h{length * width:.4g}"
                    paths.setdefault(colour, []).append(line)
                day += length
    return [
        f'<path d="{"".join(path)}" stroke="{colour}" stroke-width="{height:.3g}"/>' for colour, path in paths.items()
    ]


def _colour(scale: list[tuple[float, str]], place: float) -> str:
    """The colour of a scale nearest to a place on it; of two at one place the upper one."""
    upper = next((n for n, (edge, _) in enumerate(scale) if edge > place), len(scale) - 1)
    lower = max(upper - 1, 0)
    return str(scale[upper if abs(scale[upper][0] - place) < abs(place - scale[lower][0]) else lower][1])


def _marks(traces: list[Trace], window: Window, reach: tuple[float, float], points: int) -> list[str]:
    """Points, bars and lines; of many points evenly a part."""
    start, end = window
    low, high = reach
    dots = max(1, sum(len(trace["y"]) for trace in traces if trace.get("mode") == "markers") // (2 * points))

    def y(value: float) -> str:
        return f"{_HEIGHT * (1 - (value - low) / (high - low)):.3g}"

    parts: list[str] = []
    floors: dict[float, float] = {}  # bars of one place stand on each other
    for trace in traces:
        if trace.get("fill") == "toself":
            continue
        if None in trace.get("x", ()):
            parts.append(_pieces(trace, start, end, y))
            continue
        known = [(at, value) for at, value in zip(_times(trace), trace["y"], strict=False) if value is not None]
        every = dots if trace.get("mode") == "markers" else max(1, len(known) // points)
        shown = [((at - start) / (end - start) * _WIDTH, value) for at, value in known[::every]]
        if not shown:
            continue
        if trace["type"] == "bar":
            ends = [(x, floors.get(x, 0), floors.get(x, 0) + value) for x, value in shown if value]
            path = "".join(f"M{x:.4g} {y(floor)}V{y(top)}" for x, floor, top in ends)
            floors |= {x: top for x, _, top in ends}
            parts.append(f'<path d="{path}" stroke="{trace["marker"]["color"]}" stroke-width="6"/>')
        elif trace["mode"] == "markers":
            path = "".join(f"M{x:.4g} {y(value)}h2" for x, value in shown)
            parts.append(f'<path d="{path}" stroke="{trace["marker"]["color"]}" stroke-width="2"/>')
        else:
            path = "M" + "L".join(f"{x:.4g} {y(value)}" for x, value in shown)
            parts.append(f'<path d="{path}" fill="none" stroke="{trace["line"]["color"]}"/>')
    return parts


def _pieces(trace: Trace, start: datetime, end: datetime, y: Callable[[float], str]) -> str:
    """A line with holes in it, as many short ones."""
    path, command = "", "M"
    for at, value in zip(trace["x"], trace["y"], strict=True):
        if at is not None:
            x = (datetime.fromisoformat(at) - start) / (end - start) * _WIDTH
            path += f"{command}{x:.4g} {y(value)}"
        command = "M" if at is None else "L"
    return f'<path d="{path}" fill="none" stroke="{trace["line"]["color"]}" stroke-width="3"/>'


def _columns(start: datetime, end: datetime, points: int) -> list[datetime]:
    """Instants to sample: the middle of each of at most so many equal parts of the window, a day at least."""
    count = max(1, min(points, round((end - start) / timedelta(days=1))))
    width = (end - start) / count
    return [start + width * (index + 0.5) for index in range(count)]


def _sampled(trace: Trace, columns: list[datetime]) -> list[float | None]:
    """The value that holds at each instant; null where the trace has none."""
    values = trace["y"]
    if "x0" in trace:  # a long history has an edge per day, and few of them are asked for
        first, step = regular(trace)
        places = [(at - first) // step for at in columns]
    else:
        edges = _times(trace)
        places = [bisect_right(edges, at) - 1 for at in columns]
    return [float(values[place]) if 0 <= place < len(values) - 1 else None for place in places]


def _times(trace: Trace) -> list[datetime]:
    if "x0" not in trace:
        return [datetime.fromisoformat(at) for at in trace["x"]]
    first, step = regular(trace)
    return [first + step * index for index in range(len(trace["y"]))]


def _x(index: int, count: int) -> str:
    return f"{index * _WIDTH / count:.4g}"


def _steps(heights: list[float]) -> str:
    """A closed step area that stands on the floor."""
    if not any(heights):
        return ""
    count = len(heights)
    parts = [f"M0 {_HEIGHT}V{_HEIGHT - heights[0]:.3g}"]
    for index, (before, after) in enumerate(pairwise(heights), start=1):
        if abs(before - after) > 0.05:
            parts.append(f"H{_x(index, count)}V{_HEIGHT - after:.3g}")
    return "".join(parts) + f"H{_WIDTH}V{_HEIGHT}Z"


def _outline(heights: list[float | None]) -> str:
    """A step line with holes where nothing is known."""
    count, parts = len(heights), []
    for index, (before, height) in enumerate(pairwise([None, *heights])):
        if height is not None:
            command = f"M{_x(index, count)} " if before is None else "V"
            parts.append(f"{command}{_HEIGHT - height:.3g}H{_x(index + 1, count)}")
    return "".join(parts)
