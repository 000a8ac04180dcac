"""Rule 6: what servers keep running, occupied time less the time they were off, paused or suspended."""

import polars as pl

from usage_assets.facts.openstack.inputs import POWER_PAIRS, Inputs
from usage_assets.facts.openstack.rows import Settled, accounts, microseconds
from usage_assets.facts.tables import REJECTS
from usage_assets.intervals import close, is_first, once, subtract

_SERVER = ["month", "uuid"]
# states that speak against an event: the server runs, so it was started again though no event says so
_RUNNING = ("active", "rescued", "resized")


def off(inputs: Inputs) -> pl.LazyFrame:
    """month, uuid, start_at, end_at of the stretches in which a server did not run; pairs of events may overlap.

    Three independent pairs of successful events (stop and start, pause and unpause, suspend and resume). A stretch
    begins at the first opening event since the last closing one and ends at the next closing event, ties by id. One
    without an end lasts as long as the server, unless the server's vm_state at the dump says that it runs; then it
    does not count. Other states (deleted, error, shelved ...) say nothing against the event.
    """
    pair = {event: number for number, both in enumerate(POWER_PAIRS) for event in both}
    closing = [closes for _, closes in POWER_PAIRS]
    event = pl.col("event")
    # of equal events in a row the first one counts, so that openings and closings take turns
    turns = (
        inputs["server_events"]
        .filter(event.is_in(list(pair)))
        .select(
            *_SERVER,
            "start_time",
            "id",
            pair=event.replace_strict(pair, return_dtype=pl.Int8),
            closes=event.is_in(closing),
        )
        .sort(*_SERVER, "pair", "start_time", "id")
        .filter(is_first([*_SERVER, "pair", "closes"]))
    )
    # what follows an opening is its closing, if it is of the same server and pair
    ended = ~is_first([*_SERVER, "pair"]).shift(-1).fill_null(value=True)
    spans = once(
        turns.with_columns(end_at=pl.when(ended).then(pl.col("start_time").shift(-1)))
        .filter(~pl.col("closes"))
        .select(*_SERVER, "end_at", start_at="start_time")
    )
    runs = inputs["nova_instances"].filter(pl.col("vm_state").is_in(_RUNNING)).select(_SERVER)
    still = spans.filter(pl.col("end_at").is_null()).join(runs, on=_SERVER, how="anti")
    return close(pl.concat([spans.filter(pl.col("end_at").is_not_null()), still]))


def active(occupied: pl.LazyFrame, off_spans: pl.LazyFrame, *, site: str) -> Settled:
    """The occupied intervals (all bookings) less `off_spans`; containers have none and are active as they occupy.

    Account: rows in are the rows that occupied kept, hours in their kept hours, clipped hours those in which they were
    off. A server that was off for all of it is `outside`: it is none of the asset's own rejects.
    """
    entity = ["month", "source", "entity_id"]
    holes = off_spans.rename({"uuid": "entity_id"})
    running = once(subtract(occupied, holes, on=["month", "entity_id"]))
    length = microseconds("start_at", "end_at").sum()
    rows = once(
        occupied.group_by(entity)
        .agg(own_us=length)
        .join(running.group_by(entity).agg(kept_us=length), on=entity, how="left")
        .with_columns(status=pl.when(pl.col("kept_us").is_null()).then(pl.lit("outside")).otherwise(pl.lit("kept")))
    )
    cut = rows.filter(pl.col("kept_us") < pl.col("own_us")).select(*entity, is_cut=pl.lit(value=True))
    intervals = running.join(cut, on=entity, how="left").with_columns(
        metric=pl.lit("active"),
        action=pl.when(pl.col("is_cut").is_null()).then(pl.lit("kept")).otherwise(pl.lit("clipped")),
    )
    return Settled(intervals.drop("is_cut"), REJECTS.empty().lazy(), accounts(rows, site))
