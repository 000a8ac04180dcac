"""The read-only reader of any SQL source: sessions, statements, staging, months, evidence.

What belongs here: how rows are read and kept. What stays out: which tables there are (the kinds declare them).
"""
