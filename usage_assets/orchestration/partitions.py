"""Partitions: month x site, one shared object per kind, and the window of a run."""

from collections.abc import Iterable, Sequence
from datetime import date

import dagster as dg

from usage_assets.core.months import FIRST_MONTH, PARTITION, RANGE_END, RANGE_START, Window


def partitions(sites: Sequence[str]) -> dg.MultiPartitionsDefinition:
    """Month x site. The running month is a partition too."""
    return dg.MultiPartitionsDefinition(
        {
            "month": dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH.isoformat(), end_offset=1),
            "site": dg.StaticPartitionsDefinition(sorted(sites)),
        }
    )


def partition_key(site: str, month: date) -> dg.MultiPartitionKey:
    """The key of a site-month, `2016-01-01|chi_tacc`."""
    return dg.MultiPartitionKey({"month": month.isoformat(), "site": site})


def partition_keys(window: Window) -> list[dg.MultiPartitionKey]:
    """The partition key of each month of a window, in order."""
    return [partition_key(window.site, month) for month in window.months]


def range_tags(site: str, first: date, last: date, trigger: str) -> dict[str, str]:
    """Tags of a run over months of a site, and by whom it was asked for."""
    return {
        RANGE_START: str(partition_key(site, first)),
        RANGE_END: str(partition_key(site, last)),
        "usage/site": site,
        "usage/trigger": trigger,
    }


def run_window(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Window:
    """The window of the run that a step belongs to."""
    tags = context.run.tags
    if RANGE_START in tags and isinstance(tags, dict):
        # A backfill launched from a job's page leaves the dimensions of its first month beside the range, and Dagster
        # (1.13) believes those: the run would build one month and call all of them done. No step may see them.
        for name in [name for name in tags if name.startswith(f"{PARTITION}/")]:
            del tags[name]
    return window_of(context.partition_keys)


def window_of(keys: Iterable[str]) -> Window:
    """The window of a run's partition keys: one site, contiguous months."""
    multi = [_multi(key) for key in keys]
    sites = {key.keys_by_dimension["site"] for key in multi}
    if len(sites) != 1:
        msg = f"a run covers one site, not {sorted(sites)}; backfill each site by itself"
        raise ValueError(msg)
    months = sorted(date.fromisoformat(key.keys_by_dimension["month"]) for key in multi)
    return Window(sites.pop(), tuple(months))


def _multi(key: str) -> dg.MultiPartitionKey:
    if isinstance(key, dg.MultiPartitionKey):
        return key
    msg = f"partition key {key!r} has no dimensions"
    raise TypeError(msg)
