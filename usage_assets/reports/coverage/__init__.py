"""Coverage: which site-months of which assets are there, and how fresh they are.

What belongs here: `judge` gives each its status (pure), `reading` reads the expected and the stored months, `picture`
draws them. orchestration/coverage_step.py writes table, picture and checks; `usage-assets status` prints the same.
"""
