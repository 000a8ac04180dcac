"""facts.model_inventory: the models that the site's inventory file names."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from usage_assets.core.errors import SiteError
from usage_assets.core.months import next_month
from usage_assets.kinds.service.facts.tables import MODEL_INVENTORY
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.pricing.files import Records, read_records
from usage_assets.pricing.validity import Valid, refuse_overlaps
from usage_assets.pricing.values import Field, instant, text, whole
from usage_assets.specs.asset import Built, Extracted
from usage_assets.warehouse import Reader

FIELDS: dict[str, Field] = {
    "model_id": text(required=True), "size_bytes": whole(), "provider": text(), "location": text(),
    "valid_from": instant(required=True), "valid_to": instant(),
}  # fmt: skip
"""Columns of an inventory file."""


@dataclass(frozen=True)
class _Model(Valid):
    model_id: str


def applies(site: ServiceSite) -> bool:
    """Whether the site has an inventory."""
    return site.inventory is not None


def read(reader: Reader, site: ServiceSite, months: Sequence[date]) -> Records:
    """The rows of the site's inventory file, whatever the months."""
    del reader, months
    return inventory_of(site)


def inventory_of(site: ServiceSite) -> Records:
    """The rows of the site's inventory file; SiteError where two rows of a model overlap."""
    assert site.inventory is not None
    records = read_records(site.inventory, FIELDS)
    models = [
        _Model(place=place, model_id=row["model_id"], valid_from=row["valid_from"], valid_to=row["valid_to"])
        for place, row in records.rows()
    ]
    for model in models:
        model.refuse_empty(SiteError)
    refuse_overlaps(models, lambda model: model.model_id, "rows of one model", SiteError)
    return records


def make(site: ServiceSite, months: Sequence[date], records: Any, extracted: Extracted) -> Built:
    """Rows of facts.model_inventory: in each month those that are valid in it."""
    del extracted
    ends = [next_month(month) for month in months]
    wanted = pl.LazyFrame({"month": months, "end": ends}, schema={"month": pl.Date, "end": pl.Date})
    rows = (
        wanted.join(records.frame().lazy(), how="cross")
        .filter(pl.col("valid_from") < pl.col("end").cast(pl.Datetime("us")))
        .filter(pl.col("valid_to").is_null() | (pl.col("valid_to") > pl.col("month").cast(pl.Datetime("us"))))
        .with_columns(site=pl.lit(site.key))
        .select(MODEL_INVENTORY.names)
    )
    return Built(rows.collect())
