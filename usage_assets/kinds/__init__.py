"""One package per kind of site, and the registry of them.

What belongs here: everything that knows one kind's words. What stays out: whatever two kinds share.

An installed package adds a kind by an entry point of the group `usage_assets.kinds` that names a subclass of Kind.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from usage_assets.kinds.htcondor.kind import HTCondor
from usage_assets.kinds.openstack.kind import OpenStack
from usage_assets.kinds.service.kind import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_assets.sites.base import BaseSite
    from usage_assets.specs.kind import Kind
    from usage_assets.specs.metric import Metric

OPENSTACK, HTCONDOR, SERVICE = OpenStack(), HTCondor(), Service()
_OURS: dict[str, Kind] = {kind.name: kind for kind in (OPENSTACK, HTCONDOR, SERVICE)}
_LOG = logging.getLogger("usage_assets")


def _with_installed(ours: dict[str, Kind]) -> Iterator[Kind]:
    """Our kinds and those of installed packages; one that can't be loaded, or takes a name of ours, is left out."""
    yield from ours.values()
    for point in entry_points(group="usage_assets.kinds"):
        package = point.dist.name if point.dist else point.value
        try:
            kind = point.load()()
        except Exception as error:  # whatever another package raises: it stops no site of another kind
            _LOG.warning("kind %s of package %s is left out, it can't be loaded: %s", point.name, package, error)
            continue
        if kind.name in ours:
            _LOG.warning("kind %s of package %s is left out, usage_assets has one of its own", kind.name, package)
            continue
        yield kind


KINDS: dict[str, Kind] = {kind.name: kind for kind in _with_installed(_OURS)}
"""Every kind by its name, as site files have it in `kind`."""


@cache
def kind_metrics() -> tuple[Metric, ...]:
    """The metrics of every kind beside those that all kinds share."""
    return tuple(metric for kind in KINDS.values() for metric in kind.metrics)


def kind_of(site: BaseSite) -> Kind:
    """The kind of a site."""
    return KINDS[site.kind]
