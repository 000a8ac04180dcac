"""Site files -> typed models, whatever the kind.

What belongs here: what files of all kinds share, and how they are loaded with the models that kinds give. What stays
out: the keys of one kind.
"""
