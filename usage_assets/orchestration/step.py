"""One step of a run: the chosen assets of a stage, their metadata by month, and the checks that belong to the step.

A use of it says which assets there are and what is done with the chosen ones; the rest is alike for all stages: the
window of the run, the site, months before its first one, readable errors, metadata, and the results of checks.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg

from usage_assets.core.clock import naive_utc_now
from usage_assets.core.months import Window
from usage_assets.orchestration.checks import Bound, check_spec, evaluated, fully_checked, recorded, result
from usage_assets.orchestration.partitions import run_window
from usage_assets.orchestration.resources import SettingsResource, WarehouseResource
from usage_assets.orchestration.ui_metadata import (
    BACKFILL,
    asset_key,
    readable_errors,
    show_month,
    since_first_month,
    site_of,
    table_metadata,
)
from usage_assets.schema import Table
from usage_assets.sites.base import Site
from usage_assets.specs.check import Check, Findings
from usage_assets.specs.kind import Kind
from usage_assets.warehouse import Warehouse


@dataclass(frozen=True)
class Stage:
    """The sites of a kind whose assets a step has; `book` has the sites of all kinds."""

    kind: Kind
    sites: Mapping[str, Site]
    partitions: dg.MultiPartitionsDefinition
    book: Mapping[str, Site] = field(default_factory=dict)

    def key(self, path: str) -> dg.AssetKey:
        """The key of one of the kind's assets, `<stage>/<table>`."""
        return asset_key(self.kind.name, *path.split("/"))

    def spec(
        self,
        path: str,
        description: str,
        *,
        table: Table | None = None,
        deps: Iterable[str] = (),
        kinds: Iterable[str] = ("duckdb", "polars"),
        metadata: Mapping[str, Any] | None = None,
    ) -> dg.AssetSpec:
        """The specification of one asset, alike for every stage."""
        stage = path.split("/", maxsplit=1)[0]
        return dg.AssetSpec(
            self.key(path),
            deps=[self.key(each) for each in deps],
            description=description,
            group_name=f"{self.kind.name}_{stage}",
            tags={"site_kind": self.kind.name, "stage": stage},
            kinds=set(kinds),
            metadata={**(table_metadata(table) if table else {}), **(metadata or {})},
            partitions_def=self.partitions,
        )


@dataclass(frozen=True)
class Run:
    """What a run asks of a step: a site, its months, and the keys of the chosen assets."""

    context: dg.AssetExecutionContext
    site: Site
    window: Window
    keys: Sequence[dg.AssetKey]
    warehouse: Warehouse
    settings: SettingsResource

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.context.run.run_id


@dataclass
class Done:
    """What a step did of some assets: metadata by month and of the run, and what it found for its checks."""

    keys: Collection[dg.AssetKey]
    months: Mapping[dg.AssetKey, Mapping[date, dict[str, Any]]] = field(default_factory=dict)
    run: Mapping[dg.AssetKey, dict[str, Any]] = field(default_factory=dict)
    found: Mapping[Bound, Findings] = field(default_factory=dict)


def step(
    stage: Stage,
    what: str,
    specs: Iterable[dg.AssetSpec],
    work: Callable[[Run], Iterator[Done]],
    *,
    checks: Mapping[dg.AssetKey, Sequence[Check]] | None = None,
    config: type[dg.Config] | None = None,
    whole: Collection[dg.AssetKey] = (),
    checks_rows: bool = False,
) -> dg.AssetsDefinition:
    """Assets as one subsettable step, `what` in messages.

    `whole` are assets of a site's history, not of its months. With `checks_rows` the checks are all that is asked of
    the rows of these assets, so that bookkeeping counts the rows as checked.
    """
    by_key = {spec.key: spec for spec in specs}
    bound = [Bound(key, check) for key, several in (checks or {}).items() for check in several]

    @dg.multi_asset(
        name=f"{stage.kind.name}_{what}",
        specs=list(by_key.values()),
        check_specs=[check_spec(one) for one in bound],
        can_subset=True,
        backfill_policy=BACKFILL,
        config_schema=config.to_fields_dict() if config else None,
    )
    def execute(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, settings: SettingsResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        store = warehouse.store()
        window = run_window(context)
        site = site_of(stage.sites, window)
        keys = [key for key in by_key if key in context.selected_asset_keys]
        window = since_first_month(context, site, window, [key for key in keys if key not in whole])
        found: dict[Bound, Findings] = {}
        parts = work(Run(context, site, window, keys, store, settings)) if window.months else iter([Done(keys)])
        while True:
            with readable_errors(window, what):
                done = next(parts, None)
            if done is None:
                break
            found |= done.found
            for key in done.keys:
                for month, metadata in done.months.get(key, {}).items():
                    show_month(context, key, site.key, month, metadata)
                yield dg.MaterializeResult(asset_key=key, metadata=done.run.get(key))
        asked = [one for one in bound if one.key in context.selected_asset_check_keys]
        began = naive_utc_now()
        if window.months and asked:
            with readable_errors(window, "checks"), store.read() as reader:
                found |= evaluated(reader, site, window, asked)
        checked = fully_checked(bound, asked) if checks_rows and window.months else ()
        answers = {one: found.get(one, {}) for one in asked}
        with recorded(store, stage.sites, window, context.run.run_id, answers, at=began, checked=checked) as standing:
            for one, findings in answers.items():
                yield result(one, window, findings, standing[one.names])

    return execute
