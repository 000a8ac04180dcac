"""Facts: intervals that say who held what, from when to when; and what was rejected, and why.

What belongs here: the rules of each kind, from raw rows to one interval shape. What stays out: values over time.
"""
