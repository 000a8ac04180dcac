"""A source's database as any SQL source is read: read-only, in one snapshot, without secrets in messages."""

from usage_assets.kinds.service.site.model import ServiceSite
from usage_assets.sites.sql import SqlSite

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
"""Scheme of a URL that names no driver -> the one that is installed."""


def sql_site(site: ServiceSite, url: str, database: str) -> SqlSite:
    """The site as one whose only database, named `database` in messages and declarations, lies at a URL."""
    scheme, sign, rest = url.partition("://")
    there = f"{_DRIVERS.get(scheme, scheme)}{sign}{rest}"
    return SqlSite(kind=site.kind, key=site.key, name=site.name, databases={database: there}, tls=site.tls)
