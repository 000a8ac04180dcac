"""`usage/serving/published`: what readers have now, as an asset of all sites; its check says what is held back."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from usage_assets.checks.record import Fails
from usage_assets.core.errors import UsageError
from usage_assets.core.markdown import markdown_table
from usage_assets.orchestration.checks import listed
from usage_assets.orchestration.coverage_step import GROUP
from usage_assets.orchestration.coverage_step import KEY as COVERAGE
from usage_assets.orchestration.resources import PublishedResource, WarehouseResource
from usage_assets.orchestration.ui_metadata import asset_key
from usage_assets.serving.hold_back import Held
from usage_assets.serving.publish import Publication, publish

KEY = asset_key("usage", "serving", "published")
HELD_BACK = "held_back"
_SHOWN = 50


def published_asset(kinds: Iterable[str]) -> dg.AssetsDefinition:
    """The asset, after coverage and the last tables of every kind that has sites."""

    @dg.asset(
        key=KEY,
        group_name=GROUP,
        description="A copy of the warehouse that dashboards and notebooks open while runs write on, and the file "
        "CURRENT that names it. Site-months that fail a check of severity ERROR keep their last good rows there. "
        "Unchanged, it stays the generation that it is.",
        tags={"stage": "serving"},
        kinds={"duckdb"},
        deps=[COVERAGE, *(asset_key(kind, "timelines", "usage") for kind in kinds)],
        check_specs=[
            dg.AssetCheckSpec(
                HELD_BACK,
                asset=KEY,
                description="Every site-month is published as it is in the warehouse, none held back.",
                blocking=False,
            )
        ],
    )
    def publication(warehouse: WarehouseResource, published: PublishedResource) -> dg.MaterializeResult:
        try:
            made = publish(warehouse.store(), Path(published.folder))
        except UsageError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        return dg.MaterializeResult(metadata=_shown(made), check_results=[check(made.held)])

    return publication


def check(held: Sequence[Held]) -> dg.AssetCheckResult:
    """Which site-months readers have of an earlier generation, and why."""
    text = "every site-month is published as it is"
    if held:
        text = f"{len(held)} site-month(s) held back: readers have their last good rows, or none"
    fails = [Fails(one.site, one.month, f"from {one.stage} on: {one.reason}") for one in held]
    return listed(KEY, HELD_BACK, fails, text, dg.AssetCheckSeverity.WARN)


def _shown(made: Publication) -> dict[str, Any]:
    out: dict[str, Any] = {
        "status": "written" if made.changed else "nothing has changed: no new generation",
        "generation": made.pointer.generation,
        "file": dg.MetadataValue.path(str(made.path)),
        "bytes": made.pointer.bytes,
        "sha256": made.pointer.sha256,
        "seconds": round(made.seconds, 2),
        "held_back": len(made.held),
    }
    if made.held:
        rows = [(one.site, f"{one.month:%Y-%m}", one.stage, one.since_generation, one.reason) for one in made.held]
        table = markdown_table(("site", "month", "from", "since", "reason"), rows[:_SHOWN])
        out["held_back_months"] = dg.MetadataValue.md(table)
    return out
