"""Timelines of an OpenStack site: scope of its usage, lead times, hours per host, project and user.

What belongs here: their declarations, computation and checks.
What stays out: the usage timeline that all kinds share.
"""
