"""Rule 7: edge devices and the containers on them. Resource `devices`, identity the device's id."""

import polars as pl

from usage_assets.facts.openstack.bookings import IN_LEASE, ON_DEMAND, RESERVED, UNKNOWN, booked_as
from usage_assets.facts.openstack.committed import allocation_rows
from usage_assets.facts.openstack.exclusions import EXCLUDED
from usage_assets.facts.openstack.inputs import Inputs
from usage_assets.facts.openstack.machines import capabilities, merged
from usage_assets.facts.openstack.maintenance import MAINTENANCE, reservations
from usage_assets.facts.openstack.rows import ROW, Outcome, born, never_ran, reason, resources, spans, with_own_span
from usage_assets.intervals import intersect, owned, subtract, union
from usage_assets.sites import Maintenance

_RESERVATION = "zun.openstack.org/reservation_id"
_ENDED = ("Deleted", "Error", "Stopped")
DEVICE = ("month", "owner_id")
_IN_LEASE = pl.col("metric").is_in(IN_LEASE)
_NO_TEXT = pl.lit(None, dtype=pl.String)


def device_rows(inputs: Inputs, bounds: pl.LazyFrame, metric: str) -> pl.LazyFrame:
    """Devices with their life and type: capability machine_name, else device_type."""
    created = born("updated_at", "deleted_at")
    names = capabilities(inputs["device_capabilities"], "machine_name", "machine_name")
    rows = (
        inputs["blazar_devices"]
        .with_row_index("row")
        .join(names, left_on=["month", "id"], right_on=["month", "owner_id"], how="left")
        .select(
            "row",
            "month",
            "reservable",
            pl.col(f"^{EXCLUDED}$"),
            row_id="id",
            entity_id="id",
            node="name",
            metric=pl.lit(metric),
            source=pl.lit("blazar_devices"),
            node_type=pl.coalesce("machine_name", "device_type", pl.lit("unknown")),
            original_start_at=created,
            original_end_at=pl.min_horizontal("deleted_at", "gone_at"),
            project_id=_NO_TEXT,
            user_id=_NO_TEXT,
            reservation_id=_NO_TEXT,
            lease_id=_NO_TEXT,
        )
    )
    return with_own_span(rows, bounds).with_columns(
        reason(("bad_time", pl.col("original_start_at").is_null()), ("never_ran", never_ran()))
    )


def capacity(rows: pl.LazyFrame, own: pl.LazyFrame | None = None) -> Outcome:
    """Every device row counts as one device while it lives, less what maintenance holds. Source: blazar_devices.

    `own` is owned_by_leases().
    """
    lives = spans(rows)
    left = lives
    if own is not None:
        kept_back = own.filter(pl.col("metric") == MAINTENANCE).select(*DEVICE, "start_at", "end_at")
        left = subtract(lives.rename({"row_id": "owner_id"}), kept_back, on=DEVICE)
    pieces = left.select(ROW, "start_at", "end_at", "node_type", *resources(devices=1.0))
    return Outcome(rows, pieces, lost=((pl.lit("bad_time"), lives), (pl.lit("duplicate"), pieces)))


def device_allocations(
    inputs: Inputs, devices: pl.LazyFrame, bounds: pl.LazyFrame, maintenance: Maintenance | None
) -> pl.LazyFrame:
    """The allocations of devices; see committed.allocation_rows."""
    return allocation_rows(
        inputs,
        bounds,
        source="blazar_device_allocations",
        resource="device_id",
        types=("device",),
        owners=devices.select("month", "node", owner_id="row_id"),
        maintenance=maintenance,
    )


def held(rows: pl.LazyFrame, reservable: pl.LazyFrame) -> pl.LazyFrame:
    """The stretches in which each allocation holds its device, siblings not yet told apart."""
    devices = spans(reservable).select("month", "start_at", "end_at", "node_type", owner_id="row_id")
    own = spans(rows).select(
        "month", "row", "row_id", "metric", "owner_id", "node", "created", "reservation_id", "start_at", "end_at"
    )
    return intersect(own, devices, on=DEVICE)


def owned_by_leases(holdings: pl.LazyFrame) -> pl.LazyFrame:
    """The same, at each instant only the latest allocation of a device."""
    return owned(holdings, by=DEVICE, rank=["created", "row_id"])


def committed(rows: pl.LazyFrame, holdings: pl.LazyFrame, own: pl.LazyFrame) -> Outcome:
    """A device is committed once, to the latest allocation; one for maintenance is metric maintenance instead.

    `own` is owned_by_leases(). Source: blazar_device_allocations.
    """
    pieces = own.select(ROW, "start_at", "end_at", "node_type", *resources(devices=1.0))
    return Outcome(rows, pieces, lost=((pl.lit("orphan"), holdings), (pl.lit("duplicate"), pieces)))


def container_rows(inputs: Inputs, bounds: pl.LazyFrame, maintenance: Maintenance | None) -> pl.LazyFrame:
    """Containers from started_at to their end: updated_at of those that ended, in error or not.

    The reservation is the one that an annotation names. Annotations that are missing or no JSON leave the booking
    unknown.
    """
    annotations = pl.col("annotations").str.strip_chars()
    named = annotations.str.extract(r'"' + _RESERVATION.replace(".", r"\.") + r'"\s*:\s*"([^"]+)"')
    readable = annotations.str.contains(r"^\{[\s\S]*\}$").fill_null(value=False)
    ended = pl.when(pl.col("status").is_in(_ENDED)).then("updated_at")
    born_at = born("started_at", "updated_at")
    rows = (
        inputs["zun_container"]
        .with_row_index("row")
        .with_columns(reservation_id=pl.when(readable).then(named))
        .join(reservations(inputs, maintenance), on=["month", "reservation_id"], how="left")
        .with_columns(
            row_id="id",
            source=pl.lit("zun_container"),
            entity_id="uuid",
            node="host",
            node_type=_NO_TEXT,
            metric=pl.when(pl.col("reservation_id").is_not_null())
            .then(pl.lit(RESERVED))
            .when(readable)
            .then(pl.lit(ON_DEMAND))
            .otherwise(pl.lit(UNKNOWN)),
            original_start_at="started_at",
            original_end_at=pl.min_horizontal(ended, "gone_at"),
            is_double=pl.struct(born_at, "id").rank("ordinal", descending=True).over("month", "uuid") > 1,
            is_timeless=born_at.is_null(),
        )
    )
    return (
        with_own_span(rows, bounds)
        .with_columns(
            reason(
                ("null_key", pl.col("uuid").is_null()),
                ("duplicate", pl.col("is_double")),
                ("bad_time", pl.col("is_timeless")),
                ("never_launched", pl.col("started_at").is_null()),
                ("bad_time", never_ran()),
            )
        )
        .with_columns(metric=pl.when(pl.col("reason").is_null()).then(booked_as()).otherwise(pl.lit("occupied")))
    )


def occupied(rows: pl.LazyFrame, holdings: pl.LazyFrame, devices: pl.LazyFrame) -> Outcome:
    """A container occupies one device; one with a reservation only while that holds its device.

    The device is the reservation's of the container's host name; where none is, the one that the reservation holds, of
    several the latest allocation's.
    """
    alive = spans(rows).select(ROW, "month", "metric", "node", "reservation_id", "start_at", "end_at")
    types = devices.group_by("month", "node").agg(pl.col("node_type").sort_by("original_start_at", "row_id").last())
    reserved = alive.filter(_IN_LEASE)
    by_name, any_of = ["month", "reservation_id", "node"], ["month", "reservation_id"]
    here = reserved.join(holdings.select(by_name).unique(), on=by_name, how="semi")
    held_here = union(holdings.select(*by_name, "start_at", "end_at"), by=by_name)
    on_named = pl.concat([alive.filter(~_IN_LEASE), intersect(here, held_here, on=by_name)])
    anywhere = reserved.join(holdings.select(by_name).unique(), on=by_name, how="anti").drop("node")
    holds = holdings.select(*any_of, "node", "node_type", "created", "start_at", "end_at", allocation="row_id")
    on_any = owned(intersect(anywhere, holds, on=any_of), by=[ROW], rank=["created", "allocation"])
    columns = [ROW, "node", "start_at", "end_at", "node_type"]
    pieces = pl.concat(
        [on_named.join(types, on=["month", "node"], how="left").select(columns), on_any.select(columns)]
    ).select(ROW, "node", "start_at", "end_at", pl.col("node_type").fill_null("unknown"), *resources(devices=1.0))
    kept = [name for name in pieces.collect_schema().names() if name not in {"start_at", "end_at"}]
    return Outcome(rows, merged(pieces, kept), lost=((pl.lit("orphan"), pieces),))
