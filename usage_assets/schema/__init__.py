"""One declaration per table, from which DDL, checks, UI metadata and docs/tables.md derive.

What belongs here: the shape of tables. What stays out: where rows come from and how they are computed.
"""

from usage_assets.schema.contract import Violation, violations
from usage_assets.schema.table import Column, Rule, Table, Type, at, flag, money, number, polars_schema, real, text

__all__ = [
    "Column", "Rule", "Table", "Type", "Violation",
    "at", "flag", "money", "number", "polars_schema", "real", "text", "violations",
]  # fmt: skip
