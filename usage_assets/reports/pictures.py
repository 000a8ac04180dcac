"""Figures -> PNG by a browser of this machine, where there is one; long histories no finer than the pixels."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

from usage_assets.core.notes import note
from usage_assets.reports.frame import HEIGHT, PLOT_WIDTH_PX, regular, stamp
from usage_assets.specs.plot_context import Figure, Trace

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTH, SCALE = 1120, 1.5
PNG_SECONDS = 30.0


def find_browser() -> str | None:
    """A Chrome or Chromium of this machine: `BROWSER_PATH`, else the first that is found on PATH."""
    if chosen := os.environ.get("BROWSER_PATH"):
        return shutil.which(chosen)
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def draw(figures: Mapping[str, Figure]) -> dict[str, bytes | str]:
    """The PNG of each figure, or why there is none."""
    browser = find_browser()
    if browser is None:
        return dict.fromkeys(figures, "no picture: no Chrome or Chromium found (set BROWSER_PATH, or install one)")
    try:
        # a thread of its own: the caller may run an event loop already
        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(asyncio.run, _draw(figures, browser)).result()
    except Exception as error:  # whatever a browser does, the page is there
        return dict.fromkeys(figures, f"no picture: {Path(browser).name} failed ({_brief(error)})")


async def _draw(figures: Mapping[str, Figure], browser: str) -> dict[str, bytes | str]:
    from kaleido import Kaleido  # noqa: PLC0415 - costs 0.3 s, which a run without pictures need not pay

    out: dict[str, bytes | str] = {}
    # one tab: all tabs of a browser draw in one process, and a second one takes longer to open than it saves
    kaleido = Kaleido(n=1, timeout=PNG_SECONDS, path=browser, mathjax=False)

    async def one(name: str, figure: Figure) -> None:
        height = figure["layout"].get("height", HEIGHT)
        options = {"format": "png", "width": WIDTH, "height": height, "scale": SCALE}
        try:
            out[name] = await kaleido.calc_fig(_printed(figure), opts=options)
        except Exception as error:  # one picture must not cost the others
            out[name] = f"no picture: {_brief(error)}"
        note(f"picture of {name}")

    loop = asyncio.get_running_loop()
    # kaleido waits without limit for a browser to open or to close; one that hangs is ended, which ends the wait
    limit = loop.call_at(loop.time() + PNG_SECONDS, _end, kaleido)
    try:
        async with kaleido:
            limit.cancel()
            await asyncio.gather(*(one(name, figure) for name, figure in figures.items()))
            limit = loop.call_at(loop.time() + PNG_SECONDS, _end, kaleido)
    except Exception as error:
        out = {name: out.get(name, f"no picture: {Path(browser).name} failed ({_brief(error)})") for name in figures}
    finally:
        limit.cancel()
    return out


def _end(kaleido: Any) -> None:
    """End the browser with its children: kaleido starts it in a session of its own."""
    process = getattr(kaleido, "subprocess", None)
    if process is None:
        return
    with suppress(ProcessLookupError):
        if os.name == "posix" and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _printed(figure: Figure) -> Figure:
    """The figure for a picture: without the controls of a page, and no finer than the pixels."""
    xaxis = {key: value for key, value in figure["layout"].get("xaxis", {}).items() if key != "rangeselector"}
    return thinned({"data": figure["data"], "layout": figure["layout"] | {"xaxis": xaxis}}, PLOT_WIDTH_PX)


def _brief(error: BaseException) -> str:
    text = str(error.args[0] if error.args else "").strip().splitlines()
    return text[0][:200] if text else type(error).__name__


def thinned(figure: Figure, columns: int) -> Figure:
    """The figure; where regular steps are more than the picture's columns, means of as many as share one.

    The page keeps every value. What a browser draws of ten years of days looks the same, and takes it half the time.
    """
    steps = [(*regular(trace), len(trace["y"]) - 1) for trace in figure["data"] if _is_steps(trace)]
    if not steps:
        return figure
    first, last = min(start for start, _, _ in steps), max(start + width * count for start, width, count in steps)
    share = ceil((last - first) / min(width for _, width, _ in steps) / columns)
    if share < 2:
        return figure
    return {**figure, "data": [_coarse(trace, share) if _is_steps(trace) else trace for trace in figure["data"]]}


def _is_steps(trace: Trace) -> bool:
    """Whether a trace is regular steps (`steps.points_of`); cells of a heat map stand in regular columns too."""
    return trace["type"] == "scatter" and "dx" in trace


def _coarse(trace: Trace, share: int) -> Trace:
    """Means over `share` steps; the last one is over those that are left, and ends where the trace did."""
    start, width = regular(trace)
    *values, _ = trace["y"]  # the last is repeated at the end of its step
    firsts = range(0, len(values), share)
    means = [fmean(values[first : first + share]) for first in firsts]
    times = [stamp(start + number * width) for number in (*firsts, len(values))]
    kept = {key: value for key, value in trace.items() if key not in {"x0", "dx", "customdata"}}
    return kept | {"x": times, "y": [*means, means[-1]]}
