"""Reading the running month poll by poll gives the same rows as reading it whole."""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_assets.core import clock
from usage_assets.warehouse import Warehouse
from usage_assets_tests.properties import examples
from usage_assets_tests.unit.kinds.htcondor.raw.pools import NOV, parquet, read, rows, site_of, sqlite, stored

# through the night in which 01:00 to 02:00 comes twice in Chicago, 06:00 and 07:00 UTC
UTC_START = datetime(2025, 11, 2, 5, 15)
STATES = st.sampled_from(["Claimed", "Unclaimed", "Drained"])


def wall(at: datetime) -> datetime:
    return at - timedelta(hours=5 if at < datetime(2025, 11, 2, 7) else 6)


@st.composite
def histories(draw: st.DrawFn) -> list[list[list[dict[str, Any]]]]:
    """Reads of polls of rows: what each read finds more than the one before."""
    apart = draw(st.lists(st.integers(1, 5), min_size=1, max_size=14))
    at, polls = UTC_START, []
    for steps in apart:
        at += timedelta(minutes=15 * steps, microseconds=1)  # as a clock is never as exact as a test
        gpus = draw(st.lists(st.tuples(st.integers(1, 2), STATES), min_size=1, max_size=4))
        polls.append([row for gpu, state in gpus for row in rows([wall(at)], AssignedGPUs=f"GPU-{gpu}", State=state)])
    cuts = sorted(draw(st.sets(st.integers(1, len(polls)), max_size=4)) | {len(polls)})
    return [polls[first:last] for first, last in zip([0, *cuts], cuts, strict=False)]


@pytest.mark.parametrize("write", [parquet, sqlite])
@given(history=histories())
@examples(12)
def test_a_month_read_bit_by_bit_has_the_rows_of_one_read_whole(write, history: list[list[list[dict[str, Any]]]]):
    name = "gpu_state_2025-11.parquet" if write is parquet else "gpu_state_2025-11.db"
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pool"
        bit, once = Warehouse(Path(scratch) / "bit" / "w.duckdb"), Warehouse(Path(scratch) / "once" / "w.duckdb")
        so_far: list[dict[str, Any]] = []
        for hour, part in enumerate(history):
            patched.setattr(clock, "naive_utc_now", lambda hour=hour: datetime(2025, 11, 3, hour))
            fresh = [row for poll in part for row in poll]
            so_far += fresh
            write(folder, so_far if write is parquet else fresh, name)
            (done,) = read(site_of(folder), bit, NOV)
            assert not done.refused
        read(site_of(folder), once, NOV)
        assert stored(bit) == stored(once)
        assert len(stored(once, "DISTINCT poll_at")) == sum(len(part) for part in history)
        with bit.read() as reader:
            assert reader.sql("SELECT sum(copies) FROM raw.gpu_state").item() == len(so_far)
