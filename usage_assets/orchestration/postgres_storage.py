"""Dagster's storage in PostgreSQL, for an address as people write it.

Needs the extra `postgres` (dagster-postgres). Its NOTIFY is refused by psycopg 3, which SQLAlchemy takes for
`postgresql://` here: an address that names no driver is given psycopg2. Named in dagster.yaml, see docs/operations.md.
"""

from typing import Any

from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy.engine import make_url

from usage_assets.orchestration.dagster_private import ConfigurableClassData

_UNNAMED = {"postgresql", "postgres"}


class PostgresStorage(DagsterPostgresStorage):
    """The stock storage, by psycopg2. Options are those of Dagster's `postgres`: `postgres_url` or `postgres_db`."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "PostgresStorage":
        """What Dagster calls with the options."""
        return cls(
            inst_data=inst_data,
            postgres_url=with_driver(pg_url_from_config(config_value)),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
        )


def with_driver(url: str) -> str:
    """The same address, with psycopg2 where it names no driver."""
    parsed = make_url(url)
    if parsed.drivername in _UNNAMED:
        parsed = parsed.set(drivername="postgresql+psycopg2")
    return parsed.render_as_string(hide_password=False)
