"""Pricing: what quantities cost, and how far spending has come towards its limits.

What belongs here: files of rates, exchange rates and limits, tiers, exact cost per row, windows of days, weeks and
months in a time zone, spending alerts and their status. It works on columns that the caller names: scopes (what a rate
or a limit is for), quantities (what is billed) and instants. What stays out: what the scopes and quantities of one kind
of site are called, where its rows come from, and where results are stored (the caller owns the connection).
"""
