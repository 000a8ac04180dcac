"""Tables in Markdown, of cells that are text and never markup."""

from collections.abc import Iterable, Sequence

from usage_assets.core.text import printable

_CELL = 40
_MARKUP = str.maketrans({sign: f"\\{sign}" for sign in "\\|[]`"})


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown, its cells cut to a readable length."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    text = "" if value is None else " ".join(str(value)[: 10 * _CELL].splitlines())
    text = printable(text if len(text) <= _CELL else text[: _CELL - 1] + "…")
    # what a database holds is neither HTML nor an image that some server is asked for
    return text.replace("&", "&amp;").replace("<", "&lt;").translate(_MARKUP)
