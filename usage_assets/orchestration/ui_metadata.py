"""What every asset shows in the UI: specification, column schema, metadata of its months, previews, readable errors.

What belongs here: how things look. What stays out: how they are computed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import product
from typing import Any

import dagster as dg
import duckdb
import polars as pl

from usage_assets.core import settings
from usage_assets.core.errors import SiteError, UsageError
from usage_assets.core.file_faults import advice
from usage_assets.core.markdown import markdown_table
from usage_assets.core.months import Window
from usage_assets.orchestration.partitions import partition_key
from usage_assets.orchestration.run_faults import cause_of
from usage_assets.reports.render import Rendered
from usage_assets.schema import Column, Table
from usage_assets.sites.base import Site
from usage_assets.warehouse import Reader

BACKFILL = dg.BackfillPolicy.multi_run(12)
"""One run per site and twelve months: a process start costs seconds, a month in a range milliseconds."""
_PREVIEW_ROWS = 5
_PREVIEW_MONTHS = 24
_PREVIEW_COLUMNS = 12


def asset_key(kind: str, stage: str, name: str) -> dg.AssetKey:
    """`<kind>/<stage>/<table>`."""
    return dg.AssetKey([kind, stage, name])


def table_metadata(table: Table) -> dict[str, Any]:
    """Metadata of an asset that is a table of the warehouse: its name, columns and rules."""
    schema = column_schema(table.columns, table.unique_key if table.key else ())
    rules = "\n".join(f"- {rule.name}: `{rule.condition}`. {rule.description}." for rule in table.rules)
    out: dict[str, Any] = {"dagster/table_name": table.qualified, "dagster/column_schema": schema}
    return out | ({"rules": dg.MetadataValue.md(rules)} if rules else {})


def column_schema(columns: Iterable[Column], unique: Sequence[str]) -> dg.TableSchema:
    """A table's declaration as the UI shows it; `unique` are the columns that are so together."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=str(column.type),
                description=f"{column.description} [{column.unit}]"
                + (f", from {column.source}" if column.source else ""),
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in columns
        ],
        constraints=dg.TableConstraints(other=[f"unique ({', '.join(unique)})"] if unique else []),
    )


def page_metadata(page: Rendered) -> dict[str, Any]:
    """Metadata of a page: a link that opens it, where it lies, and a thumbnail."""
    out: dict[str, Any] = {"plot": dg.MetadataValue.url(page.url), "path": dg.MetadataValue.path(str(page.path))}
    if page.png_path:
        out["picture"] = dg.MetadataValue.path(str(page.png_path))
    if page.thumbnail_markdown:
        out["thumbnail"] = dg.MetadataValue.md(page.thumbnail_markdown)
    return out | ({"note": page.note} if page.note else {})


def month_metadata(rows: int, refused: str | None, **facts: object) -> dict[str, Any]:
    """Metadata of one month of one asset; what is None or empty is left out."""
    out: dict[str, Any] = {"dagster/partition_row_count": rows, "status": "kept_old" if refused else "written"}
    if refused:
        out["reason"] = refused[:1000]
    out |= {name: value for name, value in facts.items() if value not in (None, "")}
    return out


def show_month(
    context: dg.AssetExecutionContext, key: dg.AssetKey, site: str, month: date, facts: dict[str, Any]
) -> None:
    """Attach metadata to one month of an asset in a run over many."""
    context.add_asset_metadata(facts, asset_key=key, partition_key=str(partition_key(site, month)))


def previews(reader: Reader, table: Table, window: Window, where: str = "") -> dict[date, dg.MetadataValue]:
    """A few rows of each month of the window that has any, small enough for the event log.

    Of a long window the newest two years: what each month costs is paid while the warehouse is held.
    """
    if not reader.has(table):
        return {}
    columns = [name for name in table.names if name not in {"site", "month"}][:_PREVIEW_COLUMNS]
    condition = f" AND ({where})" if where else ""
    names = ", ".join(f'"{name}"' for name in columns)
    # a limit per month reads the first rows of each; ranking them would read all
    parts = (
        f"(SELECT month, {names} FROM {table.qualified} WHERE site = $site AND month = DATE '{month}'{condition} "
        f"LIMIT {_PREVIEW_ROWS})"
        for month in window.months[-_PREVIEW_MONTHS:]
    )
    found = reader.sql(" UNION ALL ".join(f"SELECT * FROM {part}" for part in parts), {"site": window.site})
    return {
        month: month_preview(month, part.drop("month"))
        for (month,), part in found.partition_by("month", as_dict=True).items()
    }


def month_preview(month: date, rows: pl.DataFrame) -> dg.MetadataValue:
    """A few rows of a month as the UI shows them beside it."""
    return dg.MetadataValue.md(f"{month:%Y-%m}, the first rows\n\n" + markdown_table(rows.columns, rows.rows()))


def rows_per_month(
    reader: Reader, table: Table, window: Window, owned: Mapping[str, Sequence[str]] | None = None
) -> dict[date, int]:
    """How many rows are stored of each month of the window."""
    out = dict.fromkeys(window.months, 0)
    if reader.has(table):
        parts = [f"{column} IN (SELECT unnest(${column}::VARCHAR[]))" for column in owned or {}]
        found = reader.sql(
            f"SELECT month, count(*) FROM {table.qualified} WHERE site = $site "
            f"AND month IN (SELECT unnest($months::DATE[])) {''.join(f' AND {part}' for part in parts)} GROUP BY month",
            {"site": window.site, "months": list(window.months)} | {k: list(v) for k, v in (owned or {}).items()},
        )
        out |= dict(found.iter_rows())
    return out


def site_of(sites: Mapping[str, Site], window: Window) -> Site:
    """The site of a run; one whose file has a fault fails the run with what is wrong with it."""
    try:
        return sites[window.site]
    except SiteError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None


def since_first_month(
    context: dg.AssetExecutionContext, site: Site, window: Window, keys: Iterable[dg.AssetKey]
) -> Window:
    """The months of a run that the site has; of those before its first one it is shown that nothing is built.

    The UI offers every month of every site. A run that failed for them would also fail months that can be built.
    """
    begins = f"site {site.key} begins in {site.first_month:%Y-%m} (first_month in its file)"
    early = [month for month in window.months if month < site.first_month]
    for key, month in product(keys, early):
        reason = f"{begins}: nothing is built of {month:%Y-%m}"
        show_month(context, key, site.key, month, {"status": "before first_month", "reason": reason})
    return window.since(site.first_month)


@contextmanager
def readable_errors(window: Window, what: str) -> Iterator[None]:
    """Faults become one sentence in the run; those of this program keep their stack trace beneath it."""
    try:
        yield
    except UsageError as error:
        text = str(error) if f"site {window.site}" in str(error) else f"{window}: {what}: {error}"
        raise dg.Failure(description=text, allow_retries=False) from None
    except (duckdb.Error, OSError) as error:
        todo = advice(error, settings.data_dir())
        msg = f"{window}: {what} could not be stored: {error}. The stored months are untouched. What to do: {todo}"
        raise dg.Failure(description=msg, allow_retries=False) from error
    except dg.Failure:
        raise
    except Exception as error:
        msg = f"{window}: {what}: {cause_of(error)}. This is a fault of usage_assets, not of the data: report it"
        raise dg.Failure(description=msg, allow_retries=False) from error
