"""Rule 7: edge devices and the containers on them. Resource `devices`, identity the device's id.

A device is occupied once at an instant, whatever containers share it. A capsule and its members are one holder.
"""

import polars as pl

from usage_assets.intervals import assign_owner, fill_between, intersect, materialize, subtract, union
from usage_assets.intervals.algebra import FAR_FUTURE, FAR_PAST
from usage_assets.kinds.openstack.facts.inputs import Inputs
from usage_assets.kinds.openstack.facts.labels import OWNER, labelled, labels
from usage_assets.kinds.openstack.facts.machines import merged, segments
from usage_assets.kinds.openstack.facts.maintenance import MAINTENANCE, reservations
from usage_assets.kinds.openstack.facts.occupied import IN_LEASE, ON_DEMAND, RESERVED, UNKNOWN, booked_as
from usage_assets.kinds.openstack.facts.rows import (
    NEVER_RAN,
    NO_START,
    ROW,
    Outcome,
    born,
    lives,
    resources,
    spans,
    with_own_span,
)
from usage_assets.kinds.openstack.site.model import Maintenance

_RESERVATION = "zun.openstack.org/reservation_id"
_ENDED = ("Deleted", "Error", "Stopped")
# of the containers on a device the last of these owns the time; of one holder the capsule before its members
_RANK = ("holder_created", "holder", "is_whole", "created", "uuid")


def device_types(inputs: Inputs) -> pl.LazyFrame:
    """month, owner_id, node_type, start_at, end_at: the type of each device at every instant.

    It is the label machine_name, else device_type, else unknown.
    """
    devices = inputs["blazar_devices"].select(
        "month", "device_type", owner_id="id", ended=pl.min_horizontal("deleted_at", "gone_at")
    )
    names = labels(inputs["device_capabilities"], {"machine_name": "machine_name"}, devices)
    return devices.join(names, on=OWNER, how="left").select(
        *OWNER,
        node_type=pl.coalesce("machine_name", "device_type", pl.lit("unknown")),
        start_at=pl.col("start_at").fill_null(FAR_PAST),
        end_at=pl.col("end_at").fill_null(FAR_FUTURE),
    )


def device_rows(inputs: Inputs, types: pl.LazyFrame, bounds: pl.LazyFrame, metric: str) -> pl.LazyFrame:
    """Devices with their life and first type; `types` is device_types()."""
    first = types.sort("start_at").group_by(OWNER).agg(pl.col("node_type").first())
    rows = lives(
        inputs["blazar_devices"],
        "reservable",
        entity_id="id",
        # its id is what it is; a name, where it has one, is how containers and people call it
        node=pl.coalesce("name", "id"),
        name=pl.col("name").str.to_lowercase(),
        metric=pl.lit(metric),
        source=pl.lit("blazar_devices"),
    ).join(first, left_on=["month", "row_id"], right_on=OWNER, how="left")
    return with_own_span(rows, bounds, ("bad_time", NO_START), ("never_ran", NEVER_RAN))


def capacity(rows: pl.LazyFrame, types: pl.LazyFrame, own: pl.LazyFrame | None = None) -> Outcome:
    """Every device row counts as one device while it lives, less what maintenance holds. Source: blazar_devices.

    `own` is owned_by_leases().
    """
    alive = spans(rows)
    left = alive.rename({"row_id": "owner_id"}).drop("node_type")
    if own is not None:
        in_maintenance = own.filter(pl.col("metric") == MAINTENANCE).select(*OWNER, "start_at", "end_at")
        left = subtract(left, in_maintenance, on=OWNER)
    typed = labelled(materialize(left), types, "owner_id")
    pieces = typed.select(ROW, "start_at", "end_at", "node_type", *resources(devices=1.0))
    return Outcome(rows, pieces, lost=((pl.lit("bad_time"), alive), (pl.lit("duplicate"), pieces)))


def held(rows: pl.LazyFrame, reservable: pl.LazyFrame, types: pl.LazyFrame) -> pl.LazyFrame:
    """When each allocation holds its device, allocations of the same device overlapping."""
    alive = spans(reservable).select("month", "start_at", "end_at", owner_id="row_id")
    own = spans(rows).select(
        *("month", "row", "row_id", "metric", "owner_id", "node", "created", "reservation_id", "start_at", "end_at")
    )
    return intersect(own, labelled(alive, types, "owner_id"), on=OWNER)


def owned_by_leases(holdings: pl.LazyFrame) -> pl.LazyFrame:
    """The same, at each instant only the latest allocation of a device."""
    return assign_owner(holdings, by=OWNER, rank=["created", "row_id"])


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
    rows = (
        _with_holder(_with_annotation(inputs["zun_container"].with_row_index("row")))
        .join(reservations(inputs, maintenance), on=["month", "reservation_id"], how="left")
        .with_columns(
            source=pl.lit("zun_container"),
            entity_id="uuid",
            node="host",
            metric=pl.when(pl.col("reservation_id").is_not_null())
            .then(pl.lit(RESERVED))
            .when("is_readable")
            .then(pl.lit(ON_DEMAND))
            .otherwise(pl.lit(UNKNOWN)),
            start_at="started_at",
            end_at=pl.min_horizontal(ended, "gone_at"),
            is_double=pl.struct("created", "id").rank("ordinal", descending=True).over("month", "uuid") > 1,
        )
    )
    checked = with_own_span(
        rows,
        bounds,
        ("null_key", pl.col("uuid").is_null()),
        ("duplicate", pl.col("is_double")),
        ("bad_time", pl.col("created").is_null()),
        ("never_launched", pl.col("started_at").is_null()),
        ("bad_time", NEVER_RAN),
    )
    is_good = pl.col("reason").is_null()
    return checked.with_columns(metric=pl.when(is_good).then(booked_as()).otherwise(pl.lit("occupied")))


def _with_annotation(containers: pl.LazyFrame) -> pl.LazyFrame:
    """Containers with is_readable, created, and the reservation_id in their own annotations."""
    annotations = pl.col("annotations").str.strip_chars()
    reservation = annotations.str.extract(r'"' + _RESERVATION.replace(".", r"\.") + r'"\s*:\s*"([^"]+)"')
    readable = annotations.str.contains(r"^\{[\s\S]*\}$").fill_null(value=False)
    return containers.with_columns(
        is_readable=readable,
        reservation_id=pl.when(readable).then(reservation),
        created=born("started_at", "updated_at"),
    )


def _with_holder(containers: pl.LazyFrame) -> pl.LazyFrame:
    """Containers with their holder: their capsule, or themselves.

    A member whose annotations name no reservation is booked as its capsule is.
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
        # where the capsule's own row is gone, its id still groups its members
        holder=pl.coalesce("capsule", pl.col("capsule_id").cast(pl.String), "uuid"),
        holder_created=pl.coalesce("capsule_created", "created"),
        is_whole=pl.col("capsule_id").is_null(),
        is_readable=pl.col("is_readable") | pl.col("capsule_reads").fill_null(value=False),
        reservation_id=pl.coalesce("reservation_id", "capsule_reservation"),
    )


def occupied(rows: pl.LazyFrame, holdings: pl.LazyFrame, devices: pl.LazyFrame, types: pl.LazyFrame) -> Outcome:
    """A device is occupied once: of the containers on it the latest created, then by uuid, owns the time.

    A container with a reservation counts only while that holds its device: the one of the container's host name, or,
    where the reservation never holds that, the one that it holds, of several the latest allocation's.
    """
    placed = materialize(_on_devices(rows, holdings, _by_name(devices, types)))
    # hosts that are no device of the site are one place per name, containers without a host one per holder
    place = pl.coalesce(
        pl.lit("device ") + pl.col("device"), pl.lit("host ") + pl.col("host"), pl.lit("holder ") + pl.col("holder")
    )
    single = assign_owner(placed.with_columns(place=place), by=["month", "place"], rank=_RANK)
    pieces = single.select(ROW, "node", "start_at", "end_at", "node_type", *resources(devices=1.0))
    kept = [name for name in pieces.collect_schema().names() if name not in {"start_at", "end_at"}]
    return Outcome(rows, merged(pieces, kept), lost=((pl.lit("orphan"), placed), (pl.lit("duplicate"), pieces)))


def _on_devices(rows: pl.LazyFrame, holdings: pl.LazyFrame, by_name: pl.LazyFrame) -> pl.LazyFrame:
    """The spans in which containers count, each with its device (null where the host is none), node and node_type."""
    own_key, lease_key = ["month", "reservation_id", "device"], ["month", "reservation_id"]
    alive = spans(rows).select(
        *(ROW, "month", "metric", "node", "reservation_id", *_RANK, "start_at", "end_at"),
        host=pl.col("node").str.to_lowercase(),
    )
    names = materialize(by_name)
    on_known = intersect(alive.drop("node"), names, on=["month", "host"])
    nowhere = alive.join(names.select("month", "host").unique(), on=["month", "host"], how="anti").with_columns(
        device=pl.lit(None, dtype=pl.String), node_type=pl.lit("unknown")
    )
    columns = nowhere.collect_schema().names()
    on_host = materialize(pl.concat([on_known.select(columns), nowhere]))
    holds = holdings.select(
        *(*lease_key, "node", "node_type", "start_at", "end_at"),
        device="owner_id",
        held_since="created",
        allocation="row_id",
    )
    reserved = on_host.filter(IN_LEASE)
    ever = holds.select(own_key).unique()
    on_own = intersect(
        reserved.join(ever, on=own_key, how="semi"),
        union(holds.select(*own_key, "start_at", "end_at"), by=own_key),
        on=own_key,
    )
    elsewhere = reserved.join(ever, on=own_key, how="anti").drop("device", "node", "node_type")
    on_any = assign_owner(intersect(elsewhere, holds, on=lease_key), by=[ROW], rank=["held_since", "allocation"])
    return pl.concat([on_host.filter(~IN_LEASE), on_own.select(columns), on_any.select(columns)])


def _by_name(devices: pl.LazyFrame, types: pl.LazyFrame) -> pl.LazyFrame:
    """month, host (a name), device, node, node_type, start_at, end_at: the device that a name means at every instant.

    It is the latest row that covers the instant, else the last before it, else the first after it.
    """
    rows = devices.filter(pl.col("reason").is_null()).select(
        *("month", "row_id", "node"),
        hostname="name",
        created="original_start_at",
        start_at="original_start_at",
        end_at="original_end_at",
    )
    filled = fill_between(labelled(segments(rows), types, "row_id"), by=["month", "hostname"])
    return filled.select("month", "node", "node_type", "start_at", "end_at", host="hostname", device="row_id")
