"""Probes of an installation: how they are registered and run, and what they return."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

import dagster as dg

from usage_assets.core.errors import SiteError, UsageError
from usage_assets.kinds.site_files import load_book
from usage_assets.operations.live import instance_of
from usage_assets.operations.places import RUNS, Places
from usage_assets.sites.book import SiteBook

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Result:
    """What a probe found and, where it is not `ok`, what to do about it."""

    probe: str
    state: State
    found: str
    do: str = ""

    def as_dict(self) -> dict[str, str]:
        """The result as `doctor --json` prints it."""
        return {"question": self.probe, "state": self.state, "found": self.found, "do": self.do}


@dataclass(frozen=True)
class Outcome:
    """Result of a probe, without the probe's name."""

    state: State
    found: str
    do: str = ""


def ok(found: str) -> Outcome:
    """All is well."""
    return Outcome("ok", found)


def warn(found: str, do: str) -> Outcome:
    """It works, and should be looked at."""
    return Outcome("warn", found, do)


def fail(found: str, do: str) -> Outcome:
    """It does not work, or will not tonight."""
    return Outcome("fail", found, do)


@dataclass
class Installation:
    """The installation to examine, at an instant (aware, UTC); `offline` asks no server."""

    places: Places
    now: datetime
    offline: bool = False
    seconds: float = 20.0
    _opened: list[dg.DagsterInstance] = field(default_factory=list)

    @cached_property
    def book(self) -> SiteBook:
        """The sites; SiteError where there is no folder."""
        return load_book(self.places.sites)

    @cached_property
    def instance(self) -> dg.DagsterInstance | None:
        """Dagster's storage; None where nothing has run yet."""
        if not (self.places.home / RUNS).is_file() and not self.in_postgres:
            return None
        found = instance_of(self.places.home)
        self._opened.append(found)
        return found

    @cached_property
    def in_postgres(self) -> bool:
        """Whether dagster.yaml names PostgreSQL as Dagster's storage."""
        config = self.places.home / "dagster.yaml"
        lines = config.read_text(encoding="utf-8", errors="replace").splitlines() if config.is_file() else []
        return any("postgres" in line.partition("#")[0].lower() for line in lines)

    def good_sites(self) -> SiteBook:
        """The sites that can be read; none where there is no folder, which a probe of its own reports."""
        try:
            return self.book
        except SiteError:
            return SiteBook({})

    def close(self) -> None:
        """Let go of Dagster's storage."""
        while self._opened:
            self._opened.pop().dispose()


Probe = Callable[[Installation], Iterable[Outcome]]
PROBES: dict[str, Probe] = {}


def probe(name: str) -> Callable[[Probe], Probe]:
    """Register a probe under the name that its results are shown with."""

    def register(probe: Probe) -> Probe:
        PROBES[name] = probe
        return probe

    return register


def examine(installation: Installation) -> Iterator[Result]:
    """Results of all probes, in order."""
    from usage_assets.operations.doctor import configuration, service, storage  # noqa: F401, PLC0415 - they register probes

    try:
        for name, probe in PROBES.items():
            for outcome in outcomes_of(probe, installation):
                yield Result(name, outcome.state, outcome.found, outcome.do)
    finally:
        installation.close()


def outcomes_of(probe: Probe, installation: Installation) -> list[Outcome]:
    """Outcomes of one probe; a probe that raises gives a failure without texts that might hold a secret."""
    try:
        return list(probe(installation))
    except UsageError as error:
        return [fail(str(error), "")]
    except OSError as error:
        return [
            fail(f"{error.filename or 'a file'}: {os.strerror(error.errno or 0)}", "look at the file's owner and mode")
        ]
    except Exception as error:
        return [fail(f"can't be answered ({type(error).__name__})", "report this")]
