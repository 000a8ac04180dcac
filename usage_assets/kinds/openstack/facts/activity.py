"""Rule 6: what servers keep running, occupied time less the time they were off, paused, suspended or soft-deleted."""

import polars as pl

from usage_assets.facts.tables import REJECTS
from usage_assets.intervals import close, following, is_first, materialize, subtract
from usage_assets.kinds.openstack.facts.deletions import SOFT_DELETED, waits_to_be_restored
from usage_assets.kinds.openstack.facts.inputs import POWERED_OFF, POWERED_ON, Inputs
from usage_assets.kinds.openstack.facts.rows import INSTANT, Settled, accounts, microseconds

_SERVER = ["month", "uuid"]
# states that contradict an event: the server runs, so it was started again though no event shows it
_RUNNING = ("active", "rescued", "resized")


def off(inputs: Inputs) -> pl.LazyFrame:
    """month, uuid, start_at, end_at of the times in which a server did not run; they are disjoint per server.

    One begins at the first event that turns a server off (stop, pause, suspend, soft delete) since the last one
    after which it surely ran, and ends at the next of those (start, reboot, resume, unpause, unshelve, restore),
    whatever began it; ties by id. One without an end lasts as long as the server, unless its vm_state at the dump is a
    running one; then it does not count. Other states (deleted, error, shelved ...) do not contradict the event. A
    server in state soft-delete without such an event since it last ran is off since its deleted_at, which Nova sets
    when that is asked for, else since its row's last change.
    """
    event = pl.col("event")
    events = materialize(
        inputs["server_events"]
        .filter(event.is_in([*POWERED_OFF, *POWERED_ON]))
        .select(*_SERVER, "start_time", "id", runs=event.is_in(POWERED_ON))
    )
    # of equal events in a row the first one counts, so that openings and closings take turns
    turns = events.sort(*_SERVER, "start_time", "id").filter(is_first([*_SERVER, "runs"]))
    spans = materialize(
        turns.with_columns(end_at=following("start_time", _SERVER))
        .filter(~pl.col("runs"))
        .select(*_SERVER, "end_at", start_at="start_time")
    )
    servers = inputs["nova_instances"]
    runs = servers.filter(pl.col("vm_state").is_in(_RUNNING)).select(_SERVER)
    still = spans.filter(pl.col("end_at").is_null()).join(runs, on=_SERVER, how="anti")
    last_ran = events.filter("runs").group_by(_SERVER).agg(ran=pl.col("start_time").max())
    since = pl.coalesce(pl.when(waits_to_be_restored()).then("deleted_at"), "updated_at")
    soft_deleted = (
        servers.with_columns(since=since)
        .filter((pl.col("vm_state") == SOFT_DELETED) & pl.col("since").is_not_null())
        .join(still, on=_SERVER, how="anti")
        .join(last_ran, on=_SERVER, how="left")
        .select(*_SERVER, end_at=pl.lit(None, dtype=INSTANT), start_at=pl.max_horizontal("since", "ran"))
    )
    return close(pl.concat([spans.filter(pl.col("end_at").is_not_null()), still, soft_deleted]))


def active(occupied: pl.LazyFrame, off_spans: pl.LazyFrame, *, site: str) -> Settled:
    """The occupied intervals (all bookings) less `off_spans`; containers have none and are active as they occupy.

    Account: rows in are the rows that occupied kept, hours in their kept hours, clipped hours those in which they were
    off. A server that was off for all of it is `outside`: it is none of the asset's own rejects.
    """
    entity = ["month", "source", "entity_id"]
    running = materialize(subtract(occupied, off_spans.rename({"uuid": "entity_id"}), on=["month", "entity_id"]))
    length = microseconds("start_at", "end_at").sum()
    is_off = pl.col("kept_us").is_null()
    rows = materialize(
        occupied.group_by(entity)
        .agg(own_us=length)
        .join(running.group_by(entity).agg(kept_us=length), on=entity, how="left")
        .with_columns(
            status=pl.when(is_off).then(pl.lit("outside")).otherwise(pl.lit("kept")),
            action=pl.when(pl.col("kept_us") < pl.col("own_us")).then(pl.lit("clipped")).otherwise(pl.lit("kept")),
        )
    )
    intervals = running.drop("action").join(rows.select(*entity, "action"), on=entity, how="inner", nulls_equal=True)
    active = intervals.with_columns(metric=pl.lit("active"))
    return Settled(active, REJECTS.empty().lazy(), accounts(rows, site, "active"))
