"""The legacy usage counter: its hours as a timeline, and the comparison with ours.

What belongs here: its checks, and the causes of differences from it.
What stays out: tables that a site without that counter has.
"""
