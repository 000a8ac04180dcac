"""The event storage under the name that a dagster.yaml of an older installation has."""

from usage_assets.orchestration.event_storage import SteadySqliteEventLogStorage

__all__ = ["SteadySqliteEventLogStorage"]
