"""Raw rows of GPU pools: snapshots of slots, read from files by month.

What belongs here: finding, reading and storing of snapshot files, by poll and month. What stays out: their meaning.
"""
