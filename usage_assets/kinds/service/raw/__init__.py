"""Events of a service as its sources have them, by month of their instant.

What belongs here: readers of each format, the rules by which an event is kept or rejected, and their storing. What
stays out: how events make a request (facts).
"""
