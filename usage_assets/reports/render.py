"""Figures -> files: HTML and a thumbnail always, PNG where one is wanted and a browser is found.

Pages share one plotly.min.js at the root of the plots folder (10 kB a page instead of 5 MB). Every file is written
beside its place and renamed, so a reader never meets half a file. Nothing is fetched from anywhere, and a picture that
can't be made is a note, not an error.
"""

import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import plotly

from usage_assets.core import settings
from usage_assets.reports import pictures, thumbnail
from usage_assets.reports.frame import HEIGHT
from usage_assets.reports.templating import render_template
from usage_assets.specs.plot_context import Figure

_JS = "plotly.min.js"
_CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "showSendToCloud": False,  # plotly.js 4 offers by default to upload the data to a service
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}
# what could end the script element within a text
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


@dataclass(frozen=True)
class Rendered:
    """The files of a figure. `note` says why there is no picture."""

    path: Path
    url: str
    png_path: Path | None
    thumbnail_markdown: str | None
    note: str | None = None


class Renderer:
    """Writes pages one by one, and at the end the pictures of those that shall have one, by one browser."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = settings.plots_dir() if folder is None else folder
        self._wanted: dict[str, Figure] = {}
        self._pages: dict[str, Rendered] = {}
        share_plotly_js(self.folder)

    def add(self, name: str, figure: Figure, *, picture: bool = True) -> None:
        """Write the page of a figure; `name` is its place below the plots folder, such as `site/month/plot`.

        A page that would be the same and has its picture is left as it is, such as most of a closed month every night.
        """
        place = _place(self.folder, name)
        small = thumbnail.fitting(figure)
        content, html, png = page(figure, name).encode(), place.with_suffix(".html"), place.with_suffix(".png")
        same = png.is_file() and html.is_file() and html.read_bytes() == content
        if not same:
            # before the page: an older picture must never stand beside a newer page
            png.unlink(missing_ok=True)
            write_file(html, content)
        svg = place.with_suffix(".svg")
        if small is None:  # a plot that says it has nothing to show has none
            svg.unlink(missing_ok=True)
        elif not svg.is_file() or svg.read_text(encoding="utf-8") != small:
            write_file(svg, small.encode())
        url = f"{settings.plots_url()}/{quote(name)}.html"
        inline = None if small is None else thumbnail.markdown(small, " ".join(PurePosixPath(name).parts))
        note = None if picture or same else "no picture: left out of a long run (USAGE_PICTURES)"
        self._pages[name] = Rendered(html, url, png if same else None, inline, note)
        if picture and not same:
            self._wanted[name] = figure

    def finish(self) -> dict[str, Rendered]:
        """Make the pictures; the files of every figure."""
        drawn = pictures.draw(self._wanted) if self._wanted else {}
        self._wanted = {}
        for name, picture in drawn.items():
            if isinstance(picture, bytes):
                png = self._pages[name].path.with_suffix(".png")
                write_file(png, picture)
                self._pages[name] = replace(self._pages[name], png_path=png, note=None)
            else:
                self._pages[name] = replace(self._pages[name], note=picture)
        return self._pages


def page(figure: Figure, name: str) -> str:
    """The page of a figure; the same figure gives the same text."""
    parts = PurePosixPath(name).parts
    height = figure["layout"].get("height", HEIGHT)
    usual = "height: 100vh; min-height: 480px; max-height: 900px;"
    config = _CONFIG | {"toImageButtonOptions": {"filename": "-".join(parts), "scale": 2}}
    text = render_template(
        "plot.html.j2",
        title=" ".join(parts),
        js="../" * (len(parts) - 1) + _JS,
        size=usual if height == HEIGHT else f"height: {height}px;",
        data=_json(figure["data"]),
        layout=_json(figure["layout"]),
        config=_json(config),
        png=f"{parts[-1]}.png",
    )
    return f"{text}\n"


def share_plotly_js(folder: Path) -> Path:
    """The one copy of plotly.js that all pages of the folder use; written where it is missing or another version."""
    shared = folder / _JS
    packaged = Path(plotly.__file__).parent / "package_data" / _JS
    if not shared.is_file() or _fingerprint(shared) != _fingerprint(packaged):
        write_file(shared, packaged.read_bytes())
    return shared


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False).translate(_ESCAPED)


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


def write_file(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it: a reader meets the old one or the new one, never a part."""
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
