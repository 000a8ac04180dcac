"""HTCondor pools of GPUs, known by snapshots of their slots.

What belongs here: everything that knows the words of a pool. What stays out: what any kind of site shares.
"""
