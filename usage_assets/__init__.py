"""Auditable usage accounting for shared research computing, hour by hour.

raw        copies of source rows, per site and month: evidence, never lost
facts      intervals: who held what, from when to when; what was rejected and why
timelines  values over time: exact steps, and means and hours per bucket
reports    plots of them

A site is one deployment (`sites/<site>.yaml`); its kind says which raw tables it has and how facts are made of them.
"""
