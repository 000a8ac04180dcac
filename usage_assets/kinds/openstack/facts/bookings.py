"""Rule 5: how a server was booked, as its scheduler request says."""

import polars as pl

from usage_assets.intervals import materialize
from usage_assets.kinds.openstack.facts.inputs import Inputs

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
    return (
        _latest(specs)
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
    key, said = ["month", "uuid"], ["hint", "flavor", "flavor_gpus"]
    marked = materialize(
        specs.select("month", pl.col("instance_uuid").alias("uuid"), "created_at", "id", *said).with_columns(
            _several=pl.struct(key).is_duplicated()
        )
    )
    several = (
        marked.filter("_several").sort("created_at", "id", nulls_last=False).group_by(key).agg(pl.col(said).last())
    )
    return pl.concat([marked.filter(~pl.col("_several")).select(*key, *said), several])
