"""The usage timeline and lead times of a service.

What belongs here: flows and stocks of requests, tokens and models per bucket. What stays out: users and money (tables).
"""
