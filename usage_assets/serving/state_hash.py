"""State hash: a short text that differs when what would be published differs."""

import hashlib
from datetime import date

from usage_assets.reports.tables import COVERAGE
from usage_assets.warehouse import Reader
from usage_assets.warehouse.bookkeeping import CHECKED, FAILED_CHECKS, GATES, VERSIONS

_UNCHECKED = f"""
SELECT v.site, v.month, v.asset FROM {VERSIONS.qualified} v
LEFT JOIN {CHECKED.qualified} c ON c.site = v.site AND c.month = v.month AND c.asset = v.asset
WHERE v.asset NOT LIKE 'usage/%' AND (c.asset IS NULL OR (c.run_id <> v.run_id AND c.checked_at < v.written_at))
"""
_ALL = f"SELECT site, month, asset FROM {VERSIONS.qualified} WHERE asset NOT LIKE 'usage/%'"

_SHAPES = """
SELECT bit_xor(hash(sql)) FROM (
  SELECT sql FROM duckdb_tables() WHERE NOT internal UNION ALL SELECT sql FROM duckdb_views() WHERE NOT internal
)"""
_STATES = (
    (VERSIONS, "SELECT bit_xor(hash(site, month, asset, version, run_id)) FROM {} WHERE asset NOT LIKE 'usage/%'"),
    (GATES, "SELECT bit_xor(hash(site, month, asset, ok)) FROM {}"),
    (COVERAGE, "SELECT bit_xor(hash(site, month, asset, status)) FROM {}"),
    (FAILED_CHECKS, "SELECT bit_xor(hash(site, month, asset, check_name, severity, text)) FROM {}"),
)


def unchecked(reader: Reader) -> list[tuple[str, date, str]]:
    """Site, month and asset of rows not checked since they were written: their run goes on, or was killed."""
    if not reader.has(VERSIONS):
        return []
    return reader.sql(f"{_UNCHECKED if reader.has(CHECKED) else _ALL} ORDER BY ALL").rows()


def state_hash(reader: Reader) -> str:
    """The hash of the state that is read: versions, gates, failing checks, unchecked rows, and the tables' shapes."""
    parts: list[object] = [reader.sql(_SHAPES).item()]
    parts += [reader.sql(query.format(table.qualified)).item() for table, query in _STATES if reader.has(table)]
    parts += unchecked(reader)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
