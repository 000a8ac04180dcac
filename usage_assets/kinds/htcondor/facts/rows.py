"""Raw rows of a month in a compact form: each distinct row once, and the polls that saw it.

A month of a pool has millions of rows and some ten thousand distinct ones beside instant and usage. So texts are
handled once per distinct row, and rows are numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.core.errors import WarehouseError
from usage_assets.warehouse import Reader

COLUMNS = (
    *("slot", "machine", "gpu", "state", "device", "memory_mb", "prioritized_projects", "remote_owner"),
    *("global_job_id", "prevent_jobs_reason"),
)
"""The columns of a row that facts use, beside its instant and its usage."""
COPIES = "copies"
"""Column of the raw rows: how often the row stood at the source."""
_SALTS = range(8)


@dataclass(frozen=True)
class Polled:
    """The raw rows of one month.

    `distinct` has each distinct row once: `distinct_id` and COLUMNS. `rows` are `poll_at`, `distinct_id` and
    `average_usage`. `polls` are the instants: `poll_at`, `local_at`, `held_rows`, and `source_rows` with their copies.
    """

    distinct: pl.DataFrame
    rows: pl.DataFrame
    polls: pl.DataFrame


def read_polled(
    reader: Reader,
    table: str,
    site: str,
    months: Sequence[date],
    *,
    copies: bool = False,
    after: datetime | None = None,
) -> Mapping[date, Polled]:
    """The raw rows of some months, from the table or relation named; `after` narrows them to later polls."""
    return {month: _read(reader, table, site, month, copies=copies, after=after) for month in months}


def _read(reader: Reader, table: str, site: str, month: date, *, copies: bool, after: datetime | None) -> Polled:
    params = {"site": site, "month": month, "after": after or datetime(1, 1, 1)}
    source = f"FROM {table} WHERE site = $site AND month = $month AND poll_at > $after"
    names = ", ".join(COLUMNS)
    count = f"sum({COPIES})::BIGINT" if copies else "count(*)"
    polls = reader.sql(
        "SELECT poll_at, min(local_at) AS local_at, count(*) AS held_rows, "
        f"{count} AS source_rows {source} GROUP BY poll_at",
        params,
    )
    for salt in _SALTS:
        distinct_id = f"hash({names}, {salt}) AS distinct_id"
        distinct = reader.sql(f"SELECT DISTINCT {distinct_id}, {names} {source}", params)
        if distinct["distinct_id"].n_unique() == distinct.height:
            return Polled(distinct, reader.sql(f"SELECT poll_at, {distinct_id}, average_usage {source}", params), polls)
    msg = "distinct rows of a poll have one hash under each of several salts; tell the developers"
    raise WarehouseError(msg)
