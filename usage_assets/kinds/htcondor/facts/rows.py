"""Raw rows of a month in a small shape: what rows say, each distinct saying once, and at which polls it was said.

A month of a pool has millions of rows and some ten thousand distinct ones beside instant and usage. So texts are
handled once per distinct row, and rows are numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from usage_assets.core.errors import WarehouseError
from usage_assets.warehouse import Reader

SAID = (
    "slot",
    "machine",
    "gpu",
    "state",
    "device",
    "memory_mb",
    "prioritized_projects",
    "remote_owner",
    "global_job_id",
    "prevent_jobs_reason",
)
"""The columns of a row that facts use, beside its instant and its usage."""
COPIES = "copies"
"""Where the raw rows have it: how often the row stood at the source."""

_SCHEMA = {name: pl.Int64() if name == "memory_mb" else pl.String() for name in SAID}
_SALTS = range(8)
_CLASH = "distinct rows of a poll have one hash under each of several salts; tell the developers"


@dataclass(frozen=True)
class Polled:
    """The raw rows of one month.

    `said` has each distinct row once: `said_id` and the columns SAID. `rows` are `poll_at`, `said_id` and
    `average_usage`. `polls` are the instants: `poll_at`, `local_at`, `held_rows`, and `source_rows` with their copies.
    """

    said: pl.DataFrame
    rows: pl.DataFrame
    polls: pl.DataFrame

    @staticmethod
    def nothing() -> "Polled":
        """No row at all."""
        return Polled.of_frame(
            pl.DataFrame(schema=_SCHEMA | {"poll_at": pl.Datetime("us"), "average_usage": pl.Float64()})
        )

    @staticmethod
    def of_frame(frame: pl.DataFrame) -> "Polled":
        """Of rows with the columns of raw.gpu_state; `local_at` and `copies` may be missing."""
        said = [pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items()]
        copies = pl.col(COPIES) if COPIES in frame.columns else pl.col("poll_at").is_not_null()
        local_at = pl.col("local_at").min() if "local_at" in frame.columns else pl.lit(None, dtype=pl.Datetime("us"))
        polls = frame.group_by("poll_at").agg(
            local_at=local_at, held_rows=pl.len().cast(pl.Int64), source_rows=copies.cast(pl.Int64).sum()
        )
        for salt in _SALTS:
            rows = frame.select("poll_at", *said, "average_usage").with_columns(said_id=pl.struct(SAID).hash(salt))
            distinct = rows.select("said_id", *SAID).unique()
            if distinct["said_id"].n_unique() == distinct.height:
                return Polled(distinct, rows.select("poll_at", "said_id", "average_usage"), polls)
        raise WarehouseError(_CLASH)


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
    names = ", ".join(SAID)
    count = f"sum({COPIES})::BIGINT" if copies else "count(*)"
    polls = reader.sql(
        "SELECT poll_at, min(local_at) AS local_at, count(*) AS held_rows, "
        f"{count} AS source_rows {source} GROUP BY poll_at",
        params,
    )
    for salt in _SALTS:
        said_id = f"hash({names}, {salt})"
        said = reader.sql(f"SELECT DISTINCT {said_id} AS said_id, {names} {source}", params)
        if said["said_id"].n_unique() == said.height:
            rows = reader.sql(f"SELECT poll_at, {said_id} AS said_id, average_usage {source}", params)
            return Polled(said, rows, polls)
    raise WarehouseError(_CLASH)
