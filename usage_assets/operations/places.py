"""Where an installation keeps what a backup holds: the warehouse, Dagster's storage, files of the operator."""

import re
from dataclasses import dataclass
from pathlib import Path

from usage_assets.core import settings

WAREHOUSE, DAGSTER, SITES, ALERTS, PLOTS, EXPORTS = (
    "warehouse.duckdb", "dagster", "sites", "alerts.yaml", "plots", "exports",
)  # fmt: skip
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
RUNS, INDEX = Path("history/runs.db"), Path("history/runs/index.db")


@dataclass(frozen=True)
class Places:
    """The folders and files of one installation."""

    data: Path
    home: Path
    sites: Path
    alerts: Path

    @classmethod
    def here(cls) -> "Places":
        """Those of the environment."""
        return cls(settings.data_dir(), settings.dagster_home(), settings.sites_dir(), settings.alerts_file())

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.data / WAREHOUSE

    @property
    def plots(self) -> Path:
        """Folder of the plots."""
        return self.data / PLOTS

    @property
    def exports(self) -> Path:
        """Folder of the exported files."""
        return self.data / EXPORTS


def asked_for(file: Path) -> set[str]:
    """Names that a YAML file of the operator asks of the environment or of the secrets file, comments apart."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return set(_VARIABLE.findall(text)) - {"USAGE_DATA"}
