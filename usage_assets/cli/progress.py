"""How far a backfill is: a bar that moves on a terminal, elsewhere a line now and then.

The bar moves by what the runs say: each asset and month that is written, and what steps note meanwhile. Steps take
unlike times, so each counts by what a month of it took when it was measured; the time left follows from that.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from usage_assets.core.months import Window

_SECONDS: dict[str, dict[str, float]] = {
    "raw": {"raw": 3.0},
    "facts": {"facts": 1.0, "facts_tables": 0.5},
    "timelines": {"timelines": 2.0, "timelines_tables": 2.0, "checks": 2.5},
    "reports": {"exports": 0.8, "reports_tables": 0.7, "checks": 0.2, "reports": 6.0},
}
"""Seconds of a step for one month, by stage and step: of the demo site of bare metal, on two processors."""
_AFTER: dict[str, float] = {"reports_coverage": 4.0, "serving_published": 4.0}
"""Seconds of the steps at the end, of all sites."""
_WORDS = {
    "raw": "reading the source",
    "facts_tables": "facts",
    "timelines_tables": "timelines",
    "reports_tables": "reports",
    "reports": "plots",
    "reports_coverage": "coverage of all sites",
    "serving_published": "the snapshot for readers",
}
_MOST = 0.9
"""What notes alone may say of a step; the rest is known when its assets are written."""
_LINE_SECONDS = 15.0
_SURE_SECONDS, _SURE_PART = 10.0, 0.03
"""From when on the time left is more than a guess."""


def in_words(seconds: float) -> str:
    """A time as people say it: 40 s, 3 min, 1 h 20 min."""
    if seconds < 60:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def time_left(gone: float, part: float) -> str:
    """How long the rest takes where `part` took so many seconds; empty while nobody knows."""
    if gone < _SURE_SECONDS or part < _SURE_PART:
        return ""
    return f"about {in_words(gone * (1 - part) / part)} left"


class Display:
    """A bar on a terminal, elsewhere a line every so often."""

    def __init__(self, out: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.out, self._clock = out, clock
        self._began = self._said_at = clock()
        self._bar = Bar(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TaskProgressColumn(),
            TextColumn("{task.fields[what]}"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
            console=out, transient=True, disable=not out.is_terminal, refresh_per_second=4,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=1.0, what="", left="")

    def __enter__(self) -> Self:
        """Show it."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar; what was printed stays."""
        self._bar.stop()

    @property
    def gone(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    def show(self, label: str, what: str, part: float, left: str) -> None:
        """How far it is: of what, what is done just now, which part of all is done, and how long the rest takes."""
        self._bar.update(self._task, description=label, completed=min(part, 0.99), what=what, left=left)
        if not self.out.is_terminal and self._clock() - self._said_at >= _LINE_SECONDS:
            self._said_at = self._clock()
            parts = [f"{label}: {100 * min(part, 0.99):.0f} %", what, f"{self.gone:.0f} s so far", left]
            self.out.print(", ".join(filter(None, parts)))


class Pace:
    """What part of the work is done, by weight."""

    def __init__(self, runs: Sequence[tuple[Window, Sequence[str]]]) -> None:
        self._total = sum(sum(_steps(window, stages).values()) for window, stages in runs) + sum(_AFTER.values())
        self._before = 0.0
        self._steps: dict[str, float] = {}
        self._done: dict[str, float] = {}
        self._step = ""

    def begin(self, window: Window, stages: Sequence[str]) -> None:
        """A run starts; all before it is over."""
        self._next(_steps(window, stages))

    def finish(self) -> None:
        """What is made of all sites at the end starts."""
        self._next(_AFTER)

    def _next(self, steps: dict[str, float]) -> None:
        self._before += sum(self._steps.values())
        self._steps, self._done, self._step = steps, {}, ""

    def step(self, name: str) -> None:
        """A step starts, so the one before it is over."""
        if self._step:
            self._done[self._step] = 1.0
        self._step = name

    def part(self, done: float) -> None:
        """What part of the step is done."""
        self._done[self._step] = max(min(done, 1.0), self._done.get(self._step, 0.0))

    @property
    def fraction(self) -> float:
        """What part of all runs is done."""
        weights = [self._steps.get(name, 0.0) * part for name, part in self._done.items()]
        return (self._before + sum(weights)) / self._total


def _steps(window: Window, stages: Sequence[str]) -> dict[str, float]:
    out: dict[str, float] = {}
    for stage in stages:
        for step, seconds in _SECONDS[stage].items():
            out[step] = out.get(step, 0.0) + seconds * len(window.months)
    return out


class Progress(logging.Handler):
    """Follows runs by their own events; as a context it shows a bar, or writes a line every so often."""

    def __init__(
        self,
        runs: Sequence[tuple[Window, Sequence[str]]],
        out: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._pace, self._display = Pace(runs), Display(out, clock=clock)
        self._label, self._what, self._prefix = "", "", ""
        self._assets: dict[str, int] = {}
        self._months, self._notes, self._written, self._in_step = 1, 0, 0, 1
        self.logger = dg.LoggerDefinition(self._make, description="The progress of the command line")

    def __enter__(self) -> Self:
        """Show it."""
        self._display.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar; what was printed stays."""
        self._display.__exit__()

    def begin(self, window: Window, stages: Sequence[str], assets: Sequence[dg.AssetKey]) -> None:
        """A run of a window starts."""
        self._pace.begin(window, stages)
        self._label, self._what, self._prefix = str(window), "starting", f"{window}: "
        self._months = len(window.months)
        self._assets = {stage: sum(key.path[1] == stage for key in assets) for stage in stages}
        self.tick()

    def finish(self, label: str) -> None:
        """What is made of all sites at the end starts."""
        self._pace.finish()
        self._label, self._what, self._prefix = label, "", ""
        self.tick()

    def tick(self) -> None:
        """Time has passed."""
        part = self._pace.fraction
        self._display.show(self._label, self._what, part, time_left(self._display.gone, part))

    def emit(self, record: logging.LogRecord) -> None:
        """Take in what the run says."""
        meta: Any = getattr(record, "dagster_meta", None) or {}
        event = meta.get("dagster_event") if isinstance(meta, Mapping) else None
        if event is None:
            self._noted(str(meta.get("orig_message") or record.getMessage()), record.levelno)
        elif event.event_type_value == "STEP_START":
            self._step(str(event.step_key))
        elif event.event_type_value == "ASSET_MATERIALIZATION":
            self._wrote(event.asset_key)

    def _step(self, key: str) -> None:
        name = key.partition("_")[2]
        self._pace.step(name)
        self._notes = self._written = 0
        stage = name.partition("_")[0]
        own = self._assets.get(stage) or sum(self._assets.values())
        self._in_step = max(own, self._months)
        self._what = _WORDS.get(name, name.replace("_", " "))
        self.tick()

    def _noted(self, text: str, level: int) -> None:
        if level >= logging.WARNING:
            self._display.out.print(text)
            return
        if level < logging.INFO:
            return
        self._notes += 1
        self._pace.part(_MOST * min(self._notes / self._in_step, 1.0))
        self._what = text.removeprefix(self._prefix)[:60]
        self.tick()

    def _wrote(self, asset: dg.AssetKey) -> None:
        self._written += 1
        stage = asset.path[1]
        self._pace.part(_MOST + (1 - _MOST) * self._written / max(1, self._assets.get(stage, 1) * self._months))
        self._what = f"{'/'.join(asset.path[1:])} written"
        self.tick()

    def _make(self, _context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("usage_assets.progress", logging.DEBUG)
        logger.addHandler(self)
        return logger
