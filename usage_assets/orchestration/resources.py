"""Dagster's resources: the warehouse, what is published of it, and the settings of the environment.

Steps take them by annotation, tests give others, and the UI's page Resources shows them; none holds a secret.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import Field

from usage_assets.core import settings
from usage_assets.core.errors import UsageError
from usage_assets.serving.pointer import read_pointer
from usage_assets.serving.read import Published
from usage_assets.serving.read import open as open_published
from usage_assets.warehouse import Warehouse


class WarehouseResource(DuckDBResource):
    """The DuckDB file that all assets are stored in: one writer at a time, whole months in one transaction.

    Connections are those of the warehouse: opened behind its lock, closed at the end of the block also where it fails,
    and where the file is damaged, with a sentence at once instead of ten tries.
    """

    database: str = Field(description="Path of the warehouse's file: warehouse.duckdb below USAGE_DATA.")
    connection_config: dict[str, Any] = Field(
        default={}, description="DuckDB's options for each connection, such as memory_limit or threads."
    )

    @classmethod
    def of(cls, warehouse: Warehouse) -> "WarehouseResource":
        """The resource of a warehouse."""
        return cls(database=str(warehouse.path), connection_config=dict(warehouse.options))

    def store(self) -> Warehouse:
        """The warehouse: locks, transactions, declared tables."""
        return Warehouse(Path(self.database), self.connection_config)

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that only reads one state, while no run writes; write through `store`."""
        with self.store().connection() as con:
            yield con


class PublishedResource(dg.ConfigurableResource):
    """The published copies of the warehouse that dashboards, notebooks and other code locations read."""

    folder: str = Field(description="Folder of the generations and of CURRENT, which names the newest.")

    def open(self) -> Published:
        """The newest generation, for queries; SnapshotError where nothing is published yet."""
        return open_published(self.folder)

    def path(self) -> Path:
        """The file of the newest generation, for a plain DuckDB connection that only reads."""
        return read_pointer(Path(self.folder)).path(Path(self.folder))


_PLAIN = ("pictures", "nightly_cron", "coverage_cron", "timezone", "stale_hours", "lock_wait")
"""Fields that are the text of the variable USAGE_<FIELD>."""


class SettingsResource(dg.ConfigurableResource):
    """Settings of the environment as they were when the code location was loaded; of a bad value what is wrong."""

    sites: str = Field(description="USAGE_SITES: folder of the site files.")
    data: str = Field(description="USAGE_DATA: folder of everything stored.")
    plots_url: str = Field(description="USAGE_PLOTS_URL: address under which plots are served.")
    pictures: str = Field(description="USAGE_PICTURES: which plots have a PNG beside them: auto, all or none.")
    nightly_cron: str = Field(description="USAGE_NIGHTLY_CRON: when the nightly runs start.")
    coverage_cron: str = Field(description="USAGE_COVERAGE_CRON: when coverage is looked at.")
    timezone: str = Field(description="USAGE_TIMEZONE: time zone of both.")
    stale_hours: str = Field(description="USAGE_STALE_HOURS: after how many hours a month that can change is stale.")
    lock_wait: str = Field(description="USAGE_LOCK_WAIT: how many seconds a run waits for a lock.")

    @classmethod
    def of_environment(cls) -> "SettingsResource":
        """The settings as they are now."""
        return cls(
            sites=_text(settings.sites_dir),
            data=_text(settings.data_dir),
            plots_url=_text(settings.plots_url),
            **{field: _text(partial(settings.value, f"USAGE_{field.upper()}")) for field in _PLAIN},
        )

    def picture_policy(self) -> str:
        """auto, all or none; UsageError where the variable holds something else."""
        return self.pictures if self.pictures in {"auto", "all", "none"} else settings.pictures()


def _text(value: Callable[[], object]) -> str:
    try:
        return str(value())
    except UsageError as error:
        return str(error)
