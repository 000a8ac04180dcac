"""How to find the raw rows of an interval; which they are is the kind's to say (`Kind.origins`)."""

from dataclasses import dataclass

_HIDDEN = ("spec", "annotations", "extracted_at", "seen_from", "is_context")


@dataclass(frozen=True)
class Origin:
    """Rows of a raw table whose `column` is the interval's `of`, or that of a row found before: `<raw table>.<column>`.

    With `living` only rows that cover the instant asked for, with `latest` the last so many that started before it.
    `said` are computed columns: name -> SQL.
    """

    table: str
    column: str
    of: str
    living: bool = False
    latest: int = 0
    said: tuple[tuple[str, str], ...] = ()
    sql: str = ""
    """SQL of the value, where it is not the column alone."""
    is_name: bool = False
    """The column names machines: in any case, by a short name or a full one; intervals have the identity."""
    polled: str = ""
    """A column of instants: only rows of the last one up to the instant asked for."""

    @property
    def value(self) -> str:
        """SQL of what is the interval's `of`."""
        value = f"({self.sql or chr(34) + self.column + chr(34)})::VARCHAR"
        return f"lower({value})" if self.is_name else value

    def names(self, values: set[str]) -> set[str]:
        """What the value may be in rows of something that intervals call by these values."""
        return values | {value.partition(".")[0] for value in values} if self.is_name else values

    def shows(self, column: str) -> bool:
        """Whether people see a column: long texts may hold what is nobody's business."""
        return column not in _HIDDEN
