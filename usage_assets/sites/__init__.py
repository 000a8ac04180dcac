"""Site files -> typed models, whatever the kind.

What belongs here: what files of all kinds share, and how they are loaded. What stays out: the keys of one kind.
"""
