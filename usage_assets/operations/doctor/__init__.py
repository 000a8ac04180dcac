"""`usage-assets doctor`: small probes of an installation; each says what was found and what to do.

A probe is a function in `configuration`, `storage` or `service`, listed below; it yields one outcome or several and
changes nothing. One that raises gives a failure; the others still run. What mends something stays out.
"""

from collections.abc import Iterator
from dataclasses import replace

from usage_assets.operations.doctor import configuration, service, storage
from usage_assets.operations.doctor.probes import Installation, Outcome, Probe, outcomes_of

PROBES: dict[str, Probe] = {
    "site files": configuration.site_files,
    "alerts": configuration.alert_channels,
    "mailed reports": configuration.mailed_reports,
    "secrets": configuration.secrets,
    "folders": configuration.folders,
    "disk": configuration.disk,
    "clock": configuration.clock,
    "packages": configuration.packages,
    "addresses": configuration.addresses,
    "sources": service.sources,
    "daemon": service.daemon,
    "schedules": service.schedules,
    "nightly": service.nightly,
    "runs": service.stuck,
    "warehouse": storage.warehouse,
    "restore": storage.restored,
    "Dagster storage": storage.dagster_storage,
    "history": storage.history,
    "locks": storage.locks,
    "published": storage.published,
    "backups": storage.saved,
}
"""Every probe by the name that its outcomes are shown with, in order."""


def examine(installation: Installation) -> Iterator[Outcome]:
    """Outcomes of all probes, in order."""
    try:
        for name, probe in PROBES.items():
            yield from (replace(outcome, probe=name) for outcome in outcomes_of(probe, installation))
    finally:
        installation.close()
