"""Reports of a GPU pool for a day, a week or a month: one content, shown as a page and as plain text.

What belongs here: periods, the sections of a report, and rendering. What stays out: computing numbers (the tables
beside this package), sending, and Dagster. Start at `content.report`.
"""
