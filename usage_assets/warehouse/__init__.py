"""The only package that opens DuckDB: replace whole site-months in one transaction, read consistently, stage dumps.

One process may write a DuckDB file and meanwhile no other may even read it. So everything is computed outside, and the
file is held only for the write, behind an OS lock that readers share and writers own alone. Whoever opens a file that
an older release made brings it up to date first (`usage_assets.warehouse.migrations`).
"""

from usage_assets.warehouse.connections import staging
from usage_assets.warehouse.file import Warehouse
from usage_assets.warehouse.rows import Query, Reader, ReplaceAfter, Replaced, Writer, bound

__all__ = ["Query", "Reader", "ReplaceAfter", "Replaced", "Warehouse", "Writer", "bound", "staging"]
