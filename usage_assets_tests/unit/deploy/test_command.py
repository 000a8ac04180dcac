"""The shipped wrapper of the command: as the service's user, with the service's settings, arguments untouched."""

import os
import subprocess
from pathlib import Path

import pytest

from usage_assets_tests.unit.deploy.units import DEPLOY, environment


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    """The script with this machine's folders, beside a `usage-assets` that prints what it was told."""
    for name in ("etc", "lib", "bin", "path"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc" / "environment").write_text((DEPLOY / "environment.example").read_text())
    _script(tmp_path / "bin" / "usage-assets", 'pwd; echo "$USAGE_NIGHTLY_CRON|$USAGE_DATA"; printf "<%s>" "$@"')
    for name in ("sudo", "runuser"):
        _script(tmp_path / "path" / name, f'echo "{name} $2"; shift 3; exec "$@"')
    text = (DEPLOY / "usage-assets.sh").read_text()
    for there, here in {
        "/etc/usage-assets": "etc",
        "/var/lib/usage-assets": "lib",
        "/opt/usage-assets/venv/bin": "bin",
    }.items():
        text = text.replace(there, str(tmp_path / here))
    path = tmp_path / "usage-assets.sh"
    path.write_text(text)
    return path


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_the_wrapper_runs_the_command_as_the_services_user_with_its_settings(wrapper):
    path = f"{wrapper.parent / 'path'}:{os.environ['PATH']}"
    words = ["explain", "--at", "2024-05-03T12:00 *", "$HOME", "it's"]
    done = subprocess.run(["sh", wrapper, *words], env={"PATH": path}, capture_output=True, text=True, check=True)
    became = "runuser" if os.geteuid() == 0 else "sudo"
    assert done.stdout.splitlines() == [
        f"{became} usage-assets",
        str(wrapper.parent / "lib"),
        f"{environment()['USAGE_NIGHTLY_CRON']}|{environment()['USAGE_DATA']}",
        "".join(f"<{word}>" for word in words),
    ]
