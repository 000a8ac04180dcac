"""What every part of the package needs and that knows neither sites nor tables: time, settings, errors, files, text.

What belongs here: helpers without a domain. What stays out: whatever names a table, a site, a kind or Dagster.
"""
