"""Rule 7: edge devices and the containers on them. Resource `devices`, identity the device's id.

A device is occupied once at an instant, whatever containers share it. A capsule and its members are one holder.
"""

import polars as pl

from usage_assets.intervals import assign_owner, clip, fill_between, intersect, is_empty, materialize, subtract, union
from usage_assets.kinds.openstack.facts.bookings import IN_LEASE, ON_DEMAND, RESERVED, UNKNOWN, booked_as
from usage_assets.kinds.openstack.facts.committed import allocation_rows
from usage_assets.kinds.openstack.facts.exclusions import EXCLUDED
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.labels import OWNER, labels
from usage_assets.kinds.openstack.facts.machines import merged, segments
from usage_assets.kinds.openstack.facts.maintenance import MAINTENANCE, reservations
from usage_assets.kinds.openstack.facts.rows import (
    ROW,
    Outcome,
    born,
    never_ran,
    reason,
    resources,
    spans,
    with_own_span,
)
from usage_assets.kinds.openstack.site.model import Maintenance

_RESERVATION = "zun.openstack.org/reservation_id"
_ENDED = ("Deleted", "Error", "Stopped")
DEVICE = ("month", "owner_id")
_IN_LEASE = pl.col("metric").is_in(IN_LEASE)
_NO_TEXT = pl.lit(None, dtype=pl.String)
_RELABELLED = "relabelled"
# of the containers on a device the last of these owns the time; of one holder the capsule before its members
_RANK = ("holder_created", "holder", "is_whole", "created", "uuid")


def type_of_device() -> pl.Expr:
    """The type of a device: its label machine_name, else its device_type."""
    return pl.coalesce("machine_name", "device_type", pl.lit("unknown"))


def device_labels(inputs: Inputs) -> pl.LazyFrame:
    """What capabilities say of devices over time, see labels(): machine_name."""
    owners = inputs["blazar_devices"].select("month", owner_id="id", ended=pl.min_horizontal("deleted_at", "gone_at"))
    return labels(inputs["device_capabilities"], {"machine_name": "machine_name"}, owners)


def _typed_over_time(inputs: Inputs) -> pl.LazyFrame:
    """month, id and type of devices; those relabelled have _RELABELLED, the times of each type, if there are any."""
    devices = inputs["blazar_devices"].select("month", "id", "device_type")
    told = materialize(
        devices.join(device_labels(inputs), left_on=["month", "id"], right_on=OWNER, how="left").select(
            "month", "id", label_from="start_at", label_until="end_at", label_type=type_of_device()
        )
    )
    types = told.sort("label_from").group_by("month", "id").agg(node_type=pl.col("label_type").first())
    changed = materialize(told.filter(pl.struct("month", "id").is_duplicated()))
    if is_empty(changed):
        return types
    times = changed.group_by("month", "id").agg(pl.struct("label_from", "label_until", "label_type").alias(_RELABELLED))
    return types.join(times, on=["month", "id"], how="left")


def _typed(pieces: pl.LazyFrame) -> pl.LazyFrame:
    """Pieces of devices with the type of their time: cut where the device was relabelled."""
    if _RELABELLED not in pieces.collect_schema().names():
        return pieces
    known = materialize(pieces)
    changed = (
        known.filter(pl.col(_RELABELLED).is_not_null())
        .explode(_RELABELLED)
        .unnest(_RELABELLED)
        .with_columns(node_type="label_type")
    )
    cut = clip(changed, pl.col("label_from"), pl.col("label_until")).drop("label_from", "label_until", "label_type")
    steady = known.filter(pl.col(_RELABELLED).is_null()).drop(_RELABELLED)
    return pl.concat([steady, cut.select(steady.collect_schema().names())])


def device_rows(inputs: Inputs, bounds: pl.LazyFrame, metric: str) -> pl.LazyFrame:
    """Devices with their life and first type."""
    created = born("updated_at", "deleted_at")
    rows = (
        inputs["blazar_devices"]
        .with_row_index("row")
        .join(_typed_over_time(inputs), on=["month", "id"], how="left")
        .select(
            "row",
            "month",
            "reservable",
            "node_type",
            pl.col(f"^({EXCLUDED}|{_RELABELLED})$"),
            row_id="id",
            entity_id="id",
            # its id is what it is; a name, where it has one, is how containers and people call it
            node=pl.coalesce("name", "id"),
            name=pl.col("name").str.to_lowercase(),
            metric=pl.lit(metric),
            source=pl.lit("blazar_devices"),
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
    pieces = _typed(left).select(ROW, "start_at", "end_at", "node_type", *resources(devices=1.0))
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
    devices = _typed(spans(reservable)).select("month", "start_at", "end_at", "node_type", owner_id="row_id")
    own = spans(rows).select(
        "month", "row", "row_id", "metric", "owner_id", "node", "created", "reservation_id", "start_at", "end_at"
    )
    return intersect(own, devices, on=DEVICE)


def owned_by_leases(holdings: pl.LazyFrame) -> pl.LazyFrame:
    """The same, at each instant only the latest allocation of a device."""
    return assign_owner(holdings, by=DEVICE, rank=["created", "row_id"])


def committed(rows: pl.LazyFrame, holdings: pl.LazyFrame, own: pl.LazyFrame) -> Outcome:
    """A device is committed once, to the latest allocation; one for maintenance is metric maintenance instead.

    `own` is owned_by_leases(). Source: blazar_device_allocations.
    """
    pieces = own.select(ROW, "start_at", "end_at", "node_type", *resources(devices=1.0))
    return Outcome(rows, pieces, lost=((pl.lit("orphan"), holdings), (pl.lit("duplicate"), pieces)))


def container_rows(inputs: Inputs, bounds: pl.LazyFrame, maintenance: Maintenance | None) -> pl.LazyFrame:
    """Containers from started_at to their end: updated_at of those that ended, in error or not.

    The reservation is the one that an annotation names, of a member of a capsule else its capsule's. Annotations that
    are missing or no JSON leave the booking unknown.
    """
    ended = pl.when(pl.col("status").is_in(_ENDED)).then("updated_at")
    born_at = born("started_at", "updated_at")
    rows = (
        _with_holder(_with_annotation(inputs["zun_container"].with_row_index("row")))
        .join(reservations(inputs, maintenance), on=["month", "reservation_id"], how="left")
        .with_columns(
            row_id="id",
            source=pl.lit("zun_container"),
            entity_id="uuid",
            node="host",
            node_type=_NO_TEXT,
            metric=pl.when(pl.col("reservation_id").is_not_null())
            .then(pl.lit(RESERVED))
            .when("is_readable")
            .then(pl.lit(ON_DEMAND))
            .otherwise(pl.lit(UNKNOWN)),
            original_start_at="started_at",
            original_end_at=pl.min_horizontal(ended, "gone_at"),
            is_double=pl.struct("created", "id").rank("ordinal", descending=True).over("month", "uuid") > 1,
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


def _with_annotation(containers: pl.LazyFrame) -> pl.LazyFrame:
    """The same with is_readable, created, and the reservation_id that the container's own annotations name."""
    annotations = pl.col("annotations").str.strip_chars()
    named = annotations.str.extract(r'"' + _RESERVATION.replace(".", r"\.") + r'"\s*:\s*"([^"]+)"')
    readable = annotations.str.contains(r"^\{[\s\S]*\}$").fill_null(value=False)
    return containers.with_columns(
        is_readable=readable, reservation_id=pl.when(readable).then(named), created=born("started_at", "updated_at")
    )


def _with_holder(containers: pl.LazyFrame) -> pl.LazyFrame:
    """The same with the holder that a container belongs to: its capsule, or itself.

    A member whose annotations say nothing is booked as its capsule is.
    """
    capsules = containers.select(
        "month",
        capsule_id="id",
        capsule="uuid",
        capsule_created="created",
        capsule_reads="is_readable",
        capsule_reservation="reservation_id",
    )
    return containers.join(capsules, on=["month", "capsule_id"], how="left").with_columns(
        joined_zun_container=pl.col("capsule").is_not_null(),
        # of a capsule whose own row is gone the id still tells its members from others
        holder=pl.coalesce("capsule", pl.col("capsule_id").cast(pl.String), "uuid"),
        holder_created=pl.coalesce("capsule_created", "created"),
        is_whole=pl.col("capsule_id").is_null(),
        is_readable=pl.col("is_readable") | pl.col("capsule_reads").fill_null(value=False),
        reservation_id=pl.coalesce("reservation_id", "capsule_reservation"),
    )


def occupied(rows: pl.LazyFrame, holdings: pl.LazyFrame, devices: pl.LazyFrame) -> Outcome:
    """A device is occupied once: of the containers on it the latest created, then by uuid, owns the time.

    A container with a reservation counts only while that holds its device: the one of the container's host name, or,
    where the reservation never holds that, the one that it holds, of several the latest allocation's.
    """
    placed = materialize(_on_devices(rows, holdings, devices))
    # what is no device of the site's is told apart by its name, and without a name by who holds it
    place = pl.coalesce(
        pl.lit("device ") + pl.col("device"), pl.lit("host ") + pl.col("host"), pl.lit("holder ") + pl.col("holder")
    )
    single = assign_owner(placed.with_columns(place=place), by=["month", "place"], rank=_RANK)
    pieces = single.select(ROW, "node", "start_at", "end_at", "node_type", *resources(devices=1.0))
    kept = [name for name in pieces.collect_schema().names() if name not in {"start_at", "end_at"}]
    return Outcome(rows, merged(pieces, kept), lost=((pl.lit("orphan"), placed), (pl.lit("duplicate"), pieces)))


def _on_devices(rows: pl.LazyFrame, holdings: pl.LazyFrame, devices: pl.LazyFrame) -> pl.LazyFrame:
    """The spans in which containers count, each with its device (null where the host is none), node and node_type."""
    own_key, lease_key = ["month", "reservation_id", "device"], ["month", "reservation_id"]
    alive = spans(rows).select(
        ROW,
        "month",
        "metric",
        "node",
        "reservation_id",
        *_RANK,
        "start_at",
        "end_at",
        host=pl.col("node").str.to_lowercase(),
    )
    names = materialize(_named(devices))
    on_known = intersect(alive.drop("node"), names, on=["month", "host"])
    nowhere = alive.join(names.select("month", "host").unique(), on=["month", "host"], how="anti").with_columns(
        device=_NO_TEXT, node_type=pl.lit("unknown")
    )
    columns = nowhere.collect_schema().names()
    at_home = materialize(pl.concat([on_known.select(columns), nowhere]))
    holds = holdings.select(
        *lease_key,
        "node",
        "node_type",
        "start_at",
        "end_at",
        device="owner_id",
        held_since="created",
        allocation="row_id",
    )
    reserved = at_home.filter(_IN_LEASE)
    ever = holds.select(own_key).unique()
    on_own = intersect(
        reserved.join(ever, on=own_key, how="semi"),
        union(holds.select(*own_key, "start_at", "end_at"), by=own_key),
        on=own_key,
    )
    elsewhere = reserved.join(ever, on=own_key, how="anti").drop("device", "node", "node_type")
    on_any = assign_owner(intersect(elsewhere, holds, on=lease_key), by=[ROW], rank=["held_since", "allocation"])
    return pl.concat([at_home.filter(~_IN_LEASE), on_own.select(columns), on_any.select(columns)])


def _named(devices: pl.LazyFrame) -> pl.LazyFrame:
    """Which device a name means, at every instant: month, host (the name), device, node, node_type, start_at, end_at.

    That of the latest row that covers the instant, else of the last before it, else of the first after it.
    """
    lives = devices.filter(pl.col("reason").is_null()).select(
        "month",
        "row_id",
        "node",
        "node_type",
        pl.col(f"^{_RELABELLED}$"),
        hostname="name",
        created="original_start_at",
        start_at="original_start_at",
        end_at="original_end_at",
    )
    return fill_between(_typed(segments(lives)), by=["month", "hostname"]).select(
        "month", "node", "node_type", "start_at", "end_at", host="hostname", device="row_id"
    )
