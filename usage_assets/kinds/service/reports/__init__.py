"""Limits, profiles, recommendations and usage reports of a service.

What belongs here: what a person reads and decides on. What stays out: how sums are made (tables).
"""
