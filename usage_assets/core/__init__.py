"""Helpers without a domain that any package may use: time, months, settings, errors, locks, files, text.

What belongs here: helpers without a domain. What stays out: whatever names a table, a site, a kind or Dagster.
"""
