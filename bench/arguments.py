"""Types of the benchmarks' command lines: `--help` is answered, and a word that nobody knows is refused."""

from pathlib import Path
from typing import Annotated

import typer


def _folder(given: Path) -> Path:
    return given.resolve()


Folder = Annotated[
    Path, typer.Argument(file_okay=False, callback=_folder, help="Where the benchmark keeps what it makes.")
]
Only = Annotated[str | None, typer.Option("--only", help="One figure, in this process, of what FOLDER already holds.")]


def require_part(only: str, parts: tuple[str, ...]) -> str:
    """The part that `--only` names; typer.BadParameter where there is no such part."""
    if only not in parts:
        msg = f"{only!r}: write one of {', '.join(parts)}"
        raise typer.BadParameter(msg, param_hint="--only")
    return only
