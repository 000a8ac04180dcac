"""What keeps an installation in order: backup, restore, the removal of old runs, and probes of its health (doctor).

What belongs here: work on the files and runs of a whole installation. What stays out: what asks or tells a person
(cli), and what computes figures.
"""
