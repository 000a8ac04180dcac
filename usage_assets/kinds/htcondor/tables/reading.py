"""The facts of a window, read from the warehouse and reduced on the way. No other module here reads it."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl

from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.kinds.htcondor.tables.facts import KIND, USAGE, Coded, Facts, code
from usage_assets.kinds.htcondor.tables.moment import nearest_poll
from usage_assets.kinds.htcondor.tables.window import Window, default_end
from usage_assets.warehouse import Reader

_KINDS = ", ".join(KIND)
_SITE = "site = $site AND month BETWEEN $first AND $last"
_POLLS = f"{_SITE} AND poll_at >= $start AND poll_at < $end"
_RUNS = f"{_SITE} AND start_at < $end AND end_at > $start"


def read_facts(reader: Reader, site: str, window: Window) -> Facts:
    """The facts of one window of a pool, runs in codes and performance added up: usable for that window only."""
    if not (reader.has(GPU_RUNS) and reader.has(GPU_POLLS) and reader.has(GPU_PERFORMANCE)):
        runs, polls, performance = (table.empty() for table in (GPU_RUNS, GPU_POLLS, GPU_PERFORMANCE))
        return Facts.of(runs, polls, performance)
    params = _params(site, window.start, window.end)
    polls = reader.sql(f"SELECT poll_at FROM {GPU_POLLS.qualified} WHERE {_POLLS} ORDER BY poll_at", params)
    by = ", ".join(f'"{name}"' for name in USAGE)
    sums = f"{by}, sum(gpus)::BIGINT AS gpus, sum(usage) AS usage"
    usage = reader.sql(f"SELECT {sums} FROM {GPU_PERFORMANCE.qualified} WHERE {_POLLS} GROUP BY ALL", params)
    return Facts(polls=polls, coded=_coded(reader, params), usage=usage, covers=window)


def read_moment(reader: Reader, site: str, at: datetime, within: timedelta | None = None) -> Facts:
    """The facts of the poll nearest to a naive UTC instant; UsageError where it is farther off than `within`."""
    polls = reader.frame(GPU_POLLS, site, columns=["poll_at"])
    poll = nearest_poll(polls, at, within)
    params = _params(site, poll, poll + timedelta(microseconds=1))
    runs = reader.sql(f"SELECT * FROM {GPU_RUNS.qualified} WHERE {_RUNS}", params)
    usage = reader.sql(f"SELECT * FROM {GPU_PERFORMANCE.qualified} WHERE {_POLLS}", params)
    return Facts.of(runs, polls, usage)


def newest_end(reader: Reader, site: str, newest: datetime, bucket_minutes: int) -> datetime:
    """Where windows of a pool end by default, by its newest poll."""
    query = f"SELECT max(poll_at) FROM {GPU_POLLS.qualified} WHERE site = $site AND poll_at < $newest"
    return default_end(newest, reader.sql(query, {"site": site, "newest": newest}).item(), bucket_minutes)


def newest_poll(reader: Reader, site: str) -> datetime:
    """The newest poll of a pool; an error where it has none."""
    if reader.has(GPU_POLLS):
        found = reader.sql(f"SELECT max(poll_at) AS at FROM {GPU_POLLS.qualified} WHERE site = $site", {"site": site})
        newest = found["at"][0]
        if isinstance(newest, datetime):
            return newest
    msg = f"site {site} has no polls yet: materialize its facts first (usage-assets backfill)"
    raise UsageError(msg)


def _coded(reader: Reader, params: dict[str, Any]) -> Coded:
    """Runs in codes: a number stands for each kind of run, and its texts are read once."""
    key = f"hash({_KINDS}) AS key"
    source = f"FROM {GPU_RUNS.qualified} WHERE {_RUNS}"
    kinds = reader.sql(f"SELECT DISTINCT {key}, {_KINDS} {source}", params)
    if kinds["key"].is_duplicated().any():
        # two kinds with one number: next to impossible, and then not to be mixed up
        return code(reader.sql(f"SELECT {_KINDS}, start_at, end_at {source}", params))
    numbered = kinds.with_row_index("kind").with_columns(pl.col(pl.String()).cast(pl.Categorical()))
    runs = reader.sql(f"SELECT {key}, start_at, end_at {source}", params)
    coded = runs.lazy().join(numbered.lazy().select("key", "kind"), on="key", how="left", maintain_order="left")
    return Coded(numbered.drop("key"), coded.select("kind", "start_at", "end_at").collect())


def _params(site: str, start: datetime, end: datetime) -> dict[str, Any]:
    first, last = (at.date().replace(day=1) for at in (start, end))
    return {"site": site, "start": start, "end": end, "first": first, "last": last}
