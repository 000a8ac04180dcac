"""DAGSTER_HOME: where Dagster keeps its runs, made with the shipped dagster.yaml when it is not there."""

import os
import shutil
from pathlib import Path

import usage_assets
from usage_assets.core import settings
from usage_assets.core.errors import UsageError
from usage_assets.core.locks import file_lock

_CONFIG = "dagster.yaml"


def shipped(name: str) -> Path:
    """A file that comes with this package, `dagster.yaml` or `workspace.yaml`: in it, or beside it in a checkout."""
    package = Path(usage_assets.__file__).parent
    found = next((path for path in (package / name, package.parent / name) if path.is_file()), None)
    if found is None:
        msg = f"{name} is missing from {package}; install usage-assets anew"
        raise UsageError(msg)
    return found


def dagster_home() -> Path:
    """`DAGSTER_HOME`, by default `./.dagster`; made and set for this process."""
    home = settings.dagster_home()
    home.mkdir(parents=True, exist_ok=True)
    config = home / _CONFIG
    if not config.exists():
        part = config.with_name(f".{_CONFIG}.{os.getpid()}")
        shutil.copyfile(shipped(_CONFIG), part)
        part.replace(config)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")  # see usage_assets.orchestration.event_storage
    return home


def make_home() -> Path:
    """`DAGSTER_HOME` with Dagster's storage in it, for processes that are started at once.

    Each process that finds no storage makes one, and of two that do so at once the second dies: here one waits.
    """
    home = dagster_home()
    with file_lock(home / ".home.lock", "making Dagster's storage", wait_seconds=settings.lock_wait_seconds()):
        import dagster as dg

        with dg.DagsterInstance.get():
            pass
    return home
