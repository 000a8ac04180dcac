"""The plots folder over HTTP, read-only and on loopback by default: `python -m usage_assets.reports.serve`.

Folders are pages that lead to the plots (`landing`). There is no login: who may ask is who reaches the address, and
only by a name of this machine or of `USAGE_PLOTS_URL`, so that a page elsewhere can't read plots through a browser here
(DNS rebinding).
"""

import re
import sys
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from usage_assets.core import settings
from usage_assets.reports import landing

PORT = 3001
_POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data: blob:"
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
_HEADERS |= {"Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+)(:\d{1,5})?")
_LONGEST = 1000


class PlotsHandler(SimpleHTTPRequestHandler):
    """GET and HEAD of pages and files below the folder; no hidden file, no link that leads out, nothing else."""

    server_version = "usage-assets"
    sys_version = ""

    def send_head(self) -> Any:
        """Answer a request: refused, a file, a page that leads to plots, or why there is none."""
        if fault := refused_host(self.headers.get_all("Host") or []):
            return self._say(*fault)
        parts = path_parts(self.path)
        with suppress(OSError, ValueError):  # a name that no disk has, such as one too long
            if parts is not None:
                return self._found(parts)
        return self._say(HTTPStatus.BAD_REQUEST, "This address is not one of a plot; start at /.")

    def _found(self, parts: list[str]) -> Any:
        """A file, a page that leads to plots, or one that says why there is none."""
        root = Path(self.directory).resolve()
        found = root.joinpath(*parts).resolve()
        hidden = any(part.startswith(".") for part in parts)
        is_folder = urlsplit(self.path).path.endswith("/")
        if not hidden and found.is_relative_to(root):
            if found.is_file() and not is_folder:
                return super().send_head()
            page = landing.page_of(root, parts)
            if page is not None and is_folder:
                return self._page(page, HTTPStatus.OK)
            if page is not None:  # relative: a proxy may serve the folder below a path
                return self._page("", HTTPStatus.MOVED_PERMANENTLY, location=f"{quote(parts[-1])}/")
        return self._page(landing.missing(root, parts), HTTPStatus.NOT_FOUND)

    def translate_path(self, path: str) -> str:
        """The file of a path that `path_parts` has checked and decoded."""
        return str(Path(self.directory).joinpath(*(path_parts(path) or ())))

    def end_headers(self) -> None:
        """Headers of every answer: pages load nothing from elsewhere, and a rebuilt plot is not shown from a cache."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Log failed requests only."""
        if len(args) > 1 and str(args[1])[:1] in "45":
            super().log_message(format, *args)

    def _page(self, text: str, status: HTTPStatus, kind: str = "text/html", location: str | None = None) -> BytesIO:
        content = text.encode()
        self.send_response(status)
        if location is not None:
            self.send_header("Location", location)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return BytesIO(content)

    def _say(self, status: HTTPStatus, text: str) -> BytesIO:
        return self._page(f"{text}\n", status, "text/plain")


def path_parts(target: str) -> list[str] | None:
    """The parts of the path that a request asks for, decoded; None where it is malformed or leads upwards."""
    path = target.partition("?")[0].partition("#")[0]
    if not path.startswith("/") or path.startswith("//") or len(path) > _LONGEST or _BAD_ESCAPE.search(path):
        return None
    try:
        decoded = [unquote_to_bytes(part).decode() for part in path[1:].split("/")]
    except UnicodeDecodeError:
        return None
    parts = decoded[:-1] if decoded[-1] == "" else decoded
    bad = any(part in {"", ".", ".."} or {"/", "\\"} & set(part) or not part.isprintable() for part in parts)
    return None if bad else parts


def refused_host(hosts: list[str]) -> tuple[HTTPStatus, str] | None:
    """Status and text that refuse a request with these Host headers; None where they name this server."""
    found = _HOST.fullmatch(hosts[0].strip()) if len(hosts) == 1 else None
    if found is None:
        return HTTPStatus.BAD_REQUEST, "A request needs one Host header."
    name = found[1].strip("[]").lower().rstrip(".")
    allowed = {
        *settings.LOOPBACK,
        (urlsplit(settings.plots_url()).hostname or "").lower(),
        settings.plots_host().lower(),
    }
    if name in allowed - {"", "0.0.0.0", "::"}:  # noqa: S104 - these are no names to be called by
        return None
    return (
        HTTPStatus.MISDIRECTED_REQUEST,
        "Plots are not served by this name. Open them by the address in USAGE_PLOTS_URL, or set it to this one.",
    )


def port() -> int:
    """The port that `USAGE_PLOTS_URL` names where it names this machine, else 3001."""
    base = urlsplit(settings.plots_url())
    return base.port or PORT if base.hostname in {"127.0.0.1", "localhost"} else PORT


def server(folder: Path, at: int) -> ThreadingHTTPServer:
    """A server of the folder at `USAGE_PLOTS_HOST`; port 0 takes a free one."""
    return ThreadingHTTPServer((settings.plots_host(), at), partial(PlotsHandler, directory=str(folder)))


def main() -> int:
    """Serve until interrupted, at the port of the first argument or that of `USAGE_PLOTS_URL`."""
    at = int(sys.argv[1]) if len(sys.argv) > 1 else port()
    try:
        plots = server(settings.plots_dir(), at)
    except OSError as error:
        sys.stderr.write(f"plots: port {at} can't be used ({error.strerror}); set USAGE_PLOTS_URL\n")
        return 1
    sys.stderr.write(f"plots: {settings.plots_dir()} at http://{settings.plots_host()}:{at}\n")
    with plots, suppress(KeyboardInterrupt):
        plots.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
