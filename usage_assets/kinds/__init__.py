"""One package per kind of site, and the registry of them.

What belongs here: everything that knows one kind's words. What stays out: whatever two kinds share.

An installed package adds a kind by an entry point of the group `usage_assets.kinds` that names a subclass of Kind.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from usage_assets.kinds.htcondor.kind import HTCondor
from usage_assets.kinds.openstack.kind import OpenStack

if TYPE_CHECKING:
    from usage_assets.sites.base import BaseSite
    from usage_assets.specs.kind import Kind

OPENSTACK, HTCONDOR = OpenStack(), HTCondor()
_ADDED: tuple[Kind, ...] = tuple(point.load()() for point in entry_points(group="usage_assets.kinds"))
KINDS: dict[str, Kind] = {kind.name: kind for kind in (OPENSTACK, HTCONDOR, *_ADDED)}
"""Every kind by its name, as site files have it in `kind`."""


def kind_of(site: BaseSite) -> Kind:
    """The kind of a site."""
    return KINDS[site.kind]
