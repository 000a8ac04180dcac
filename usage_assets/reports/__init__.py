"""Reports: plots, exports, coverage, the audit, and explanations of numbers.

What belongs here: pure functions from frames to figures (`figures`, over `series` and `frame`), their queries
(`reading`), pages and pictures (`render`, `draw`) and their server (`serve`), and the audit's rows and page.
What stays out: numbers of our own; figures show timelines, the audit shows accounts.
"""
