"""Reports: what people look at.

What belongs here: pure functions from frames to figures (`figures`, over `series` and `frame`), what reads for them
(`reading`), what puts figures into files (`render`) and files before readers (`serve`), and the audit, table and page.
What stays out: numbers of our own; figures show timelines, the audit shows accounts.
"""
