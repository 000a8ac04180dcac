"""Pools: what each poll saw of each GPU, as compact facts, and as a plain reference that spreads every poll out.

A pool is a list of polls and, per GPU, what it was at each of them (null = no slot named it).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import polars as pl

from usage_assets.kinds.htcondor.facts.tables import GPU_PERFORMANCE, GPU_POLLS, GPU_RUNS
from usage_assets.kinds.htcondor.pool.rules import Pool
from usage_assets.kinds.htcondor.tables.cube import Cube
from usage_assets.kinds.htcondor.tables.facts import Facts
from usage_assets.kinds.htcondor.tables.options import Options
from usage_assets.kinds.htcondor.tables.window import Window
from usage_assets_tests.golden.oracle_gpu import shares

DAY = datetime(2026, 3, 2)
SIDES = ("primary", "backfill")
HOSTED, RESEARCHER, OPEN = "prioritized_hosted", "prioritized_researcher", "open"


@dataclass(frozen=True)
class Gpu:
    """What a poll saw of a GPU; the names are those of facts.gpu_runs."""

    device: str | None = "NVIDIA L40S"
    memory_mb: int | None = 46_068
    primary_state: str | None = None
    primary_class: str | None = None
    primary_user: str | None = None
    primary_job: str | None = None
    backfill_state: str | None = None
    backfill_class: str | None = None
    backfill_user: str | None = None
    backfill_job: str | None = None
    is_drained: bool = False
    is_refusing: bool = False
    reason: str | None = None
    masked: str | None = None

    def with_(self, **changes: Any) -> "Gpu":
        return replace(self, **changes)

    def state(self, side: str) -> str | None:
        return {"primary": self.primary_state, "backfill": self.backfill_state}[side]

    def class_(self, side: str) -> str | None:
        return {"primary": self.primary_class, "backfill": self.backfill_class}[side]

    def user(self, side: str) -> str | None:
        return {"primary": self.primary_user, "backfill": self.backfill_user}[side]

    @property
    def is_held(self) -> bool:
        return "claimed" in {self.primary_state, self.backfill_state}


States = dict[tuple[str, str], Sequence["Gpu | None"]]
"""What each poll saw of each GPU."""


def claimed(user: str = "ann", class_: str = OPEN, **more: Any) -> Gpu:
    return Gpu(primary_state="claimed", primary_class=class_, primary_user=user, primary_job=f"{user}#1", **more)


def idle(class_: str = OPEN, **more: Any) -> Gpu:
    return Gpu(primary_state="idle", primary_class=class_, **more)


def other(class_: str = OPEN, **more: Any) -> Gpu:
    return Gpu(primary_state="other", primary_class=class_, **more)


def drained(class_: str = OPEN, **more: Any) -> Gpu:
    return other(class_, is_drained=True, **more)


def lent(gpu: Gpu, user: str | None = "bob", class_: str = "backfill_open") -> Gpu:
    """The same GPU, offered to backfill, and held by a job of a user, or by none."""
    if user is None:
        return gpu.with_(backfill_state="idle", backfill_class=class_)
    return gpu.with_(backfill_state="claimed", backfill_class=class_, backfill_user=user, backfill_job=f"{user}#2")


def every(minutes: int, hours: float, start: datetime = DAY) -> list[datetime]:
    return [start + timedelta(minutes=minutes) * number for number in range(int(hours * 60 / minutes))]


@dataclass
class MadePool:
    """A pool as its polls saw it: (machine, gpu) -> one Gpu or null per poll."""

    polls: Sequence[datetime]
    gpus: Mapping[tuple[str, str], Sequence[Gpu | None]]
    pool: Pool = field(default_factory=Pool)
    performance: Sequence[tuple[datetime, str, str | None, str, int, float]] = ()

    @property
    def facts(self) -> Facts:
        return Facts.of(self.runs, self.poll_rows, self.performance_rows)

    @property
    def runs(self) -> pl.DataFrame:
        rows = [row for key, observed in self.gpus.items() for row in self._runs(key, observed)]
        return pl.DataFrame(rows, schema=GPU_RUNS.polars_schema, orient="row", infer_schema_length=None)

    def _runs(self, key: tuple[str, str], observed: Sequence[Gpu | None]) -> Iterable[dict[str, Any]]:
        step = timedelta(minutes=self.pool.poll_minutes)
        open_: dict[str, Any] | None = None
        what: Gpu | None = None
        for number, at in enumerate(self.polls):
            now = observed[number]
            after = self.polls[number + 1] if number + 1 < len(self.polls) else None
            month = datetime(at.year, at.month, 1)
            month_end = datetime(at.year + at.month // 12, at.month % 12 + 1, 1)
            end = after if after is not None and after - at <= 1.5 * step else at + step
            if open_ is not None and (now != what or open_["end_at"] != at or open_["month"] != month.date()):
                yield open_
                open_ = None
            if now is not None and open_ is None:
                head = {
                    "site": "p",
                    "month": month.date(),
                    "machine": key[0],
                    "gpu": key[1],
                    "start_at": at,
                    "polls": 0,
                }
                open_ = head | {name: getattr(now, name) for name in Gpu.__dataclass_fields__}
            if open_ is not None:
                open_ |= {"end_at": min(end, month_end), "polls": open_["polls"] + 1}
            what = now
        if open_ is not None:
            yield open_

    @property
    def poll_rows(self) -> pl.DataFrame:
        rows = [
            {
                "site": "p", "month": at.date().replace(day=1), "poll_at": at, "local_at": at, "is_repeated": False,
                "rows": 0, "duplicates": 0, "machines": 0, "gpus": 0, "missed": 0,
            }
            for at in self.polls
        ]  # fmt: skip
        return pl.DataFrame(rows, schema=GPU_POLLS.polars_schema)

    @property
    def performance_rows(self) -> pl.DataFrame:
        rows = [("p", at.date().replace(day=1), at, *rest) for at, *rest in self.performance]
        return pl.DataFrame(rows, schema=GPU_PERFORMANCE.polars_schema, orient="row")

    def cube(self, window: Window | None = None, **options: Any) -> Cube:
        return Cube.of(self.facts, self.pool, window or self.window, Options(**options))

    @property
    def window(self) -> Window:
        """From the first poll to a step after the last."""
        return Window(self.polls[0], self.polls[-1] + timedelta(minutes=self.pool.poll_minutes), self.pool.timezone)


class Reference:
    """Sums of a window, poll by poll and GPU by GPU, as fractions: slow, and plain."""

    def __init__(self, made: MadePool, window: Window) -> None:
        minutes = made.pool.bucket_minutes
        inside = [(number, at) for number, at in enumerate(made.polls) if window.start <= at < window.end]
        hours = shares(made.polls, window.start, window.end, minutes)
        self.weights = {number: hours[at] for number, at in inside}
        self.intervals = len({(at - datetime(1970, 1, 1)) // timedelta(minutes=minutes) for _, at in inside})
        self.seen_hours = sum(hours.values(), Fraction(0))
        self.made = made
        self.at = dict(inside)

    def observed(self) -> Iterable[tuple[int, Fraction, tuple[str, str], Gpu]]:
        """(poll, the hours it stands for, GPU, what it was) of machines that are not masked."""
        for number, weight in self.weights.items():
            for key, states in self.made.gpus.items():
                state = states[number]
                if state is not None and state.masked is None:
                    yield number, weight, key, state

    def average(self, total: Fraction) -> float:
        return float(total / self.seen_hours)


def row(frame: pl.DataFrame, **where: object) -> dict[str, Any]:
    """The one row of a table."""
    found = frame.filter(*(pl.col(name).eq_missing(value) for name, value in where.items()))
    assert found.height == 1, f"{found.height} rows for {where}"
    return found.row(0, named=True)
