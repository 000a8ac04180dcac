"""A kind has the plots whose tables it has; one whose usage is not of machines has no plots of machines."""

from usage_assets.kinds import HTCONDOR, OPENSTACK
from usage_assets.kinds.openstack.kind import OpenStack
from usage_assets.kinds.service.kind import Service
from usage_assets.kinds.service.plots.declare import PLOTS as SERVICE_PLOTS
from usage_assets.reports.plots import PLOTS, plots_of
from usage_assets.specs.asset import Asset
from usage_assets.timelines.tables import LEADTIME, USAGE


class _WithOwnUsage(OpenStack):
    """A kind that makes its usage itself and has no tables of leases."""

    name = "own_usage"
    facts = ()
    tables = ()
    usage: tuple[Asset, ...] = (
        Asset(stage="timelines", name=USAGE.name, table=USAGE, after=()),
        Asset(stage="timelines", name=LEADTIME.name, table=LEADTIME, after=()),
    )


def test_kinds_of_machines_have_the_plots_of_machines():
    machines = {"usage_stack", "utilization", "node_types", "site_stack", "cross_site_usage"}
    for kind in (OPENSTACK, HTCONDOR):
        assert machines <= {plot.name for plot in plots_of(kind)}


def test_a_kind_with_usage_of_its_own_has_no_plots_of_machines_and_leases():
    assert plots_of(_WithOwnUsage()) == ()
    assert plots_of(Service()) == SERVICE_PLOTS
    assert {plot.name for plot in PLOTS} == {plot.name for plot in plots_of(OPENSTACK)}
