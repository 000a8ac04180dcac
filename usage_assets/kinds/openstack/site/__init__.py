"""The file of an OpenStack site as a typed model.

What belongs here: its keys and their validation.
What stays out: what rules do with them, and keys of any kind of site.
"""
