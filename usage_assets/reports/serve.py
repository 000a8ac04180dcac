"""The plots folder over HTTP, read-only and on loopback by default: `python -m usage_assets.reports.serve`."""

import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from usage_assets import settings

PORT = 3001
_POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data: blob:"


class PlotsHandler(SimpleHTTPRequestHandler):
    """GET and HEAD of files below the folder; no hidden file, no link that leads out, nothing else."""

    server_version = "usage-assets"
    sys_version = ""

    def send_head(self) -> Any:
        """Refuse what lies outside the folder, then serve as usual."""
        root = Path(self.directory).resolve()
        found = Path(self.translate_path(self.path)).resolve()
        hidden = any(part.startswith(".") for part in Path(self.path.split("?")[0]).parts)
        if hidden or "%" in self.path or not found.is_relative_to(root):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def end_headers(self) -> None:
        """Headers of every answer: pages load nothing from elsewhere, and a rebuilt plot is not shown from a cache."""
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Only what went wrong is worth a line."""
        if len(args) > 1 and str(args[1])[:1] in "45":
            super().log_message(format, *args)


def port() -> int:
    """The port that `USAGE_PLOTS_URL` names where it names this machine, else 3001."""
    base = urlsplit(settings.plots_url())
    return base.port or PORT if base.hostname in {"127.0.0.1", "localhost"} else PORT


def server(folder: Path, at: int) -> ThreadingHTTPServer:
    """A server of the folder at `USAGE_PLOTS_HOST`; port 0 takes a free one."""
    return ThreadingHTTPServer((settings.plots_host(), at), partial(PlotsHandler, directory=str(folder)))


def main() -> int:
    """Serve until interrupted."""
    try:
        plots = server(settings.plots_dir(), port())
    except OSError as error:
        sys.stderr.write(f"plots: port {port()} can't be used ({error.strerror}); set USAGE_PLOTS_URL\n")
        return 1
    sys.stderr.write(f"plots: {settings.plots_dir()} at http://{settings.plots_host()}:{port()}\n")
    try:
        plots.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        plots.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
