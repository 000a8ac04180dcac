"""Sums of requests as assets of the timelines, each with its checks."""

from functools import partial

from usage_assets.kinds.service.tables import checks, daily, monthly, uses
from usage_assets.kinds.service.tables.declarations import (
    SERVICE_MODEL_DAILY,
    SERVICE_TEAM_DAILY,
    SERVICE_TEAM_MONTHLY,
    SERVICE_USER_DAILY,
    SERVICE_USER_MONTHLY,
    SERVICE_USES,
)
from usage_assets.kinds.service.tables.grouping import MODEL, TEAM, USER, Grouping
from usage_assets.kinds.service.tables.views import TOTALS
from usage_assets.schema import Table
from usage_assets.specs.asset import Asset
from usage_assets.specs.check import Check

_FACTS = "facts/service_requests"
_EVENTS = {"source": ("events",)}
"""What these assets own of tables that also hold days of an older tracker."""


def _daily(table: Table, grouping: Grouping, *more: Check, views: tuple[str, ...] = ()) -> Asset:
    own = "source" in table.names
    return Asset(
        stage=table.stage,
        name=table.name,
        table=table,
        # checks compare teams and models with users
        after=(_FACTS,) if own else (f"timelines/{SERVICE_USER_DAILY.name}", _FACTS),
        select=partial(daily.select, grouping),
        months_after=1,  # requests that end in the next month may have begun in this one
        owned=_EVENTS if own else {},
        views=views,
        checks=(*checks.of_facts(table), *more),
    )


def _monthly(table: Table, days: Table, grouping: Grouping) -> Asset:
    own = "source" in table.names
    return Asset(
        stage=table.stage,
        name=table.name,
        table=table,
        after=(f"timelines/{days.name}", _FACTS),
        select=partial(monthly.select, grouping, days),
        owned=_EVENTS if own else {},
        checks=(checks.of_days(table, days, str(grouping.who)),),
    )


USES = Asset(
    stage=SERVICE_USES.stage, name=SERVICE_USES.name, table=SERVICE_USES, after=(_FACTS,), select=uses.select
)  # fmt: skip

TABLE_ASSETS: tuple[Asset, ...] = (
    _daily(SERVICE_USER_DAILY, USER, views=(TOTALS,)),
    _monthly(SERVICE_USER_MONTHLY, SERVICE_USER_DAILY, USER),
    _daily(SERVICE_TEAM_DAILY, TEAM, checks.of_users(SERVICE_TEAM_DAILY, "teams")),
    _monthly(SERVICE_TEAM_MONTHLY, SERVICE_TEAM_DAILY, TEAM),
    _daily(SERVICE_MODEL_DAILY, MODEL, checks.of_users(SERVICE_MODEL_DAILY, "models")),
    USES,
)
"""What the kind lists among its tables."""
