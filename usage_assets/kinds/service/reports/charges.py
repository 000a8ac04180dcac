"""Charges and limits of a service: what pricing judges, from the facts and the files of the site."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from usage_assets.core.errors import SiteError
from usage_assets.core.months import month_of
from usage_assets.kinds.service.facts.tables import SERVICE_REQUESTS
from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.pricing.charges import Charges
from usage_assets.pricing.files import Records, read_records
from usage_assets.pricing.limits import Calendar, Limit, Limits, read_limits
from usage_assets.pricing.periods import weekday
from usage_assets.pricing.values import flag, text
from usage_assets.warehouse import Writer, bound

SCOPE_TYPES: dict[str, tuple[str, ...]] = {
    "user": ("user_id",),
    "team": ("team_id",),
    "model": ("model_id",),
    "provider": ("provider",),
    "user_model": ("user_id", "model_id"),
    "user_provider": ("user_id", "provider"),
    "site": ("site",),
}
"""What a limit may be for, and the columns of facts that name it."""
CHARGES = Charges(
    relation="service_charges",
    at="ended_at",
    cost="cost",
    request_id="request_id",
    event_id="event_id",
    session_id="session_id",
    unrated="unrated",
)
USERS = {"user_id": text(required=True), "username": text(), "email": text(), "tier": text(), "active": flag()}
"""Columns of a users file."""
_FREE, _OTHER = {"day": 10, "month": 100, "request": 1}, {"day": 100, "month": 1000, "request": 10}
"""Limits in USD by window that users have without a row of their own, where the site's file asks for default_tiers."""
_EARLIEST = datetime(1, 1, 1)
_COLUMNS = (
    "site, month, user_id, team_id, model_id, provider, session_id, request_id, event_id, ended_at, cost, "
    "CASE WHEN final_state = 'succeeded' AND cost IS NULL THEN requests ELSE 0 END AS unrated"
)


def has_limits(site: ServiceSite) -> bool:
    """Whether spending of the site is judged at all."""
    return site.limits is not None or site.default_tiers or any(each.reader == "legacy_json" for each in site.sources)


def limits_of(site: ServiceSite, imported: Sequence[Limit] = ()) -> Limits:
    """The limits that the site's files name; SiteError names file, line and key of a fault.

    Those `imported` from an older tracker hold where no row of the files has their scope and window.
    """
    rows = [] if site.limits is None else read_limits(site.limits)
    calendar = Calendar(site.reporting_tz, weekday(site.week_start))
    if site.default_tiers:
        own = {(row.scope_id, row.window) for row in rows if row.scope_type == "user" and row.site in {None, site.key}}
        own |= {(row.scope_id, row.window) for row in imported if row.scope_type == "user"}
        rows += [row for row in _tiers(site) if (row.scope_id, row.window) not in own]
    return Limits.of(rows, site.key, SCOPE_TYPES, site.currency, calendar=calendar, imported=imported)


def users_of(site: ServiceSite) -> Records:
    """The rows of the site's file of users; SiteError names file, line and key of a fault."""
    assert site.users is not None
    return read_records(site.users, USERS)


def _tiers(site: ServiceSite) -> Iterator[Limit]:
    """Default limits of each user of the users file."""
    if site.users is None or site.currency != "USD":
        msg = f"{site.key}.yaml: default_tiers: needs a file of users (users: FILE), and the currency USD"
        raise SiteError(msg)
    for place, row in users_of(site).rows():
        for window, amount in (_FREE if row["tier"] == "free" else _OTHER).items():
            yield Limit("user", str(row["user_id"]), window, Decimal(amount), valid_from=_EARLIEST, valid_to=None,
                        place=place)  # fmt: skip


def keep_charges(writer: Writer, site: ServiceSite, limits: Limits, since: datetime, until: datetime) -> None:
    """Put the charges of [since, until) into the temporary table of CHARGES, of sessions limited all before, too."""
    params = {"site": site.key, "since": since, "until": until, "first": month_of(since.date()),
              "last": month_of((until - timedelta(microseconds=1)).date())}  # fmt: skip
    rows = f"FROM {SERVICE_REQUESTS.qualified} WHERE site = $site AND ended_at IS NOT NULL"
    within = f"{rows} AND month BETWEEN $first AND $last AND ended_at >= $since AND ended_at < $until"
    sql = f"SELECT {_COLUMNS} {within}"
    if any(row.window == "session" for row in limits.rows):
        seen = f"SELECT session_id {within} AND session_id IS NOT NULL"
        sql += f" UNION ALL SELECT {_COLUMNS} {rows} AND ended_at < $since AND session_id IN ({seen})"
    writer.ensure(SERVICE_REQUESTS)
    writer.con.execute(f"CREATE OR REPLACE TEMP TABLE {CHARGES.relation} AS {sql}", bound(params)).fetchall()


def drop_charges(writer: Writer) -> None:
    """Remove the temporary table."""
    writer.con.execute(f"DROP TABLE IF EXISTS {CHARGES.relation}").fetchall()
