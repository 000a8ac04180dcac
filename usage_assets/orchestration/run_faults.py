"""What failed in a run and why, in the words that alerts, commands and the UI show.

A failed run says its cause, not what Dagster wraps around it; a failed check says which of the run's own months fail.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from usage_assets.core.months import site_month
from usage_assets.core.text import line

if TYPE_CHECKING:
    import dagster as dg

INTERRUPTED = (
    "interrupted: its process was told to stop (Terminate in the UI, a restart of the service or of the machine); what "
    "is stored is whole, run it again"
)
UNKNOWN = "it failed without a word; look at its log"
_USERINFO = re.compile(r"(://[^\s/@:]*:)[^\s@]*@")
_CLASS = re.compile(r"^(?:[A-Za-z_]\w*\.)+([A-Za-z_]\w*(?:: |$))")
_LENGTH, _EXAMPLE = 400, 300
_NO_SAMPLE = {"site", "month", "failing", "failing_months", "passing", "figures"}


@dataclass(frozen=True)
class Failure:
    """A check that fails in a month of a run, or the failed run."""

    severity: str
    text: str
    asset: str = ""
    check: str | None = None
    """The check; None where the run itself failed."""
    site: str = ""
    month: str = ""
    """As 2026-10; empty where the check names none."""
    sample: str = ""
    """Its figures on one line."""


def why(description: str | None, messages: Sequence[str]) -> str | None:
    """The sentence of a failure: what the step said of it, else the innermost of the errors that Dagster stored.

    `messages` are those of the error and of its causes, from the outermost on. None where nothing was said.
    """
    texts = [text for text in (_plain(message) for message in messages) if text]
    if any("DagsterExecutionInterruptedError" in text for text in texts):
        return INTERRUPTED
    said = _plain(description or "") or next(iter(reversed(texts)), "")
    return said or None


def why_failed(instance: "dg.DagsterInstance", run: "dg.DagsterRun") -> str:
    """Why a run failed: the failure of its step, else of the run."""
    import dagster as dg  # noqa: PLC0415 - commands that look at other things do without its 40 MB

    for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE):
        for entry in instance.all_logs(run.run_id, of_type=kind):
            event = entry.dagster_event
            if event is None:
                continue
            data = event.event_specific_data
            description = getattr(getattr(data, "user_failure_data", None), "description", None)
            text = why(description, [*messages_of(getattr(data, "error", None))]) or _plain(event.message or "")
            if text:
                return f"{event.step_key}: {text}" if event.step_key else text
    return UNKNOWN


def cause_of(error: BaseException) -> str:
    """The innermost cause of an error, with its class, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return _plain(f"{type(error).__name__}: {error}")


def messages_of(error: Any) -> Iterable[str]:
    """The messages of a stored error and of its causes, from the outermost on; also of one that GraphQL tells."""
    while error is not None:
        is_mapping = isinstance(error, Mapping)
        yield str((error.get("message") if is_mapping else error.message) or "")
        error = error.get("cause") if is_mapping else error.cause


def failures_in(found: Failure, partition: str | None, metadata: Mapping[str, object]) -> list[Failure]:
    """A failed evaluation as one failure per month that it names; `found` is what holds for all of them.

    An evaluation that speaks of all that is stored names under `failing` what the run itself found: none of it where
    only months of other runs fail.
    """
    if partition is not None:
        try:
            at, site = site_month(partition)
        except ValueError:
            return [replace(found, month=partition, sample=_example(metadata))]
        return [replace(found, site=site, month=f"{at:%Y-%m}", sample=_example(metadata))]
    named = _entries(metadata.get("failing"))
    if named is None:
        return [replace(found, sample=_example(metadata))]
    figures = {entry.get("month"): entry for entry in _entries(metadata.get("figures")) or ()}
    return [
        replace(
            found,
            site=str(entry.get("site") or found.site),
            month=str(entry.get("month") or ""),
            text=line(str(entry.get("text") or found.text), _LENGTH),
            sample=_example(figures.get(entry.get("month"), {})),
        )
        for entry in named
    ]


def _plain(text: str) -> str:
    """One line of bounded length, without the module of an error's class and the passwords of URLs."""
    return line(_USERINFO.sub(r"\1***@", _CLASS.sub(r"\1", text.strip())), _LENGTH)


def _entries(value: object) -> list[Mapping[str, Any]] | None:
    """The entries of a list in metadata; None where there is no list."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else None


def _example(figures: Mapping[str, Any]) -> str:
    """The figures of a finding on one line."""
    said = {
        name: value
        for name, value in figures.items()
        if name not in _NO_SAMPLE and isinstance(value, (str, int, float)) and value != ""
    }
    return line(", ".join(f"{name} {value}" for name, value in said.items()), _EXAMPLE)
