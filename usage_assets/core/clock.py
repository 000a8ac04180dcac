"""The wall clock: the one place that asks for the time.

Inside the product instants are aware; naive ones, which are UTC too, are for columns.
"""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present instant, aware."""
    return datetime.now(tz=UTC)


def naive_utc_now() -> datetime:
    """The present instant as columns hold it: naive, in UTC."""
    return utc_now().replace(tzinfo=None)
