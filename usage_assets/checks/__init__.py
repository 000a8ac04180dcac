"""Checks of assets: what they mean (`findings`), and how a run reports them.

Raw tables and reports: one result per run, failing months as a table. Facts and timelines: one evaluation per month.
Never both on one check, or its months would show as skipped.
"""
