"""One package per kind of site, and the registry of them.

What belongs here: everything that knows one kind's words. What stays out: whatever two kinds share.
"""
