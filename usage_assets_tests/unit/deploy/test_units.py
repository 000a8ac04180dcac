"""The shipped systemd units: what systemd itself says of them, and what an operator relies on."""

import importlib.metadata
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from usage_assets_tests.unit.deploy.units import (
    DEPLOY,
    LASTING,
    SERVICES,
    TEMPLATES,
    TIMERS,
    UNITS,
    environment,
    parse,
    start_command,
)

SECRETS = "/etc/usage-assets/secrets"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_fault_in_a_unit(unit, tmp_path):
    for each in UNITS:  # commands that are on this machine: what is asked is whether the rest is right
        text = each.read_text(encoding="utf-8").replace("/opt/usage-assets/venv/bin", str(Path(sys.executable).parent))
        (tmp_path / each.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit.name], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if "usage-assets" in line]
    assert said == []


def test_the_target_starts_every_process_and_stops_it():
    target = parse(DEPLOY / "systemd" / "usage-assets.target")
    wanted = {name for line in target["Unit"]["Wants"] for name in line.split()}
    assert wanted == {unit.name for unit in [*LASTING, *TIMERS] if unit not in TEMPLATES}
    assert target["Install"]["WantedBy"] == ["multi-user.target"]
    for name in [*wanted, *(unit.name for unit in TEMPLATES)]:
        unit = parse(DEPLOY / "systemd" / name)
        assert unit["Unit"]["PartOf"] == ["usage-assets.target"]
        assert unit["Install"]["WantedBy"] == ["usage-assets.target"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.stem)
def test_every_service_is_as_confined_as_the_others(service):
    def common(path):
        return path.read_text(encoding="utf-8").split("# The same for every unit")[1].split("\n\n")[0].strip()

    assert common(service) == common(SERVICES[0])
    known = parse(service)["Service"]
    assert known["User"] == ["usage-assets"]
    assert known["ProtectSystem"] == ["strict"]
    assert known["NoNewPrivileges"] == ["yes"]
    assert known["EnvironmentFile"] == ["/etc/usage-assets/environment"]


@pytest.mark.parametrize("service", LASTING, ids=lambda service: service.stem)
def test_a_service_that_fails_is_started_again_and_one_that_is_stopped_ends_well(service):
    known = parse(service)["Service"]
    assert known["Restart"] == ["on-failure"]
    assert known["KillSignal"] == ["SIGINT"]
    assert int(known["TimeoutStopSec"][0]) >= 30


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.stem)
def test_every_command_of_a_unit_is_one_that_the_package_brings(service):
    scripts = {each.name for each in importlib.metadata.entry_points(group="console_scripts")} | {"python"}
    known = parse(service)["Service"]
    for key in ("ExecStartPre", "ExecStart"):
        if key in known:
            program = Path(start_command(service, key)[0])
            assert program.parent == Path("/opt/usage-assets/venv/bin")
            assert program.name in scripts


def test_nothing_listens_beyond_loopback():
    words = start_command(DEPLOY / "systemd" / "usage-assets-webserver.service")
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert all("0.0.0.0" not in unit.read_text(encoding="utf-8") for unit in UNITS)
    assert "USAGE_PLOTS_HOST" not in environment()
    for name in ("webserver", "plots"):
        assert parse(DEPLOY / "systemd" / f"usage-assets-{name}.service")["Service"]["IPAddressDeny"] == ["any"]


def test_a_collector_is_asked_to_collect_from_the_site_that_its_name_ends_with():
    (unit,) = TEMPLATES
    assert start_command(unit) == ["/opt/usage-assets/venv/bin/usage-assets", "collect", "--site", "%i"]
    assert parse(unit)["Service"]["SuccessExitStatus"] == ["130"]


@pytest.mark.parametrize("name", ["webserver", "daemon", "plots", "prune", "collect@"])
def test_only_the_code_server_and_the_backup_can_see_the_secrets(name):
    known = parse(DEPLOY / "systemd" / f"usage-assets-{name}.service")["Service"]
    assert known["InaccessiblePaths"] == [f"-{SECRETS}"]


def test_the_example_of_the_environment_has_no_secret_and_names_where_they_are():
    found = environment()
    assert found["USAGE_SECRETS"] == SECRETS
    assert [name for name in found if any(word in name for word in ("PASSWORD", "TOKEN", "SALT"))] == []
    assert "@" not in "".join(found.values())


def test_no_shipped_file_may_be_run_or_holds_a_path_of_a_home():
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            assert not path.stat().st_mode & stat.S_IXOTH or path.read_bytes().startswith(b"#!")
            assert "/home/" not in path.read_text(encoding="utf-8")
