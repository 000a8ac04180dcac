"""The options that the commands of `usage-assets gpu` share, declared once."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from usage_assets.cli.options import with_options

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


with_request = partial(with_options, Request)
"""A decorator that gives a command the options of `Request`, but for those left out, as its argument `request`."""
