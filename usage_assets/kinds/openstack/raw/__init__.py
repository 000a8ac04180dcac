"""The tables of the services' databases: their columns, and the months that their rows fall into.

What belongs here: which of them are read, and which personal columns are hidden.
What stays out: reading of SQL in general, and rules of facts.
"""
