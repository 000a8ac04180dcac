"""The Dagster UI with its daemon, and the plots beside it: two processes that end together.

They are started in sessions of their own and told to end once, however the command itself is told: Ctrl-C in a
terminal, or a signal where it runs in the background (a shell's background job ignores interrupts, and a shell can't
undo that for what it starts).
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from rich.console import Console

from usage_assets import settings
from usage_assets.cli.home import dagster_home, shipped
from usage_assets.errors import UsageError

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PATIENCE_SECONDS = 45.0
_LOCATION, _RELOAD_SECONDS = "usage_assets", 120.0
_RELOAD = """
mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename
  ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } }
  ... on RepositoryLocationNotFound { message } ... on ReloadNotSupported { message }
  ... on UnauthorizedError { message } ... on PythonError { message } } }
"""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(host: str, port: int, console: Console) -> int:
    """Run both until one ends or a signal comes; 130 after a signal, else the exit code of the one that ended."""
    dagster_home()
    if host not in LOOPBACK:
        console.print(f"warning: {host} is not loopback, and the Dagster UI has no login", style="yellow")
    console.print(f"UI at http://{host}:{port}, plots at {settings.plots_url()}; Ctrl-C ends both", markup=False)
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    children = [_start(command) for command in _commands(host, port)]
    try:
        while not received and all(child.poll() is None for child in children):
            time.sleep(0.1)
        ended = next((code for child in children if (code := child.poll()) is not None), 0)
    finally:
        _end(children)
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 + signal.SIGINT if received else abs(ended)


def reload(console: Console) -> None:
    """Have a running service read its site files and its code anew; runs go on as they began."""
    from usage_assets.cli.daemon import DEFAULT_URL, Webserver

    server = Webserver(os.environ.get("USAGE_WEBSERVER_URL") or DEFAULT_URL)
    found = server.ask(_RELOAD, seconds=_RELOAD_SECONDS, name=_LOCATION)["reloadRepositoryLocation"]
    loaded = found.get("locationOrLoadError") or found
    if loaded["__typename"] != "RepositoryLocation":
        msg = f"the code location {_LOCATION} was not reloaded: {loaded.get('message', loaded['__typename']).strip()}"
        raise UsageError(msg)
    console.print(f"{server.url} has read the site files anew", markup=False)


def _commands(host: str, port: int) -> list[list[str]]:
    dagster = ["dagster", "dev", "-w", str(shipped("workspace.yaml")), "-h", host, "-p", str(port)]
    return [[sys.executable, "-m", "usage_assets.reports.serve"], [sys.executable, "-m", *dagster]]


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return subprocess.Popen(command, env=os.environ | {"PATH": path}, start_new_session=True)  # noqa: S603 - our own


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
            os.killpg(child.pid, signal.SIGINT)  # what it left behind, as when it was told to end while it started
            while time.monotonic() < limit:
                os.killpg(child.pid, 0)
                time.sleep(0.1)
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
