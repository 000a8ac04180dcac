"""Lists of what coverage finds: site-months with assets in a bad state, and the worst of them as a table."""

from collections.abc import Collection

import polars as pl

from usage_assets.core.markdown import markdown_table
from usage_assets.reports.coverage import picture

_SHOWN = 24
_TEXT = 200
_NAMED, _REASON = 2, 70  # assets in the sentence of a site-month, and how much of their reasons


def site_months(rows: pl.DataFrame, statuses: Collection[str]) -> pl.DataFrame:
    """site, month, text: each site-month with assets of these statuses, and a sentence that says which and why.

    The newest months first, as those are what an operator can still mend at the source.
    """
    parts = pl.col("asset").str.split("/")
    table, stage = parts.list.slice(1).list.join("/"), parts.list.get(1).cast(pl.Enum(picture.STAGES))
    bad = rows.lazy().filter(pl.col("status").is_in(list(statuses)))
    counts = (
        bad.group_by("site", "month", "status")
        .len()
        .sort(picture.CODE, descending=True)
        .group_by("site", "month", maintain_order=True)
        .agg(pl.format("{} {}", "len", pl.col("status").replace("waits", "blocked")).str.join(", ").alias("counts"))
    )
    named = (
        # what is refused or never built is the cause, what waits its consequence
        bad.sort(pl.col("status") == "waits", stage, "asset")
        .group_by("site", "month", maintain_order=True)
        .agg(
            pl.format("{}: {}", table, pl.col("reason").str.slice(0, _REASON))
            .head(_NAMED)
            .str.join("; ")
            .alias("named"),
            pl.len().alias("all"),
        )
    )
    more = pl.when(pl.col("all") > _NAMED).then(pl.lit(" ...")).otherwise(pl.lit(""))
    return (
        counts.join(named, on=("site", "month"))
        .with_columns(text=(pl.format("{}: {}", "counts", "named") + more).str.slice(0, _TEXT))
        .sort("month", "site", descending=[True, False])
        .select("site", "month", "text")
        .collect()
    )


def worst(rows: pl.DataFrame) -> str:
    """The worst site-months as a table, the newest of them first."""
    shown = (
        rows.filter(~pl.col("status").is_in(["ok", "known_gap"]))
        .sort(picture.CODE, "month", "site", "asset", descending=[True, True, False, False])
        .head(_SHOWN)
        .select("site", pl.col("month").dt.strftime("%Y-%m"), "asset", "status", "reason")
    )
    return markdown_table(shown.columns, shown.rows()) if shown.height else "Nothing is missing, refused or stale."
