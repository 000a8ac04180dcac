"""A small client that writes usage events of a program to JSON-lines files, without blocking or failing the program.

    from usage_assets import track

    track.configure("/srv/events", provider="own")
    with track.request(model="small", user="alice") as call:
        answer = model.generate(prompt)
        call.input_tokens, call.output_tokens = answer.tokens_in, answer.tokens_out

What belongs here: events of a running program, their queue and their files, with the standard library only. What stays
out: whatever reads the files, and every import of the rest of the package: the folder can be copied into a program
that has nothing else of it, so its modules name each other relatively.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from .calls import Call, decorator
from .lines import prompt_hash
from .tracker import Tracker

__all__ = ["Call", "Tracker", "close", "configure", "event", "flush", "prompt_hash", "request", "tracked", "tracker"]

_Wrapped = TypeVar("_Wrapped", bound=Callable[..., Any])
_state = {"tracker": Tracker(os.environ.get("USAGE_TRACK_FOLDER"))}


def configure(folder: str | os.PathLike[str] | None, **options: Any) -> Tracker:
    """The tracker that the functions of this module use from now on; the one before is flushed and closed.

    `options` are those of `Tracker`. Without this call the folder is `USAGE_TRACK_FOLDER`; without that, events are
    counted as dropped. `None` turns recording off.
    """
    before, _state["tracker"] = _state["tracker"], Tracker(folder, **options)
    before.close()
    return _state["tracker"]


def tracker() -> Tracker:
    """The tracker in use."""
    return _state["tracker"]


def request(model: str | None = None, user: str | None = None, **fields: Any) -> Call:
    """A request to a model as a context manager, sync or async: see `Tracker.request`."""
    return _state["tracker"].request(model, user, **fields)


def tracked(**fields: Any) -> Callable[[_Wrapped], _Wrapped]:
    """A decorator that records each call of a function as a request: see `Tracker.tracked`."""
    return decorator(lambda: _state["tracker"], fields)


def event(event_type: str, **fields: Any) -> None:
    """Record one event: see `Tracker.event`."""
    _state["tracker"].event(event_type, **fields)


def flush() -> bool:
    """Write what is queued now: see `Tracker.flush`."""
    return _state["tracker"].flush()


def close() -> None:
    """Write what is queued and stop: see `Tracker.close`."""
    _state["tracker"].close()
