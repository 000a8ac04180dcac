"""DAGSTER_HOME: where Dagster keeps its runs, made with the shipped dagster.yaml when it is not there."""

import os
import shutil
from pathlib import Path

import usage_assets

_SHIPPED = "dagster.yaml"


def dagster_home() -> Path:
    """`DAGSTER_HOME`, by default `./.dagster`; made and set for this process."""
    home = Path(os.environ.get("DAGSTER_HOME") or ".dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    config = home / _SHIPPED
    if not config.exists():
        package = Path(usage_assets.__file__).parent
        shipped = next((path for path in (package / _SHIPPED, package.parent / _SHIPPED) if path.is_file()), None)
        if shipped is not None:
            part = config.with_name(f".{_SHIPPED}.{os.getpid()}")
            shutil.copyfile(shipped, part)
            part.replace(config)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")  # see usage_assets.automation.storage
    return home
