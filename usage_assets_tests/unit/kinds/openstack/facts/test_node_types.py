"""The site's map of machines: how entries are found, and that many of them cost nothing."""

import time

import polars as pl
import pytest
from pydantic import ValidationError

from usage_assets.kinds.openstack.facts.node_types import declared_types
from usage_assets.kinds.openstack.site.model import NodeType

ROWS = pl.LazyFrame(
    {"hostname": ["c00001", "C49001", None], "node_type": [None, None, "known"], "gpus": [None, None, 1.0]},
    schema={"hostname": pl.String, "node_type": pl.String, "gpus": pl.Float64},
)


def test_fifty_entries_and_five_thousand_machines_cost_nothing():
    machines = pl.LazyFrame({"hostname": [f"c{n // 100:02d}{n:03d}" for n in range(5_000)]}).with_columns(
        node_type=pl.lit(None, dtype=pl.String), gpus=pl.lit(None, dtype=pl.Float64)
    )
    entries = {f"^c{i:02d}": NodeType(type=f"t{i}", gpus=i) for i in range(50)}
    begun = time.process_time()
    found = declared_types(machines, entries).collect()
    assert time.process_time() - begun < 2
    assert found["node_type"].value_counts().sort("node_type")["count"].to_list() == [100] * 50
    assert found.row(-1) == ("c494999", "t49", 49.0)


def test_the_first_entry_that_tells_something_decides_it_and_what_is_known_stays():
    entries = {"c00001": NodeType(gpus=2), "^C": NodeType(type="t", gpus=8, vcpus=4), ".*": NodeType(type="u")}
    assert declared_types(ROWS, entries).collect().rows() == [
        ("c00001", "t", 2.0),
        ("C49001", "t", 8.0),
        (None, "known", 1.0),
    ]


def test_an_empty_map_leaves_types_unknown():
    assert declared_types(ROWS, {}).collect()["node_type"].to_list() == ["unknown", "unknown", "known"]


@pytest.mark.parametrize("size", ["48", 0, -1, True, float("nan"), float("inf")])
def test_a_size_is_a_number_above_zero(size):
    with pytest.raises(ValidationError):
        NodeType(vcpus=size)
    assert NodeType(vcpus=48, memory_mb=1.5).vcpus == 48
