"""Folders and environment, read when asked for, never at import."""

import os
from pathlib import Path

from usage_assets.errors import UsageError


def sites_dir() -> Path:
    """Folder of the site files: `USAGE_SITES`, by default `./sites`."""
    return Path(os.environ.get("USAGE_SITES", "sites")).resolve()


def data_dir() -> Path:
    """Folder of everything stored: `USAGE_DATA`, by default `./data`."""
    return Path(os.environ.get("USAGE_DATA", "data")).resolve()


def warehouse_path() -> Path:
    """The DuckDB file."""
    return data_dir() / "warehouse.duckdb"


def plots_dir() -> Path:
    """Folder of the plots, `<site>/<month>/<plot>.html` below it."""
    return data_dir() / "plots"


def plots_url() -> str:
    """Base address under which the plots folder is served: `USAGE_PLOTS_URL`."""
    return os.environ.get("USAGE_PLOTS_URL", "http://127.0.0.1:3001").rstrip("/")


def lock_wait_seconds() -> float:
    """How long to wait for the warehouse or a site before giving up: `USAGE_LOCK_WAIT`, by default 600."""
    return float(os.environ.get("USAGE_LOCK_WAIT", "600"))


def pictures() -> str:
    """Which plots have a PNG: `USAGE_PICTURES`, `auto` (all of a short run, the main ones of a long one), all, none."""
    chosen = os.environ.get("USAGE_PICTURES", "auto")
    if chosen not in {"auto", "all", "none"}:
        msg = f"USAGE_PICTURES is {chosen!r}; write auto, all or none"
        raise UsageError(msg)
    return chosen
