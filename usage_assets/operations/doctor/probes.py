"""What probes are given (an installation) and return (outcomes), and how one is run."""

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Literal

import dagster as dg

from usage_assets.core.errors import SiteError, UsageError
from usage_assets.kinds.site_files import load_book
from usage_assets.operations.live import instance_of
from usage_assets.operations.places import RUNS, Places
from usage_assets.sites.book import SiteBook


@dataclass(frozen=True)
class Outcome:
    """What a probe found and, where it is not `ok`, what to do about it; `examine` fills in the probe's name."""

    state: Literal["ok", "warn", "fail"]
    found: str
    do: str = ""
    probe: str = ""

    def as_dict(self) -> dict[str, str]:
        """The outcome as `doctor --json` prints it."""
        return {"question": self.probe} | {name: text for name, text in asdict(self).items() if name != "probe"}


ok = partial(Outcome, "ok")
"""All is well."""
warn = partial(Outcome, "warn")
"""It works, and should be looked at."""
fail = partial(Outcome, "fail")
"""It does not work, or will not tonight."""


@dataclass
class Installation:
    """The installation to examine, at an instant (aware, UTC); `offline` asks no server."""

    places: Places
    now: datetime
    offline: bool = False
    seconds: float = 20.0

    @cached_property
    def book(self) -> SiteBook:
        """The sites; SiteError where there is no folder."""
        return load_book(self.places.sites)

    @cached_property
    def instance(self) -> dg.DagsterInstance | None:
        """Dagster's storage; None where nothing has run yet."""
        has_run = (self.places.home / RUNS).is_file() or self.in_postgres
        return instance_of(self.places.home) if has_run else None

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

    def hours_since(self, at: datetime | float) -> float:
        """Hours from an instant (aware, or seconds since 1970) until now."""
        return (self.now.timestamp() - (at if isinstance(at, float) else at.timestamp())) / 3600

    def close(self) -> None:
        """Let go of Dagster's storage."""
        instance = vars(self).pop("instance", None)
        if instance is not None:
            instance.dispose()


Probe = Callable[[Installation], Iterable[Outcome]]


def outcomes_of(probe: Probe, installation: Installation) -> list[Outcome]:
    """Outcomes of one probe; a probe that raises gives a failure without texts that might hold a secret."""
    try:
        return list(probe(installation))
    except UsageError as error:
        return [fail(str(error), "")]
    except OSError as error:
        found = f"{error.filename or 'a file'}: {os.strerror(error.errno or 0)}"
        return [fail(found, "look at the file's owner and mode")]
    except Exception as error:
        return [fail(f"can't be answered ({type(error).__name__})", "report this")]
