"""Small random pools that run into every trap of the rows: doubles, blanks, several slots, gaps, odd numbers."""

from datetime import timedelta

from hypothesis import strategies as st

from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets_tests.golden.pools import A100, START

MACHINES = ("h1.pool.edu", "h1", "owned.pool.edu", "masked2003", "masked20031.pool.edu", " ", None)
GPUS = ("CUDA0", "CUDA1", "GPU-1a2b3c4d", "MIG-GPU-5c89/7/0", "", None)
SLOTS = ("slot1", "slot1_1", "slot1_2", "backfill2", "backfill2_1", "interactive1")
STATES = ("Claimed", "Unclaimed", "Drained", "Owner", "Matched", "Preempting", None)
USAGES = (None, 0.0, 0.25, 1.0, 2.0, -1.0, float("nan"), float("inf"), 1e300)
POOL = Pool(
    hosted=frozenset({"h1.pool.edu"}),
    masked={"masked2003": "broken", "elsewhere.pool.edu": "moved"},
    timezone="America/Chicago",
)


@st.composite
def pool_rows(draw, max_polls: int = 8) -> list[dict]:
    """Rows of one month; polls mostly follow each other, some are missing, late or early."""
    minutes = draw(st.lists(st.sampled_from((15, 15, 15, 14.9, 22.5, 22.6, 45, 5)), min_size=0, max_size=max_polls - 1))
    begins = draw(st.sampled_from((0, 7, 31 * 24 * 60 - 40)))
    polls = [START + timedelta(minutes=begins)]
    for step in minutes:
        polls.append(polls[-1] + timedelta(minutes=step))
    rows: list[dict] = []
    usual: list[dict] = draw(st.lists(_row(), min_size=1, max_size=6))
    for poll in polls:
        if poll >= START + timedelta(days=31):
            break
        own = draw(st.lists(_row(), min_size=0, max_size=3))
        kept = [one for one in usual if draw(st.integers(0, 5))]
        found = [*kept, *own] or usual[:1]
        rows += [one | {"poll_at": poll, "local_at": poll - timedelta(hours=5)} for one in found]
        if own and draw(st.booleans()):
            rows.append(rows[-1])  # an exact double
    return rows


@st.composite
def _row(draw) -> dict:
    machine = draw(st.sampled_from(MACHINES))
    slot = draw(st.sampled_from(SLOTS))
    return {
        "slot": draw(st.sampled_from((f"{slot}@{machine}",) * 9 + (None,))),
        "machine": machine,
        "gpu": draw(st.sampled_from(GPUS)),
        "state": draw(st.sampled_from(STATES)),
        "device": draw(st.sampled_from((A100, "NVIDIA H200", None, ""))),
        "memory_mb": draw(st.sampled_from((81251, None))),
        "prioritized_projects": draw(st.sampled_from((None, "", " ", "ProjectA", "ProjectA,ProjectB"))),
        "average_usage": draw(st.sampled_from(USAGES)),
        "remote_owner": draw(st.sampled_from(("ann", "bob", "", None))),
        "global_job_id": draw(st.sampled_from(("job#1", "job#2", "", None))),
        "prevent_jobs_reason": draw(st.sampled_from((None, None, "", "disk full"))),
    }
