"""The command as a process, as its unit starts it, with bindings that stand for HTCondor's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from usage_assets_tests.unit.kinds.htcondor.collect.pools import names
from usage_assets_tests.unit.kinds.htcondor.collect.test_command import GOOD, ROOT

_BINDINGS = """
class AdTypes:
    Startd = 0

class Collector:
    def __init__(self, address):
        self.address = address

    def query(self, kind, constraint, projection):
        if self.address != "cm.x.edu:9618" or not constraint.startswith("GPUs"):
            raise RuntimeError("secret " + self.address)
        return [{"Name": "slot1@h1", "Machine": "h1", "AssignedGPUs": "GPU-1,GPU-2", "State": "Claimed"}]
"""


@pytest.fixture
def command(tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    (tmp_path / "bindings").mkdir()
    (tmp_path / "bindings" / "htcondor2.py").write_text(_BINDINGS)
    (tmp_path / "bindings" / "classad2.py").write_text("ExprTree = str\n")
    (tmp_path / "gpus.yaml").write_text(GOOD)
    told = {"USAGE_SITES": str(tmp_path), "PYTHONPATH": f"{ROOT}:{tmp_path / 'bindings'}"}
    return [sys.executable, "-m", "usage_assets", "collect", "--site", "gpus"], os.environ | told


def test_it_collects_until_it_is_interrupted_and_keeps_others_away(tmp_path: Path, command):
    words, told = command
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would ignore it
    first = subprocess.Popen(
        [*words, "--every", "1"], env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, kept)
    folder = tmp_path / "pool"
    end = time.monotonic() + 60
    while len(names(folder)) < 2 and first.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    second = subprocess.run([*words, "--once"], env=told, capture_output=True, text=True, check=False)
    first.send_signal(signal.SIGINT)
    said, warned = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "Traceback" not in warned
    assert (second.returncode, second.stdout) == (1, "")
    assert f"held by process {first.pid}: collector of site gpus" in " ".join(second.stderr.split())
    found = names(folder)
    assert len(found) - said.count("2 row(s) of 1 machine(s)") in {0, 1}  # the last one may have been about to be told
    assert not any(".new" in name for name in found)
    third = subprocess.run([*words, "--once"], env=told, capture_output=True, text=True, check=False)
    assert (third.returncode, third.stderr) == (0, "")


def test_an_address_from_the_environment_is_never_shown(tmp_path: Path, command):
    words, told = command
    (tmp_path / "gpus.yaml").write_text(GOOD.replace("cm.x.edu:9618", "${POOL_HOST}"))
    done = subprocess.run(
        [*words, "--once"], env=told | {"POOL_HOST": "hidden:1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "${POOL_HOST}: secret ${POOL_HOST}" in " ".join(done.stderr.split())
    assert "hidden" not in done.stderr + done.stdout
    done = subprocess.run([*words, "--once"], env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the environment has no POOL_HOST" in " ".join(done.stderr.split())
