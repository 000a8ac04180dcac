"""What one poll saw of a model: the nearest poll answers, and each GPU is in one of three lists."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from usage_assets.core.errors import UsageError
from usage_assets.kinds.htcondor.tables import moment
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.options import Options
from usage_assets_tests.unit.kinds.htcondor.tables.made import (
    DAY,
    HOSTED,
    MadePool,
    States,
    claimed,
    drained,
    every,
    idle,
    lent,
    row,
)

H200: dict[str, Any] = {"device": "NVIDIA H200", "memory_mb": 143_771}
AT = DAY + timedelta(minutes=22)


@pytest.fixture
def made() -> MadePool:
    gpus: States = {
        ("m", "0"): [idle(**H200), claimed("ann", HOSTED, **H200)],
        ("m", "1"): [idle(**H200), lent(idle(HOSTED, **H200), "bob", "backfill_hosted")],
        ("m", "2"): [idle(**H200), idle(**H200)],
        ("n", "0"): [idle(**H200), drained(**H200)],
        ("n", "1"): [idle(**H200), claimed("Unknown", **H200)],
        ("n", "2"): [idle(), claimed("cid")],
        ("x", "0"): [idle(masked="x", **H200), claimed(masked="x", **H200)],
    }
    usage = [(DAY + timedelta(minutes=15), "m", "NVIDIA H200", HOSTED, 2, 1.0)]
    return MadePool(every(15, 0.5), gpus, performance=usage)


def test_models_are_those_that_the_nearest_poll_saw(made: MadePool):
    found = moment.models_at(made.facts, made.pool, AT)
    assert (found.poll_at, found.minutes_off) == (DAY + timedelta(minutes=15), -7)
    assert found.frame.select("device", "gpus", "claimed", "idle", "other", "machines").rows() == [
        ("H200", 5, 3, 1, 1, 2),
        ("L40S", 1, 1, 0, 0, 1),
    ]


def test_activity_has_a_row_per_gpu_with_who_holds_it(made: MadePool):
    rows = moment.model_activity(made.facts, made.pool, "H200", AT).frame
    assert tuple(rows.columns) == moment.ACTIVITY
    shown = rows.select("machine", "gpu", "state", "class", "user", "job").rows()
    assert shown == [
        ("m", "0", "claimed", HOSTED, "ann", "ann#1"),
        ("m", "1", "claimed", "backfill_hosted", "bob", "bob#2"),
        ("m", "2", "idle", "open", None, None),
        ("n", "0", "other", "open", None, None),
        ("n", "1", "claimed", "open", "Unknown", "Unknown#1"),
    ]


def test_an_analysis_has_every_gpu_in_one_of_three_lists(made: MadePool):
    found = moment.analyse_model(made.facts, made.pool, "H200", AT, Options(classes="legacy"))
    assert row(found.summary) == {
        "model": "H200", "gpus": 5, "claimed": 3, "idle": 1, "other": 1, "claimed_with_user": 2,
        "claimed_percent": 60, "usage_percent": 50, "machines": 2,
    }  # fmt: skip
    assert (found.jobs.height, found.idle.height, found.other.height) == (3, 1, 1)
    assert found.by_class.select("class", "gpus", "claimed").rows() == [
        ("Priority", 2, 1), ("Shared", 3, 1), ("Backfill", 1, 1), ("Interactive", 0, 0), ("total", 5, 3),
    ]  # fmt: skip


def test_a_model_that_is_not_there_has_no_gpus(made: MadePool):
    found = moment.analyse_model(made.facts, made.pool, "H100", AT)
    line = row(found.summary)
    assert (line["gpus"], line["claimed_percent"], line["usage_percent"]) == (0, None, None)
    assert all(found.tables[name].is_empty() for name in ("jobs", "idle", "other"))


def test_hosts_restrict_a_moment_too(made: MadePool):
    found = moment.analyse_model(made.facts, made.pool, "H200", AT, Options(hosts=("n",)))
    line = row(found.summary)
    assert (line["gpus"], line["usage_percent"]) == (2, None)


def test_of_two_polls_equally_near_the_earlier_answers_and_a_limit_is_kept(made: MadePool):
    polls = made.facts.polls
    assert moment.nearest_poll(polls, DAY + timedelta(minutes=7, seconds=30)) == DAY
    with pytest.raises(UsageError, match="no poll within 60 minutes of 2026-01-01 00:00 UTC; the nearest one is"):
        moment.nearest_poll(polls, datetime(2026, 1, 1), timedelta(hours=1))
    empty = Facts.of(made.runs.clear(), polls.clear(), made.performance_rows)
    with pytest.raises(UsageError, match="has no poll"):
        moment.models_at(empty, made.pool, DAY)
