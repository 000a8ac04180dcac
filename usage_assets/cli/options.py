"""Options that several commands share, declared once as the fields of a dataclass."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints


def with_options(shared: type, *left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that gives a command the options of a dataclass, but for those left out, as its first argument."""
    hints = get_type_hints(shared, include_extras=True)
    options = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in fields(shared)
        if field.name not in left_out
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**values: Any) -> None:
            command(shared(**{each.name: values.pop(each.name) for each in options}), **values)

        own = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in signature(command).parameters.values()]
        run.__signature__ = Signature([*own[1:], *options])  # type: ignore[attr-defined]
        return run

    return decorate
