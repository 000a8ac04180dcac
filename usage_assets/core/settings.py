"""Environment variables and secrets, read when a value is asked for, never at import.

Folders and files are absolute, `~` is the user's home. A variable that is empty counts as not set; one with a bad value
is an error of whoever asks for it, not of the others.
"""

import json
import os
import re
import stat
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from usage_assets.core.errors import UsageError
from usage_assets.core.text_files import read_checked

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Hosts that only this machine reaches."""
_UI_FILE = "ui.json"
_VARIABLES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "DAGSTER_HOME": (Path, Path(".dagster"), {}),
    "USAGE_SITES": (Path, Path("sites"), {}),
    "USAGE_DATA": (Path, Path("data"), {}),
    "USAGE_BACKUPS": (Path | None, None, {}),
    "USAGE_ALERTS": (Path, Path("alerts.yaml"), {}),
    "USAGE_SECRETS": (Path | None, None, {}),
    "USAGE_PLOTS_URL": (str, "", {}),
    "USAGE_PLOTS_HOST": (str, "127.0.0.1", {}),
    "USAGE_UI_URL": (str, "", {}),
    "USAGE_WEBSERVER_URL": (str, "", {}),
    "USAGE_NIGHTLY_CRON": (str, "15 2 * * *", {}),
    "USAGE_COVERAGE_CRON": (str, "0 12 * * *", {}),
    "USAGE_TIMEZONE": (str, "UTC", {}),
    "USAGE_LOCK_WAIT": (float, 600.0, {"ge": 0, "description": "a number of seconds, such as 600"}),
    "USAGE_STALE_HOURS": (
        float, 36.0, {"gt": 0, "allow_inf_nan": False, "description": "a number of hours above 0, such as 36"},
    ),
    "USAGE_PICTURES": (Literal["auto", "all", "none"], "auto", {"description": "auto, all or none"}),
}  # fmt: skip
"""Type, default, and what pydantic requires of each variable; `description` says what to write."""


@lru_cache(maxsize=100)
def _parsed(variable: str, text: str | None) -> Any:
    """The value of a variable whose text is `text`."""
    # loaded when a value is first asked for: pydantic takes a tenth of a second, and --help asks for none
    from pydantic import Field, ValidationError, create_model  # noqa: PLC0415
    from pydantic_settings import BaseSettings, SettingsConfigDict  # noqa: PLC0415

    class Environment(BaseSettings):
        model_config = SettingsConfigDict(case_sensitive=True, env_ignore_empty=True)

    kind, default, limits = _VARIABLES[variable]
    # one variable alone: what is wrong with another is no hindrance
    model = create_model("Setting", __base__=Environment, **{variable: (kind, Field(default, **limits))})  # type: ignore[call-overload]
    try:
        return getattr(model(), variable)
    except ValidationError:
        msg = f"{variable} is {text!r}; write {limits['description']}"
        raise UsageError(msg) from None


def value(variable: str) -> Any:
    """The value of a variable, or its default; UsageError names variable, value and what to write."""
    return _parsed(variable, os.environ.get(variable))


def default(variable: str) -> Any:
    """What holds where a variable is not set."""
    return _VARIABLES[variable][1]


def _path(variable: str) -> Path:
    return value(variable).expanduser().resolve()


def sites_dir() -> Path:
    """Folder of the site files: `USAGE_SITES`, by default `./sites`."""
    return _path("USAGE_SITES")


def data_dir() -> Path:
    """Folder of everything stored: `USAGE_DATA`, by default `./data`."""
    return _path("USAGE_DATA")


def warehouse_path() -> Path:
    """The DuckDB file."""
    return data_dir() / "warehouse.duckdb"


def backups_dir() -> Path:
    """Folder of the backups: `USAGE_BACKUPS`, by default `backups` in the data folder; better on another disk."""
    return _path("USAGE_BACKUPS") if value("USAGE_BACKUPS") else data_dir() / "backups"


def alerts_file() -> Path:
    """File of the channels that alerts go to: `USAGE_ALERTS`, by default `./alerts.yaml`; it need not be there."""
    return _path("USAGE_ALERTS")


def published_dir() -> Path:
    """Folder of the snapshots that readers open."""
    return data_dir() / "published"


def plots_dir() -> Path:
    """Folder of the plots, `<site>/<month>/<plot>.html` below it."""
    return data_dir() / "plots"


def plots_url() -> str:
    """Base address under which the plots folder is served: `USAGE_PLOTS_URL`, else where `ui` last served it."""
    return (value("USAGE_PLOTS_URL") or last_ui().get("plots") or "http://127.0.0.1:3001").rstrip("/")


def plots_host() -> str:
    """Address that the server of the plots listens on: `USAGE_PLOTS_HOST`, by default loopback."""
    return value("USAGE_PLOTS_HOST")


def ui_url() -> str:
    """Base address of Dagster's UI, which alerts link to: `USAGE_UI_URL`, else where `ui` last served it."""
    return (value("USAGE_UI_URL") or last_ui().get("ui") or "http://127.0.0.1:3000").rstrip("/")


def webserver_url() -> str:
    """The one address at which commands look for the service: `USAGE_WEBSERVER_URL`; empty where it is not set."""
    return value("USAGE_WEBSERVER_URL")


def dagster_home() -> Path:
    """Folder of Dagster's runs: `DAGSTER_HOME`, by default `./.dagster`; it need not be there yet."""
    return _path("DAGSTER_HOME")


def remember_ui(ui: str, plots: str) -> None:
    """Keep the addresses of `usage-assets ui`, so that commands and links with the same DAGSTER_HOME find it."""
    path = dagster_home() / _UI_FILE
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps({"ui": ui, "plots": plots}), encoding="utf-8")
    part.replace(path)


def last_ui() -> dict[str, str]:
    """Addresses `ui` and `plots` of the last `usage-assets ui` of this DAGSTER_HOME; empty where there was none."""
    try:
        found = json.loads((dagster_home() / _UI_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def alerts_state() -> Path:
    """What alerts remember: `alerts.db` in `DAGSTER_HOME`."""
    return dagster_home() / "alerts.db"


def lock_wait_seconds() -> float:
    """How long to wait for the warehouse or a site before giving up: `USAGE_LOCK_WAIT`, by default 600."""
    return value("USAGE_LOCK_WAIT")


def stale_hours() -> float:
    """How old the last dump of a month may be that can still change: `USAGE_STALE_HOURS`, by default 36."""
    return value("USAGE_STALE_HOURS")


def pictures() -> str:
    """Which plots have a PNG: `USAGE_PICTURES`, `auto` (all of a month by itself, else the main ones), all, none."""
    return value("USAGE_PICTURES")


def secrets_file() -> Path | None:
    """File of NAME=value lines with what the environment should not hold: `USAGE_SECRETS`; None where it is not set."""
    return _path("USAGE_SECRETS") if value("USAGE_SECRETS") else None


def secret(name: str) -> str | None:
    """A password, token or salt by its name: from the environment, else from the secrets file; None in neither.

    The file is read each time, so a changed password counts from the next connection on. UsageError where the file is
    not there, may be read by others, or holds a line that can't be read; its text never has a value.
    """
    if name in os.environ:
        return os.environ[name]
    path = secrets_file()
    return None if path is None else _secrets(path).get(name)


_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def _secrets(path: Path) -> dict[str, str]:
    out: dict[str, str] = {}
    for number, raw in enumerate(_secrets_text(path).splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            msg = f"USAGE_SECRETS: line {number} of {path} is not NAME=value"
            raise UsageError(msg)
        name, value = found.groups()
        if name in out:
            msg = f"USAGE_SECRETS: line {number} of {path} names {name} a second time; leave one"
            raise UsageError(msg)
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        out[name] = value[1:-1] if quoted else value
    return out


def _secrets_text(path: Path) -> str:
    try:
        return read_checked(path, partial(_require_owner, path))
    except OSError as error:
        msg = f"USAGE_SECRETS: {path} can't be read ({error.strerror}); make it, or unset USAGE_SECRETS"
    except UnicodeDecodeError:
        msg = f"USAGE_SECRETS: {path} is not UTF-8 text"
    raise UsageError(msg)


def _require_owner(path: Path, status: os.stat_result) -> None:
    """UsageError unless it is a regular file that nobody but this user, or root, may read."""
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        msg = f"USAGE_SECRETS: {path} is no regular file"
        raise UsageError(msg)
    if status.st_uid not in {0, os.geteuid()}:
        msg = f"USAGE_SECRETS: {path} belongs to another user; run: chown {os.geteuid()} {path}"
        raise UsageError(msg)
    if mode not in {0o600, 0o400}:
        msg = f"USAGE_SECRETS: {path} has mode {mode:04o}, and only its owner may read it; run: chmod 600 {path}"
        raise UsageError(msg)
