"""The plots that any kind of site may have: what each shows, what it reads, and the function that draws it.

A kind has those whose tables it has, and its own ones (`Kind.plots`).
"""

from datetime import date
from typing import Any

from usage_assets.reports import figures, reading
from usage_assets.reports.figures.utilization import SHARED
from usage_assets.specs.kind import Kind
from usage_assets.specs.plot import Plot
from usage_assets.specs.plot_context import Figure, Scene
from usage_assets.timelines.metrics import metrics_with
from usage_assets.warehouse import Reader

__all__ = ["PLOTS", "Plot", "plots_of"]


def _month(scene: Scene) -> date:
    assert scene.month is not None
    return scene.month


# plots that name the same function share what it reads


def _leases(reader: Reader, scene: Scene) -> Any:
    return reading.leases_month(reader, scene.site.key, _month(scene))


def _usage_month(reader: Reader, scene: Scene) -> Any:
    return reading.usage_month(
        reader,
        scene.site.key,
        _month(scene),
        shared=scene.shares_machines,
        machines=scene.machines,
        metrics=metrics_with(scene.kind_metrics).shown,
    )


def _history(reader: Reader, scene: Scene) -> Any:
    metrics = metrics_with(scene.kind_metrics).shown
    return reading.history(
        reader, scene.site.key, shared=scene.shares_machines, machines=scene.machines, metrics=metrics
    )


def _leadtime_history(reader: Reader, scene: Scene) -> Any:
    return reading.leadtime_history(reader, scene.site.key)


def _legacy_facet(history: reading.History, scene: Scene) -> Figure:
    return figures.legacy_facet(history.both, scene, missing=history.not_in_both)


PLOTS: tuple[Plot, ...] = (
    Plot(
        "usage_stack",
        "Use and capacity over a month, and the shares of use below.",
        "month",
        ("timelines/usage",),
        _usage_month,
        figures.usage_stack,
        always_pictured=True,
    ),
    Plot(
        "utilization",
        "Occupied and committed as shares of capacity over a month, for each resource that the site has.",
        "month",
        ("timelines/usage",),
        lambda reader, scene: reading.usage_added(
            reader, scene.site.key, _month(scene), metrics=metrics_with(scene.kind_metrics).shown
        ),
        lambda sums, scene: figures.utilization(sums.rows, scene, missing=sums.lacking("resource", metric=SHARED)),
    ),
    Plot(
        "node_types",
        "Utilization of each node type on each day of a month.",
        "month",
        ("timelines/usage",),
        lambda reader, scene: reading.usage_by_type(reader, scene.site.key, _month(scene), machines=scene.machines),
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
        _leases,
        figures.leadtime_compare,
    ),
    Plot(
        "leadtime_projected",
        "The least lead time that was possible, and how much longer users chose to wait.",
        "month",
        ("facts/leases",),
        _leases,
        figures.leadtime_projected,
    ),
    Plot(
        "legacy_facet",
        "The legacy usage counter beside usage_assets, one panel per metric.",
        "month",
        ("timelines/usage", "timelines/legacy_usage"),
        lambda reader, scene: reading.both_collectors(reader, scene.site.key, _month(scene)),
        _legacy_facet,
    ),
    Plot(
        "collector_difference",
        "Difference: usage_assets minus legacy counter, per metric and day, by what explains it.",
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
        _history,
        lambda history, scene: figures.site_stack(history.current, scene, missing=history.not_in_current),
        always_pictured=True,
    ),
    Plot(
        "site_facet",
        "The legacy usage counter beside usage_assets over the site's whole history; drawn anew once per run.",
        "history",
        ("timelines/usage", "timelines/legacy_usage"),
        _history,
        _legacy_facet,
        always_pictured=True,
    ),
    Plot(
        "site_leadtime",
        "Lead time over the site's whole history by kind of machine: monthly medians, of rare kinds quarterly, and a "
        "sample; drawn anew once per run.",
        "history",
        ("facts/leases",),
        _leadtime_history,
        figures.site_leadtime,
        always_pictured=True,
    ),
    Plot(
        "site_leadtime_compare",
        "Lead time asked for against that in fact over the site's whole history; drawn anew once per run.",
        "history",
        ("facts/leases",),
        _leadtime_history,
        figures.site_leadtime_compare,
        always_pictured=True,
    ),
    Plot(
        "cross_site_usage",
        "Machines used and available at all sites over their whole history; drawn anew once per run of any site.",
        "sites",
        ("timelines/usage",),
        lambda reader, scene: reading.all_sites(reader, scene.machines_of),
        figures.cross_site_usage,
        always_pictured=True,
    ),
)


def plots_of(kind: Kind) -> tuple[Plot, ...]:
    """The plots of a kind: those whose tables it has, and its own."""
    have = {f"raw/{table.name}" for table in kind.raw_tables} | {f"facts/{fact.name}" for fact in kind.facts}
    have |= {"timelines/usage", "timelines/usage_steps"} | {f"{table.stage}/{table.name}" for table in kind.tables}
    return (*(plot for plot in PLOTS if have.issuperset(plot.after)), *kind.plots)
