"""Declarations without logic: a kind, an asset, a check, a finding, a raw table, a metric, a plot.

What belongs here: records and abstract classes that kinds fill in. What stays out: anything that computes or opens.
"""
