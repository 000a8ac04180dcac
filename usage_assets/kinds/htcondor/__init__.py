"""HTCondor pools of GPUs, from snapshots of their slots.

What belongs here: all that is specific to such pools. What stays out: what all kinds of sites share.
"""
