"""Figures -> files: HTML always, PNG where a browser is found, and a thumbnail for the UI.

Pages share one plotly.min.js at the root of the plots folder (10 kB a page instead of 5 MB). Every file is written
beside its place and renamed, so a reader never meets half a file. Nothing is fetched from anywhere, and a picture that
can't be made is a note, not an error.
"""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import plotly
import plotly.graph_objects as go

from usage_assets import settings
from usage_assets.reports import thumbnail

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTH, HEIGHT, SCALE = 1120, 640, 1.5
PNG_SECONDS = 30.0
_JS = "plotly.min.js"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>body {{ margin: 0; }} #page {{ height: 100vh; min-height: 480px; max-height: 900px; }}</style>
<script src="{js}" charset="utf-8"></script>
</head>
<body>
<div id="page">
{body}
</div>
<noscript>This plot needs JavaScript; a picture may lie beside it as {png}.</noscript>
</body>
</html>
"""
_CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,  # plotly.js 4 offers by default to upload the data to a service
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}


@dataclass(frozen=True)
class Rendered:
    """The files of a figure. `note` says why there is no picture."""

    path: Path
    url: str
    png_path: Path | None
    thumbnail_markdown: str | None
    note: str | None = None


def render(figure: go.Figure, name: str, *, folder: Path | None = None) -> Rendered:
    """The files of one figure; `name` is its place below the plots folder without suffix, such as `site/month/plot`."""
    return render_all({name: figure}, folder=folder)[name]


def render_all(figures: Mapping[str, go.Figure], *, folder: Path | None = None) -> dict[str, Rendered]:
    """The files of several figures, pictures by one browser; a run makes its months in one call."""
    folder = settings.plots_dir() if folder is None else folder
    share_plotly_js(folder)
    places = {name: _place(folder, name) for name in figures}
    for name, figure in figures.items():
        _write(places[name].with_suffix(".html"), page(figure, name).encode())
    pictures = _pictures(figures)
    out = {}
    for name, figure in figures.items():
        picture, png = pictures[name], places[name].with_suffix(".png")
        if isinstance(picture, bytes):
            _write(png, picture)
        else:
            png.unlink(missing_ok=True)  # an older picture would contradict the page
        out[name] = Rendered(
            path=places[name].with_suffix(".html"),
            url=f"{settings.plots_url()}/{quote(name)}.html",
            png_path=png if isinstance(picture, bytes) else None,
            thumbnail_markdown=thumbnail.markdown(figure),
            note=None if isinstance(picture, bytes) else picture,
        )
    return out


def page(figure: go.Figure, name: str) -> str:
    """The page of a figure; the same figure gives the same text."""
    parts = PurePosixPath(name).parts
    body = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id="plot",
        default_height="100%",
        validate=False,
        config=_CONFIG | {"toImageButtonOptions": {"filename": "-".join(parts), "scale": 2}},
    )
    return _PAGE.format(
        title=escape(" ".join(parts)),
        js="../" * (len(parts) - 1) + _JS,
        body=body,
        png=escape(f"{parts[-1]}.png"),
    )


def share_plotly_js(folder: Path) -> Path:
    """The one copy of plotly.js that all pages of the folder use; written where it is missing or another version."""
    shared = folder / _JS
    packaged = Path(plotly.__file__).parent / "package_data" / _JS
    if not shared.is_file() or _fingerprint(shared) != _fingerprint(packaged):
        _write(shared, packaged.read_bytes())
    return shared


def find_browser() -> str | None:
    """A Chrome or Chromium of this machine: `BROWSER_PATH`, else the first that is found on PATH."""
    named = os.environ.get("BROWSER_PATH")
    if named:
        return shutil.which(named)
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def _pictures(figures: Mapping[str, go.Figure]) -> dict[str, bytes | str]:
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


async def _draw(figures: Mapping[str, go.Figure], browser: str) -> dict[str, bytes | str]:
    from kaleido import Kaleido  # noqa: PLC0415 - costs 0.3 s, which a run without pictures need not pay

    options = {"format": "png", "width": WIDTH, "height": HEIGHT, "scale": SCALE}
    out: dict[str, bytes | str] = {}
    # one tab: all tabs of a browser draw in one process, and a second one takes longer to open than it saves
    kaleido = Kaleido(n=1, timeout=PNG_SECONDS, path=browser, mathjax=False)

    async def draw(name: str, figure: go.Figure) -> None:
        try:
            out[name] = await kaleido.calc_fig(_printed(figure), opts=options)
        except Exception as error:  # one picture must not cost the others
            out[name] = f"no picture: {_brief(error)}"

    loop = asyncio.get_running_loop()
    # kaleido waits without limit for a browser to open or to close; one that hangs is ended, which ends the wait
    limit = loop.call_later(PNG_SECONDS, _end, kaleido)
    try:
        async with kaleido:
            limit.cancel()
            await asyncio.gather(*(draw(name, figure) for name, figure in figures.items()))
            limit = loop.call_later(PNG_SECONDS, _end, kaleido)
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
    try:
        if os.name == "posix" and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass


def _printed(figure: go.Figure) -> dict[str, Any]:
    """The figure without what only a screen needs."""
    data = figure.to_plotly_json()
    data["layout"].get("xaxis", {}).pop("rangeselector", None)
    return data


def _brief(error: BaseException) -> str:
    text = str(error.args[0] if error.args else "").strip().splitlines()
    return text[0][:200] if text else type(error).__name__


def _place(folder: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
        msg = f"{name!r} is no place below the plots folder; write it as site/month/plot"
        raise ValueError(msg)
    return folder.joinpath(*parts)


def _fingerprint(path: Path) -> tuple[int, bytes]:
    """Size and first lines: they name the version of plotly.js."""
    with path.open("rb") as file:
        return path.stat().st_size, file.read(200)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        part.chmod(0o644)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
