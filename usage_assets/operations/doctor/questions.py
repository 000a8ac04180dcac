"""What a question and its answers are, and how all are asked."""

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
class Answer:
    """What was found, and where it is not well what to do about it."""

    question: str
    state: State
    found: str
    do: str = ""


@dataclass(frozen=True)
class Said:
    """An answer before it is known to which question."""

    state: State
    found: str
    do: str = ""


def ok(found: str) -> Said:
    """All is well."""
    return Said("ok", found)


def warn(found: str, do: str) -> Said:
    """It works, and should be looked at."""
    return Said("warn", found, do)


def fail(found: str, do: str) -> Said:
    """It does not work, or will not tonight."""
    return Said("fail", found, do)


@dataclass
class Patient:
    """The installation that is asked about, at an instant (aware, UTC); `offline` asks no server."""

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
        """The sites that can be read; none where there is no folder, which a question of its own tells."""
        try:
            return self.book
        except SiteError:
            return SiteBook({})

    def close(self) -> None:
        """Let go of Dagster's storage."""
        while self._opened:
            self._opened.pop().dispose()


Ask = Callable[[Patient], Iterable[Said]]
QUESTIONS: dict[str, Ask] = {}


def question(name: str) -> Callable[[Ask], Ask]:
    """Register a question under the name that its answers are shown with."""

    def register(ask: Ask) -> Ask:
        QUESTIONS[name] = ask
        return ask

    return register


def examine(patient: Patient) -> Iterator[Answer]:
    """The answers to all questions, in order."""
    from usage_assets.operations.doctor import configuration, service, storage  # noqa: F401, PLC0415 - they register questions

    try:
        for name, ask in QUESTIONS.items():
            for said in answered(ask, patient):
                yield Answer(name, said.state, said.found, said.do)
    finally:
        patient.close()


def answered(ask: Ask, patient: Patient) -> list[Said]:
    """The answers to one question; that it can't be answered is one, without texts that might hold a secret."""
    try:
        return list(ask(patient))
    except UsageError as error:
        return [fail(str(error), "")]
    except OSError as error:
        return [
            fail(f"{error.filename or 'a file'}: {os.strerror(error.errno or 0)}", "look at the file's owner and mode")
        ]
    except Exception as error:
        return [fail(f"can't be answered ({type(error).__name__})", "report this")]
