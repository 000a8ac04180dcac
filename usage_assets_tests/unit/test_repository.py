"""What is committed: no file over 1 MB, no name that a mistyped command left behind."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from usage_assets_tests import ROOT

MOST_BYTES = 1_000_000
_PART = re.compile(r"[A-Za-z0-9_.@][A-Za-z0-9_.@-]*")
"""A plain name of a file or folder: none begins with a dash, none has blanks or other signs in it."""


def faults(root: Path, names: list[str]) -> list[str]:
    """What must not be committed among files below `root`, named by their paths."""
    odd = [f"{name!r}: an odd name" for name in names if not all(_PART.fullmatch(part) for part in name.split("/"))]
    large = [
        f"{name}: {size:,} bytes"
        for name in names
        if (root / name).is_file() and (size := (root / name).stat().st_size) > MOST_BYTES
    ]
    return odd + large


def committed() -> list[str]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing tells which files are committed")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name]


def test_nothing_committed_is_large_or_oddly_named():
    assert faults(ROOT, committed()) == []


def test_large_files_and_odd_names_are_found(tmp_path):
    (tmp_path / "--help").mkdir()
    (tmp_path / "--help" / "left.txt").write_text("")
    (tmp_path / "large.bin").write_bytes(bytes(MOST_BYTES + 1))
    (tmp_path / "fine-name.txt").write_bytes(bytes(MOST_BYTES))
    found = faults(tmp_path, ["--help/left.txt", "large.bin", "fine-name.txt", "a b"])
    assert found == ["'--help/left.txt': an odd name", "'a b': an odd name", "large.bin: 1,000,001 bytes"]
