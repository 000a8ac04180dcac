"""Plots of a service beside those that all kinds share.

What belongs here: what is read for a plot, and how it is drawn. What stays out: how pages are written (reports).
"""
