"""Options of tables, and the metadata of a table: its window, and how much of it was seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import polars as pl

from usage_assets.core.errors import UsageError

ClassSet = Literal["legacy", "six"]
Mode = Literal["allocation", "timeseries", "monthly"]
CLASS_SETS: tuple[ClassSet, ...] = ("legacy", "six")
MODES: tuple[Mode, ...] = ("allocation", "timeseries", "monthly")


@dataclass(frozen=True)
class Options:
    """Options of tables beside the window.

    `classes`: the three classes of older reports, or all. `all_devices` lifts the filter of device families.
    `hosts` are names, with or without domain, or patterns (a name with * ? or [ is one); none = all. Time that a user
    of `exclude_users` held a GPU is left out, from what was allocated as from what was available.
    `bucket_minutes` is the width of buckets of a time series; `model` the display name whose users are listed.
    `group_by_device` adds the table by device to an analysis.
    """

    classes: ClassSet = "six"
    all_devices: bool = False
    hosts: tuple[str, ...] = ()
    exclude_users: tuple[str, ...] = ()
    bucket_minutes: int = 15
    model: str = "H200"
    group_by_device: bool = False

    def __post_init__(self) -> None:
        if self.classes not in CLASS_SETS:
            msg = f"classes are one of {', '.join(CLASS_SETS)}, not {self.classes!r}"
            raise UsageError(msg)
        if self.bucket_minutes < 1:
            msg = f"a bucket is at least one minute wide, not {self.bucket_minutes}"
            raise UsageError(msg)


@dataclass(frozen=True)
class Metadata:
    """The window of a table, how much of it was seen, and what was left out."""

    start: datetime
    """UTC, as `end`, `first_poll` and `last_poll`; the window is half-open."""
    end: datetime
    local_start: datetime
    local_end: datetime
    timezone: str
    hours: float
    hours_observed: float
    polls: int
    first_poll: datetime | None
    last_poll: datetime | None
    bucket_minutes: int
    intervals: int
    """Buckets that a poll saw, of those expected."""
    expected: int
    coverage: float
    runs: int
    """Runs of GPUs that were read within the window, masked ones included."""
    masked_hosts: Mapping[str, str] = field(default_factory=dict)
    """Machines left out, with the reason."""
    filtered_families: tuple[str, ...] = ()
    """Families of devices that this table leaves out; empty where it leaves none out."""
    filtered_devices: tuple[str, ...] = ()
    """Devices of the window that it left out for that."""
    hosts: tuple[str, ...] = ()
    excluded_users: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """One table with its metadata."""

    frame: pl.DataFrame
    metadata: Metadata
