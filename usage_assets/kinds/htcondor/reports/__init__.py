"""Reports of a GPU pool for a day, a week or a month: one content, shown as a page and as plain text.

What belongs here: periods, what stands in a report in which order, and how it is shown. What stays out: how numbers
are made (the tables beside this package), sending, and Dagster. Start at `content.report`.
"""
