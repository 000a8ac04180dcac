"""The shipped compose file and image: the same processes as the units, reachable from the host's loopback only."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import PurePosixPath

import pytest
import yaml

from usage_assets_tests.unit.deploy.units import DEPLOY, ROOT, environment, start_command

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
BIN = "/opt/usage-assets/venv/bin/"


@pytest.mark.parametrize("name", ["code", "webserver", "daemon", "plots", "backup"])
def test_a_container_runs_what_its_unit_runs(name):
    unit = start_command(DEPLOY / "systemd" / f"usage-assets-{name}.service")
    command = ["127.0.0.1" if word == "0.0.0.0" else word for word in SERVICES[name]["command"]]
    assert command == [unit[0].removeprefix(BIN), *unit[1:]]


def test_every_published_port_is_on_loopback():
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"webserver": ["127.0.0.1:3000:3000"], "plots": ["127.0.0.1:3001:3001"]}
    assert [name for name, service in SERVICES.items() if service.get("network_mode") == "host"] == []


def test_what_lasts_is_started_again_checked_and_confined():
    for name in ("code", "webserver", "daemon", "plots"):
        service = SERVICES[name]
        assert service["restart"] == "unless-stopped"
        assert service["stop_signal"] == "SIGINT"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["healthcheck"]["test"][0] == "CMD"


def test_only_the_code_server_and_the_backup_see_the_settings_folder_with_its_secrets():
    assert {name for name, service in SERVICES.items() if any("./etc" in volume for volume in service["volumes"])} == {
        "code",
        "backup",
    }
    assert all(
        SERVICES[name]["environment"]["USAGE_SECRETS"] == ""
        for name in SERVICES
        if name in {"webserver", "daemon", "plots"}
    )


def test_the_example_of_the_environment_serves_containers_as_well():
    mounted = {volume.split(":")[1] for service in SERVICES.values() for volume in service["volumes"]}
    folders = {value for value in environment().values() if value.startswith("/")}
    assert mounted == {"/var/lib/usage-assets", "/run/usage-assets", "/etc/usage-assets", "/var/backups/usage-assets"}
    assert [folder for folder in folders if not folder.startswith(tuple(mounted))] == []


def copied() -> dict[str, str]:
    """What the first stage of the image copies out of the checkout, and where below its folder it puts it."""
    lines = re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, flags=re.MULTILINE)
    pairs = [(name, line.split()[-1]) for line in lines for name in line.split()[:-1]]
    return {
        name: f"{to}{PurePosixPath(name).name}".removeprefix("./") if to.endswith("/") else to for name, to in pairs
    }


def test_the_image_copies_what_the_context_holds_and_what_is_there():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied()) == kept
    assert [name for name in copied() if not (ROOT / name).exists()] == []


def test_the_image_copies_whatever_the_wheel_is_built_from():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        "pyproject.toml", "LICENSE", project["project"]["readme"], *wheel["packages"],
        *wheel["force-include"], *wheel["shared-data"],
    }  # fmt: skip
    places = set(copied().values())
    assert [name for name in needed if not places & {name, *map(str, PurePosixPath(name).parents)}] == []


def test_the_wheel_is_built_from_what_the_image_copies(tmp_path):
    for name, place in copied().items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / place)
    script = "from hatchling.build import build_wheel; print(build_wheel('dist'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_image_runs_as_a_user_of_its_own_and_names_no_registry():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)
    assert all(re.fullmatch(r"python:3\.\d+-slim", base) for base in bases)
    assert "\nUSER usage-assets\n" in DOCKERFILE
    assert SERVICES["code"]["image"] == "usage-assets"
