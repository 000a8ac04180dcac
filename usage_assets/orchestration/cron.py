"""When schedules start: a cron line and a time zone of the environment, or the defaults where these are no good.

A misspelt time zone must not take the code location down, and the alerts with it: the default holds, and the fault is
told by the log and by the check `schedules` of `usage/reports/coverage`.
"""

from dataclasses import dataclass

import dagster as dg

from usage_assets.core import settings


@dataclass(frozen=True)
class Clock:
    """A cron line and its time zone; `faults` say which variables could not be used."""

    cron: str
    timezone: str
    faults: tuple[str, ...] = ()


def clock_of(variable: str) -> Clock:
    """When the schedule starts whose cron line is in a variable, USAGE_NIGHTLY_CRON or USAGE_COVERAGE_CRON."""
    faults = []
    cron, default, utc = settings.value(variable), settings.default(variable), settings.default("USAGE_TIMEZONE")
    zone = settings.value("USAGE_TIMEZONE")
    if not _is_valid(default, zone):
        faults.append(
            f"USAGE_TIMEZONE is {zone!r}, which is no time zone; write one such as Europe/Berlin. Until then it is "
            f"{utc}"
        )
        zone = utc
    if not _is_valid(cron, zone):
        faults.append(
            f"{variable} is {cron!r}, which is no cron line of five fields (minute, hour, day, month, weekday); write "
            f"one such as 15 2 * * *. Until then it is {default}"
        )
        cron = default
    return Clock(cron, zone, tuple(faults))


def _is_valid(cron: str, zone: str) -> bool:
    try:
        dg.ScheduleDefinition(name="asked", job_name="asked", cron_schedule=cron, execution_timezone=zone)
    except dg.DagsterInvalidDefinitionError:
        return False
    return True
