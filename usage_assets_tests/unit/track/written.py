"""What tests read of the files of a tracker, and programs that have one."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import usage_assets.track

_ROOT = Path(usage_assets.track.__file__).parents[2]


def rows(folder: Path) -> list[dict[str, Any]]:
    """The events in the files of a folder, in the order of names and lines; each file ends with a whole line."""
    texts = [path.read_text() for path in sorted(folder.glob("*.jsonl"))]
    assert all(text.endswith("\n") for text in texts if text)
    return [json.loads(line) for text in texts for line in text.splitlines()]


def numbers(folder: Path) -> list[int]:
    """Tokens of each event of a folder: tests number their events so."""
    return [row["input_tokens"] for row in rows(folder)]


def run(folder: Path, program: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """A program with a tracker of `folder`, to its end."""
    return subprocess.run(
        command(folder, program), capture_output=True, text=True, env=environment(), check=False, **options
    )


def command(folder: Path, program: str) -> list[str]:
    head = f"from usage_assets.track import Tracker\ntracker = Tracker({str(folder)!r}, flush_seconds=60)\n"
    return [sys.executable, "-c", head + textwrap.dedent(program)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(_ROOT)}


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, half a minute at most."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it never came to be")
