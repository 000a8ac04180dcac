"""What leaves the warehouse: tables for dashboards and reports, as files, in a database and as a DuckDB snapshot.

`tables` says which and of what shape, `frames` makes them (pure), `reading` adds up what they need; `files`, `snapshot`
and `database` are where they go.
"""
