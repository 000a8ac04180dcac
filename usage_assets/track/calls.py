"""One request to a model while it runs: a context manager, and a decorator that opens one for each call."""

import functools
import inspect
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, closing
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from .lines import prompt_hash

if TYPE_CHECKING:
    from .tracker import Tracker

_log = logging.getLogger("usage_assets.track")
_Wrapped = TypeVar("_Wrapped", bound=Callable[..., Any])


class Call:
    """A request that is recorded when its `with` block ends; attributes are columns of its event, None = not known.

    `input_tokens` includes `cached_tokens`. A `cost` should be a Decimal. `meters` are further quantities by name.
    """

    # What is set lies in __dict__, which becomes the event; names with an underscore are no columns and stay out of it.
    model_id: str | None = None
    provider: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    meters: Mapping[str, int | float | Decimal] | None = None
    cost: Decimal | float | None = None
    currency: str | None = None
    duration_s: float | None = None
    queue_s: float | None = None
    first_output_s: float | None = None
    success: bool | None = None
    error: str | None = None
    parameters: Mapping[str, object] | None = None
    prompt_hash: str | None = None
    _stages = False
    _outcome = "complete"
    _started_s: float | None = None

    def __init__(self, tracker: "Tracker", model: str | None, user: str | None) -> None:
        self._tracker = tracker
        self.model_id = model
        self.user_id = user

    def __enter__(self) -> Self:
        self._begin_s = time.perf_counter()
        self._begin = time.time_ns() // 1000
        if self._stages:
            self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._outcome = "failed" if issubclass(kind, Exception) else "cancelled"
            self.error = kind.__name__  # not its text: that may hold a part of the prompt
        elif self._outcome == "complete":
            self.success = True
        if self.duration_s is None:
            begin = self._begin_s if self._started_s is None else self._started_s
            self.duration_s = time.perf_counter() - begin
        at = time.time_ns() // 1000 if self._stages else self._begin
        self._tracker.put((at, self._outcome, self.__dict__.copy()))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def started(self) -> None:
        """The wait is over, work begins: `queue_s` is the time until now, `duration_s` the time from now."""
        if self._started_s is None:
            self._started_s = time.perf_counter()
            self.queue_s = self._started_s - self._begin_s
            if self._stages:
                self._stage("start")

    def first_output(self) -> None:
        """The first output was given: `first_output_s` is the time from the start until now; later calls do nothing."""
        if self.first_output_s is None:
            begin = self._begin_s if self._started_s is None else self._started_s
            self.first_output_s = time.perf_counter() - begin

    def meter(self, name: str, quantity: float | Decimal) -> None:
        """Set a further quantity, such as `images` or `audio_seconds`."""
        self.meters = {**(self.meters or {}), name: quantity}

    def fail(self, error: str | None = None) -> None:
        """The request failed, with no exception; `error` is a class or a short text without personal data."""
        self._outcome, self.error = "failed", error

    def cancel(self) -> None:
        """The request was cancelled, with no exception."""
        self._outcome = "cancelled"

    def hash_prompt(self, prompt: str | bytes, key: str | bytes = b"") -> None:
        """Keep the hash of a prompt, see `prompt_hash`; the prompt is not kept."""
        self.prompt_hash = prompt_hash(prompt, key)

    def _open(self) -> None:
        if self.request_id is None:
            self.request_id = self._tracker.new_id()
        self._stage("request")

    def _stage(self, event_type: str) -> None:
        self._tracker.put((time.time_ns() // 1000, event_type, self.__dict__.copy()))


_CallOf = Callable[[tuple[Any, ...], dict[str, Any]], Call]
_Measure = Callable[[Call, Any], None]
_FIELDS = frozenset((
    "measure", "model", "parameters", "provider", "request_id", "session", "stages", "team", "user",
))  # fmt: skip


def decorator(tracker: Callable[[], "Tracker"], fields: Mapping[str, Any]) -> Callable[[_Wrapped], _Wrapped]:
    """A decorator as `Tracker.tracked` describes it, of the tracker that is there when the function is called."""
    unknown = fields.keys() - _FIELDS
    if unknown:
        msg = f"not a field of a tracked function: {', '.join(sorted(unknown))}; there are {', '.join(sorted(_FIELDS))}"
        raise TypeError(msg)
    given = {name: value for name, value in fields.items() if name != "measure"}

    def call_of(arguments: tuple[Any, ...], named: dict[str, Any]) -> Call:
        return tracker().request(**{name: _value(value, arguments, named) for name, value in given.items()})

    def decorate(function: _Wrapped) -> _Wrapped:
        return cast("_Wrapped", _wrapped(function, call_of, fields.get("measure")))

    return decorate


def _wrapped(function: Callable[..., Any], call_of: _CallOf, measure: _Measure | None) -> Callable[..., Any]:
    """A function of the same sort as `function` whose calls are recorded; a generator is one until it is exhausted."""

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with call_of(args, kwargs) as call:
            return _measured(call, function(*args, **kwargs), measure)

    @functools.wraps(function)
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        with call_of(args, kwargs) as call:
            return _measured(call, await function(*args, **kwargs), measure)

    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with call_of(args, kwargs) as call, closing(function(*args, **kwargs)) as items:
            for item in items:
                call.first_output()
                yield item

    @functools.wraps(function)
    async def async_generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        with call_of(args, kwargs) as call:
            async with aclosing(function(*args, **kwargs)) as items:
                async for item in items:
                    call.first_output()
                    yield item

    if inspect.iscoroutinefunction(function):
        return coroutine
    if inspect.isasyncgenfunction(function):
        return async_generator
    return generator if inspect.isgeneratorfunction(function) else plain


def _value(value: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """A field of a decorated function: a constant, or a function of the arguments; None if that fails."""
    if not callable(value):
        return value
    try:
        return value(*arguments, **named)
    except Exception:
        _log.exception("a field of a tracked call could not be read from its arguments")
        return None


def _measured(call: Call, result: Any, measure: _Measure | None) -> Any:
    """The result of a call, after `measure` has set what it tells."""
    if measure is not None:
        try:
            measure(call, result)
        except Exception:
            _log.exception("a tracked call could not be measured")
    return result
