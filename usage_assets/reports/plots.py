"""The plots: what each shows, what it reads, and the function that draws it. The one registry of them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from usage_assets.kinds import Kind
from usage_assets.reports import figures, reading
from usage_assets.reports.frame import Figure
from usage_assets.reports.scene import Scene
from usage_assets.sites import Site
from usage_assets.warehouse import Reader


@dataclass(frozen=True)
class Plot:
    """One plot: an asset of every kind that has the tables it is made of.

    A plot of scope `month` has a page per month; one of scope `history` a page per site and one of scope `sites` a
    single page, both drawn anew once per run.
    """

    name: str
    description: str
    scope: Literal["month", "history", "sites"]
    after: tuple[str, ...]
    """Assets of the kind that it is made of, as `<stage>/<table>`."""
    read: Callable[[Reader, Scene], Any]
    """What is drawn, while the warehouse's file is held; none where nothing was built."""
    draw: Callable[[Any, Scene], Figure]
    always_pictured: bool = False
    """Whether it has a picture in runs over many months too."""

    def page(self, site: str, month: date | None = None) -> str:
        """Where its page lies below the plots folder, without suffix."""
        if self.scope == "month":
            return f"{site}/{month:%Y-%m}/{self.name}"
        return self.name if self.scope == "sites" else f"{site}/{site}_{self.name.removeprefix('site_')}"

    def applies(self, kind: Kind, site: Site) -> bool:
        """Whether the site has the tables that it is made of."""
        tables = {f"{table.stage}/{table.name}": table for table in kind.tables}
        return all(tables[name].applies(site) for name in self.after if name in tables)


def _month(scene: Scene) -> date:
    assert scene.month is not None
    return scene.month


PLOTS: tuple[Plot, ...] = (
    Plot(
        "usage_stack",
        "Use and capacity over a month, and the shares of use below.",
        "month",
        ("timelines/usage",),
        lambda reader, scene: reading.usage_month(reader, scene.site.key, _month(scene), shared=scene.shares_machines),
        figures.usage_stack,
        always_pictured=True,
    ),
    Plot(
        "utilization",
        "Occupied and committed as shares of capacity over a month, for each resource that the site has.",
        "month",
        ("timelines/usage",),
        lambda reader, scene: reading.usage_added(reader, scene.site.key, _month(scene)),
        figures.utilization,
    ),
    Plot(
        "node_types",
        "Utilization of each node type on each day of a month.",
        "month",
        ("timelines/usage",),
        lambda reader, scene: reading.usage_by_type(reader, scene.site.key, _month(scene)),
        figures.node_types,
    ),
    Plot(
        "leadtime",
        "How long leases took until they began, asked for and in fact, by node type.",
        "month",
        ("timelines/leadtime",),
        lambda reader, scene: reading.leadtime_month(reader, scene.site.key, _month(scene)),
        figures.leadtime,
    ),
    Plot(
        "leadtime_compare",
        "Lead time asked for against that in fact, and their difference.",
        "month",
        ("facts/leases",),
        lambda reader, scene: reading.leases_month(reader, scene.site.key, _month(scene)),
        figures.leadtime_compare,
    ),
    Plot(
        "leadtime_projected",
        "The least lead time that was possible, and how much longer users chose to wait.",
        "month",
        ("facts/leases",),
        lambda reader, scene: reading.leases_month(reader, scene.site.key, _month(scene)),
        figures.leadtime_projected,
    ),
    Plot(
        "legacy_facet",
        "The old usage caches beside this warehouse, one panel per metric.",
        "month",
        ("timelines/usage", "timelines/legacy_usage"),
        lambda reader, scene: reading.both_collectors(reader, scene.site.key, _month(scene)),
        figures.legacy_facet,
    ),
    Plot(
        "collector_difference",
        "This warehouse less the old usage caches, per metric and day, by what explains it.",
        "month",
        ("reports/legacy_comparison",),
        lambda reader, scene: reading.differences(reader, scene.site.key, _month(scene)),
        figures.collector_difference,
    ),
    Plot(
        "site_stack",
        "Use and capacity over the site's whole history at daily means; drawn anew once per run.",
        "history",
        ("timelines/usage",),
        lambda reader, scene: reading.history(reader, scene.site.key, shared=scene.shares_machines),
        lambda days, scene: figures.site_stack(days.rows, scene, missing=days.missing),
        always_pictured=True,
    ),
    Plot(
        "site_facet",
        "The old usage caches beside this warehouse over the site's whole history; drawn anew once per run.",
        "history",
        ("timelines/usage", "timelines/legacy_usage"),
        lambda reader, scene: reading.both_collectors(reader, scene.site.key),
        figures.legacy_facet,
        always_pictured=True,
    ),
    Plot(
        "site_leadtime",
        "Lead time over the site's whole history by kind of machine: monthly medians, of rare kinds quarterly, and a "
        "sample; drawn anew once per run.",
        "history",
        ("facts/leases",),
        lambda reader, scene: reading.leadtime_history(reader, scene.site.key),
        figures.site_leadtime,
        always_pictured=True,
    ),
    Plot(
        "site_leadtime_compare",
        "Lead time asked for against that in fact over the site's whole history; drawn anew once per run.",
        "history",
        ("facts/leases",),
        lambda reader, scene: reading.leadtime_history(reader, scene.site.key),
        figures.site_leadtime_compare,
        always_pictured=True,
    ),
    Plot(
        "cross_site_usage",
        "Machines used and available at all sites over their whole history; drawn anew once per run of any site.",
        "sites",
        ("timelines/usage",),
        lambda reader, scene: reading.all_sites(reader, scene.sites),
        figures.cross_site_usage,
        always_pictured=True,
    ),
)


def plots_of(kind: Kind) -> tuple[Plot, ...]:
    """The plots of a kind: those whose tables it has."""
    have = {f"raw/{table.name}" for table in kind.raw_tables} | {f"facts/{fact.name}" for fact in kind.facts}
    have |= {"timelines/usage", "timelines/usage_steps"} | {f"{table.stage}/{table.name}" for table in kind.tables}
    return tuple(plot for plot in PLOTS if have.issuperset(plot.after))
