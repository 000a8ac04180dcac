"""The shipped units' own commands, started as systemd would: they find each other, survive a kill, and end in time."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from usage_assets_tests.assets.tiny import make_site
from usage_assets_tests.unit.deploy.units import DEPLOY, ROOT, environment, parse, start_command

SECONDS = 240
_LOCATION = """{ workspaceOrError { ... on Workspace { locationEntries {
  name loadStatus locationOrLoadError { __typename } } } } }"""
_HEALTH = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
_SCHEDULES = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
  schedules { name scheduleState { status } } } } } }"""
_PARTITIONS = """{ assetNodes(assetKeys: [{path: ["openstack", "timelines", "usage"]}]) {
  partitionKeysByDimension { name partitionKeys } } }"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: str, asked: Callable[[], Any], log: Callable[[], str]) -> Any:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            if found := asked():
                return found
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not yet
        time.sleep(0.3)
    raise AssertionError(f"{what}: not within {SECONDS} s\n{log()}")


class Machine:
    """A folder that stands for the machine's /etc, /var/lib and /run, and the services that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.ui, self.plots = free_port(), free_port()
        for name in ("etc/sites", "lib", "run"):
            (folder / name).mkdir(parents=True)
        (folder / "workspace.yaml").write_text(self.here((DEPLOY / "workspace.yaml").read_text()))
        secrets = folder / "etc" / "secrets"
        secrets.write_text("TINY_PASSWORD=made\n")
        secrets.chmod(0o400)
        told = {name: self.here(value) for name, value in environment().items()}
        told["USAGE_PLOTS_URL"] = f"http://127.0.0.1:{self.plots}"
        self.environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **told}

    def here(self, text: str) -> str:
        """What a shipped file says, with this machine's folders and ports."""
        places = {
            "/opt/usage-assets/venv/bin": str(Path(sys.executable).parent),
            "/opt/usage-assets/venv/share/usage-assets": str(self.folder),
            "/run/usage-assets": str(self.folder / "run"),
            "/var/lib/usage-assets": str(self.folder / "lib"),
            "/etc/usage-assets": str(self.folder / "etc"),
        }
        for there, place in places.items():
            text = text.replace(there, place)
        return str(self.ui) if text == "3000" else text

    def start(self, name: str) -> None:
        unit = DEPLOY / "systemd" / f"usage-assets-{name}.service"
        if "ExecStartPre" in parse(unit)["Service"]:
            before = [self.here(word) for word in start_command(unit, "ExecStartPre")]
            subprocess.run(before, check=True, env=self.environment, cwd=self.folder / "lib", stdout=subprocess.DEVNULL)
        with (self.folder / f"{name}.log").open("ab") as log:
            words = [self.here(word) for word in start_command(unit)]
            # a test in a background job ignores interrupts, and what it starts would inherit that
            kept = signal.signal(signal.SIGINT, signal.default_int_handler)
            self.running[name] = subprocess.Popen(
                words, stdout=log, stderr=log, env=self.environment, cwd=self.folder / "lib", start_new_session=True
            )
            signal.signal(signal.SIGINT, kept)

    def stop(self, name: str, number: int) -> tuple[int, float]:
        """Send a signal to all processes of a service, as systemd does; exit code, and seconds until the last ended."""
        process, began = self.running.pop(name), time.monotonic()
        os.killpg(process.pid, number)
        code = process.wait(SECONDS)
        while alive(process.pid) and time.monotonic() - began < SECONDS:
            time.sleep(0.1)
        return code, time.monotonic() - began

    def log(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in self.folder.glob("*.log"))

    def says(self, name: str, text: str) -> int:
        """How often a service's log has a text."""
        return (self.folder / f"{name}.log").read_text().count(text)

    def ask(self, query: str) -> Any:
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ui}/graphql", data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["data"]

    def located(self) -> bool:
        """Whether the webserver has the code location, loaded without an error."""
        entries = self.ask(_LOCATION)["workspaceOrError"]["locationEntries"]
        return [(e["name"], e["loadStatus"], e["locationOrLoadError"]["__typename"]) for e in entries] == [
            ("usage_assets", "LOADED", "RepositoryLocation")
        ]


def alive(group: int) -> bool:
    """Whether a process of the group lives; one that ended and was not waited for does not."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, found = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(found) == group and state != "Z":
            return True
    return False


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    site = make_site(tmp_path)
    folder = Path(tempfile.mkdtemp(prefix="ua-", dir="/tmp"))  # the path of a socket has at most 107 characters
    found = Machine(folder)
    databases = "\n".join(f"  {name}: {url}" for name, url in site.databases.items())
    (folder / "etc" / "sites" / "tiny.yaml").write_text(f"kind: openstack\ndatabases:\n{databases}\n")
    yield found
    for name in list(found.running):
        found.stop(name, signal.SIGKILL)
    shutil.rmtree(folder)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_the_units_commands_run_the_service_and_end_within_their_timeouts(machine):
    for name in ("code", "webserver", "daemon", "plots"):
        machine.start(name)

    until("the webserver answers", lambda: get(f"http://127.0.0.1:{machine.ui}/server_info"), machine.log)
    until("it has the code", machine.located, machine.log)
    until("the daemon's heart beats", lambda: _healthy(machine), machine.log)
    (repository,) = machine.ask(_SCHEDULES)["repositoriesOrError"]["nodes"]
    states = {one["name"]: one["scheduleState"]["status"] for one in repository["schedules"]}
    assert states["openstack_nightly"] == "RUNNING"
    (machine.folder / "lib" / "data" / "plots").mkdir(parents=True)
    assert get(f"http://127.0.0.1:{machine.plots}/") == 200
    for port in (machine.ui, machine.plots):
        assert _listens_on(port) == {"127.0.0.1"}
    assert (machine.folder / "run" / "code.sock").stat().st_mode & 0o170000 == 0o140000

    # a code server that is killed leaves its socket behind; the next one takes it over, and the others find it
    machine.stop("code", signal.SIGKILL)
    machine.start("code")
    updated = "LOCATION_UPDATED"
    seen = machine.says("webserver", updated)
    until("another code server is found", lambda: machine.says("webserver", updated) > seen, machine.log)
    until("it has the code again", machine.located, machine.log)

    # another site's file is seen after a reload, without a restart
    (machine.folder / "etc" / "sites" / "other.yaml").write_text(
        "kind: openstack\ndatabases: {nova: 'sqlite:///n.db'}\n"
    )
    unit = DEPLOY / "systemd" / "usage-assets-code.service"
    told = machine.environment | {"USAGE_WEBSERVER_URL": f"http://127.0.0.1:{machine.ui}"}
    subprocess.run([machine.here(word) for word in start_command(unit, "ExecReload")], env=told, check=True)
    assert _sites(machine) == ["other", "tiny"]

    for name, number in [("plots", signal.SIGTERM), ("webserver", signal.SIGINT), ("daemon", signal.SIGINT)]:
        _ends_in_time(machine, name, number)
    _ends_in_time(machine, "code", signal.SIGINT)
    assert "made" not in machine.log()


def _ends_in_time(machine: Machine, name: str, number: int) -> None:
    known = parse(DEPLOY / "systemd" / f"usage-assets-{name}.service")["Service"]
    code, seconds = machine.stop(name, number)
    clean = {0, -signal.SIGINT, -signal.SIGTERM, *map(int, known.get("SuccessExitStatus", []))}
    assert code in clean, (machine.folder / f"{name}.log").read_text()[-5000:]
    assert seconds < int(known["TimeoutStopSec"][0])


def _sites(machine: Machine) -> list[str]:
    """The sites that an asset of the code location is partitioned by."""
    (node,) = machine.ask(_PARTITIONS)["assetNodes"]
    (sites,) = [one["partitionKeys"] for one in node["partitionKeysByDimension"] if one["name"] == "site"]
    return sorted(sites)


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.status)


def _healthy(machine: Machine) -> bool:
    statuses = machine.ask(_HEALTH)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return bool(statuses) and all(one["healthy"] for one in statuses if one["required"])


def _listens_on(port: int) -> set[str]:
    """Addresses on which something listens at the port."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        address, state = line.split()[1], line.split()[3]
        where, number = address.split(":")
        if int(number, 16) == port and state == "0A":
            found.add(socket.inet_ntoa(bytes.fromhex(where)[::-1]))
    tcp6 = Path("/proc/net/tcp6")
    six = tcp6.read_text().splitlines()[1:] if tcp6.exists() else []
    if any(int(line.split()[1].split(":")[1], 16) == port and line.split()[3] == "0A" for line in six):
        found.add("::")
    return found
