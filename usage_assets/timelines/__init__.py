"""Timelines: values over time, computed from facts alike for every kind of site.

What belongs here: metrics, steps and means per bucket, their tables and views. What stays out: which metrics and
resources a site counts (the `Scope` that its kind gives).
"""
