"""Random intervals on a small axis of hours, and what covers an hour by looking at each row."""

from datetime import datetime, timedelta

import polars as pl
from hypothesis import strategies as st

EPOCH = datetime(2024, 1, 1)
HOURS = 24


def at(hour: int) -> datetime:
    return EPOCH + timedelta(hours=hour)


@st.composite
def rows(draw: st.DrawFn, groups: int = 2, size: int = 7) -> list[tuple[int, str, int, int, int]]:
    """(id, group, start hour, end hour, rank); some end at or before their start."""
    count = draw(st.integers(0, size))
    return [
        (
            number,
            "ab"[draw(st.integers(0, groups - 1))],
            draw(st.integers(0, HOURS - 1)),
            draw(st.integers(0, HOURS)),
            draw(st.integers(0, 3)),
        )
        for number in range(count)
    ]


def frame(drawn: list[tuple[int, str, int, int, int]]) -> pl.LazyFrame:
    return pl.LazyFrame(
        [(number, group, at(start), at(end), rank) for number, group, start, end, rank in drawn],
        schema={
            "id": pl.Int64,
            "group": pl.String,
            "start_at": pl.Datetime("us"),
            "end_at": pl.Datetime("us"),
            "rank": pl.Int64,
        },
        orient="row",
    )


def covering(result: pl.LazyFrame | pl.DataFrame, hour: int, group: str) -> list[int]:
    """The ids of the rows of a group that cover the hour, one entry per row."""
    found = result.lazy().filter(
        (pl.col("group") == group) & (pl.col("start_at") <= at(hour)) & (pl.col("end_at") > at(hour))
    )
    return sorted(found.collect()["id"].to_list())
