"""Columns that several raw tables of OpenStack share."""

from usage_assets.schema import at, number, text
from usage_assets.specs.raw_table import HELD_AS_DELETED

MB, GB, VCPUS = "MiB", "GiB", "vCPUs"


CREATED = at("created_at", "When the service made the row")
UPDATED = at("updated_at", "When the service last changed the row; null until then")
DELETED = at("deleted_at", "When the row was soft-deleted; services without soft delete have no such column")
TIMES = (CREATED, UPDATED, DELETED)
MARKED = (*TIMES, HELD_AS_DELETED)
"""Times of a table whose rows are marked as deleted. Of requests on servers and their steps Nova never marks any."""
PROJECT = text("project_id", "Keystone project")
USER = text("user_id", "Keystone user", personal=True)

ACTION = (
    text("action", "What the user asked for (create, delete, stop, start, shelve ...)"),
    text("request_id", "Request id of the API"),
    at("start_time", "When the request came in"),
    at("finish_time", "When it was done; Nova never fills it"),
    text("message", "Error where the action failed, else null"),
)
EVENT = (
    text("event", "Step of the action, <service>_<method>"),
    number("action_id", "Action that the step belongs to", "id"),
    at("start_time", "When the step began"),
    at("finish_time", "When the step ended"),
    text("result", "Success or Error; null while running"),
    text("host", "Service that ran the step"),
)
