"""`personal` of a site's file: the columns that name people and are hashed or dropped before they are stored."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from usage_assets.kinds.openstack.raw.tables import TABLES
from usage_assets.sites.sql import PersonalRule

SPEC = "nova_api_request_specs.spec"
LEASE_NAME = "blazar_leases.name"

_PERSONAL = tuple(f"{raw.name}.{column.name}" for raw in TABLES for column in raw.columns if column.personal)
# no rule needs these, so a site may hide them by name; `personal: hash` leaves them as they are
_ALSO = ("project_id", "message", "disabled_reason")
_HIDEABLE = (
    *_PERSONAL,
    *(f"{raw.name}.{column.name}" for raw in TABLES for column in raw.columns if column.name in _ALSO),
    "keystone_project.name",
)
_EVERYWHERE = ("user_id", "project_id")
"""One identity in many tables: hidden in all of them alike, or people would count twice."""


def _expanded(value: object) -> object:
    """Every column by its table: `hash` alone is each column declared personal, `user_id` alone that of every table."""
    if value == "hash":
        return dict.fromkeys(_PERSONAL, "hash")
    if not isinstance(value, Mapping):
        msg = "write hash, or columns such as {user_id: hash, blazar_leases.name: drop}"
        raise ValueError(msg)
    out: dict[str, Any] = {}
    for name, rule in value.items():
        columns = [column for column in _HIDEABLE if column.endswith(f".{name}")] if name in _EVERYWHERE else [name]
        if not set(_HIDEABLE) >= set(columns):
            shown = ", ".join([*_EVERYWHERE, *(column for column in _HIDEABLE if not column.endswith(_EVERYWHERE))])
            msg = f"{name} can't be hidden: no such column, or rows could not be told apart or counted without; {shown}"
            raise ValueError(msg)
        out |= dict.fromkeys(columns, rule)
    return out


Personal = Annotated[dict[str, PersonalRule], BeforeValidator(_expanded)]


def fits(personal: Mapping[str, PersonalRule], site: Any) -> None:
    """Raise ValueError where another part of the site's file needs what `personal` hides."""
    for name in _EVERYWHERE:
        tables = [raw.name for raw in TABLES if raw.database in site.databases] if personal else []
        columns = [column for column in _HIDEABLE if column in {f"{table}.{name}" for table in tables}]
        if len({personal.get(column) for column in columns}) > 1:
            bare = sorted(column for column in columns if column not in personal) or columns
            msg = f"personal: {name} must be treated alike in all tables, not so in {bare[0]}; write {name}: hash"
            raise ValueError(msg)
    if any(column.endswith(".project_id") for column in personal):
        needs = {
            "maintenance.projects": bool(site.maintenance and site.maintenance.projects),
            "project_names": bool(site.project_names),
            "databases.keystone": "keystone" in site.databases,
        }
        needed = [name for name, is_needed in needs.items() if is_needed]
        if needed:
            msg = f"personal: {', '.join(needed)} needs project_id as it is; hash_names hides it in what people read"
            raise ValueError(msg)
    if personal.get(SPEC) == "drop":
        msg = f"personal: {SPEC} says which reservation and flavor a server has; hash keeps these two and nothing else"
        raise ValueError(msg)
    if personal.get(LEASE_NAME) == "drop" and site.maintenance and site.maintenance.lease_name:
        msg = f"personal: maintenance.lease_name needs {LEASE_NAME}; hash keeps the names that it matches"
        raise ValueError(msg)
    for rule in site.exclusions:
        dropped = [column for column in rule.where if personal.get(f"{rule.table}.{column}") == "drop"]
        if dropped:
            msg = f"personal: an exclusion needs {rule.table}.{dropped[0]}; hash it, and the exclusion still matches"
            raise ValueError(msg)
