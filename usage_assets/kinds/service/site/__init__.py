"""The file of a service's site, and the files that it names.

What belongs here: typed models and their errors. What stays out: polars, DuckDB, Dagster: every command loads this.
"""
