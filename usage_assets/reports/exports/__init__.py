"""Exports: usage tables for dashboards and reports, as files, in a database and as a DuckDB snapshot.

What belongs here: `tables` declares them, `reading` adds up the usage that they need, `frames` makes their rows (pure),
`export` writes them by `files`, `snapshot` and `database`. What stays out: how usage is computed.
"""
