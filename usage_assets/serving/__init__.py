"""Published reads: whole copies of the warehouse by generation, and a small file, CURRENT, that names the newest.

`pointer` is that file, `state_hash` says whether anything changed, `hold_back` keeps the last good rows of what fails,
and `publish` does it all. Readers use `usage_assets.read`, which is `read` here.
"""
