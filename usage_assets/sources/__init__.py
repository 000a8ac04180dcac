"""Copies of source rows, per site and month: evidence. Appended, marked, never lost.

What belongs here: which rows a month holds, how they are read, merged and kept. What stays out: what they mean.
"""
