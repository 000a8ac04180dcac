"""The plots that any kind of site may have: what each shows, what it reads, and the function that draws it.

A kind has those whose tables it has, and its own ones (`Kind.plots`).
"""

from usage_assets.reports import reading
from usage_assets.reports.figures import cross_site, leadtime, leadtime_history, legacy, stack, utilization
from usage_assets.specs.kind import Kind
from usage_assets.specs.plot import Plot
from usage_assets.specs.plot_context import Figure, Scene


def _utilization(sums: reading.Sums, scene: Scene) -> Figure:
    return utilization.utilization(sums.rows, scene, missing=sums.lacking("resource", metric=utilization.SHARED))


def _legacy_facet(history: reading.History, scene: Scene) -> Figure:
    return legacy.legacy_facet(history.both, scene, missing=history.not_in_both)


def _site_stack(history: reading.History, scene: Scene) -> Figure:
    return stack.site_stack(history.current, scene, missing=history.not_in_current)


_USAGE, _LEASES, _LEGACY = "timelines/usage", "facts/leases", "timelines/legacy_usage"
_LEADTIME = "timelines/leadtime"
# plots that name the same function share what it reads
PLOTS: tuple[Plot, ...] = (
    Plot("usage_stack", "Use and capacity over a month, and the shares of use below.",
         "month", (_USAGE,), reading.usage_month, stack.usage_stack, always_pictured=True),
    Plot("utilization", "Occupied and committed as shares of capacity over a month, for each resource that the site "
         "has.", "month", (_USAGE,), reading.usage_added, _utilization),
    Plot("node_types", "Utilization of each node type on each day of a month.",
         "month", (_USAGE,), reading.usage_by_type, utilization.node_types),
    Plot("leadtime", "How long leases took until they began, asked for and in fact, by node type.",
         "month", (_LEADTIME,), reading.leadtime_month, leadtime.leadtime),
    Plot("leadtime_compare", "Lead time asked for against that in fact, and their difference.",
         "month", (_LEASES,), reading.leases_month, leadtime.leadtime_compare),
    Plot("leadtime_projected", "The least lead time that was possible, and how much longer users chose to wait.",
         "month", (_LEASES,), reading.leases_month, leadtime.leadtime_projected),
    Plot("legacy_facet", "The legacy usage counter beside usage_assets, one panel per metric.",
         "month", (_USAGE, _LEGACY), reading.both_collectors, _legacy_facet),
    Plot("collector_difference", "Difference: usage_assets minus legacy counter, per metric and day, by what explains "
         "it.", "month", ("reports/legacy_comparison",), reading.differences, legacy.collector_difference),
    Plot("site_stack", "Use and capacity over the site's whole history at daily means; drawn anew once per run.",
         "history", (_USAGE,), reading.history, _site_stack, always_pictured=True),
    Plot("site_facet", "The legacy usage counter beside usage_assets over the site's whole history; drawn anew once "
         "per run.", "history", (_USAGE, _LEGACY), reading.history, _legacy_facet, always_pictured=True),
    Plot("site_leadtime", "Lead time over the site's whole history by kind of machine: monthly medians, of rare kinds "
         "quarterly, and a sample; drawn anew once per run.",
         "history", (_LEASES,), reading.leadtime_history, leadtime_history.site_leadtime, always_pictured=True),
    Plot("site_leadtime_compare", "Lead time asked for against that in fact over the site's whole history; drawn anew "
         "once per run.",
         "history", (_LEASES,), reading.leadtime_history, leadtime_history.site_leadtime_compare, always_pictured=True),
    Plot("cross_site_usage", "Machines used and available at all sites over their whole history; drawn anew once per "
         "run of any site.", "sites", (_USAGE,), reading.all_sites, cross_site.cross_site_usage, always_pictured=True),
)  # fmt: skip


def plots_of(kind: Kind) -> tuple[Plot, ...]:
    """The plots of a kind: those whose tables it has, and its own.

    The usage of kinds that make it themselves (`Kind.usage`) is not of machines, nor are their lead times of leases.
    """
    have = {f"raw/{table.name}" for table in kind.raw_tables} | {fact.path for fact in kind.facts}
    have |= {table.path for table in (*kind.usage, *kind.tables)}
    have = have - {_USAGE, _LEADTIME} if kind.usage else have | {_USAGE}
    return (*(plot for plot in PLOTS if have.issuperset(plot.after)), *kind.plots)
