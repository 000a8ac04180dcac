"""`usage-assets ui`, which `make ui` runs: it ends with all that it started, also where interrupts are ignored."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from usage_assets_tests.services.test_units import ROOT, alive, free_port, get, until


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_the_ui_in_the_background_of_a_shell_ends_with_all_that_it_started_when_interrupted(tmp_path):
    port, plots = free_port(), free_port()
    (tmp_path / "sites").mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "USAGE_PLOTS_URL": f"http://127.0.0.1:{plots}"}
    command = f"{sys.executable} -m usage_assets ui --port {port} & echo $! > pid; wait"
    log = tmp_path / "log"
    with log.open("wb") as out:
        # a shell without job control has its background jobs ignore interrupts
        shell = subprocess.Popen(["sh", "-c", command], cwd=tmp_path, env=environment, stdout=out, stderr=out)
    until("the UI answers", lambda: get(f"http://127.0.0.1:{port}/server_info"), log.read_text)
    started = _children(int((tmp_path / "pid").read_text()))
    assert len(started) == 2

    os.kill(int((tmp_path / "pid").read_text()), signal.SIGINT)
    shell.wait(60)
    assert [group for group in started if alive(group)] == []
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)


@pytest.mark.parametrize("option", ["--port", "--plots-port"])
def test_a_port_that_is_taken_is_one_sentence(tmp_path, option):
    (tmp_path / "sites").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--port": str(free_port()), option: str(port)}
        done = subprocess.run(
            [sys.executable, "-m", "usage_assets", "ui", *(word for pair in ports.items() for word in pair)],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
    assert done.returncode == 1
    told = f"port {port} of 127.0.0.1 is taken, perhaps by another usage-assets ui; give another by {option}"
    assert (done.stdout, " ".join(done.stderr.split())) == ("", told)


def _children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == pid:
            found.append(int(path.parent.name))
    return found
