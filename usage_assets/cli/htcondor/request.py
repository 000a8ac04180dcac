"""The options that the commands of `usage-assets gpu` share, declared once."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

if TYPE_CHECKING:
    from usage_assets.kinds.htcondor.tables.options import Options


@dataclass(frozen=True)
class Request:
    """Which pool, window and machines a command is asked about, and how to show the answer."""

    site: Annotated[str | None, typer.Option(help="Key of a GPU pool; may be left out where there is one")] = None
    hours_back: Annotated[
        float | None, typer.Option(help="Length of the window; 24 unless --start is given", min=0.01)
    ] = None
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="By the pool's clocks, 2026-03-01T06:00, or with an offset")
    ] = None
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="Exclusive; the newest poll unless given (also exclusive)")
    ] = None
    host: Annotated[
        list[str] | None, typer.Option(help="Name of a machine or a pattern (gpu2*); may be given several times")
    ] = None
    all_devices: Annotated[bool, typer.Option("--all-devices", help="Leave out no family of devices")] = False
    classes: Annotated[
        Literal["legacy", "six"],
        typer.Option("--classes", metavar="legacy|six", help="The three classes of old, or all six"),
    ] = "six"
    format: Annotated[
        Literal["text", "html", "json", "csv"],
        typer.Option("--format", metavar="text|html|json|csv", help="CSV holds one table"),
    ] = "text"
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write there instead of printing")] = None
    published: Annotated[bool, typer.Option("--published", help="Read the published snapshot, not the warehouse")] = (
        False
    )

    @property
    def has_window(self) -> bool:
        """Whether a window of its own is asked for."""
        return any(value is not None for value in (self.hours_back, self.start, self.end))

    def options(self, **more: Any) -> "Options":
        """The options of tables: classes, hosts and devices of the request, and `more`."""
        from usage_assets.kinds.htcondor.tables.options import Options

        return Options(classes=self.classes, hosts=tuple(self.host or ()), all_devices=self.all_devices, **more)


def with_request(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that gives a command the options of `Request`, but for those left out, as its argument `request`."""
    hints = get_type_hints(Request, include_extras=True)
    shared = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in fields(Request)
        if field.name not in left_out
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**values: Any) -> None:
            command(Request(**{each.name: values.pop(each.name) for each in shared}), **values)

        own = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in signature(command).parameters.values()]
        run.__signature__ = Signature([*own[1:], *shared])  # type: ignore[attr-defined]
        return run

    return decorate
