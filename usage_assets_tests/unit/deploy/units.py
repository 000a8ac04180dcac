"""The shipped systemd units as data: sections of keys, each with the values given for it."""

import shlex
from pathlib import Path

from usage_assets_tests import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("usage-assets*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
TIMERS = [unit for unit in UNITS if unit.suffix == ".timer"]
TEMPLATES = [unit for unit in SERVICES if unit.stem.endswith("@")]  # an operator enables one of them for each site
LASTING = [unit for unit in SERVICES if unit.with_suffix(".timer") not in TIMERS]

Unit = dict[str, dict[str, list[str]]]


def parse(path: Path) -> Unit:
    """Sections of a unit; a line that is neither a comment, a section nor `Key=value` is an error."""
    out: Unit = {}
    section: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = out.setdefault(line.strip("[]"), {})
            continue
        key, sign, value = line.partition("=")
        assert sign, f"{path.name}: {line!r}"
        assert key.isalnum(), f"{path.name}: {line!r}"
        section.setdefault(key, []).append(value)
    return out


def start_command(path: Path, key: str = "ExecStart") -> list[str]:
    """The words of the one command that a service starts."""
    (line,) = parse(path)["Service"][key]
    return shlex.split(line)


def environment() -> dict[str, str]:
    """What environment.example says, as systemd, a shell and compose read it."""
    lines = (DEPLOY / "environment.example").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    assert all(sign for _, sign, _ in pairs)
    return {name: " ".join(shlex.split(value)) for name, _, value in pairs}
