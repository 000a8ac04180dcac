"""Progress of a backfill: a bar on a terminal, elsewhere a line now and then.

The bar follows the runs' events: each asset and month that is written, and messages of steps meanwhile. Steps take
different times, so each is weighted by what a month of it took when it was measured; the time left follows from that.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import dagster as dg
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from usage_assets.cli.console import errors
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
"""Part of a step that its messages alone can reach; the rest follows when its assets are written."""
_LINE_SECONDS = 15.0
_SURE_SECONDS, _SURE_PART = 10.0, 0.03
"""From when on the time left is shown: before, it is a guess."""


def in_words(seconds: float) -> str:
    """A duration in words: 40 s, 3 min, 1 h 20 min."""
    if seconds < 60:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Display:
    """A bar on a terminal, elsewhere a line every so often; as a context it is shown."""

    def __init__(self) -> None:
        self._began = self._printed_at = time.monotonic()
        self._bar = Bar(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TaskProgressColumn(),
            TextColumn("{task.fields[doing]}"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
            console=errors, transient=True, disable=not errors.is_terminal, refresh_per_second=4,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=1.0, doing="", left="")

    def __enter__(self) -> Self:
        """Show it."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar; what was printed stays."""
        self._bar.stop()

    def show(self, label: str, doing: str, part: float) -> None:
        """Show what is built, what it is doing just now, which part (0 to 1) of all is done, and the time left."""
        seconds, part = time.monotonic() - self._began, min(part, 0.99)
        is_known = seconds >= _SURE_SECONDS and part >= _SURE_PART
        left = f"about {in_words(seconds * (1 - part) / part)} left" if is_known else ""
        self._bar.update(self._task, description=label, completed=part, doing=doing, left=left)
        if not errors.is_terminal and time.monotonic() - self._printed_at >= _LINE_SECONDS:
            self._printed_at = time.monotonic()
            texts = [f"{label}: {100 * part:.0f} %", doing, f"{seconds:.0f} s so far", left]
            errors.print(", ".join(filter(None, texts)))


def _weights(window: Window, stages: Sequence[str]) -> dict[str, float]:
    """Expected seconds of each step of a run."""
    out: dict[str, float] = {}
    for stage in stages:
        for step, seconds in _SECONDS[stage].items():
            out[step] = out.get(step, 0.0) + seconds * len(window.months)
    return out


class Progress(Display, logging.Handler):
    """Follows runs by their own events; as a context it shows a bar, or writes a line every so often."""

    def __init__(self, runs: Sequence[tuple[Window, Sequence[str]]]) -> None:
        logging.Handler.__init__(self)
        Display.__init__(self)
        self._total = sum(sum(_weights(*run).values()) for run in runs) + sum(_AFTER.values())
        self._before = 0.0
        self._steps: dict[str, float] = {}
        self._parts: dict[str, float] = {}
        self._step = ""
        self._label, self._doing = "", ""
        self._assets: dict[str, int] = {}
        self._months, self._notes, self._written, self._in_step = 1, 0, 0, 1
        self.logger = dg.LoggerDefinition(self._make_logger, description="The progress of the command line")

    def begin(self, window: Window, stages: Sequence[str], assets: Sequence[dg.AssetKey]) -> None:
        """A run of a window starts; all before it is over."""
        self._months = len(window.months)
        self._assets = {stage: sum(key.path[1] == stage for key in assets) for stage in stages}
        self._start(_weights(window, stages), str(window), "starting")

    def finish(self, label: str) -> None:
        """The steps that cover all sites start, at the end."""
        self._start(_AFTER, label, "")

    def _start(self, steps: dict[str, float], label: str, doing: str) -> None:
        self._before += sum(self._steps.values())
        self._steps, self._parts, self._step = steps, {}, ""
        self._label, self._doing = label, doing
        self.tick()

    def tick(self) -> None:
        """Show the time that has passed."""
        done = self._before + sum(self._steps.get(step, 0.0) * part for step, part in self._parts.items())
        self.show(self._label, self._doing, done / self._total)

    def emit(self, record: logging.LogRecord) -> None:
        """Take in a record of the run's log: a step that starts, an asset that is written, or a message."""
        meta: Any = getattr(record, "dagster_meta", None) or {}
        event = meta.get("dagster_event") if isinstance(meta, Mapping) else None
        if event is None:
            self._note(str(meta.get("orig_message") or record.getMessage()), record.levelno)
        elif event.event_type_value == "STEP_START":
            self._begin_step(str(event.step_key))
        elif event.event_type_value == "ASSET_MATERIALIZATION":
            self._wrote(event.asset_key)

    def _begin_step(self, key: str) -> None:
        name = key.partition("_")[2]
        if self._step:  # the step before it is over
            self._parts[self._step] = 1.0
        self._step = name
        self._notes = self._written = 0
        own = self._assets.get(name.partition("_")[0]) or sum(self._assets.values())
        self._in_step = max(own, self._months)
        self._doing = _WORDS.get(name, name.replace("_", " "))
        self.tick()

    def _note(self, text: str, level: int) -> None:
        if level >= logging.WARNING:
            errors.print(text)
        elif level >= logging.INFO:
            self._notes += 1
            self._advance(_MOST * min(self._notes / self._in_step, 1.0), text.removeprefix(f"{self._label}: ")[:60])

    def _wrote(self, asset: dg.AssetKey) -> None:
        self._written += 1
        share = self._written / max(1, self._assets.get(asset.path[1], 1) * self._months)
        self._advance(_MOST + (1 - _MOST) * share, f"{'/'.join(asset.path[1:])} written")

    def _advance(self, part: float, doing: str) -> None:
        """So much of the step is done; never less than before."""
        self._parts[self._step] = max(min(part, 1.0), self._parts.get(self._step, 0.0))
        self._doing = doing
        self.tick()

    def _make_logger(self, _context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("usage_assets.progress", logging.DEBUG)
        logger.addHandler(self)
        return logger
