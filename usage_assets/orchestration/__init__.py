"""All that knows Dagster: assets of a month, partitions, checks, schedules, sensors, event storage, metadata.

What belongs here: how and when something is computed and shown in the UI. What stays out: what is computed.
"""
