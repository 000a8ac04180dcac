"""Tables of a GPU pool for any window: pure functions from compact facts to frames.

What belongs here: windows, the weights of polls, one reduction of a window (`Cube`), and a function per table.
What stays out: files, the warehouse, Dagster, and how a table is shown. Start at `analyse.analyse`.
"""
