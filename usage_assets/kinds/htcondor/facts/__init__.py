"""Facts of a GPU pool: polls of slots -> the state of each GPU, and for how long it was in it.

What belongs here: pure functions over the raw rows of some months and the rules of the `Pool`, and their tables. What
stays out: tables made of these facts.
"""
