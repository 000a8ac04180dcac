"""Facts: intervals that say who held what, from when to when; and what was rejected, and why.

What belongs here: the tables and views that the facts of all kinds share. What stays out: how a kind makes them
(kinds/<kind>/facts), and values over time.
"""
