"""The oracle's ends: rows with the time at which they were deleted, asked row by row."""

from datetime import datetime

from usage_assets_tests.golden.builder import Row
from usage_assets_tests.golden.raw_months import deletion, is_undated

ENDLESS = "is_endless"


def with_ends(rows: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """The same rows with what stands in for a deleted_at that is lacking.

    Those of which nothing tells when they were deleted have no created_at, and say so in ENDLESS.
    """
    servers = {row["id"]: row["instance_uuid"] for row in rows["nova_instance_actions"]}
    ended: dict[str | None, list[datetime | None]] = {}
    for row in rows["nova_instance_actions_events"]:
        if row["event"] == "compute_terminate_instance" and row["result"] == "Success":
            ended.setdefault(servers.get(row["action_id"]), []).append(row["start_time"])
    return {table: [_with_end(row, ended.get(row.get("uuid"), [])) for row in each] for table, each in rows.items()}


def _with_end(row: Row, terminations: list[datetime | None]) -> Row:
    if row.get("deleted") is None:
        return row
    deleted = deletion(row, terminations)
    if is_undated(row) and deleted is None:
        return row | {"created_at": None, ENDLESS: True}
    return row | {"deleted_at": deleted, "asked_to_be_deleted_at": row["deleted_at"]}
