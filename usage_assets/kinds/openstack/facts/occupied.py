"""Rules 4 and 5: what servers hold, less the time they are shelved, by how they were booked."""

import polars as pl

from usage_assets.intervals import assign_owner, close, intersect, is_empty, materialize, subtract, union
from usage_assets.kinds.openstack.facts.deletions import with_deletions_of_servers
from usage_assets.kinds.openstack.facts.inputs import SHELVING, Inputs
from usage_assets.kinds.openstack.facts.machines import HOST, covered, merged
from usage_assets.kinds.openstack.facts.maintenance import reservations
from usage_assets.kinds.openstack.facts.names import MACHINE_NAMES, machines_of_hosts
from usage_assets.kinds.openstack.facts.node_types import SIZES, declared_types
from usage_assets.kinds.openstack.facts.rows import (
    INSTANT,
    NEVER_RAN,
    NO_START,
    ROW,
    Outcome,
    born,
    resources,
    spans,
    with_own_span,
)
from usage_assets.kinds.openstack.site.model import Maintenance, NodeType

_SHELVE, _OFFLOAD, _UNSHELVE = SHELVING
SHELVED_OFFLOADED = "shelved_offloaded"
"""vm_state of a server that holds no host any more."""
RESERVED, ON_DEMAND, UNKNOWN = "occupied_reservation", "occupied_ondemand", "occupied_unknown"
MAINTENANCE = "occupied_maintenance"
SERVER = ["month", "uuid"]
IN_LEASE = pl.col("metric").is_in([RESERVED, MAINTENANCE])
"""Servers and containers that count only while an allocation of their reservation holds their machine or device."""


def server_rows(
    inputs: Inputs, source: str, machine_profile: pl.LazyFrame, bounds: pl.LazyFrame, maintenance: Maintenance | None
) -> pl.LazyFrame:
    """Servers with their life, node and booking, and the reason of those that never occupied anything.

    A server lives from created_at to the least of terminated_at, deleted_at and its first successful termination; one
    that is held as deleted though none of them is known, to its last change. A node that the row no longer names is
    taken from the last successful step on a known machine. One booked in a lease for `maintenance` has a metric of its
    own.
    """
    born_at = born("launched_at", "updated_at", "deleted_at", "terminated_at")
    rows = (
        inputs[source]
        .with_row_index("row")
        .with_columns(created=born_at)
        .join(inputs["server_terminations"], on=SERVER, how="left")
        .pipe(with_deletions_of_servers)
        .join(_last_known_node(inputs, source, machine_profile), on=SERVER, how="left")
        .join(bookings(inputs), on=SERVER, how="left")
        .join(reservations(inputs, maintenance), on=["month", "reservation_id"], how="left")
        .with_columns(
            joined_nova_api_request_specs=pl.col("metric").is_not_null(),
            joined_server_terminations=pl.col("terminated").is_not_null(),
            joined_blazar_reservations=pl.col("lease_id").is_not_null(),
            source=pl.lit(source),
            entity_id="uuid",
            node=pl.coalesce("node", "recovered_node"),
            metric=booked_as().fill_null(UNKNOWN),
            start_at=pl.when(~pl.col("is_endless")).then("created"),
            end_at=pl.min_horizontal("terminated_at", "deleted_at", "terminated", "gone_at"),
            is_double=pl.col("row").is_in(_doubles(inputs[source], born_at).implode()),
        )
    )
    checked = with_own_span(
        rows,
        bounds,
        ("null_key", pl.col("uuid").is_null()),
        ("duplicate", pl.col("is_double")),
        ("bad_time", NO_START),
        ("never_launched", pl.col("launched_at").is_null()),
        ("never_ran", NEVER_RAN),
    )
    # before its booking is looked at, a rejected server is just occupied
    return checked.with_columns(metric=pl.when(pl.col("reason").is_null()).then("metric").otherwise(pl.lit("occupied")))


def occupied(
    inputs: Inputs,
    rows: pl.LazyFrame,
    holdings: pl.LazyFrame,
    machine_profile: pl.LazyFrame,
    host_types: pl.LazyFrame,
    *,
    node_types: dict[str, NodeType],
) -> Outcome:
    """Time and resources that servers hold. On bare metal one server at a time holds a machine, the latest created.

    `rows` is server_rows(), `holdings` is committed.held(): a reserved server counts while an allocation of its
    reservation holds its machine.
    """
    alive = spans(rows).select(
        *(ROW, "month", "uuid", "metric", "created", "reservation_id", "start_at", "end_at", "flavor_gpus"),
        hostname="node",
        flavor_vcpus="vcpus",
        flavor_memory_mb="memory_mb",
        flavor_disk_gb=pl.col("root_gb") + pl.col("ephemeral_gb").fill_null(0),
    )
    up = materialize(subtract(alive, _shelved(inputs, rows), on=SERVER))
    booked = materialize(pl.concat([up.filter(~IN_LEASE), _within_reservation(up, holdings)]))
    placed = materialize(_on_machines(booked, machine_profile, host_types, node_types, inputs[MACHINE_NAMES]))
    single = assign_owner(placed.filter("is_metal"), by=HOST, rank=["created", "uuid"])
    pieces = pl.concat([single, placed.filter(~pl.col("is_metal"))]).select(
        ROW, "start_at", "end_at", "node_type", *_server_resources()
    )
    kept = [name for name in pieces.collect_schema().names() if name not in {"start_at", "end_at"}]
    no_parent = pl.when(pl.col("node").is_null()).then(pl.lit("unknown_host")).otherwise(pl.lit("orphan"))
    return Outcome(
        rows, merged(pieces, kept), lost=((pl.lit("never_ran"), up), (no_parent, booked), (pl.lit("duplicate"), pieces))
    )


def _doubles(servers: pl.LazyFrame, created: pl.Expr) -> pl.Series:
    """Numbers of the rows doubled under one uuid, but for the latest."""
    several = servers.with_row_index("row").filter(pl.struct("month", "uuid").is_duplicated())
    ranked = several.with_columns(created=created).sort("created", "id", nulls_last=False)
    return ranked.filter(~pl.struct("month", "uuid").is_last_distinct()).select("row").collect()["row"]


def _last_known_node(inputs: Inputs, source: str, machine_profile: pl.LazyFrame) -> pl.LazyFrame:
    """The machine of the last successful step of each server whose row names none.

    A step names its service: the machine of that name, or the only hypervisor that has the service.
    """
    lost = inputs[source].filter(pl.col("node").is_null()).select(SERVER)
    steps = materialize(inputs["server_events"].join(lost, on=SERVER, how="semi"))
    if is_empty(steps):
        return lost.head(0).with_columns(recovered_node=pl.lit(None, dtype=pl.String))
    known = machine_profile.select(HOST).unique()
    machines = machines_of_hosts(steps, inputs["nova_compute_nodes"], known, inputs[MACHINE_NAMES])
    return (
        steps.join(machines, on=["month", "host"], how="inner")
        .sort("start_time", "id")
        .group_by(SERVER)
        .agg(recovered_node=pl.col("hostname").last())
    )


def _shelved(inputs: Inputs, servers: pl.LazyFrame) -> pl.LazyFrame:
    """The times in which servers were shelved: month, uuid, start_at, end_at.

    From the first offload, else the first shelve, since the last unshelve, to the next unshelve, else open; and those
    that only the state of a server shows.
    """
    event, start = pl.col("event"), pl.col("start_time")
    unshelves = (event == _UNSHELVE).cast(pl.Int64)
    cycles = (
        inputs["server_events"]
        .filter(event.is_in(SHELVING))
        .sort(*SERVER, "start_time", "id")
        # an unshelve closes its cycle, what follows it opens the next
        .with_columns(cycle=unshelves.cum_sum().over(SERVER) - unshelves)
        .group_by(*SERVER, "cycle")
        .agg(
            end_at=start.filter(event == _UNSHELVE).min(),
            start_at=pl.coalesce(start.filter(event == _OFFLOAD).min(), start.filter(event == _SHELVE).min()),
        )
        .drop("cycle")
    )
    by_state = shelved_by_state(servers, inputs["server_events"]).select(
        *SERVER, end_at=pl.lit(None, dtype=INSTANT), start_at="since"
    )
    return close(pl.concat([cycles, by_state]).filter(pl.col("start_at").is_not_null()))


def shelved_by_state(servers: pl.LazyFrame, events: pl.LazyFrame) -> pl.LazyFrame:
    """month, uuid and since of servers in state shelved_offloaded without such an event since their last unshelve.

    They are shelved since their row was last changed; null where that is unknown.
    """
    last = (
        events.filter(pl.col("event").is_in(SHELVING))
        .sort(*SERVER, "start_time", "id")
        .group_by(SERVER)
        .agg(pl.col("event", "start_time").last())
    )
    return (
        servers.filter(pl.col("vm_state") == SHELVED_OFFLOADED)
        .join(last, on=SERVER, how="left")
        .filter(pl.col("event").is_null() | (pl.col("event") == _UNSHELVE))
        .select(
            *SERVER,
            since=pl.when(pl.col("updated_at").is_not_null()).then(pl.max_horizontal("updated_at", "start_time")),
        )
    )


def _within_reservation(up: pl.LazyFrame, holdings: pl.LazyFrame) -> pl.LazyFrame:
    key = ["month", "reservation_id", "hostname"]
    reserved = union(holdings.select(*key, "start_at", "end_at"), by=key)
    return intersect(up.filter(IN_LEASE), reserved, on=key).select(up.collect_schema().names())


def _on_machines(
    booked: pl.LazyFrame,
    machine_profile: pl.LazyFrame,
    host_types: pl.LazyFrame,
    node_types: dict[str, NodeType],
    names: pl.LazyFrame,
) -> pl.LazyFrame:
    """Pieces with the attributes of their machine, cut where those change.

    A machine that Nova never had has Blazar's type. It is metal where the site has no virtual ones, so that every node
    is a whole machine.
    """
    machine = machine_profile.select(*HOST, "start_at", "end_at", "is_metal", "node_type", "gpus", *SIZES)
    virtual_sites = machine_profile.filter(~pl.col("is_metal")).select("month").unique()
    on_known = intersect(booked, machine, on=HOST).with_columns(is_known=pl.lit(value=True))
    elsewhere = booked.join(machine.select(*HOST).unique(), on=list(HOST), how="anti")
    elsewhere = declared_types(covered(elsewhere, host_types), node_types, names)
    virtual = virtual_sites.with_columns(counts_a_node=pl.lit(value=False))
    on_unknown = (
        elsewhere.join(virtual, on="month", how="left")
        .with_columns(pl.col("counts_a_node").fill_null(value=True), is_known=pl.lit(value=False))
        .with_columns(is_metal=pl.col("counts_a_node") & pl.col("hostname").is_not_null())
    )
    return pl.concat([on_known, on_unknown], how="diagonal_relaxed")


def _server_resources() -> list[pl.Expr]:
    """On bare metal the machine's size; on a hypervisor the flavor's, nodes being its share of the vCPUs.

    GPUs of a whole machine that Nova never had are Blazar's or those of the site's file, else the flavor's.
    """
    is_whole = pl.col("is_known") & pl.col("is_metal")
    share = pl.when(pl.col("vcpus") > 0).then(pl.col("flavor_vcpus") / pl.col("vcpus"))
    of_flavor = pl.when(~pl.col("is_known")).then("flavor_gpus")
    size = {name: pl.when(is_whole).then(name).otherwise(f"flavor_{name}") for name in SIZES}
    return resources(
        nodes=pl.when(is_whole).then(1.0).when("is_known").then(share).when("counts_a_node").then(1.0),
        vcpus_overcommit=size["vcpus"],
        gpus=pl.when("is_metal").then(pl.coalesce("gpus", of_flavor)).otherwise("flavor_gpus"),
        **size,
    )


def booked_as() -> pl.Expr:
    """The metric of a booking (metric, is_maintenance): reserved in a lease for maintenance is a metric of its own."""
    in_maintenance = (pl.col("metric") == RESERVED) & pl.col("is_maintenance").fill_null(value=False)
    return pl.when(in_maintenance).then(pl.lit(MAINTENANCE)).otherwise("metric")


def bookings(inputs: Inputs) -> pl.LazyFrame:
    """month, uuid, metric, reservation_id and flavor_gpus per server that has a readable request, the latest one.

    Reserved by a hint (a list: its first, or plain text) or by a flavor named `reservation:<id>`, else on demand. A
    server without a row here is of unknown booking.
    """
    hint = pl.col("hint").str.extract(r'^\s*\[?\s*"([^"]+)"')
    by_flavor = pl.col("flavor").str.extract(r"^reservation:(.+)$")
    specs = inputs["nova_api_request_specs"].filter("is_readable")
    return (
        _latest(specs)
        .with_columns(reservation_id=pl.coalesce(hint, by_flavor))
        .select(
            *(*SERVER, "reservation_id", "flavor_gpus"),
            metric=pl.when(pl.col("reservation_id").is_not_null()).then(pl.lit(RESERVED)).otherwise(pl.lit(ON_DEMAND)),
        )
    )


def _latest(specs: pl.LazyFrame) -> pl.LazyFrame:
    """One request per server: nearly all have one, so only doubled ones are sorted."""
    booking = ["hint", "flavor", "flavor_gpus"]
    specs = specs.select("month", "created_at", "id", *booking, uuid="instance_uuid")
    marked = materialize(specs.with_columns(_several=pl.struct(SERVER).is_duplicated()))
    several = marked.filter("_several").sort("created_at", "id", nulls_last=False)
    return pl.concat(
        [
            marked.filter(~pl.col("_several")).select(*SERVER, *booking),
            several.group_by(SERVER).agg(pl.col(booking).last()),
        ]
    )
