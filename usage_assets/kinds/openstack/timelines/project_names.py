"""Names of projects, and hashes in their place where a site wants none shown."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import polars as pl

from usage_assets.core.hashing import hashes, salt_of
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.timelines.dimension_tables import NOBODY
from usage_assets.warehouse import Reader


def read_names(reader: Reader, site: OpenStackSite, months: Sequence[date]) -> pl.DataFrame:
    """month, project_id (unique) and project_name: the site's own map, else Keystone's rows of the month."""
    projects = reader.frame(BY_NAME["keystone_project"].table, site.key, months, columns=("month", "id", "name"))
    found = projects.filter(pl.col("name").is_not_null() & ~pl.col("id").is_in(list(site.project_names)))
    said = pl.DataFrame(
        {"project_id": list(site.project_names), "project_name": list(site.project_names.values())},
        schema={"project_id": pl.String, "project_name": pl.String},
    )
    every = pl.DataFrame({"month": list(months)}, schema={"month": pl.Date}).join(said, how="cross")
    return pl.concat([every, found.rename({"id": "project_id", "name": "project_name"})])


def hidden(frame: pl.DataFrame, columns: Iterable[str], site: OpenStackSite) -> pl.DataFrame:
    """The frame with hashes in place of ids and names, where the site's file says hash_names; `none` stays."""
    if not site.hash_names:
        return frame
    salt = salt_of(site.key, "hash_names is true")
    replaced: list[pl.Expr] = []
    for column in columns:
        texts = [text for text in frame[column].drop_nulls().unique() if text != NOBODY]
        replaced.append(_mapped(column, hashes(texts, salt)))
    return frame.with_columns(replaced)


def _mapped(column: str, values: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).replace(values) if values else pl.col(column)
