"""Checks of assets: what they ask of the stored rows, and what they mean to an operator (`meaning`).

Raw tables and reports: one result per run, failing months as a table. Facts and timelines: one evaluation per month.
Never both on one check, or its months would show as skipped.
"""
