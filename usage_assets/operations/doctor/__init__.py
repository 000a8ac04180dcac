"""`usage-assets doctor`: small probes of an installation; each says what was found and what to do.

A probe is a function in `configuration`, `storage` or `service` under `@probe`; it yields one outcome or several and
changes nothing. One that raises gives a failure; the others still run. What mends something stays out.
"""

from collections.abc import Iterator
from dataclasses import replace

from usage_assets.operations.doctor import configuration, service, storage  # noqa: F401 - they register their probes
from usage_assets.operations.doctor.probes import PROBES, Installation, Outcome, outcomes_of

__all__ = ["examine"]


def examine(installation: Installation) -> Iterator[Outcome]:
    """Outcomes of all probes, in order."""
    try:
        for name, probe in PROBES.items():
            yield from (replace(outcome, probe=name) for outcome in outcomes_of(probe, installation))
    finally:
        installation.close()
