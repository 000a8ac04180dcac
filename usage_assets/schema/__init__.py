"""One declaration per table, from which DDL, checks, UI metadata and docs/tables.md derive.

What belongs here: the shape of tables. What stays out: where rows come from and how they are computed.
"""

from usage_assets.schema.contract import Violation, violations
from usage_assets.schema.table import Column, Rule, Table, Type, polars_schema

__all__ = ["Column", "Rule", "Table", "Type", "Violation", "polars_schema", "violations"]
