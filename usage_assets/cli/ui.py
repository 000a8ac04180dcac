"""The Dagster UI with its daemon, and the plots beside it: two processes that end together.

They are started in sessions of their own and interrupted once, however the command itself is ended: by Ctrl-C in a
terminal, or by a signal where it runs in the background (a shell's background job ignores interrupts, and a shell can't
undo that for what it starts).
"""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from usage_assets.cli.console import console
from usage_assets.cli.home import dagster_home, shipped
from usage_assets.core import settings
from usage_assets.core.errors import SiteError, UsageError

_LAST_PORT = 65535
_PATIENCE_SECONDS = 45.0
_LOCATION, _RELOAD_SECONDS = "usage_assets", 120.0
_RELOAD = """
mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename
  ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } }
  ... on RepositoryLocationNotFound { message } ... on ReloadNotSupported { message }
  ... on UnauthorizedError { message } ... on PythonError { message } } }
"""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(host: str, port: int, plots_port: int | None) -> int:
    """Run both until one ends or a signal comes; 130 after a signal, else the exit code of the one that ended."""
    folder = settings.sites_dir()
    if not folder.is_dir():
        msg = (
            f"{folder}: no such folder of site files; run usage-assets demo for sites made up, write your own (see "
            "docs/adding-a-site.md), or set USAGE_SITES"
        )
        raise SiteError(msg)
    ui, plots, plots_port = addresses(host, port, plots_port)
    for address, at, option in ((host, port, "--port"), (settings.plots_host(), plots_port, "--plots-port")):
        _require_free(address, at, option)
    dagster_home()
    settings.remember_ui(ui, plots)
    if host not in settings.LOOPBACK:
        console.print(f"warning: {host} is not loopback, and the Dagster UI has no login", style="yellow")
    console.print(f"UI at {ui}, plots at {plots}; Ctrl-C ends both")
    received: list[int] = []
    before = {number: signal.signal(number, lambda number, _frame: received.append(number)) for number in _SIGNALS}
    own = {"USAGE_PLOTS_URL": plots} | ({} if "USAGE_UI_URL" in os.environ else {"USAGE_UI_URL": ui})
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": path, **own}
    children = [
        subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 - our own
        for command in _commands(host, port, plots_port)
    ]
    try:
        while not received and all(child.poll() is None for child in children):
            time.sleep(0.1)
        ended = next((code for child in children if (code := child.poll()) is not None), 0)
    finally:
        _end(children)
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 + signal.SIGINT if received else abs(ended)


def addresses(host: str, port: int, plots_port: int | None) -> tuple[str, str, int]:
    """Addresses of the UI and of the plots, and the plots' port: as given, as `USAGE_PLOTS_URL` says, or the next."""
    configured = settings.value("USAGE_PLOTS_URL").rstrip("/")
    there = urlsplit(configured)
    if plots_port is None and there.hostname in settings.LOOPBACK and there.port:
        plots_port = there.port
    at = plots_port or (port + 1 if port < _LAST_PORT else port - 1)
    is_elsewhere = (
        bool(configured) and there.hostname not in settings.LOOPBACK
    )  # behind a proxy, whatever port it asks here
    reached = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
    reached = f"[{reached}]" if ":" in reached else reached
    return f"http://{reached}:{port}", configured if is_elsewhere else f"http://127.0.0.1:{at}", at


def _require_free(host: str, port: int, option: str) -> None:
    """UsageError where something listens at a port already, or this user may not."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        taken = "is taken, perhaps by another usage-assets ui" if error.errno == errno.EADDRINUSE else error.strerror
        msg = f"port {port} of {host} {taken}; give another by {option}"
        raise UsageError(msg) from None


def reload() -> None:
    """Have a running service read its site files and its code anew; runs go on as they began."""
    from usage_assets.cli.daemon import DEFAULT_URL, Webserver

    server = Webserver(settings.webserver_url() or settings.last_ui().get("ui") or DEFAULT_URL)
    found = server.ask(_RELOAD, seconds=_RELOAD_SECONDS, name=_LOCATION)["reloadRepositoryLocation"]
    loaded = found.get("locationOrLoadError") or found
    if loaded["__typename"] != "RepositoryLocation":
        msg = f"the code location {_LOCATION} was not reloaded: {loaded.get('message', loaded['__typename']).strip()}"
        raise UsageError(msg)
    console.print(f"{server.url} has read the site files anew")


def _commands(host: str, port: int, plots_port: int) -> list[list[str]]:
    dagster = ["usage_assets.cli.dev", "dev", "-w", str(shipped("workspace.yaml")), "-h", host, "-p", str(port)]
    modules = [["usage_assets.reports.serve", str(plots_port)], dagster]
    return [[sys.executable, "-m", *module] for module in modules]


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    """Interrupt each and wait for all that it started; what has not ended in time is killed."""
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
    limit = time.monotonic() + _PATIENCE_SECONDS
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(0.1, limit - time.monotonic()))
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGINT)  # what it left running, if interrupted while it started
            while time.monotonic() < limit:
                os.killpg(child.pid, 0)
                time.sleep(0.1)
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
