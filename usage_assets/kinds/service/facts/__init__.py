"""Requests, residency of models and the inventory: how events are folded, and what each request cost.

What belongs here: SQL from raw events to facts. What stays out: sums (tables), values over time (timelines).
"""
