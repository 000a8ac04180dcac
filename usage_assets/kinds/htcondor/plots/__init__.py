"""Plots of a pool of GPUs: what they read of its facts and monthly tables, and the figures made of that.

Figures are pure functions, as those in `reports.figures`; `declare` lists the plots for the kind.
"""
