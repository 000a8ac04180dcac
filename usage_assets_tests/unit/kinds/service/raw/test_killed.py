"""An import that is killed at any moment leaves what was stored, and the same command again completes it."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from usage_assets_tests.unit.kinds.service.raw.services import Service, event

pytestmark = pytest.mark.kills

_SCRIPT = """
import sys
from pathlib import Path
from usage_assets_tests.unit.kinds.service.raw.services import Service
print("ready", flush=True)
Service.of(Path(sys.argv[1])).dump_all()
"""


def _filled(folder: Path) -> Service:
    service = Service.of(folder)
    for number in range(8):
        ts = [f"2026-0{1 + row % 3}-05T10:00:00Z" for row in range(400)]
        service.put(f"{number}.jsonl", [event(f"e{(number * 300 + row) % 2000}", at) for row, at in enumerate(ts)])
    return service


def test_a_killed_import_leaves_what_was_stored_and_the_next_one_stores_the_same_rows(tmp_path: Path):
    whole = _filled(tmp_path / "whole")
    whole.dump_all()
    service, chance = _filled(tmp_path / "killed"), random.Random(7)
    command = [sys.executable, "-c", _SCRIPT, str(service.folder)]
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.random() * 1.5)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        process.stdout.close()
        assert service.events() in ([], whole.events())
    service.dump_all()
    assert service.events() == whole.events()
    assert service.rejects() == whole.rejects()
    assert not list((service.warehouse.path.parent / ".staging").iterdir())
