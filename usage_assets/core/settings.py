"""Folders and environment, read when asked for, never at import."""

import json
import math
import os
import re
import stat
from pathlib import Path

from usage_assets.core.errors import UsageError

NIGHTLY_CRON, COVERAGE_CRON, TIMEZONE = "15 2 * * *", "0 12 * * *", "UTC"
"""What holds where the environment says nothing, or what can't be used."""
_UI_FILE = "ui.json"


def sites_dir() -> Path:
    """Folder of the site files: `USAGE_SITES`, by default `./sites`."""
    return Path(os.environ.get("USAGE_SITES", "sites")).resolve()


def data_dir() -> Path:
    """Folder of everything stored: `USAGE_DATA`, by default `./data`."""
    return Path(os.environ.get("USAGE_DATA", "data")).resolve()


def warehouse_path() -> Path:
    """The DuckDB file."""
    return data_dir() / "warehouse.duckdb"


def backups_dir() -> Path:
    """Folder of the backups: `USAGE_BACKUPS`, by default `backups` in the data folder; better on another disk."""
    named = os.environ.get("USAGE_BACKUPS")
    return Path(named).expanduser().resolve() if named else data_dir() / "backups"


def alerts_file() -> Path:
    """File of the channels that alerts go to: `USAGE_ALERTS`, by default `./alerts.yaml`; it need not be there."""
    return Path(os.environ.get("USAGE_ALERTS", "alerts.yaml")).expanduser().resolve()


def as_of_dir() -> Path:
    """Folder of the files that `usage-assets as-of` makes."""
    return data_dir() / "as_of"


def published_dir() -> Path:
    """Folder of the snapshots that readers open."""
    return data_dir() / "published"


def plots_dir() -> Path:
    """Folder of the plots, `<site>/<month>/<plot>.html` below it."""
    return data_dir() / "plots"


def plots_url() -> str:
    """Base address under which the plots folder is served: `USAGE_PLOTS_URL`, else where `ui` last served it."""
    return (os.environ.get("USAGE_PLOTS_URL") or last_ui().get("plots") or "http://127.0.0.1:3001").rstrip("/")


def plots_host() -> str:
    """Address that the server of the plots listens on: `USAGE_PLOTS_HOST`, by default loopback."""
    return os.environ.get("USAGE_PLOTS_HOST", "127.0.0.1")


def ui_url() -> str:
    """Base address of Dagster's UI, which alerts link to: `USAGE_UI_URL`, else where `ui` last served it."""
    return (os.environ.get("USAGE_UI_URL") or last_ui().get("ui") or "http://127.0.0.1:3000").rstrip("/")


def dagster_home() -> Path:
    """Folder of Dagster's runs: `DAGSTER_HOME`, by default `./.dagster`; it need not be there yet."""
    return Path(os.environ.get("DAGSTER_HOME") or ".dagster").resolve()


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
    """What alerts remember: `alerts.db` in `DAGSTER_HOME` (by default `./.dagster`)."""
    return dagster_home() / "alerts.db"


def lock_wait_seconds() -> float:
    """How long to wait for the warehouse or a site before giving up: `USAGE_LOCK_WAIT`, by default 600."""
    return float(os.environ.get("USAGE_LOCK_WAIT", "600"))


def nightly_cron() -> str:
    """When the nightly runs start: `USAGE_NIGHTLY_CRON`, by default 02:15."""
    return os.environ.get("USAGE_NIGHTLY_CRON") or NIGHTLY_CRON


def coverage_cron() -> str:
    """When coverage is looked at whatever ran in the night: `USAGE_COVERAGE_CRON`, by default at noon."""
    return os.environ.get("USAGE_COVERAGE_CRON") or COVERAGE_CRON


def timezone() -> str:
    """Time zone of both: `USAGE_TIMEZONE`, by default UTC."""
    return os.environ.get("USAGE_TIMEZONE") or TIMEZONE


def stale_hours() -> float:
    """How old the last dump of a month may be that can still change: `USAGE_STALE_HOURS`, by default 36."""
    text = os.environ.get("USAGE_STALE_HOURS") or "36"
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours < math.inf:
        msg = f"USAGE_STALE_HOURS is {text!r}; write a number of hours above 0, such as 36"
        raise UsageError(msg)
    return hours


def pictures() -> str:
    """Which plots have a PNG: `USAGE_PICTURES`, `auto` (all of a month by itself, else the main ones), all, none."""
    chosen = os.environ.get("USAGE_PICTURES", "auto")
    if chosen not in {"auto", "all", "none"}:
        msg = f"USAGE_PICTURES is {chosen!r}; write auto, all or none"
        raise UsageError(msg)
    return chosen


def secrets_file() -> Path | None:
    """File of NAME=value lines with what the environment should not hold: `USAGE_SECRETS`; None where it is not set."""
    named = os.environ.get("USAGE_SECRETS")
    return Path(named).expanduser().resolve() if named else None


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
    for number, raw in enumerate(_own_text(path).splitlines(), start=1):
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


def _own_text(path: Path) -> str:
    """The file's text, if nobody but its owner may read it; what is opened is what is looked at."""
    try:
        # without O_NONBLOCK a pipe in its place would wait for a writer for ever
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        msg = f"USAGE_SECRETS: {path} can't be read ({error.strerror}); make it, or unset USAGE_SECRETS"
        raise UsageError(msg) from None
    try:
        _own(path, os.fstat(number))
        with os.fdopen(number, "rb", closefd=False) as file:
            return file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        msg = f"USAGE_SECRETS: {path} is not UTF-8 text"
        raise UsageError(msg) from None
    finally:
        os.close(number)


def _own(path: Path, about: os.stat_result) -> None:
    mode = stat.S_IMODE(about.st_mode)
    if not stat.S_ISREG(about.st_mode):
        msg = f"USAGE_SECRETS: {path} is no regular file"
        raise UsageError(msg)
    if about.st_uid not in {0, os.geteuid()}:
        msg = f"USAGE_SECRETS: {path} belongs to another user; run: chown {os.geteuid()} {path}"
        raise UsageError(msg)
    if mode not in {0o600, 0o400}:
        msg = f"USAGE_SECRETS: {path} has mode {mode:04o}, and only its owner may read it; run: chmod 600 {path}"
        raise UsageError(msg)
