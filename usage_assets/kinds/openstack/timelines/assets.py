"""Lead times, and usage by host, by project and by user, as assets."""

from collections.abc import Callable
from typing import Any

from usage_assets.kinds.openstack.facts.assets import has_blazar
from usage_assets.kinds.openstack.timelines import dimension_checks, dimensions, leadtime
from usage_assets.schema import Table
from usage_assets.specs.asset import Asset, Built
from usage_assets.specs.check import Check, Evaluate
from usage_assets.timelines.dimension_tables import USAGE_BY_HOST, USAGE_BY_PROJECT, USAGE_BY_USER
from usage_assets.timelines.tables import LEADTIME as LEADTIME_TABLE
from usage_assets.timelines.views import LEADTIME_SITE

_HELD = ("facts/total", "facts/reservable", "facts/committed", "facts/occupied")


def _adds_up(evaluate: Evaluate, what: str) -> Check:
    return Check(
        f"{what}_add_up",
        f"The hours of all {what} are those of the site, within 1e-9 of them.",
        evaluate,
        per_run=f"whose {what} do not add up to the site",
    )


def _dimension(
    table: Table, read: Callable[..., Any], make: Callable[..., Built], *checks: Check, after: tuple[str, ...] = ()
) -> Asset:
    return Asset(table.stage, table.name, table, (*_HELD, *after), read, make, checks=checks)


DIMENSIONS = (
    _dimension(
        USAGE_BY_HOST,
        dimensions.read_hosts,
        dimensions.make_hosts,
        _adds_up(dimension_checks.hosts_add_up, "hosts"),
        Check(
            "days_add_up",
            "The days of a host add up to its month, within 1e-9 of it.",
            dimension_checks.days_add_up,
            per_run="whose days do not add up to the month",
        ),
    ),
    _dimension(
        USAGE_BY_PROJECT,
        dimensions.read_projects,
        dimensions.make_projects,
        _adds_up(dimension_checks.projects_add_up, "projects"),
        after=("raw/keystone_project",),
    ),
    _dimension(
        USAGE_BY_USER, dimensions.read_users, dimensions.make_users, _adds_up(dimension_checks.users_add_up, "users")
    ),
)

LEADTIME = Asset(
    stage="timelines",
    name="leadtime",
    table=LEADTIME_TABLE,
    after=("facts/leases",),
    read=leadtime.read,
    make=leadtime.make,
    applies=has_blazar,
    views=(LEADTIME_SITE,),
)
