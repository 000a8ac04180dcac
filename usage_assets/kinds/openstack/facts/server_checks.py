"""Check of servers whose state at the dump no event explains."""

from datetime import date

from usage_assets.core.months import Window
from usage_assets.kinds.openstack.facts.inputs import read_raw
from usage_assets.kinds.openstack.facts.occupied import SHELVED_OFFLOADED, shelved_by_state
from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.sites.base import Site
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Reader

_SHOWN = 10
_SERVERS = BY_NAME["nova_instances"].table


def shelved_without_events(reader: Reader, site: Site, window: Window) -> dict[date, Finding]:
    """Servers in state shelved_offloaded without an event of it: each in the month of its last change.

    Those changed before the site's first month are listed in that one.
    """
    out = dict.fromkeys(window.months, GOOD)
    columns = ("month", "uuid", "vm_state", "created_at", "updated_at")
    offloaded = f"vm_state = '{SHELVED_OFFLOADED}'"
    servers = reader.frame(_SERVERS, window.site, window.months, columns=columns, where=offloaded)
    if servers.is_empty():
        return out
    months = sorted(servers["month"].unique())
    events = read_raw(reader, window.site, months, only=("server_events",))["server_events"]
    found: dict[date, list[str]] = {}
    for month, uuid, since in shelved_by_state(servers.lazy(), events).sort("uuid").collect().iter_rows():
        if since is not None and max(since.date().replace(day=1), site.first_month) == month:
            found.setdefault(month, []).append(uuid)
    for month, names in found.items():
        shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
        text = (
            f"{len(names)} server(s) are {SHELVED_OFFLOADED} and no event says since when (purged, or not granted): "
            f"{shown}; they count as holding no host since their row was last changed"
        )
        out[month] = Finding(False, text, {"servers": len(names)})
    return out
