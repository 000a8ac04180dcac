"""The rules that a GPU pool's operator sets: classes, device names, memory bands, tiers, host lists.

What belongs here: pure functions, by themselves and over columns. What stays out: rows of polls, and reading of files.
"""
