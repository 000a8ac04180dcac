"""What must add up, in every bucket of every series of random sites."""

import random

import polars as pl
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from usage_assets_tests.golden.compare import CLOSE, build
from usage_assets_tests.golden.random_site import random_case
from usage_assets_tests.golden.worked import scratch
from usage_assets_tests.properties import examples

# a whole and its parts; parts of sites that name maintenance are left out elsewhere
SUMS: dict[str, tuple[str, ...]] = {
    "occupied": ("active", "stopped"),
    "total": ("reservable", "maintenance", "ondemand_capacity"),
    "reservable": ("committed", "available_reservable"),
    "committed": ("occupied_reservation", "idle"),
    "ondemand_capacity": ("occupied_ondemand", "available_ondemand"),
    "available": ("available_reservable", "available_ondemand"),
}
BOOKINGS = ("occupied_reservation", "occupied_ondemand", "occupied_unknown", "occupied_maintenance")
SHARES = ("occupied_reservation", "idle", "available_reservable", "maintenance", "ondemand_capacity")
OF_MAINTENANCE = ("maintenance", "occupied_maintenance")
BUCKET = ["month", "timestamp", "node_type", "resource"]


def _wide(usage: pl.DataFrame, column: str) -> pl.DataFrame:
    """A row per bucket and series, a column per metric."""
    return usage.pivot(on="metric", index=BUCKET, values=column)


def _off(wide: pl.DataFrame, whole: str, parts: tuple[str, ...]) -> pl.DataFrame:
    """The buckets in which the parts are not the whole; unknown is unknown on both sides."""
    there = [name for name in parts if name in wide.columns or name not in OF_MAINTENANCE]
    rest = pl.col(whole) - sum((pl.col(name) for name in there), pl.lit(0.0))
    return wide.with_columns(rest=rest).filter(
        (pl.col("rest").abs() > CLOSE)
        | (pl.col(whole).is_null() & ~pl.any_horizontal(pl.col(name).is_null() for name in there))
    )


@given(seed=st.integers(0, 2**32))
@examples(12, suppress_health_check=list(HealthCheck), derandomize=True, print_blob=True)
def test_parts_make_the_whole_in_every_bucket_for_every_resource(seed: int):
    case = random_case(random.Random(seed))
    facts, frames = build(case.site, case.rows, case.months, case.extracted, scratch())
    for column in ("value", "hours"):
        wide = _wide(frames.usage, column)
        assert ("maintenance" in wide.columns) == (case.site.maintenance is not None)
        for whole, parts in (SUMS | {"occupied": BOOKINGS}).items():
            assert _off(wide, whole, parts).is_empty(), whole
        assert _off(wide, "occupied", SUMS["occupied"]).is_empty()
        assert _off(wide, "total", SHARES).is_empty()
    running = facts.accounts.filter(asset="openstack/facts/active").sort("month", "source")
    held = facts.accounts.filter(asset="openstack/facts/occupied").sort("month", "source")
    held = held.filter(pl.col("rows_kept") > 0)
    assert running["rows_in"].to_list() == held["rows_kept"].to_list()
    for mine, theirs in zip(running["hours_in"], held["hours_kept"], strict=True):
        assert abs(mine - theirs) < CLOSE
