"""Names of projects, and hashes in their place where a site wants none shown."""

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import polars as pl

from usage_assets.errors import UsageError
from usage_assets.raw.openstack import BY_NAME
from usage_assets.sites import Site
from usage_assets.timelines.dimension_tables import NOBODY
from usage_assets.warehouse import Reader

SALT = "USAGE_HASH_SALT"
_DIGITS = 16


def read_names(reader: Reader, site: Site, months: Sequence[date]) -> pl.DataFrame:
    """month, project_id (unique) and project_name: the site's own map, else Keystone's rows of the month."""
    projects = reader.frame(BY_NAME["keystone_project"].table, site.key, months, columns=("month", "id", "name"))
    found = projects.filter(pl.col("name").is_not_null() & ~pl.col("id").is_in(list(site.project_names)))
    said = pl.DataFrame(
        {"project_id": list(site.project_names), "project_name": list(site.project_names.values())},
        schema={"project_id": pl.String, "project_name": pl.String},
    )
    every = pl.DataFrame({"month": list(months)}, schema={"month": pl.Date}).join(said, how="cross")
    return pl.concat([every, found.rename({"id": "project_id", "name": "project_name"})])


def hidden(frame: pl.DataFrame, columns: Iterable[str], site: Site) -> pl.DataFrame:
    """The frame with hashes in place of ids and names, where the site's file says hash_names; `none` stays."""
    if not site.hash_names:
        return frame
    salt = _salt(site)
    replaced: list[pl.Expr] = []
    for column in columns:
        hashes = {text: hashed(text, salt) for text in frame[column].drop_nulls().unique() if text != NOBODY}
        replaced.append(_mapped(column, hashes))
    return frame.with_columns(replaced)


def hashed(text: str, salt: str) -> str:
    """The first hexadecimal digits of the salted SHA-256: equal texts give equal hashes, in every month and site."""
    return hmac.new(salt.encode(), text.encode(), hashlib.sha256).hexdigest()[:_DIGITS]


def _salt(site: Site) -> str:
    salt = os.environ.get(SALT)
    if not salt:
        msg = (
            f"site {site.key}: hash_names is true, but the environment has no {SALT}; set it to a long secret text and "
            "keep it: another salt gives other hashes, and months would no longer fit together"
        )
        raise UsageError(msg)
    return salt


def _mapped(column: str, values: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).replace(values) if values else pl.col(column)
