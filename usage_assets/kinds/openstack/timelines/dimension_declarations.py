"""The dimensions as assets: usage by host, by project and by user."""

from usage_assets.specs.asset import TableAsset, TableCheck, later
from usage_assets.timelines.dimension_tables import USAGE_BY_HOST, USAGE_BY_PROJECT, USAGE_BY_USER

_HELD = ("facts/total", "facts/reservable", "facts/committed", "facts/occupied")


def _adds_up(what: str) -> TableCheck:
    return TableCheck(
        f"{what}_add_up",
        f"The hours of all {what} are those of the site, within 1e-9 of them.",
        later("kinds.openstack.timelines.dimension_checks", f"{what}_add_up"),
        per_run=f"whose {what} do not add up to the site",
    )


DIMENSIONS = (
    TableAsset(
        stage="timelines",
        name="usage_by_host",
        table=USAGE_BY_HOST,
        after=_HELD,
        read=later("kinds.openstack.timelines.dimensions", "read_hosts"),
        make=later("kinds.openstack.timelines.dimensions", "make_hosts"),
        checks=(
            _adds_up("hosts"),
            TableCheck(
                "days_add_up",
                "The days of a host add up to its month, within 1e-9 of it.",
                later("kinds.openstack.timelines.dimension_checks", "days_add_up"),
                per_run="whose days do not add up to the month",
            ),
        ),
    ),
    TableAsset(
        stage="timelines",
        name="usage_by_project",
        table=USAGE_BY_PROJECT,
        after=(*_HELD, "raw/keystone_project"),
        read=later("kinds.openstack.timelines.dimensions", "read_projects"),
        make=later("kinds.openstack.timelines.dimensions", "make_projects"),
        checks=(_adds_up("projects"),),
    ),
    TableAsset(
        stage="timelines",
        name="usage_by_user",
        table=USAGE_BY_USER,
        after=_HELD,
        read=later("kinds.openstack.timelines.dimensions", "read_users"),
        make=later("kinds.openstack.timelines.dimensions", "make_users"),
        checks=(_adds_up("users"),),
    ),
)
