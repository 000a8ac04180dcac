"""Rows for the figures of a pool, added up in the warehouse: a month's facts are millions of GPU-polls."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from usage_assets.kinds.htcondor.facts.tables import GPU_POLLS, GPU_RUNS
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.htcondor.tables.declarations import GPU_DAYS, GPU_USERS
from usage_assets.specs.plot_context import Scene
from usage_assets.timelines.tables import USAGE
from usage_assets.warehouse import Reader

CELLS = 70_000
"""Cells of a heat map at most: about a megabyte of page."""
_WIDTHS = (1, 2, 3, 4, 6, 8, 12, 24)
_USAGE = f"""
SELECT timestamp, metric, resource, node_type, value FROM {USAGE.qualified}
WHERE site = $site AND month = $month AND collector_type = 'current' AND resource = 'gpus'
  AND (starts_with(metric, 'available_') OR starts_with(metric, 'allocated_') OR metric = 'total')
"""
# what a GPU was: the class whose job holds it, else why no job may, else that it is free
_STATE = """CASE WHEN primary_state = 'claimed' THEN primary_class WHEN backfill_state = 'claimed' THEN backfill_class
     WHEN is_drained THEN 'drained' WHEN is_refusing THEN 'refusing'
     WHEN 'idle' IN (coalesce(primary_state, ''), coalesce(backfill_state, '')) THEN 'free' ELSE 'other' END"""
_GPUS = f"""
SELECT machine, gpu, arg_max(device, end_at) FILTER (device IS NOT NULL) AS device FROM {GPU_RUNS.qualified}
WHERE site = $site AND month = $month AND masked IS NULL GROUP BY ALL ORDER BY ALL
"""
# the state that a GPU was in longest, of each stretch of so many hours
_CELLS = f"""
WITH runs AS (
  SELECT machine, gpu, {_STATE} AS state, date_diff('microsecond', month::TIMESTAMP, start_at) AS first,
         date_diff('microsecond', month::TIMESTAMP, end_at) AS last
  FROM {GPU_RUNS.qualified} WHERE site = $site AND month = $month AND masked IS NULL
), parts AS (
  SELECT machine, gpu, state, first, last, unnest(range(first // $width, (last - 1) // $width + 1)) AS bin FROM runs
), times AS (
  SELECT machine, gpu, bin, state, sum(least(last, (bin + 1) * $width) - greatest(first, bin * $width)) AS seen
  FROM parts GROUP BY ALL
)
SELECT machine, gpu, bin, arg_max(state, (seen, state)) AS state FROM times GROUP BY ALL ORDER BY ALL
"""
_USERS = f"""
SELECT "user", "class", gpu_hours_observed, gpu_hours_estimated, coverage FROM {GPU_USERS.qualified}
WHERE site = $site AND month = $month AND "grouping" = 'all' ORDER BY ALL
"""
_CLOSED = f"""
SELECT machine, gpu, start_at, end_at, CASE WHEN is_drained THEN 'drained' ELSE 'refusing' END AS state,
       CASE WHEN is_refusing THEN reason END AS reason
FROM {GPU_RUNS.qualified}
WHERE site = $site AND month = $month AND masked IS NULL AND (is_drained OR is_refusing) ORDER BY ALL
"""
_DAYS = f"""
SELECT bucket_at, local_at, "class", hours, gpu_hours_observed, day_coverage FROM {GPU_DAYS.qualified}
WHERE site = $site ORDER BY ALL
"""
_SEEN = f"SELECT min(poll_at) AS first, max(poll_at) AS last FROM {GPU_POLLS.qualified} WHERE site = $site"


@dataclass(frozen=True)
class HeatMap:
    """`gpus`: machine, gpu, device (as people call it, None unknown); `cells`: machine, gpu, bin, state."""

    gpus: pl.DataFrame
    cells: pl.DataFrame
    hours: int
    left_out: int = 0
    """GPUs beyond those that a figure has room for."""


@dataclass(frozen=True)
class Days:
    """Rows of reports.gpu_days, and the instants between which the pool was polled."""

    rows: pl.DataFrame
    first: datetime
    last: datetime


def heatmap(reader: Reader, scene: Scene) -> HeatMap:
    """The state of each GPU, in stretches as short as CELLS allows; the first GPUs where they are too many."""
    of_month = {"site": scene.site.key, "month": scene.month}
    every = reader.sql(_GPUS, of_month)
    gpus = every.head(CELLS // 31)
    start, end = scene.window
    hours = (end - start) / timedelta(hours=1)
    width = next((each for each in _WIDTHS if gpus.height * hours / each <= CELLS), _WIDTHS[-1])
    cells = reader.sql(_CELLS, of_month | {"width": width * 3_600_000_000})
    cells = cells.join(gpus, on=["machine", "gpu"], how="semi", maintain_order="left")
    return HeatMap(gpus, cells, width, every.height - gpus.height)


def days(reader: Reader, scene: Scene) -> Days | None:
    """A pool's GPU-hours by local day and class; none where nothing was built."""
    if not (reader.has(GPU_DAYS) and reader.has(GPU_POLLS)):
        return None
    rows = reader.sql(_DAYS, {"site": scene.site.key})
    first, last = reader.sql(_SEEN, {"site": scene.site.key}).row(0)
    return None if rows.is_empty() or first is None else Days(rows, first, last)


def clipped(name: str, most: int) -> str:
    """A name of at most so many characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def zone(scene: Scene) -> str:
    """The pool's time zone."""
    return scene.site.timezone if isinstance(scene.site, HTCondorSite) else "UTC"


def clocks(scene: Scene) -> str:
    """The title of an axis of time: plots are in UTC, whatever clocks the pool has."""
    return "Time (UTC)" if zone(scene) == "UTC" else f"Time (UTC; the pool's clocks: {zone(scene)})"


def _of_month(sql: str) -> Callable[[Reader, Scene], pl.DataFrame]:
    return lambda reader, scene: reader.sql(sql, {"site": scene.site.key, "month": scene.month})


classes = _of_month(_USAGE)
"""A month's GPUs by class: timestamp, metric, resource, node_type, value."""
users = _of_month(_USERS)
"""A month's GPU-hours by user and class."""
closed_hosts = _of_month(_CLOSED)
"""Runs of a month in which a GPU was drained or refused jobs: machine, gpu, start_at, end_at, state, reason."""
