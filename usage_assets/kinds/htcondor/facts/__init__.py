"""Facts of a GPU pool: polls of slots -> the state of each GPU, and for how long it was in it.

Pure functions over the raw rows of some months; the `Pool` says what the operator decides.
"""
