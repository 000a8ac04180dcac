"""Coverage: which site-months of which assets are there, and how fresh they are.

`judge` is pure and says what is true of each; `reading` brings it what is expected and what is stored; `picture` draws
it; orchestration/coverage_step.py writes table, picture and checks. `usage-assets status` prints the same judgement.
"""
