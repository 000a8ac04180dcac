"""Figures: pure functions from frames to what plotly draws. `reports.plots` declares the plots that they make.

Steps: a value holds from its timestamp to the next bucket, so each drawn run of values repeats its last one at the end
of its bucket. What is unknown is drawn as nothing, never as zero.
"""
