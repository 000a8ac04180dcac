"""What a GPU pool's operator decides and its tables need: classes, device names, memory bands, tiers, host lists.

What belongs here: pure functions, by themselves and over columns. What stays out: rows of polls, and files.
"""
