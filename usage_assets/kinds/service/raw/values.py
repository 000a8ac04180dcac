"""Values of a site's file in SQL that is made of expressions, where none can be bound."""

from collections.abc import Mapping


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name of a column as SQL."""
    return '"' + name.replace('"', '""') + '"'


def coalesce(*expressions: str) -> str:
    """The first that is not null."""
    return expressions[0] if len(expressions) == 1 else f"coalesce({', '.join(expressions)})"


def replaced(expression: str, values: Mapping[str, str]) -> str:
    """The expression with some of its texts replaced by others."""
    if not values:
        return expression
    cases = " ".join(f"WHEN {literal(old)} THEN {literal(new)}" for old, new in values.items())
    return f"CASE {expression} {cases} ELSE {expression} END"
