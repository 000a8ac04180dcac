"""Coverage: which site-months of which assets are there, and how fresh they are.

What belongs here: `judge` reads the expected and the stored months and gives each its status, `picture` draws them.
orchestration/coverage_step.py writes table, picture and checks; `usage-assets status` prints the same.
"""
