"""Rule 5: how a server was booked, as its scheduler request says; and the GPUs of a flavor."""

import polars as pl

from usage_assets.facts.openstack.inputs import Inputs
from usage_assets.intervals import once

RESERVED, ON_DEMAND, UNKNOWN = "occupied_reservation", "occupied_ondemand", "occupied_unknown"
MAINTENANCE = "occupied_maintenance"
# of these, a server counts only while an allocation of its reservation holds its machine
IN_LEASE = (RESERVED, MAINTENANCE)


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
    # flavors are few and their texts long: each is read once
    flavors = specs.select("extra_specs").unique().with_columns(flavor_gpus=flavor_gpus(pl.col("extra_specs")))
    return (
        _latest(specs)
        .join(flavors, on="extra_specs", how="left", nulls_equal=True)
        .with_columns(reservation_id=pl.coalesce(hint, by_flavor))
        .select(
            "month",
            "uuid",
            "reservation_id",
            "flavor_gpus",
            metric=pl.when(pl.col("reservation_id").is_not_null()).then(pl.lit(RESERVED)).otherwise(pl.lit(ON_DEMAND)),
        )
    )


def _latest(specs: pl.LazyFrame) -> pl.LazyFrame:
    """One request per server: nearly all have one, so only doubled ones are sorted."""
    key, said = ["month", "uuid"], ["hint", "flavor", "extra_specs"]
    marked = once(
        specs.select("month", pl.col("instance_uuid").alias("uuid"), "created_at", "id", *said).with_columns(
            _several=pl.struct(key).is_duplicated()
        )
    )
    several = (
        marked.filter("_several").sort("created_at", "id", nulls_last=False).group_by(key).agg(pl.col(said).last())
    )
    return pl.concat([marked.filter(~pl.col("_several")).select(*key, *said), several])


def flavor_gpus(extra_specs: pl.Expr) -> pl.Expr:
    """GPUs that a flavor's extra specs ask for: virtual and whole ones, and PCI devices by alias; null without specs.

    `resources:VGPU`, `resources:PGPU` and custom classes with GPU in their name, also of numbered groups
    (`resources1:VGPU`), and `pci_passthrough:alias` with its counts (`a100:2`).
    """
    classes = extra_specs.str.extract_all(r'"resources[A-Za-z0-9_-]*:[A-Z0-9_]*GPU[A-Z0-9_]*"\s*:\s*"?\d+')
    aliases = extra_specs.str.extract(r'"pci_passthrough:alias"\s*:\s*"([^"]*)"').str.extract_all(r":\s*\d+")
    count = _sum_of_numbers(classes) + _sum_of_numbers(aliases)
    return pl.when(extra_specs.str.starts_with("{")).then(count)


def _sum_of_numbers(texts: pl.Expr) -> pl.Expr:
    number = pl.element().str.extract(r"(\d+)$").cast(pl.Float64)
    return texts.list.eval(number).list.sum().fill_null(0.0)
