"""OpenStack sites: Nova, with or without Blazar and Zun, in SQL databases.

What belongs here: everything that knows the words of these services. What stays out: what any kind of site shares.
"""
