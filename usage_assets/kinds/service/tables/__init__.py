"""Sums by user, team and model, per day and month, and what is kept for ever of each.

What belongs here: tables made of request facts. What stays out: judgements on them (reports).
"""
