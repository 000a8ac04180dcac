"""Dagster's storage in PostgreSQL under the name that a dagster.yaml of an older installation has."""

from usage_assets.orchestration.postgres_storage import PostgresStorage

__all__ = ["PostgresStorage"]
